//! The secrets of a task or an app as variables of its process.

use spanwise_core::{Failure, Scope};
use spanwise_wire::{task::Mount, task::Program};

use super::trouble::{PASSING, system};
use crate::secrets::Secrets;

/// The variables for the secrets that a task asks for. A secret that is not there fails the task with its name: a task that
/// starts without it would fail later, and less clearly.
pub(crate) fn variables(secrets: &Secrets, scope: &Scope, program: &Program) -> Result<Vec<(String, String)>, Failure> {
    let mut variables = Vec::new();
    for request in &program.secrets {
        let Mount::Variable(variable) = &request.mount else {
            let message = format!(
                "secret `{}` is asked for as a file in /etc/flyte/secrets: processes of this machine share that directory; ask for it as an environment variable",
                request.key
            );
            return Err(Failure::user("SecretNotMountable", message).terminal());
        };
        let found = secrets.find(scope, &request.group, &request.key);
        let value = found.map_err(|error| match system("read a secret", &error) {
            passing if passing.code == PASSING => passing,
            failure => Failure { code: "SecretUnreadable".to_owned(), ..failure },
        })?;
        let Some(value) = value else {
            let message = format!(
                "secret `{}` is not known in project `{}`, domain `{}`: create it with `flyte create secret {}`, or set {} for the server",
                request.key,
                scope.project,
                scope.domain,
                request.key,
                Secrets::variable_of(&request.key),
            );
            return Err(Failure::user("SecretNotFound", message).terminal());
        };
        variables.push((variable.clone(), value));
    }
    Ok(variables)
}
