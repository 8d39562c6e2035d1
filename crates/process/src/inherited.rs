//! What the processes of tasks have of the server's environment: what is on a list, and nothing else.
//!
//! A server is started from somebody's shell, and a shell has what is nobody's business: tokens, keys of clouds, passwords.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Who they are and where they are at home, how they speak, how they reach the network, and where the libraries of their interpreter
/// lie.
const NAMES: [&str; 22] = [
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "FTP_PROXY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "REQUESTS_CA_BUNDLE",
    "TMPDIR",
    "TZ",
    "USER",
    "all_proxy",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "TZDIR",
];

const PREFIXES: [&str; 4] = ["LC_", "OTEL_", "PYTHON", "SSL_CERT_"];

/// Would make another interpreter of the one that a task is started with.
const NEVER: [&str; 1] = ["PYTHONHOME"];

/// The installers read their indexes, and the passwords of those, from their own variables.
const INSTALLERS: [&str; 2] = ["PIP_", "UV_"];

/// Where logins of registries stand, and whose images are trusted.
const REGISTRIES: [&str; 4] = ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"];

/// A server's environment, as far as it is passed on.
#[derive(Clone, Debug)]
pub struct Inherited {
    tasks: BTreeMap<String, String>,
    installers: BTreeMap<String, String>,
    registries: BTreeMap<String, String>,
}

impl Inherited {
    /// Of this process, with the variables that are passed on because somebody has asked for them by name.
    pub fn of_this_process(passed_on: &[String]) -> Inherited {
        Inherited::of(std::env::vars_os(), passed_on)
    }

    fn of(server: impl Iterator<Item = (OsString, OsString)>, passed_on: &[String]) -> Inherited {
        let on_list = |name: &str| {
            let is_named = NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            (is_named && !NEVER.contains(&name)) || passed_on.iter().any(|passed_on| passed_on == name)
        };
        let (mut tasks, mut installers, mut registries) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        // What is no text cannot be handed on: arguments and environments of attempts are texts.
        for (name, value) in
            server.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        {
            if on_list(&name) {
                tasks.insert(name, value);
            } else if INSTALLERS.iter().any(|prefix| name.starts_with(prefix)) {
                installers.insert(name, value);
            } else if REGISTRIES.contains(&name.as_str()) {
                registries.insert(name, value);
            }
        }
        Inherited { tasks, installers, registries }
    }

    /// For a task.
    pub fn for_task(&self) -> Vec<(String, String)> {
        self.tasks.clone().into_iter().collect()
    }

    /// For the programs that bring images: they are told so where logins and policies are.
    pub fn for_registries(&self) -> Vec<(String, String)> {
        self.tasks.clone().into_iter().chain(self.registries.clone()).collect()
    }

    /// For the installer of an image's packages.
    pub fn for_installer(&self) -> Vec<(String, String)> {
        self.tasks.clone().into_iter().chain(self.installers.clone()).collect()
    }
}

/// An environment in which the programs of these directories are found before all others.
pub fn with_programs(mut variables: Vec<(String, String)>, directories: &[PathBuf]) -> Vec<(String, String)> {
    let path = variables.iter().position(|(name, _)| name == "PATH").map(|index| variables.swap_remove(index).1);
    let path = path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let first: String = directories.iter().map(|directory| format!("{}:", directory.display())).collect();
    variables.push(("PATH".to_owned(), format!("{first}{path}")));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(server: &[(&str, &str)], passed_on: &[&str]) -> Inherited {
        let passed_on: Vec<String> = passed_on.iter().map(|name| (*name).to_owned()).collect();
        Inherited::of(server.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))), &passed_on)
    }

    fn names(variables: &[(String, String)]) -> Vec<&str> {
        variables.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn tasks_have_what_is_on_the_list_and_what_is_asked_for() {
        let passed = [
            "HOME",
            "HTTPS_PROXY",
            "LANG",
            "LC_ALL",
            "LD_LIBRARY_PATH",
            "LOGNAME",
            "OTEL_SERVICE_NAME",
            "PATH",
            "PYTHONPATH",
            "SSL_CERT_FILE",
            "TMPDIR",
            "TZ",
            "USER",
            "no_proxy",
        ];
        let reserved = [
            "AWS_SECRET_ACCESS_KEY",
            "EAGER_API_KEY",
            "FLYTE_AUTH_TOKEN",
            "GITHUB_TOKEN",
            "LD_PRELOAD",
            "PYTHONHOME",
            "RANK",
            "SPANWISE_SECRET_X",
            "SSH_AUTH_SOCK",
            "TRACEPARENT",
            "UCTL_CONFIG",
            "VIRTUAL_ENV",
            "_U_EP_OVERRIDE",
            "path",
        ];
        let server: Vec<_> = passed.iter().chain(&reserved).map(|name| (*name, "x")).collect();
        let inherited = of(&server, &[]);
        assert_eq!(names(&inherited.for_task()), passed);
        let inherited = of(&server, &["GITHUB_TOKEN", "NOT_THERE"]);
        let with = inherited.for_task();
        assert_eq!(with.len(), passed.len() + 1);
        assert!(inherited.for_task().contains(&("GITHUB_TOKEN".to_owned(), "x".to_owned())));
    }

    #[test]
    fn the_environments_programs_come_first_also_without_a_path() {
        let path = |inherited: Inherited| {
            let variables = with_programs(inherited.for_task(), &["/own", "/env/bin"].map(PathBuf::from));
            variables.into_iter().find(|(name, _)| name == "PATH").unwrap().1
        };
        assert_eq!(path(of(&[("PATH", "/bin")], &[])), "/own:/env/bin:/bin");
        assert_eq!(path(of(&[], &[])), "/own:/env/bin:/usr/local/bin:/usr/bin:/bin");
    }

    #[test]
    fn only_installers_have_the_settings_of_installers() {
        let server = [("PIP_INDEX_URL", "https://u:p@x"), ("UV_INDEX", "y"), ("AWS_PROFILE", "z"), ("HOME", "/h")];
        let inherited = of(&server, &[]);
        assert_eq!(names(&inherited.for_task()), ["HOME"]);
        assert_eq!(names(&inherited.for_installer()), ["HOME", "PIP_INDEX_URL", "UV_INDEX"]);
    }
}
