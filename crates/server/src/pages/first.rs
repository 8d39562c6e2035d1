//! What somebody who has no runs yet can copy into a shell.

use spanwise_core::{DEFAULT_DOMAIN, DEFAULT_PROJECT};

/// The file of the README's quick start.
const HELLO: &str = include_str!("../../templates/hello.py");

/// A first run: a file, and the command that runs it on this server.
pub(super) struct FirstRun {
    /// Both as one text for a shell.
    pub(super) commands: String,
}

impl FirstRun {
    /// For the project and domain that are looked at; without them, those of Flyte's examples.
    pub(super) fn new(endpoint: &str, project: &str, domain: &str) -> FirstRun {
        let or = |given: &str, default: &str| if given.is_empty() { default.to_owned() } else { given.to_owned() };
        let (project, domain) = (or(project, DEFAULT_PROJECT), or(domain, DEFAULT_DOMAIN));
        let run = format!(
            "flyte --endpoint {endpoint} --insecure run --project {project} --domain {domain} hello.py main --name world"
        );
        FirstRun { commands: format!("cat > hello.py <<'EOF'\n{HELLO}EOF\n{run}") }
    }
}
