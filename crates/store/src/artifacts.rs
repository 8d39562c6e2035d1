//! What a store keeps of artifacts.

use spanwise_core::Scope;
use spanwise_core::artifact::{ArtifactId, ArtifactKey, ArtifactName, PartitionSchema};
use spanwise_core::trigger::TriggerId;

use crate::{ArtifactGroup, ArtifactQuery, ArtifactRow, Error, NewArtifact, RunKey};

/// What is kept of artifacts. Each method is one transaction; all of them may block on the disk.
pub trait Artifacts {
    /// Keeps a version. The keys of its partition are those of its name from now on, if that has none. None if there is such a version.
    ///
    /// # Errors
    /// [`Error::Full`] if the disk is full.
    fn put_artifact(&self, new: &NewArtifact) -> Result<Option<ArtifactKey>, Error>;

    /// The versions that a query asks for.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn artifacts(&self, query: &ArtifactQuery) -> Result<Vec<ArtifactRow>, Error>;

    /// The version with this number.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn artifact_by_key(&self, key: ArtifactKey) -> Result<Option<ArtifactRow>, Error>;

    /// The names in a scope (in any, if there is none) with this in them, those with the newest versions first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn artifact_names(
        &self,
        scope: Option<&Scope>,
        part: &str,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<ArtifactGroup>, Error>;

    /// The keys by which something is said of the versions in a scope, or of one name, each once, in order.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn artifact_metadata_keys(&self, scope: &Scope, name: Option<&str>) -> Result<Vec<String>, Error>;

    /// Deletes a version. False if there is none. Keys that nobody has declared go with the last version.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn delete_artifact(&self, id: &ArtifactId) -> Result<bool, Error>;

    /// Fixes the keys of a name, unless they are fixed: then only that they are declared is noted, if they are the same. The keys as they are.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn declare_artifact(&self, name: &ArtifactName, schema: &PartitionSchema) -> Result<PartitionSchema, Error>;

    /// The keys of a name, and whether somebody has declared them; none if there are neither a declaration nor a version.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn artifact_schema(&self, name: &ArtifactName) -> Result<Option<(PartitionSchema, bool)>, Error>;

    /// The number of the newest version that there ever was; 0 if there was none.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn newest_artifact(&self) -> Result<ArtifactKey, Error>;

    /// The runs that were given a version, the newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn runs_with_artifact(&self, artifact: ArtifactKey, limit: usize) -> Result<Vec<RunKey>, Error>;

    /// The versions that a run was given.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn artifacts_of_run(&self, run: RunKey) -> Result<Vec<ArtifactKey>, Error>;

    /// Says that every version up to one has been decided by a trigger.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn settle_version(&self, trigger: &TriggerId, version: ArtifactKey) -> Result<(), Error>;

    /// The version up to which a trigger has decided.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn settled_version(&self, trigger: &TriggerId) -> Result<Option<ArtifactKey>, Error>;
}
