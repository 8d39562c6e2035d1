//! The configuration file of Flyte's own SDK and command line, as far as it says where a server is and where runs belong.
//!
//! The order in which it is looked for and the names of its keys are those of `flyte/config/_reader.py` and `_internal.py`.

use std::path::{Path, PathBuf};

use yaml_rust2::{Yaml, YamlLoader};

use crate::config::{FlyteFile, FlyteSettings};
use crate::error::{Error, Result};

/// What the file says for the settings of a client. If no endpoint is known from elsewhere, the file has to name one.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if there is no file, or it names no server, and one is needed; and as [`FlyteConfig::read`].
pub(crate) fn read_flyte_config(file: FlyteFile, needs_endpoint: bool) -> Result<FlyteSettings> {
    let path = match file {
        FlyteFile::At(path) => path,
        FlyteFile::Found => match FlyteConfig::find() {
            Some(path) => path,
            None if needs_endpoint => {
                return Err(Error::usage(
                    "the server is to be taken from Flyte's configuration, and there is no such file, neither here nor as ~/.flyte/config.yaml",
                ));
            }
            None => return Ok(FlyteSettings::default()),
        },
    };
    let found = FlyteConfig::read(path)?;
    let endpoint = if needs_endpoint { found.endpoint()?.map(str::to_owned) } else { None };
    if needs_endpoint && endpoint.is_none() {
        let file = found.path().display();
        return Err(Error::usage(format!("Flyte's configuration in {file}: no server is named (`admin.endpoint`)")));
    }
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let (org, project, domain) = (owned(found.org()), owned(found.project()), owned(found.domain()));
    Ok(FlyteSettings { endpoint, org, project, domain })
}

/// A configuration file of Flyte's: `admin.endpoint`, `admin.insecure`, `task.org`, `task.project` and `task.domain`. Whatever else is in it is
/// not looked at, except for what this version cannot do, see [`FlyteConfig::endpoint`].
///
/// Flyte's variables for these keys (`FLYTE_ADMIN_ENDPOINT`, `FLYTE_ADMIN_INSECURE`, `FLYTE_TASK_ORG`, `FLYTE_TASK_PROJECT`,
/// `FLYTE_TASK_DOMAIN`) are stronger than the file, as in Flyte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlyteConfig {
    path: PathBuf,
    endpoint: Option<String>,
    is_insecure: bool,
    /// Keys that ask for what cannot be done here.
    unsupported: Vec<&'static str>,
    org: Option<String>,
    project: Option<String>,
    domain: Option<String>,
}

/// Keys of `admin` that would have to have an effect.
const UNSUPPORTED: [&str; 8] = [
    "insecureSkipVerify",
    "caCertFilePath",
    "httpProxyURL",
    "command",
    "proxyCommand",
    "clientId",
    "clientSecretLocation",
    "clientSecretEnvVar",
];

/// The `authType` that is the default, and asks nothing of a server without a login.
const DEFAULT_AUTH: &str = "pkce";

