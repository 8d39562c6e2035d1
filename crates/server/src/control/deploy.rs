//! Deployed tasks.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use spanwise_core::Timestamp;
use spanwise_engine::{TaskQuery, TaskRow};
use spanwise_wire::{Invalid, ids::TaskKey, task::TaskDefinition};

use super::{ControlPlane, Error, builder};

/// More refused deployments than this are in the log only.
const MOST_REFUSED: usize = 1000;

/// What became of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deployed {
    New,
    /// Its name has this version already, with this content.
    Same,
    /// Its name has this version already, with another content.
    Other,
}

impl ControlPlane {
    /// Deploys a task. A version that is there stays as it is. What a strict server would refuse of a run is refused here already.
    pub(crate) async fn deploy(&self, key: TaskKey, task: &TaskDefinition) -> Result<Deployed, Error> {
        task.check()?;
        if key.version.is_empty() {
            return Err(Invalid::Missing("task_id.version").into());
        }
        self.not_honoured(task)?;
        self.check_bundle(task.bundle.as_deref()).await?;
        let (TaskKey { scope, name, version }, now) = (key.clone(), self.inner.engine.now());
        let row = TaskRow { scope, name, version, definition: task.stored.digest.clone(), deployed_at: now };
        if self.inner.engine.deploy_task(&row, &task.stored.body)? {
            return Ok(Deployed::New);
        }
        if self.deployed(&key)?.does_what_does(task) {
            return Ok(Deployed::Same);
        }
        tracing::warn!(
            task = row.name,
            version = row.version,
            "a version was deployed again with other content: it is refused, and runs have the first one"
        );
        let mut refused = self.refused();
        if refused.len() < MOST_REFUSED {
            refused.insert(key, now);
        }
        Ok(Deployed::Other)
    }

    /// What is to be said of versions that somebody has tried to deploy again with other content, since this server was started.
    pub(crate) fn refused_deployments(&self, is_asked_for: impl Fn(&TaskKey) -> bool) -> Vec<String> {
        let refused = self.refused();
        let mut asked_for: Vec<_> = refused.iter().filter(|(key, _)| is_asked_for(key)).collect();
        asked_for.sort_by_key(|(_, at)| **at);
        asked_for.into_iter().map(|(TaskKey { name, version, .. }, at)| {
            let at = crate::text::rfc3339(*at);
            format!(
                "task `{name}` was deployed again in version `{version}` with other content at {at}: this was refused, and the \
                 version has its first content; deploy under another version"
            )
        })
        .collect()
    }

    fn refused(&self) -> MutexGuard<'_, HashMap<TaskKey, Timestamp>> {
        self.inner.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row of a deployed task: in its version, or the newest one if none is named.
    pub(crate) fn deployed_row(&self, key: &TaskKey) -> Result<TaskRow, Error> {
        let found = if key.version.is_empty() {
            let name = Some(key.name.clone());
            let query = TaskQuery { scope: Some(key.scope.clone()), name, limit: 1, ..TaskQuery::default() };
            self.inner.engine.tasks(&query)?.into_iter().next()
        } else {
            self.inner.engine.task(&key.scope, &key.name, &key.version)?
        };
        found.or_else(|| builder::is_meant(&key.scope, &key.name).then(|| builder::row(&key.scope))).ok_or_else(|| {
            Error::NotFound(format!(
                "task `{}` version `{}` is not deployed in project `{}`, domain `{}`",
                key.name, key.version, key.scope.project, key.scope.domain
            ))
        })
    }

    /// Deployed tasks, the server's own among them.
    pub(crate) fn deployed_rows(&self, query: &TaskQuery) -> Result<Vec<TaskRow>, Error> {
        let mut rows = self.inner.engine.tasks(query)?;
        let name = query.name.as_deref().unwrap_or(builder::NAME);
        if let Some(scope) = query.scope.as_ref().filter(|scope| builder::is_meant(scope, name))
            && query.offset == 0
            && query.limit > 0
            && query.part.as_ref().is_none_or(|part| builder::NAME.contains(part))
            && rows.iter().all(|row| row.name != builder::NAME)
        {
            // It was there before all others.
            rows.insert(if query.oldest_first { 0 } else { rows.len() }, builder::row(scope));
        }
        Ok(rows)
    }

    /// The definition of a deployed task.
    pub(crate) fn deployed(&self, key: &TaskKey) -> Result<TaskDefinition, Error> {
        self.definition_of(&self.deployed_row(key)?)
    }

    /// The definition that a row refers to.
    pub(crate) fn definition_of(&self, row: &TaskRow) -> Result<TaskDefinition, Error> {
        if builder::is_row(row) {
            return Ok(builder::definition(&row.scope)?);
        }
        let body = self.inner.engine.definition(&row.definition)?;
        let body = body.ok_or_else(|| Error::NotFound(format!("the definition of task `{}`", row.name)))?;
        Ok(TaskDefinition::read(body)?)
    }
}
