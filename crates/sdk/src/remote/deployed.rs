//! The definitions of deployed tasks: looked up on a server, and made into what is to run.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use spanwise_core::Scope;
use spanwise_core::settings::CacheVersion;
use spanwise_proto::flyteidl2::core::TaskTemplate;
use spanwise_proto::flyteidl2::task::{NamedLiteral, TaskSpec};
use spanwise_proto::hash;
use spanwise_wire::policy;
use spanwise_wire::requests::{self, children};
use spanwise_wire::task::settings;

use super::connection::{Connection, LONG, SHORT, error, persist};
use super::reference::RemoteTask;
use crate::error::{Error, ErrorKind, Result};
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

    /// The same with the settings of one call on top.
    pub(super) fn overridden(self, overrides: &Overrides) -> Result<Definition> {
        if *overrides == Overrides::new() {
            return Ok(self);
        }
        Ok(Definition(Arc::new(overridden(TaskSpec::clone(&self), overrides)?)))
    }

    /// The task with these inputs as a child action, in a queue.
    pub(super) fn action(&self, scope: &Scope, inputs: &[NamedLiteral], queue: Option<&str>) -> children::What {
        let template = &self.task_template;
        let of = (template.id.name.as_str(), template.id.version.as_str());
        children::task(scope, of, TaskSpec::clone(self), self.cache_key(inputs), queue)
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
    let definition = Definition::look_up(connection, scope, &task, SHORT).await?.overridden(overrides)?;
    let literals = task.literals(&definition)?;
    Ok((TaskSpec::clone(&definition), literals))
}

/// A definition with the settings of one call on top. The queue is no part of it.
fn overridden(mut spec: TaskSpec, overrides: &Overrides) -> Result<TaskSpec> {
    let template = spec.task_template.get_or_insert_default();
    let metadata = template.metadata.get_or_insert_default();
    let (mut retry, mut timeouts) = (policy::retry(metadata)?, policy::timeouts(metadata));
    overrides.apply(&mut retry, &mut timeouts);
    policy::set(metadata, &retry, &timeouts);
    let version = cache_version(template, overrides)?;
    let set = settings::set(template, &overrides.settings, version.as_deref());
    set.map_err(|error| Error::of(ErrorKind::Usage, "InvalidArgument", error))?;
    Ok(spec)
}

/// The version that a call has the results kept under.
fn cache_version(template: &TaskTemplate, overrides: &Overrides) -> Result<Option<String>> {
    match overrides.settings.cache.as_ref().map(|cache| &cache.version) {
        None | Some(CacheVersion::Off) => Ok(None),
        Some(CacheVersion::Given(version)) => Ok(Some(version.clone())),
        // Only who deployed it has its code.
        Some(CacheVersion::Auto) => Err(Error::usage(format!(
            "cache: task `{}` is deployed, so its text is not here: give a version, `Cache::version(..)`",
            template.id.name
        ))),
    }
}
