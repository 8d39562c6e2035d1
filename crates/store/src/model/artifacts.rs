//! Versions of artifacts, as plain data.

use std::collections::BTreeMap;

use bytes::Bytes;
use spanwise_core::artifact::{ArtifactId, ArtifactKey, ArtifactName, Partition};
use spanwise_core::trace::TraceParent;
use spanwise_core::{ActionName, AttemptNo, RunName, Scope, Timestamp};

/// Where a version of an artifact comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ArtifactSource {
    /// Nobody has said.
    #[default]
    Unknown,
    /// An attempt of a run of its scope has made it.
    Attempt {
        /// The run.
        run: RunName,
        /// Its action.
        action: ActionName,
        /// The attempt.
        attempt: AttemptNo,
    },
    /// It is elsewhere, in whatever words.
    External(String),
}

/// A version of an artifact that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewArtifact {
    /// Its name and version.
    pub id: ArtifactId,
    /// Its partition.
    pub partition: Partition,
    /// What is said of it in words of its own.
    pub metadata: BTreeMap<String, String>,
    /// Where it comes from.
    pub source: ArtifactSource,
    /// The span of the attempt that has made it, if that is traced.
    pub producer: Option<TraceParent>,
    /// Its value, its type and the rest, which the store does not look into.
    pub body: Bytes,
    /// When it came to be.
    pub created_at: Timestamp,
}

/// A version of an artifact that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactRow {
    /// Its number.
    pub key: ArtifactKey,
    /// What it was made from; of its metadata the body has a copy, and this one is empty.
    pub artifact: NewArtifact,
}

/// A name with what there is of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactGroup {
    /// The version that was created last.
    pub latest: ArtifactRow,
    /// How many there are.
    pub versions: u64,
    /// The newest partition by time.
    pub latest_time: Option<Timestamp>,
}

/// Which versions to list, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactQuery {
    /// Those of this scope.
    pub scope: Scope,
    /// Only those of this name.
    pub name: Option<String>,
    /// Only this version.
    pub version: Option<String>,
    /// Only those that were made by this run.
    pub run: Option<String>,
    /// Only those that were made by an action of this name.
    pub action: Option<String>,
    /// Only those that come from there.
    pub external: Option<String>,
    /// Only those created at this time or later.
    pub since: Option<Timestamp>,
    /// Only those created before this time.
    pub until: Option<Timestamp>,
    /// Only those whose partition by time begins at this time or later.
    pub time_since: Option<Timestamp>,
    /// Only those whose partition by time begins before this time.
    pub time_until: Option<Timestamp>,
    /// Only those in whose partition each of these keys has one of its values.
    pub partition: Vec<(String, Vec<String>)>,
    /// Only those of which each of these keys is said with one of its values.
    pub metadata: Vec<(String, Vec<String>)>,
    /// Of each partition the newest one of those only.
    pub latest_per_partition: bool,
    /// Only those that came after this one, the first of them first.
    pub after: Option<ArtifactKey>,
    /// How many to leave out before the first.
    pub offset: usize,
    /// At most this many.
    pub limit: usize,
}

impl ArtifactQuery {
    /// All versions in a scope.
    pub fn within(scope: Scope) -> ArtifactQuery {
        ArtifactQuery {
            scope,
            name: None,
            version: None,
            run: None,
            action: None,
            external: None,
            since: None,
            until: None,
            time_since: None,
            time_until: None,
            partition: Vec::new(),
            metadata: Vec::new(),
            latest_per_partition: false,
            after: None,
            offset: 0,
            limit: usize::MAX,
        }
    }

    /// All versions of an artifact.
    pub fn of(name: &ArtifactName) -> ArtifactQuery {
        ArtifactQuery { name: Some(name.name.clone()), ..ArtifactQuery::within(name.scope.clone()) }
    }
}
