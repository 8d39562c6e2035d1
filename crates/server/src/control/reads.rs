//! What pages and services look at: runs, definitions, projects, images, and whether the server is well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use spanwise_core::{ActionSpec, RunId, Timestamp};
use spanwise_engine::{ActionView, RunFeed, RunHandle, RunKey, RunQuery, RunRow};
use spanwise_wire::Definition;

use super::{ControlPlane, Error};
use crate::readiness::NotReady;
use crate::running::Interpreter;
use spanwise_process::environments::{Environment, ImageKey};

/// An image that somebody asks for.
pub(crate) enum Image {
    /// It is not named after a hash: somebody's published image, which nobody here could build.
    Published,
    /// Nobody has built it yet.
    Missing,
    /// There is an environment that stands for it.
    Built(Arc<Environment>),
}

impl ControlPlane {
    /// The time of the journal.
    pub(crate) fn now(&self) -> Timestamp {
        self.inner.engine.now()
    }

    /// The runs that a query asks for, without loading them.
    pub(crate) fn runs(&self, query: &RunQuery) -> Result<Vec<(RunKey, RunRow)>, Error> {
        Ok(self.inner.engine.runs(query)?)
    }

    /// The same with their root actions; none for a root that cannot be read, which costs the list no more than its details.
    pub(crate) fn runs_with_roots(&self, query: &RunQuery) -> Result<Vec<(RunKey, RunRow, Option<ActionView>)>, Error> {
        let rows = self.runs(query)?;
        let keys: Vec<RunKey> = rows.iter().map(|(key, _)| *key).collect();
        let mut roots: HashMap<RunKey, ActionView> = self.inner.engine.root_rows(&keys)?.into_iter().collect();
        Ok(rows.into_iter().map(|(key, row)| (key, row, roots.remove(&key))).collect())
    }

    /// Tells of runs that are created and whose roots change, from now on.
    pub(crate) fn feed_of_runs(&self) -> RunFeed {
        self.inner.engine.feed_of_runs()
    }

    /// The run under way that is meant; none if several could be.
    pub(crate) fn live_run(&self, is_it: impl Fn(&RunId) -> bool) -> Option<RunHandle> {
        self.inner.engine.live_run(is_it)
    }

    /// What an action was made from; none if it has no definition.
    pub(crate) fn definition(&self, action: &ActionSpec) -> Result<Option<Arc<Definition>>, Error> {
        Ok(self.inner.definitions.of(action)?)
    }

    /// What is known of an image, by the name that the SDK gives it.
    pub(crate) fn image(&self, name: &str) -> Image {
        let Some(key) = ImageKey::of(name) else { return Image::Published };
        self.inner.executor.environments().find(&key).map_or(Image::Missing, Image::Built)
    }

    /// Has tasks run with what an earlier server has made for an interpreter without the SDK; true if there is such a thing.
    pub(crate) async fn take_up_environment(&self) -> bool {
        self.inner.executor.environments().take_up().await
    }

    /// Whether anything can be written.
    pub(crate) async fn is_ready(&self) -> Result<(), NotReady> {
        self.inner.readiness.check().await
    }

    /// The interpreter of tasks as it is now; as it was, if it does not answer in this time.
    pub(crate) async fn interpreter(&self, patience: Duration) -> Interpreter {
        let environments = self.inner.executor.environments();
        let now = tokio::time::timeout(patience, environments.current()).await;
        Interpreter::from(&*now.unwrap_or_else(|_| environments.base()))
    }

    /// The interpreter of tasks, for people, as it was when it was last asked.
    pub(crate) fn python(&self) -> String {
        self.inner.executor.environments().base().to_string()
    }
}
