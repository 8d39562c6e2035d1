//! Deployed tasks.

use spanwise_core::Timestamp;
use spanwise_engine::{TaskQuery, TaskRow};
use spanwise_proto::flyteidl2::task::TaskSpec;

use super::{ControlPlane, Error};
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
        found.ok_or_else(|| {
            Error::NotFound(format!(
                "task `{}` version `{}` is not deployed in project `{}`, domain `{}`",
                key.name, key.version, key.scope.project, key.scope.domain
            ))
        })
    }

    /// The definition of a deployed task.
    pub(crate) fn deployed(&self, key: &TaskKey) -> Result<TaskSpec, Error> {
        self.definition_of(&self.deployed_row(key)?)
    }

    /// The definition that a row refers to.
    pub(crate) fn definition_of(&self, row: &TaskRow) -> Result<TaskSpec, Error> {
        let body = self.inner.engine.definition(&row.definition)?;
        let body = body.ok_or_else(|| Error::NotFound(format!("the definition of task `{}`", row.name)))?;
        Ok(task::decode(&body)?)
    }
}
