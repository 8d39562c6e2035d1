//! Where the journal is kept: [`Store`], in memory ([`Memory`]) or in SQLite ([`Sqlite`]).
//!
//! A store keeps facts and never decides a state: phases and times arrive as data, made by `spanwise-core`. The cases of
//! `conformance` (a feature) are what the engine relies on: a new store, in whatever crate, passes them.

mod artifacts;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod memory;
mod model;
mod registry;
mod sqlite;

pub use artifacts::Artifacts;
pub use error::{Cause, Error};
pub use memory::Memory;
pub use model::{
    AppRow, Append, ArtifactGroup, ArtifactQuery, ArtifactRow, ArtifactSource, CachedOutputs, Definition, Due,
    DueQuery, ExportState, NewArtifact, NotificationRow, NotificationState, Payloads, Pruned, PrunedRun,
    REVISIONS_KEPT, RunKey, RunQuery, RunRow, StoredRun, TaskQuery, TaskRow, TriggerQuery, TriggerRow,
};
pub use registry::{ProjectRow, Registry, SettingsRow};
pub use spanwise_core::artifact::ArtifactKey;
pub use spanwise_core::{ActionView as ActionRow, Durability, Retention, Scope};
pub use sqlite::Sqlite;

use bytes::Bytes;
use spanwise_core::trigger::TriggerId;
use spanwise_core::{ActionName, Event, RunId, Timestamp};

