//! The definitions of deployed tasks: looked up on a server, and made into what is to run.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use spanwise_core::Scope;
use spanwise_proto::flyteidl2::task::{NamedLiteral, TaskSpec};
use spanwise_proto::hash;
use spanwise_wire::policy;
use spanwise_wire::requests::{self, children};

use super::connection::{Connection, LONG, SHORT, error, persist};
use super::reference::RemoteTask;
use crate::error::{Error, Result};
use crate::overrides::Overrides;

/// The definition of a deployed task.
#[derive(Clone)]
pub(super) struct Definition(Arc<TaskSpec>);

impl Deref for Definition {
    type Target = TaskSpec;

    fn deref(&self) -> &TaskSpec {
        &self.0
    }
}

impl Definition {
    async fn look_up(
        connection: &Connection,
        scope: &Scope,
        task: &RemoteTask,
        patience: Duration,
    ) -> Result<Definition> {
        let request = requests::task_details(scope, task.name(), task.wanted_version());
        let tasks = connection.tasks();
        let found = persist(patience, || tasks.get_task_details(request.clone())).await;
        let found = found.map_err(|source| error(&format!("look up task `{}`", task.name()), &source))?.into_owned();
        let spec = found.details.into_option().and_then(|details| details.spec.into_option());
        let unknown = || Error::usage(format!("the server knows task `{}` without a definition", task.name()));
        Ok(Definition(Arc::new(spec.ok_or_else(unknown)?)))
    }

    /// The identity of the task, which is part of the names of its calls.
    pub(super) fn identity(&self) -> Arc<str> {
        let template = &self.task_template;
        let (name, version) = (template.id.name.as_str(), template.metadata.discovery_version.as_str());
        hash::task_identity(name, &hash::interface_hash(&template.interface), version).into()
    }

    /// The task with these inputs as a child action.
    pub(super) fn action(
        &self,
        scope: &Scope,
        inputs: &[NamedLiteral],
        overrides: &Overrides,
    ) -> Result<children::What> {
        let template = &self.task_template;
        let spec = overridden(TaskSpec::clone(self), overrides)?;
        Ok(children::task(scope, (&template.id.name, &template.id.version), spec, self.cache_key(inputs)))
    }

    /// The key of its outputs in the cache, if it is cached.
    fn cache_key(&self, inputs: &[NamedLiteral]) -> Option<String> {
        let template = &self.task_template;
        if !template.metadata.discoverable {
            return None;
        }
        let ignored: Vec<&str> = template.metadata.cache_ignore_input_vars.iter().map(String::as_str).collect();
        let inputs_hash = hash::inputs_hash_ignoring(inputs, &ignored);
        let interface_hash = hash::interface_hash(&template.interface);
        let version = template.metadata.discovery_version.as_str();
        Some(hash::cache_key(&inputs_hash, template.id.name.as_str(), &interface_hash, version))
    }
}

/// The definitions that an attempt has looked up: a task that was asked for without a version has one version for the whole attempt.
#[derive(Default)]
pub(super) struct Definitions(Mutex<HashMap<(String, String), Definition>>);

impl Definitions {
    pub(super) async fn find(&self, connection: &Connection, scope: &Scope, task: &RemoteTask) -> Result<Definition> {
        let key = (task.name().to_owned(), task.wanted_version().to_owned());
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(found) = found {
            return Ok(found);
        }
        let found = Definition::look_up(connection, scope, task, LONG).await?;
        let mut definitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(definitions.entry(key).or_insert(found).clone())
    }
}

/// A deployed task as the root of a run: its definition, and its inputs.
pub(super) async fn as_root(
    connection: &Connection,
    scope: &Scope,
    task: RemoteTask,
    overrides: &Overrides,
) -> Result<(TaskSpec, Vec<NamedLiteral>)> {
    let definition = Definition::look_up(connection, scope, &task, SHORT).await?;
    let literals = task.literals(&definition)?;
    Ok((overridden(TaskSpec::clone(&definition), overrides)?, literals))
}

/// A definition with the settings of one call on top.
fn overridden(mut spec: TaskSpec, overrides: &Overrides) -> Result<TaskSpec> {
    if *overrides == Overrides::new() {
        return Ok(spec);
    }
    let metadata = spec.task_template.get_or_insert_default().metadata.get_or_insert_default();
    let (mut retry, mut timeouts) = (policy::retry(metadata)?, policy::timeouts(metadata));
    overrides.apply(&mut retry, &mut timeouts);
    policy::set(metadata, &retry, &timeouts);
    Ok(spec)
}
