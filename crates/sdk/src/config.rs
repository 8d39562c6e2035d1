//! Settings: from code, else from the environment, else the defaults.

use std::path::PathBuf;
use std::sync::Arc;

use spanwise_core::lifecycle::TraceLevel;
use spanwise_core::{DEFAULT_DOMAIN, DEFAULT_ORG, DEFAULT_PROJECT, Scope};
use spanwise_engine::{Durability, EngineConfig, LifecycleExporter, Retention, Storage};

use crate::error::{Error, Result};
use crate::{launch, remote};

mod flyte;

pub(crate) use flyte::{FlyteFile, FlyteSettings};

/// How [`init_with`](crate::init_with) sets Spanwise up.
///
/// | setting | environment | default |
/// |---|---|---|
/// | endpoint | `SPANWISE_ENDPOINT` (`localhost:8585`) | none: runs are run by the engine in this process |
/// | Flyte's `config.yaml` | `SPANWISE_FLYTE_CONFIG` (`auto`, or a path) | not read |
/// | data directory | `SPANWISE_DATA_DIR` | `.spanwise` in the working directory |
/// | durability | `SPANWISE_DURABILITY` (`process`, `disk`) | `process`: survives `kill -9` |
/// | org, project, domain | `SPANWISE_ORG`, `SPANWISE_PROJECT`, `SPANWISE_DOMAIN` | `local`, `flytesnacks`, `development` |
/// | retention | - | 30 days, 1 GiB |
/// | trace of the lifecycle | `SPANWISE_TRACE` (`off`, `lifecycle`, `full`) | `off` |
/// | part of the runs that is traced | `SPANWISE_TRACE_RATIO` (0 to 1) | 1 |
/// | console | `SPANWISE_CONSOLE` | the endpoint, else `http://localhost:8585` |
///
/// With an endpoint (feature `remote`) the same program runs on a server: it is uploaded there, and the server starts it as a
/// process for each attempt of its tasks. What only an engine of this process needs (data directory, durability, retention) has
/// no effect then. [`Config::in_memory`] is stronger than `SPANWISE_ENDPOINT`: tests stay where they are.
///
/// Flyte's own `config.yaml` is read if that is asked for, see [`Config::flyte_config`]: a file that lies around moves no program to a
/// server. What code or a variable of the table says is stronger than the file.
#[derive(Clone, Debug, Default)]
pub struct Config {
    endpoint: Option<String>,
    /// Runs are run in this process whatever the environment says.
    is_here: bool,
    flyte: Option<FlyteFile>,
    data_dir: Option<PathBuf>,
    in_memory: bool,
    durability: Option<Durability>,
    retention: Retention,
    org: Option<String>,
    project: Option<String>,
    domain: Option<String>,
    console: Option<String>,
    trace: Option<String>,
    ratio: Option<f64>,
    exporter: Option<Exporter>,
}

/// Whom lifecycle spans are handed to.
#[derive(Clone)]
pub(crate) struct Exporter(pub(crate) Arc<dyn LifecycleExporter>);

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

/// How the lifecycle of runs is traced, unless a run says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tracing {
    pub(crate) level: TraceLevel,
    /// The part of the runs without a caller's trace.
    pub(crate) ratio: f64,
    /// Somebody takes the spans.
    pub(crate) is_exported: bool,
}

/// Settings with nothing left open.
pub(crate) struct Settings {
    pub(crate) runs: Runs,
    /// Where new runs belong.
    pub(crate) scope: Scope,
    pub(crate) console: String,
    pub(crate) tracing: Tracing,
    pub(crate) exporter: Option<Exporter>,
}

/// Who runs runs.
pub(crate) enum Runs {
    /// An engine in this process.
    Here(EngineConfig),
    /// The server at this address.
    At(String),
}

/// The address under which `spanwise dev` serves its console unless told otherwise.
const CONSOLE: &str = "http://localhost:8585";

impl Config {
    /// The environment's settings, and the defaults.
    pub fn new() -> Config {
        Config::default()
    }

    /// The address of a server, `host:port`: runs are started there instead of in this process.
    pub fn endpoint(mut self, address: impl Into<String>) -> Config {
        self.endpoint = Some(address.into());
        self
    }

    /// Takes the server, the organisation, the project and the domain from the configuration file that Flyte's own SDK would read here
    /// (`./config.yaml`, .. `~/.flyte/config.yaml`: `FlyteConfig::find`), unless this configuration or a variable says them. Needs the feature
    /// `remote`. It is an error if there is no such file, or none that names a server, and nothing else names one.
    pub fn flyte_config(mut self) -> Config {
        self.flyte = Some(FlyteFile::Found);
        self
    }

