//! Versions of artifacts beside the runs that make and use them.

use spanwise_core::Scope;
use spanwise_core::artifact::{ArtifactId, ArtifactKey, ArtifactName, PartitionSchema};
use spanwise_core::trigger::TriggerId;
use spanwise_store::{ArtifactGroup, ArtifactQuery, ArtifactRow, NewArtifact, RunKey};

use crate::engine::Engine;
use crate::error::Error;

impl Engine {
    /// Keeps a version. None if there is such a version, which stays as it is.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn put_artifact(&self, new: &NewArtifact) -> Result<Option<ArtifactKey>, Error> {
        self.inner.journal.check()?;
        Ok(self.inner.journal.store().put_artifact(new)?)
    }

    /// The versions that a query asks for, the newest first.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn artifacts(&self, query: &ArtifactQuery) -> Result<Vec<ArtifactRow>, Error> {
        Ok(self.inner.journal.store().artifacts(query)?)
    }

    /// The version with this number.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn artifact_by_key(&self, key: ArtifactKey) -> Result<Option<ArtifactRow>, Error> {
        Ok(self.inner.journal.store().artifact_by_key(key)?)
    }

    /// The names in a scope (in any, if there is none) with this in them, those with the newest versions first.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn artifact_names(
        &self,
        scope: Option<&Scope>,
        part: &str,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<ArtifactGroup>, Error> {
        Ok(self.inner.journal.store().artifact_names(scope, part, offset, limit)?)
    }

    /// The keys by which something is said of versions, each once, in order.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn artifact_metadata_keys(&self, scope: &Scope, name: Option<&str>) -> Result<Vec<String>, Error> {
        Ok(self.inner.journal.store().artifact_metadata_keys(scope, name)?)
    }

    /// Deletes a version. False if there is none.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn delete_artifact(&self, id: &ArtifactId) -> Result<bool, Error> {
        Ok(self.inner.journal.store().delete_artifact(id)?)
    }

    /// Fixes the keys of a name, unless they are fixed. The keys as they are.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn declare_artifact(&self, name: &ArtifactName, schema: &PartitionSchema) -> Result<PartitionSchema, Error> {
        Ok(self.inner.journal.store().declare_artifact(name, schema)?)
    }

    /// The keys of a name, and whether somebody has declared them.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn artifact_schema(&self, name: &ArtifactName) -> Result<Option<(PartitionSchema, bool)>, Error> {
        Ok(self.inner.journal.store().artifact_schema(name)?)
    }

    /// The number of the newest version that there ever was; 0 if there was none.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn newest_artifact(&self) -> Result<ArtifactKey, Error> {
        Ok(self.inner.journal.store().newest_artifact()?)
    }

    /// The runs that were given a version, the newest first.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn runs_with_artifact(&self, artifact: ArtifactKey, limit: usize) -> Result<Vec<RunKey>, Error> {
        Ok(self.inner.journal.store().runs_with_artifact(artifact, limit)?)
    }

    /// The versions that a run was given.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn artifacts_of_run(&self, run: RunKey) -> Result<Vec<ArtifactKey>, Error> {
        Ok(self.inner.journal.store().artifacts_of_run(run)?)
    }

    /// Says that every version up to one has been decided by a trigger. After `Ok` a restart knows.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn settle_version(&self, trigger: &TriggerId, version: ArtifactKey) -> Result<(), Error> {
        Ok(self.inner.journal.store().settle_version(trigger, version)?)
    }

    /// The version up to which a trigger has decided.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn settled_version(&self, trigger: &TriggerId) -> Result<Option<ArtifactKey>, Error> {
        Ok(self.inner.journal.store().settled_version(trigger)?)
    }
}
