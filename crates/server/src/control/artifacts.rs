//! Versions of artifacts: registered by whoever asks for it, found, and given to runs.

use spanwise_core::Scope;
use spanwise_core::artifact::{ArtifactId, ArtifactKey, ArtifactName, PartitionSchema};
use spanwise_core::trace::TraceParent;
use spanwise_engine::{ArtifactGroup, ArtifactQuery, ArtifactRow, RunHandle, RunQuery, RunRow};
use spanwise_wire::artifact::{self, Described, Version};
use spanwise_wire::{TaskInputs, shown};

use super::{ControlPlane, Error};
use crate::artifacts::to_keep;

/// As many runs that were given a version are shown.
const RUNS_SHOWN: usize = 100;

impl ControlPlane {
    /// Keeps a version as somebody describes it. The same one again is the one that is there, if nothing about it is another.
    pub(crate) fn register_artifact(&self, described: &Described) -> Result<ArtifactRow, Error> {
        let engine = &self.inner.engine;
        let fixed = engine.artifact_schema(&described.id.name)?.map(|(schema, _)| schema);
        if let Some(expected) = artifact::other_keys(fixed.as_ref(), described) {
            return Err(Error::Unmet(artifact::mismatch(&described.id.name, expected, &described.schema())));
        }
        let new = to_keep(described, described.body(None)?, self.span_of(described), engine.now());
        match engine.put_artifact(&new)? {
            Some(key) => {
                self.inner.timer.wake.notify_one();
                Ok(ArtifactRow { key, artifact: new })
            }
            None => {
                let there = self.artifact(&new.id)?;
                match there.artifact.body == new.body {
                    true => Ok(there),
                    false => Err(Error::AlreadyExists(format!(
                        "artifact `{}` has version `{}` already, with other content, which it keeps",
                        shown(&new.id.name.name),
                        shown(&new.id.version)
                    ))),
                }
            }
        }
    }

    /// The span of the attempt that has made a version, if it is traced here.
    fn span_of(&self, described: &Described) -> Option<TraceParent> {
        let (run, action, attempt) = described.made_by.as_ref()?;
        self.run(run).ok()?.attempt_span(action, *attempt)
    }

    /// A version.
    pub(crate) fn artifact(&self, id: &ArtifactId) -> Result<ArtifactRow, Error> {
        let query = ArtifactQuery { version: Some(id.version.clone()), limit: 1, ..ArtifactQuery::of(&id.name) };
        self.artifacts(&query)?.into_iter().next().ok_or_else(|| {
            let version = format!("artifact `{}` has no version `{}`", shown(&id.name.name), shown(&id.version));
            Error::NotFound(format!("{version} in {}", of_scope(&id.name.scope)))
        })
    }

    /// The version of an artifact that was created last.
    pub(crate) fn latest_artifact(&self, name: &ArtifactName) -> Result<ArtifactRow, Error> {
        let newest = self.artifacts(&ArtifactQuery { limit: 1, ..ArtifactQuery::of(name) })?;
        newest.into_iter().next().ok_or_else(|| {
            Error::NotFound(format!("artifact `{}` has no version in {}", shown(&name.name), of_scope(&name.scope)))
        })
    }

    /// The versions that a query asks for, the newest first.
    pub(crate) fn artifacts(&self, query: &ArtifactQuery) -> Result<Vec<ArtifactRow>, Error> {
        Ok(self.inner.engine.artifacts(query)?)
    }

    /// The names in a scope, or in all of them, with this in them.
    pub(crate) fn artifact_names(
        &self,
        scope: Option<&Scope>,
        part: &str,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<ArtifactGroup>, Error> {
        Ok(self.inner.engine.artifact_names(scope, part, offset, limit)?)
    }

    /// The keys by which something is said of versions.
    pub(crate) fn artifact_metadata_keys(&self, scope: &Scope, name: Option<&str>) -> Result<Vec<String>, Error> {
        Ok(self.inner.engine.artifact_metadata_keys(scope, name)?)
    }

    /// Deletes a version; its value stays where it is.
    pub(crate) fn delete_artifact(&self, id: &ArtifactId) -> Result<(), Error> {
        match self.inner.engine.delete_artifact(id)? {
            true => Ok(()),
            false => self.artifact(id).map(|_| ()),
        }
    }

    /// Fixes the keys of an artifact before there is any version of it.
    pub(crate) fn declare_artifact(
        &self,
        name: &ArtifactName,
        schema: &PartitionSchema,
    ) -> Result<PartitionSchema, Error> {
        let there = self.inner.engine.declare_artifact(name, schema)?;
        match there.is_same(schema) {
            true => Ok(there),
            false => Err(Error::Unmet(artifact::mismatch(name, &there, schema))),
        }
    }

    /// The keys of an artifact, and whether somebody has declared them.
    pub(crate) fn artifact_schema(&self, name: &ArtifactName) -> Result<(PartitionSchema, bool), Error> {
        self.inner.engine.artifact_schema(name)?.ok_or_else(|| {
            let text = "has neither a version nor keys that were declared";
            Error::NotFound(format!("artifact `{}` {text} in {}", shown(&name.name), of_scope(&name.scope)))
        })
    }

    /// The runs that were given a version, the newest first.
    pub(crate) fn runs_with_artifact(&self, key: ArtifactKey) -> Result<Vec<RunRow>, Error> {
        let keys = self.inner.engine.runs_with_artifact(key, RUNS_SHOWN)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let query = RunQuery { keys, ..RunQuery::newest(RUNS_SHOWN) };
        Ok(self.runs(&query)?.into_iter().map(|(_, row)| row).collect())
    }

    /// The versions that a run was given, as far as they are still there.
    pub(crate) fn artifacts_of_run(&self, run: &RunHandle) -> Result<Vec<ArtifactId>, Error> {
        let engine = &self.inner.engine;
        let mut found = Vec::new();
        for key in engine.artifacts_of_run(run.key())? {
            found.extend(engine.artifact_by_key(key)?.map(|row| row.artifact.id));
        }
        Ok(found)
    }

    /// The versions that are here of those that a run's inputs say to be.
    pub(super) fn consumed(&self, inputs: &TaskInputs) -> Result<Vec<ArtifactRow>, Error> {
        let mut found = Vec::new();
        for id in artifact::consumed(inputs) {
            match self.artifact(&id) {
                Ok(row) => found.push(row),
                // It is somebody else's, or was deleted.
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

/// A version as it is read.
pub(crate) fn version(row: &ArtifactRow) -> Result<Version, Error> {
    Ok(Version::read(&row.artifact.id, &row.artifact.body)?)
}

fn of_scope(scope: &Scope) -> String {
    format!("project `{}`, domain `{}`", scope.project, scope.domain)
}
