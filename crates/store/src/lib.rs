//! Where the journal is kept: [`Store`], in memory ([`Memory`]) or in SQLite ([`Sqlite`]).
//!
//! A store keeps facts and never decides a state: phases and times arrive as data, made by `spanwise-core`. The same
//! conformance suite runs on every store.

mod error;
mod memory;
mod model;
mod sqlite;

pub use error::Error;
pub use memory::Memory;
pub use model::{ActionRow, Append, Payloads, Pruned, Retention, RunKey, RunRow, StoredRun};
pub use sqlite::{Durability, Sqlite};

use spanwise_core::{ActionName, RunId, Timestamp};

/// A journal. Each method is one transaction; all of them may block on the disk.
pub trait Store: Send + Sync + 'static {
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

    /// The rows of a run's actions, in the order in which they were accepted.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn actions(&self, run: RunKey) -> Result<Vec<ActionRow>, Error>;

    /// The newest runs first, at most `limit`.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn runs(&self, limit: usize) -> Result<Vec<(RunKey, RunRow)>, Error>;

    /// Deletes finished runs that are too old, and the oldest ones while the store is too large.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn prune(&self, keep: &Retention, now: Timestamp) -> Result<Pruned, Error>;
}
