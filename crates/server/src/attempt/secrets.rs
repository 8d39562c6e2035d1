//! The secrets of a task or an app: as variables and files of its process, and hidden in what it says.

use std::collections::HashSet;
use std::path::PathBuf;

use spanwise_core::{Failure, Scope};
use spanwise_engine::{Attempt, Report};
use spanwise_process::{Hidden, Mounted, Recording, Runner, SHORTEST_HIDDEN};
use spanwise_wire::task::{Mount, Program, SecretRequest};
use spanwise_wire::{Invalid, path_name};

use super::trouble::{PASSING, patiently, system};
use super::{Files, Shared};
use crate::secrets::Secrets;

/// Where the stock SDK looks for secrets that are files (`_secret.py`).
const DIRECTORY: &str = "/etc/flyte/secrets";

/// What a task or an app is given of its secrets.
pub(crate) struct Given {
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) files: Option<Mounted>,
}

/// The secrets that a task or an app asks for, with their values. What it is given and what is hidden in what it says are made of the same ones.
pub(crate) struct Values(Vec<(SecretRequest, String)>);

impl Values {
    /// One that is not there fails the task with its name: a task that starts without it would fail later, and less clearly.
    pub(crate) fn read(secrets: &Secrets, scope: &Scope, program: &Program) -> Result<Values, Failure> {
        let read = |request: &SecretRequest| Ok((request.clone(), value(secrets, scope, request)?));
        program.secrets.iter().map(read).collect::<Result<_, Failure>>().map(Values)
    }

    /// The same of what goes on, and has its values already: asked for until the machine can say.
    pub(crate) async fn of_running(secrets: &Secrets, scope: &Scope, program: &Program) -> Result<Values, Failure> {
        let read = || {
            std::future::ready(match Values::read(secrets, scope, program) {
                Err(failure) if failure.code == PASSING => Err(failure.message),
                read => Ok(read),
            })
        };
        patiently("read the secrets of what goes on", read).await
    }

    /// Those that are variables.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let variable = |(request, value): &(SecretRequest, String)| match &request.mount {
            Mount::Variable(variable) => Some((variable.clone(), value.clone())),
            Mount::File => None,
        };
        self.0.iter().filter_map(variable).collect()
    }

    /// What a process is given of them. `beneath` is a directory of the server's own.
    pub(crate) async fn given(&self, (runner, beneath): (&dyn Runner, PathBuf)) -> Result<Given, Failure> {
        let mut variables = self.variables();
        let mut files = Vec::new();
        for (request, value) in self.0.iter().filter(|(request, _)| request.mount == Mount::File) {
            let is_of_group = !request.group.is_empty();
            files.extend(names(request)?.into_iter().map(|name| (is_of_group, (name, value.clone()))));
        }
        if files.is_empty() {
            return Ok(Given { variables, files: None });
        }
        // Of two that have one name the first counts, which is the one without a group.
        files.sort_by_key(|(is_of_group, _)| *is_of_group);
        let mut files: Vec<(String, String)> = files.into_iter().map(|(_, file)| file).collect();
        let mut seen = HashSet::new();
        files.retain(|(name, _)| seen.insert(name.clone()));
        let files = Mounted { directory: DIRECTORY.into(), files, beneath };
        runner.can_mount(&files).await.map_err(|missing| {
            let message = format!(
                "secrets cannot be files in {DIRECTORY} on this machine, which needs a mount namespace for each attempt: {missing}. \
                 Ask for them as environment variables (without `mount`), or see docs/secrets.md"
            );
            Failure::user("SecretNotMountable", message).terminal()
        })?;
        // As Flyte's backend tells where they are.
        variables.push(("FLYTE_SECRETS_DEFAULT_DIR".to_owned(), DIRECTORY.to_owned()));
        variables.push(("FLYTE_SECRETS_FILE_PREFIX".to_owned(), String::new()));
        Ok(Given { variables, files: Some(files) })
    }

    /// What is hidden in what a process says that is given them.
    pub(crate) fn hidden(&self) -> Hidden {
        Hidden::new(self.0.iter().map(|(_, value)| value.as_str()))
    }

    /// What is said of values that are not hidden.
    pub(crate) fn not_hidden(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|(_, value)| value.trim().len() < SHORTEST_HIDDEN).map(|(request, _)| {
            let key = &request.key;
            format!("secret `{key}` has fewer than {SHORTEST_HIDDEN} characters: it is not hidden in logs and errors")
        })
    }
}

