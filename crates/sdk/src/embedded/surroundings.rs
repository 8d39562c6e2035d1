//! What a task asks of what is around it, where that is this process: it has one environment for all of its tasks, and no limits for one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use spanwise_core::Failure;
use spanwise_core::settings::{Resources, Secret, TaskSettings};

/// Where files of secrets are, if `FLYTE_SECRETS_DEFAULT_DIR` does not say so (`_secret.py`).
const SECRETS: &str = "/etc/flyte/secrets";

/// Checks that a task finds here what it cannot do without, and says once what it does not get.
pub(super) fn check(task: &str, settings: &TaskSettings) -> Result<(), Failure> {
    if settings.is_empty() {
        return Ok(());
    }
    tell_once(task, settings);
    for (name, value) in settings.env_vars.iter().flatten() {
        if std::env::var_os(name).is_none_or(|found| found != value.as_str()) {
            let message = format!(
                "env_vars: `{name}` of task `{task}` is a variable of its process, but the task runs in this one, where it is not set so: \
                 set it before the program starts, or run the task on a server"
            );
            return Err(Failure::user("VariableNotSet", message).terminal());
        }
    }
    settings.secrets.iter().flatten().try_for_each(|secret| find(task, secret))
}

/// Nobody gives secrets in this process: they are where the task looks for them, or the task fails with their name (semantics S15.1).
fn find(task: &str, secret: &Secret) -> Result<(), Failure> {
    let Secret { key, group, variable, .. } = secret;
    let (is_there, looked_for) = match variable {
        Some(variable) => (std::env::var_os(variable).is_some(), format!("the variable `{variable}`")),
        None => {
            let directory = std::env::var_os("FLYTE_SECRETS_DEFAULT_DIR").map_or(SECRETS.into(), PathBuf::from);
            let file = directory.join(Path::new(group)).join(key);
            (file.is_file(), format!("the file `{}`", file.display()))
        }
    };
    if is_there {
        return Ok(());
    }
    let message = format!(
        "secret `{key}` of task `{task}` is not there: the task runs in this process, which takes it from {looked_for}"
    );
    Err(Failure::user("SecretNotFound", message).terminal())
}

/// Says of a task, once in a process, what it asks for and does not get.
fn tell_once(task: &str, settings: &TaskSettings) {
    static SAID: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let Some(missing) = not_honoured(settings) else { return };
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.get_or_insert_default().insert(task.to_owned()) {
        eprintln!("warning: task `{task}` runs in this process, which does not honour its {missing}: a server does");
    }
}

/// What only those have who run tasks as processes, by its names.
fn not_honoured(settings: &TaskSettings) -> Option<String> {
    let queue = settings.queue.as_ref().map(|queue| format!("queue `{queue}`"));
    let Resources { cpu, memory, gpu, .. } = settings.resources.clone().unwrap_or_default();
    let amounts = [("cpu", cpu), ("memory", memory), ("gpu", gpu.map(|gpu| gpu.to_string()))];
    let amounts = amounts.into_iter().filter_map(|(name, amount)| Some(format!("resources {name} `{}`", amount?)));
    let all: Vec<String> = queue.into_iter().chain(amounts).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_what_a_process_does_not_have_is_told_by_its_names() {
        let resources = |resources| TaskSettings { resources: Some(resources), ..TaskSettings::default() };
        let queue = TaskSettings { queue: Some("gpu".to_owned()), ..TaskSettings::default() };
        for (settings, expected) in [
            (TaskSettings::default(), None),
            (queue.clone(), Some("queue `gpu`")),
            (resources(Resources::new().cpu(2).gpu(1)), Some("resources cpu `2`, resources gpu `1`")),
            (resources(Resources::new().memory("1Gi")).over(&queue), Some("queue `gpu`, resources memory `1Gi`")),
            (TaskSettings { env_vars: Some(Vec::new()), ..TaskSettings::default() }, None),
        ] {
            assert_eq!(not_honoured(&settings).as_deref(), expected);
        }
    }
}