impl FlyteConfig {
    /// The file that Flyte's SDK would read here, if there is one: `./config.yaml`, `./.flyte/config.yaml`, `.flyte/config.yaml` in the root of
    /// the git repository, the one that `UCTL_CONFIG` or `FLYTECTL_CONFIG` names, `~/.union/config.yaml`, `~/.flyte/config.yaml`.
    pub fn find() -> Option<PathBuf> {
        let variable = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Candidates {
            here: std::env::current_dir().unwrap_or_default(),
            named: ["UCTL_CONFIG", "FLYTECTL_CONFIG"].map(variable),
            home: variable("HOME"),
        }
        .find()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if it cannot be read, is no YAML, or has a value of the wrong kind under a key that counts.
    pub fn read(path: impl Into<PathBuf>) -> Result<FlyteConfig> {
        let path = path.into();
        let text = std::fs::read_to_string(&path).map_err(|error| refused(&path, &error.to_string()))?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        FlyteConfig::parse(path, &text, variable)
    }

    fn parse(path: PathBuf, text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<FlyteConfig> {
        let documents = YamlLoader::load_from_str(text).map_err(|error| refused(&path, &error.to_string()))?;
        let file = File { path: &path, root: documents.into_iter().next().unwrap_or(Yaml::Null) };
        if !matches!(file.root, Yaml::Hash(_) | Yaml::Null) {
            return Err(refused(&path, "it is no mapping of keys to values"));
        }
        let text = |section: &str, key: &str| -> Result<Option<String>> {
            let name = format!("FLYTE_{}_{}", section.to_uppercase(), key.to_uppercase());
            Ok(variable(&name).or(file.text(section, key)?))
        };
        let is_insecure = text("admin", "insecure")?.is_some_and(|text| is_true(&text));
        let mut unsupported = Vec::new();
        for key in UNSUPPORTED {
            if file.is_set("admin", key) {
                unsupported.push(key);
            }
        }
        if file.text("admin", "authType")?.is_some_and(|kind| !kind.eq_ignore_ascii_case(DEFAULT_AUTH)) {
            unsupported.push("authType");
        }
        Ok(FlyteConfig {
            endpoint: text("admin", "endpoint")?,
            is_insecure,
            unsupported,
            org: text("task", "org")?,
            project: text("task", "project")?,
            domain: text("task", "domain")?,
            path,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The server, if the file names one.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if it can be spoken to with TLS (`admin.insecure` is not true) or with a login only: this
    /// version has neither.
    pub fn endpoint(&self) -> Result<Option<&str>> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        if let Some(key) = self.unsupported.first() {
            let what = format!(
                "the server is `{endpoint}`, and `admin.{key}` asks for TLS, a proxy or a login, which this version does not have"
            );
            return Err(refused(&self.path, &what));
        }
        if !self.is_insecure {
            let what = format!(
                "the server is `{endpoint}`, to be spoken to with TLS because `admin.insecure` is not true; this version speaks plain HTTP only"
            );
            return Err(refused(&self.path, &what));
        }
        Ok(Some(endpoint))
    }

    /// The organisation of new runs.
    pub fn org(&self) -> Option<&str> {
        self.org.as_deref()
    }

    /// The project of new runs.
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// The domain of new runs.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }
}

fn refused(path: &Path, what: &str) -> Error {
    Error::usage(format!("Flyte's configuration in {}: {what}", path.display()))
}

/// As YAML 1.1 has it, which Flyte's SDK reads.
fn is_true(text: &str) -> bool {
    ["true", "yes", "on", "1"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

struct File<'a> {
    path: &'a Path,
    root: Yaml,
}

impl File<'_> {
    /// A value as text; one that is empty counts as none.
    fn text(&self, section: &str, key: &str) -> Result<Option<String>> {
        let text = match &self.root[section][key] {
            Yaml::String(text) | Yaml::Real(text) => text.clone(),
            Yaml::Integer(number) => number.to_string(),
            Yaml::Boolean(value) => value.to_string(),
            Yaml::Null | Yaml::BadValue => String::new(),
            _ => return Err(refused(self.path, &format!("`{section}.{key}` is no single value"))),
        };
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn is_set(&self, section: &str, key: &str) -> bool {
        !matches!(&self.root[section][key], Yaml::Null | Yaml::BadValue | Yaml::Boolean(false))
            && self.root[section][key].as_str() != Some("")
    }
}

/// Where the file may be.
struct Candidates {
    here: PathBuf,
    /// What the environment names; it is taken without a look at it.
    named: [Option<PathBuf>; 2],
    home: Option<PathBuf>,
}

impl Candidates {
    fn find(self) -> Option<PathBuf> {
        let Candidates { here, named, home } = self;
        let repository = here.ancestors().find(|folder| folder.join(".git").exists());
        let near = [Some(here.join("config.yaml")), Some(here.join(".flyte/config.yaml"))];
        let near = near.into_iter().chain([repository.map(|root| root.join(".flyte/config.yaml"))]);
        let far = [".union/config.yaml", ".flyte/config.yaml"].map(|file| home.as_ref().map(|home| home.join(file)));
        let there = |file: &PathBuf| file.exists();
        near.flatten()
            .find(there)
            .or_else(|| named.into_iter().flatten().next())
            .or_else(|| far.into_iter().flatten().find(there))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FlyteConfig> {
        FlyteConfig::parse("there/config.yaml".into(), text, |_| None)
    }

    #[test]
    fn the_keys_that_count_are_read() {
        let text = "admin:\n  endpoint: dns:///localhost:8585\n  insecure: True\n  authType: Pkce\n\
                    image:\n  builder: remote\ntask: {org: local, project: größe, domain: development}\n";
        let config = parse(text).unwrap();
        assert_eq!(config.endpoint().unwrap(), Some("dns:///localhost:8585"));
        assert_eq!(
            (config.org(), config.project(), config.domain()),
            (Some("local"), Some("größe"), Some("development"))
        );
        let empty = parse("").unwrap();
        assert_eq!((empty.endpoint().unwrap(), empty.project()), (None, None));
        let other = parse("task:\n- a list of another program's\n").unwrap();
        assert_eq!(other.project(), None);
        assert_eq!(parse("task: {project: 42, domain: ''}").unwrap().project(), Some("42"));
    }

    #[test]
    fn flytes_variables_are_stronger_than_the_file() {
        let variable = |name: &str| match name {
            "FLYTE_ADMIN_ENDPOINT" => Some("localhost:1".to_owned()),
            "FLYTE_ADMIN_INSECURE" => Some("true".to_owned()),
            "FLYTE_TASK_PROJECT" => Some("other".to_owned()),
            _ => None,
        };
        let text = "admin: {endpoint: example.com}\ntask: {project: one, domain: two}";
        let config = FlyteConfig::parse("x".into(), text, variable).unwrap();
        assert_eq!(config.endpoint().unwrap(), Some("localhost:1"));
        assert_eq!((config.project(), config.domain()), (Some("other"), Some("two")));
    }

    #[test]
    fn what_cannot_be_done_is_refused_when_the_server_is_asked_for() {
        let refused = |text: &str| parse(text).unwrap().endpoint().unwrap_err().to_string();
        for (text, part) in [
            ("admin: {endpoint: example.com}", "`admin.insecure` is not true"),
            ("admin: {endpoint: example.com, insecure: false}", "plain HTTP only"),
            ("admin: {endpoint: e, insecure: true, authType: DeviceFlow}", "`admin.authType`"),
            ("admin: {endpoint: e, insecure: true, clientId: me}", "`admin.clientId`"),
            ("admin: {endpoint: e, insecure: true, command: [a, b]}", "`admin.command`"),
            ("admin: {endpoint: e, insecureSkipVerify: true}", "`admin.insecureSkipVerify`"),
        ] {
            let error = refused(text);
            assert!(error.contains(part) && error.contains("there/config.yaml"), "{text}: {error}");
        }
        assert_eq!(parse("admin: {authType: DeviceFlow}").unwrap().endpoint().unwrap(), None);
        let error = parse("admin: {endpoint: [a]}").unwrap_err().to_string();
        assert!(error.contains("`admin.endpoint` is no single value"), "{error}");
        for text in ["admin: [", "just words", "- a list"] {
            assert!(parse(text).unwrap_err().to_string().contains("there/config.yaml: "), "{text}");
        }
    }

    #[test]
    fn files_are_looked_for_in_flytes_order() {
        let folder = tempfile::tempdir().unwrap();
        let (repository, home) = (folder.path().join("repository"), folder.path().join("home"));
        let here = repository.join("deep/down");
        let touch = |file: &Path| {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        };
        std::fs::create_dir_all(repository.join(".git")).unwrap();
        std::fs::create_dir_all(&here).unwrap();
        let find = |named: [Option<&str>; 2]| {
            let named = named.map(|path| path.map(PathBuf::from));
            Candidates { here: here.clone(), named, home: Some(home.clone()) }.find()
        };
        assert_eq!(find([None, None]), None);
        for (file, with_named) in [
            (home.join(".flyte/config.yaml"), false),
            (home.join(".union/config.yaml"), false),
            (repository.join(".flyte/config.yaml"), true),
            (here.join(".flyte/config.yaml"), true),
            (here.join("config.yaml"), true),
        ] {
            touch(&file);
            assert_eq!(find([None, None]), Some(file.clone()));
            let expected = if with_named { file } else { "named".into() };
            assert_eq!(find([None, Some("named")]), Some(expected.clone()));
            assert_eq!(find([Some("named"), Some("second")]), Some(expected));
        }
    }
}