/// What is hidden in what a task or an app says that has these values. Where they cannot be read, nothing is shown that may have them, as nobody
/// can hide them in it.
pub(crate) fn hidden(values: &Result<Values, Failure>) -> Hidden {
    match values {
        Ok(values) => values.hidden(),
        Err(failure) => Hidden::withheld(format!("its secrets cannot be hidden any more: {}", failure.message)),
    }
}

impl Shared {
    /// The secrets of an attempt.
    pub(super) async fn values_of(&self, attempt: &Attempt, program: &Program) -> Result<Values, Failure> {
        let scope = attempt.run.id().scope();
        match attempt.adopted {
            true => Values::of_running(&self.secrets, &scope, program).await,
            false => Values::read(&self.secrets, &scope, program),
        }
    }

    /// Records the log of an attempt before its process writes to it, if something is hidden in it: nobody reads it before. Where that cannot be
    /// done, no process is started.
    pub(super) async fn record(
        &self,
        files: &Files,
        hidden: &Hidden,
        adopted: bool,
    ) -> Result<Option<Recording>, Failure> {
        if hidden.is_empty() {
            return Ok(None);
        }
        let record = || self.logs.record_hiding(&files.log, hidden.clone());
        if adopted {
            return Ok(Some(patiently("record the log of an attempt", record).await));
        }
        loop {
            self.readiness.room().await;
            let failed = match files.make() {
                Ok(()) => record().await,
                Err(error) => Err(error),
            };
            match failed {
                Ok(recording) => return Ok(Some(recording)),
                Err(error) if self.readiness.check_now().await.is_ok() => {
                    return Err(system("make the attempt's log", &error));
                }
                Err(_) => {}
            }
        }
    }
}

/// The names of a secret as a file: its key, as Flyte's backend has it, and with a group also below that.
fn names(request: &SecretRequest) -> Result<Vec<String>, Failure> {
    let part = |field, name: &str| {
        let bad = |error: Invalid| Failure::user("SecretNotMountable", error.to_string()).terminal();
        path_name(field, name).map_err(bad)
    };
    let key = part("the key of a secret that is a file", &request.key)?;
    if request.group.is_empty() {
        return Ok(vec![key]);
    }
    let group = part("the group of a secret that is a file", &request.group)?;
    Ok(vec![key.clone(), format!("{group}/{key}")])
}

fn value(secrets: &Secrets, scope: &Scope, request: &SecretRequest) -> Result<String, Failure> {
    let found = secrets.find(scope, &request.group, &request.key);
    let value = found.map_err(|error| match system("read a secret", &error) {
        passing if passing.code == PASSING => passing,
        failure => Failure { code: "SecretUnreadable".to_owned(), ..failure },
    })?;
    value.ok_or_else(|| {
        let message = format!(
            "secret `{}` is not known in project `{}`, domain `{}`: create it with `flyte create secret {}`, or set {} for the server",
            request.key,
            scope.project,
            scope.domain,
            request.key,
            Secrets::variable_of(&request.key),
        );
        Failure::user("SecretNotFound", message).terminal()
    })
}

/// A report whose texts have none of the values.
pub(super) fn masked(report: Report, hidden: &Hidden) -> Report {
    match report {
        Report::Failed(failure) => Report::Failed(without(failure, hidden)),
        report => report,
    }
}

/// A failure whose texts have none of the values.
pub(super) fn without(failure: Failure, hidden: &Hidden) -> Failure {
    let message = hidden.mask(&failure.message);
    let causes = failure.causes.iter().map(|cause| hidden.mask(cause)).collect();
    Failure { message, causes, ..failure }
}
