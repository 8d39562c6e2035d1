//! The secrets of a task or an app: as variables and files of its process, and hidden in what it says.

use std::collections::HashSet;
use std::path::PathBuf;

use spanwise_core::{Failure, Scope};
use spanwise_engine::Report;
use spanwise_process::{Hidden, Mounted, Runner, SHORTEST_HIDDEN};
use spanwise_wire::task::{Mount, Program, SecretRequest};
use spanwise_wire::{Invalid, path_name};

use super::trouble::{PASSING, system};
use crate::secrets::Secrets;

/// Where the stock SDK looks for secrets that are files (`_secret.py`).
const DIRECTORY: &str = "/etc/flyte/secrets";

/// What a task or an app is given of its secrets.
pub(crate) struct Given {
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) files: Option<Mounted>,
}

/// The secrets that a task asks for. One that is not there fails the task with its name: a task that starts without it would fail later, and
/// less clearly. `beneath` is a directory of the server's own.
pub(crate) async fn given(
    secrets: &Secrets,
    scope: &Scope,
    program: &Program,
    (runner, beneath): (&dyn Runner, PathBuf),
) -> Result<Given, Failure> {
    let mut variables = variables(secrets, scope, program)?;
    let mut files = Vec::new();
    for request in program.secrets.iter().filter(|request| request.mount == Mount::File) {
        let value = value(secrets, scope, request)?;
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

/// The variables among them.
pub(super) fn variables(secrets: &Secrets, scope: &Scope, program: &Program) -> Result<Vec<(String, String)>, Failure> {
    let mut variables = Vec::new();
    for request in &program.secrets {
        if let Mount::Variable(variable) = &request.mount {
            variables.push((variable.clone(), value(secrets, scope, request)?));
        }
    }
    Ok(variables)
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

/// What is hidden in what a task or an app says.
pub(crate) struct HiddenValues {
    pub(crate) values: Hidden,
    /// What is said of values that are not.
    pub(crate) notes: Vec<String>,
}

/// The values of the secrets that a task or an app has been given, as far as they can be read now: one that was changed since it was given is not
/// hidden any more.
pub(crate) fn hidden(secrets: &Secrets, scope: &Scope, program: &Program) -> HiddenValues {
    let value = |(group, key): (&str, &str)| secrets.find(scope, group, key).ok().flatten();
    let given = program.secrets.iter().filter_map(|request| Some((request, value((&request.group, &request.key))?)));
    let (short, long): (Vec<_>, Vec<_>) = given.partition(|(_, value)| value.trim().len() < SHORTEST_HIDDEN);
    let note = |key: &str| {
        format!("secret `{key}` has fewer than {SHORTEST_HIDDEN} characters: it is not hidden in logs and errors")
    };
    HiddenValues {
        values: Hidden::new(long.iter().map(|(_, value)| value.as_str())),
        notes: short.iter().map(|(request, _)| note(&request.key)).collect(),
    }
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
