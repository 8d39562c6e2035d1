//! Settings: from code, else from the environment, else the defaults.

use std::path::PathBuf;

use spanwise_engine::{Durability, EngineConfig, Retention, Storage};

use crate::error::{Error, Result};

/// How [`init_with`](crate::init_with) sets Spanwise up.
///
/// | setting | environment | default |
/// |---|---|---|
/// | data directory | `SPANWISE_DATA_DIR` | `.spanwise` in the working directory |
/// | durability | `SPANWISE_DURABILITY` (`process`, `disk`) | `process`: survives `kill -9` |
/// | org, project, domain | `SPANWISE_ORG`, `SPANWISE_PROJECT`, `SPANWISE_DOMAIN` | none, `flytesnacks`, `development` |
/// | retention | - | 30 days, 1 GiB |
/// | console | `SPANWISE_CONSOLE` | `http://localhost:8585` |
#[derive(Clone, Debug, Default)]
pub struct Config {
    data_dir: Option<PathBuf>,
    in_memory: bool,
    durability: Option<Durability>,
    retention: Retention,
    org: Option<String>,
    project: Option<String>,
    domain: Option<String>,
    console: Option<String>,
}

/// Settings with nothing left open.
pub(crate) struct Settings {
    pub(crate) engine: EngineConfig,
    pub(crate) org: String,
    pub(crate) project: String,
    pub(crate) domain: String,
    pub(crate) console: String,
}

/// The address under which `spanwise dev` serves its console unless told otherwise.
const CONSOLE: &str = "http://localhost:8585";

impl Config {
    /// The environment's settings, and the defaults.
    pub fn new() -> Config {
        Config::default()
    }

    /// The directory of the journal. Made if it is not there; one process at a time.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Config {
        self.data_dir = Some(path.into());
        self
    }

    /// Keeps the journal in memory: nothing survives the process. For tests.
    pub fn in_memory(mut self) -> Config {
        self.in_memory = true;
        self
    }

    /// What a commit survives.
    pub fn durability(mut self, durability: Durability) -> Config {
        self.durability = Some(durability);
        self
    }

    /// How long finished runs are kept.
    pub fn retention(mut self, retention: Retention) -> Config {
        self.retention = retention;
        self
    }

    /// The organisation of new runs.
    pub fn org(mut self, org: impl Into<String>) -> Config {
        self.org = Some(org.into());
        self
    }

    /// The project of new runs.
    pub fn project(mut self, project: impl Into<String>) -> Config {
        self.project = Some(project.into());
        self
    }

    /// The domain of new runs.
    pub fn domain(mut self, domain: impl Into<String>) -> Config {
        self.domain = Some(domain.into());
        self
    }

    /// The address of the console, for [`Run::url`](crate::Run::url).
    pub fn console(mut self, address: impl Into<String>) -> Config {
        self.console = Some(address.into());
        self
    }

    pub(crate) fn resolve(self) -> Result<Settings> {
        if let Some(endpoint) = environment("SPANWISE_ENDPOINT") {
            let message = format!(
                "SPANWISE_ENDPOINT is `{endpoint}`, but this version runs tasks on the embedded engine only; unset it to go on"
            );
            return Err(Error::usage(message));
        }
        let durability = match (self.durability, environment("SPANWISE_DURABILITY").as_deref()) {
            (Some(durability), _) => durability,
            (None, None | Some("process")) => Durability::Process,
            (None, Some("disk")) => Durability::Disk,
            (None, Some(other)) => {
                return Err(Error::usage(format!("SPANWISE_DURABILITY is `{other}`: expected `process` or `disk`")));
            }
        };
        let path = self.data_dir.or_else(|| environment("SPANWISE_DATA_DIR").map(PathBuf::from));
        let path = path.unwrap_or_else(|| PathBuf::from(".spanwise"));
        let storage = if self.in_memory { Storage::Memory } else { Storage::Directory { path, durability } };
        let or_environment = |setting: Option<String>, name: &str, default: &str| {
            setting.or_else(|| environment(name)).unwrap_or_else(|| default.to_owned())
        };
        Ok(Settings {
            engine: EngineConfig::embedded(storage, self.retention),
            org: or_environment(self.org, "SPANWISE_ORG", ""),
            project: or_environment(self.project, "SPANWISE_PROJECT", "flytesnacks"),
            domain: or_environment(self.domain, "SPANWISE_DOMAIN", "development"),
            console: or_environment(self.console, "SPANWISE_CONSOLE", CONSOLE).trim_end_matches('/').to_owned(),
        })
    }
}

/// A variable of the environment; an empty one counts as unset.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
