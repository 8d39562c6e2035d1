//! Deployed tasks.

use spanwise_core::Timestamp;
use spanwise_engine::{TaskQuery, TaskRow};
use spanwise_proto::flyteidl2::task::TaskSpec;

use super::{ControlPlane, Error, builder};
use crate::wire::ids::TaskKey;
use crate::wire::{Invalid, task};

impl ControlPlane {
    /// Deploys a task. False if its name has this version already, which stays as it is.
    pub(crate) fn deploy(&self, key: TaskKey, spec: &TaskSpec, now: Timestamp) -> Result<bool, Error> {
        task::template(spec)?;
        if key.version.is_empty() {
            return Err(Invalid::Missing("task_id.version").into());
        }
        let (definition, body) = task::encode(spec);
        self.inner.definitions.put(&definition, &body)?;
        let TaskKey { scope, name, version } = key;
        let row = TaskRow { scope, name, version, definition, deployed_at: now };
        Ok(self.inner.engine.deploy_task(&row)?)
    }

    /// The row of a deployed task: in its version, or the newest one if none is named.
    pub(crate) fn deployed_row(&self, key: &TaskKey) -> Result<TaskRow, Error> {
        let found = if key.version.is_empty() {
            let query = TaskQuery { scope: Some(key.scope.clone()), name: Some(key.name.clone()), offset: 0, limit: 1 };
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
            && rows.iter().all(|row| row.name != builder::NAME)
        {
            rows.push(builder::row(scope));
        }
        Ok(rows)
    }

    /// The definition of a deployed task.
    pub(crate) fn deployed(&self, key: &TaskKey) -> Result<TaskSpec, Error> {
        self.definition_of(&self.deployed_row(key)?)
    }

    /// The definition that a row refers to.
    pub(crate) fn definition_of(&self, row: &TaskRow) -> Result<TaskSpec, Error> {
        if builder::is_row(row) {
            return Ok(builder::definition(&row.scope));
        }
        let body = self.inner.engine.definition(&row.definition)?;
        let body = body.ok_or_else(|| Error::NotFound(format!("the definition of task `{}`", row.name)))?;
        Ok(task::decode(&body)?)
    }
}