/// A journal. Each method is one transaction; all of them may block on the disk.
pub trait Store: Registry + Artifacts + Send + Sync + 'static {
    /// Adds a run with its first events, whose `run` is filled in here: both or neither.
    ///
    /// After `Ok` the name is taken, also after a restart.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if org, project and domain have a run of that name.
    fn create_run(&self, run: &RunRow, first: Append) -> Result<RunKey, Error>;

    /// Appends events and the rows that follow from them: all of them or none.
    ///
    /// After `Ok` a reader and a restart see them, in order. After `Err` or a crash they see none of the batch.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the numbers do not follow the stored ones; [`Error::Full`] if the disk is full.
    fn commit(&self, batch: &[Append]) -> Result<(), Error>;

    /// The run with this name.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn find(&self, id: &RunId) -> Result<Option<(RunKey, RunRow)>, Error>;

    /// The run and all its events, in order.
    ///
    /// # Errors
    /// [`Error::Newer`] if an event was written by a newer version; it is never skipped.
    fn load(&self, run: RunKey) -> Result<Option<StoredRun>, Error>;

    /// What an action was given and what it delivered.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn payloads(&self, run: RunKey, action: &ActionName) -> Result<Payloads, Error>;

    /// The row of one action.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn action(&self, run: RunKey, action: &ActionName) -> Result<Option<ActionRow>, Error>;

    /// The rows of the actions of one name in some runs, the oldest run first, as far as they are there and can be read.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn action_of_each(&self, runs: &[RunKey], action: &ActionName) -> Result<Vec<(RunKey, ActionRow)>, Error>;

    /// The events of one action, in order.
    ///
    /// # Errors
    /// [`Error::Newer`] if an event was written by a newer version.
    fn events_of(&self, run: RunKey, action: &ActionName) -> Result<Vec<Event>, Error>;

    /// The runs that a query asks for.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn runs(&self, query: &RunQuery) -> Result<Vec<(RunKey, RunRow)>, Error>;

    /// Every run that is not at its end, the oldest first. One whose row cannot be read is among them
    /// ([`RunRow::unreadable`]), as it is in [`Store::runs`].
    ///
    /// # Errors
    /// If the store cannot be read.
    fn unfinished(&self) -> Result<Vec<RunRow>, Error>;

    /// The body of the definition with this digest. It is there as long as a run or a deployed task is made from it.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn definition(&self, digest: &str) -> Result<Option<Bytes>, Error>;

    /// Adds a deployed task with the body of its definition: both or neither.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if its name has this version already.
    fn deploy_task(&self, task: &TaskRow, definition: &Bytes) -> Result<(), Error>;

    /// The deployed tasks that a query asks for, the newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn tasks(&self, query: &TaskQuery) -> Result<Vec<TaskRow>, Error>;

    /// A deployed task in one version.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn task(&self, scope: &Scope, name: &str, version: &str) -> Result<Option<TaskRow>, Error>;

    /// Adds a revision of a trigger, with what it is made from if that is new: both or neither.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if the trigger has this revision already.
    fn put_trigger(&self, trigger: &TriggerRow, definition: Option<&Definition>) -> Result<(), Error>;

    /// The triggers that a query asks for.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn triggers(&self, query: &TriggerQuery) -> Result<Vec<TriggerRow>, Error>;

    /// The revisions of a trigger, the newest first, also of one that is deleted.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn trigger_revisions(&self, id: &TriggerId, offset: usize, limit: usize) -> Result<Vec<TriggerRow>, Error>;

    /// Says that everything up to a slot of a trigger has been decided.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn settle_trigger(&self, id: &TriggerId, slot: Timestamp) -> Result<(), Error>;

    /// Adds a revision of an app. Of its revisions the newest [`REVISIONS_KEPT`] stay.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if the app has a revision of that number already.
    fn put_app(&self, app: &AppRow) -> Result<(), Error>;

    /// Every app in its newest revision, the oldest app first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn apps(&self) -> Result<Vec<AppRow>, Error>;

    /// The revisions of an app that are kept, the newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn app_revisions(&self, scope: &Scope, name: &str) -> Result<Vec<AppRow>, Error>;

    /// Deletes an app with all its revisions. False if there is none.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn delete_app(&self, scope: &Scope, name: &str) -> Result<bool, Error>;

    /// Outputs that were stored under a key of the cache.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn cached(&self, key: &str) -> Result<Option<CachedOutputs>, Error>;

    /// Stores outputs under a key of the cache, in place of what was there.
    ///
    /// # Errors
    /// [`Error::Full`] if the disk is full.
    fn cache(&self, key: &str, outputs: &CachedOutputs) -> Result<(), Error>;

    /// The names of the projects in which runs, apps or artifacts are or tasks are deployed, and of those that are registered, each once, in order.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn projects(&self) -> Result<Vec<String>, Error>;

    /// The next events of a run, from this number on: at least one and about `limit`, unless there are none.
    ///
    /// # Errors
    /// [`Error::Newer`] if an event was written by a newer version.
    fn events_from(&self, run: RunKey, seq: u64, limit: usize) -> Result<Vec<Event>, Error>;

    /// Says how far the export of the lifecycle spans of some runs has come.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn put_exports(&self, states: &[(RunKey, ExportState)]) -> Result<(), Error>;

    /// The runs whose export is not done, the oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn unexported(&self) -> Result<Vec<RunKey>, Error>;

    /// Notifications that are to be sent: of runs that have ended, since the commit that ended them.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn due_notifications(&self, query: &DueQuery) -> Result<Due, Error>;

    /// Says what has become of notifications. Those of runs that are gone are left out.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn put_notifications(&self, rows: &[NotificationRow]) -> Result<(), Error>;

    /// Gives up every notification of a receiver whose run had ended before a time; says how many.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn give_up_notifications(&self, receiver: &str, before: Timestamp, now: Timestamp, why: &str)
    -> Result<u64, Error>;

    /// The notifications of a run, in the order of its rules.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn notifications(&self, run: RunKey) -> Result<Vec<NotificationRow>, Error>;

    /// Receivers that have something to get which was tried in vain or given up, of runs of a project and a domain (of any, if that is empty):
    /// for each the newest notification and how many there are, the newest runs first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn troubled_notifications(
        &self,
        project: &str,
        domain: &str,
        limit: usize,
    ) -> Result<Vec<(NotificationRow, u64)>, Error>;

    /// A run by its number.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn run(&self, run: RunKey) -> Result<Option<RunRow>, Error>;

    /// Shows every value that is kept: inputs, outputs, cached outputs, definitions, those of apps among them, settings and versions of artifacts. Others do not wait for it.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn visit_values(&self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Error>;

    /// Writes a little that changes nothing: what a commit needs is there.
    ///
    /// # Errors
    /// What a commit would be refused with.
    fn probe(&self) -> Result<(), Error>;

    /// When the newest fact that is kept happened; none in an empty store.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn newest_fact(&self) -> Result<Option<Timestamp>, Error>;

    /// The key of the last run that there ever was; 0 if there was none.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn last_key(&self) -> Result<RunKey, Error>;

    /// Gives no run one of the keys up to this one: somebody else has used them.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn skip_keys(&self, last: RunKey) -> Result<(), Error>;

    /// What is older than this beside the store, and unknown to it, may belong to a store that was there before; none if there was
    /// none.
    fn kept_before(&self) -> Option<Timestamp>;

    /// Says that there was another store here before, see [`Store::kept_before`].
    ///
    /// # Errors
    /// If the note of it cannot be written.
    fn keep_what_is_older(&self, than: Timestamp) -> Result<(), Error>;

    /// Deletes finished runs and cached outputs that are too old, and the oldest ones while the store is too large; then
    /// definitions that nothing is made from. The key of a run is never used again. Age is counted from the newest fact at the latest,
    /// so that a clock that jumped makes nothing old.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn prune(&self, keep: &Retention, now: Timestamp) -> Result<Pruned, Error>;

    /// Gives memory back that only makes it quicker to read again what runs have written: for when they have ended.
    fn free_memory(&self) {}
}