    /// The same with a file of one's own.
    pub fn flyte_config_file(mut self, path: impl Into<PathBuf>) -> Config {
        self.flyte = Some(FlyteFile::At(path.into()));
        self
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

    /// How much of what the engine does for a run is traced, for runs that do not say it themselves
    /// ([`RunContext::trace`](crate::RunContext::trace)): `off`, `lifecycle` or `full`. In this process `full` is `lifecycle`: there
    /// are no API calls.
    pub fn trace(mut self, level: impl Into<String>) -> Config {
        self.trace = Some(level.into());
        self
    }

    /// The part of the runs that is traced, from 0 to 1, of those that come without a caller's trace; a caller's own decision rules.
    pub fn trace_ratio(mut self, ratio: f64) -> Config {
        self.ratio = Some(ratio);
        self
    }

    /// Who takes the lifecycle spans of the engine of this process: any exporter of OpenTelemetry's. Their `service.name` is
    /// `spanwise`, unless the environment (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`) says otherwise. Spans that cannot be sent
    /// wait in the journal and are tried again for an hour.
    #[cfg(feature = "otel-sdk")]
    pub fn lifecycle_exporter(mut self, exporter: impl opentelemetry_sdk::trace::SpanExporter + 'static) -> Config {
        let tell = |trouble: &str| crate::otel::warn(trouble);
        self.exporter = Some(Exporter(Arc::new(spanwise_otel::Exporting::new(exporter, tell))));
        self
    }

    /// These settings with what `spanwise run` asks for: the launcher says where the run goes.
    pub(crate) fn launched(mut self, request: &launch::Request) -> Config {
        if request.endpoint.is_some() {
            self.in_memory = false;
        }
        self.endpoint = request.endpoint.clone();
        self.is_here = request.endpoint.is_none();
        self.org = request.org.clone().or(self.org);
        self.project = request.project.clone().or(self.project);
        self.domain = request.domain.clone().or(self.domain);
        self
    }

    fn tracing(&self) -> Result<Tracing> {
        let level = match self.trace.clone().or_else(|| environment("SPANWISE_TRACE")) {
            Some(text) => text.parse().map_err(|error| Error::usage(format!("trace: {error}")))?,
            None => TraceLevel::Off,
        };
        let ratio = match (self.ratio, environment("SPANWISE_TRACE_RATIO")) {
            (Some(ratio), _) => ratio,
            (None, Some(text)) => {
                text.parse().map_err(|error| Error::usage(format!("SPANWISE_TRACE_RATIO is `{text}`: {error}")))?
            }
            (None, None) => 1.0,
        };
        if !(0.0..=1.0).contains(&ratio) {
            return Err(Error::usage(format!("trace_ratio is {ratio}: expected a number from 0 to 1")));
        }
        Ok(Tracing { level, ratio, is_exported: self.exporter.is_some() })
    }

    pub(crate) fn resolve(self) -> Result<Settings> {
        if self.in_memory
            && let Some(endpoint) = &self.endpoint
        {
            return Err(Error::usage(format!("runs are kept in memory here, or run on `{endpoint}`: not both")));
        }
        let from_environment = || environment("SPANWISE_ENDPOINT").filter(|_| !self.in_memory && !self.is_here);
        let endpoint = self.endpoint.clone().or_else(from_environment);
        let from_flyte = self.flyte_says(endpoint.is_some())?;
        let runs = match endpoint.or(from_flyte.endpoint) {
            Some(endpoint) => Runs::At(endpoint),
            None => Runs::Here(self.engine()?),
        };
        let or_environment = |setting: Option<String>, name: &str, file: Option<String>, default: &str| {
            setting.or_else(|| environment(name)).or(file).unwrap_or_else(|| default.to_owned())
        };
        let console = match &runs {
            Runs::Here(_) => CONSOLE.to_owned(),
            Runs::At(endpoint) => remote::address_of(endpoint)?,
        };
        Ok(Settings {
            tracing: self.tracing()?,
            exporter: self.exporter.clone(),
            runs,
            scope: Scope {
                org: or_environment(self.org, "SPANWISE_ORG", from_flyte.org, DEFAULT_ORG),
                project: or_environment(self.project, "SPANWISE_PROJECT", from_flyte.project, DEFAULT_PROJECT),
                domain: or_environment(self.domain, "SPANWISE_DOMAIN", from_flyte.domain, DEFAULT_DOMAIN),
            },
            console: or_environment(self.console, "SPANWISE_CONSOLE", None, &console).trim_end_matches('/').to_owned(),
        })
    }

    /// What Flyte's configuration file says, if it is to be read.
    fn flyte_says(&self, has_endpoint: bool) -> Result<FlyteSettings> {
        let from_environment = || {
            let named = environment("SPANWISE_FLYTE_CONFIG")?;
            Some(if named == "auto" { FlyteFile::Found } else { FlyteFile::At(named.into()) })
        };
        match self.flyte.clone().or_else(from_environment) {
            Some(file) if !self.in_memory => remote::read_flyte_config(file, !has_endpoint && !self.is_here),
            _ => Ok(FlyteSettings::default()),
        }
    }

    fn engine(&self) -> Result<EngineConfig> {
        let durability = match (self.durability, environment("SPANWISE_DURABILITY").as_deref()) {
            (Some(durability), _) => durability,
            (None, None | Some("process")) => Durability::Process,
            (None, Some("disk")) => Durability::Disk,
            (None, Some(other)) => {
                return Err(Error::usage(format!("SPANWISE_DURABILITY is `{other}`: expected `process` or `disk`")));
            }
        };
        let path = self.data_dir.clone().or_else(|| environment("SPANWISE_DATA_DIR").map(PathBuf::from));
        let path = path.unwrap_or_else(|| PathBuf::from(".spanwise"));
        let storage = if self.in_memory { Storage::Memory } else { Storage::Directory { path, durability } };
        Ok(EngineConfig::embedded(storage, self.retention.clone()))
    }
}

/// A variable of the environment; an empty one counts as unset.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
