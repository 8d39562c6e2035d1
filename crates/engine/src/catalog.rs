//! What the engine's store keeps beside its runs' journals: lists of runs, definitions, deployed tasks.

use bytes::Bytes;
use spanwise_core::{ActionName, Event, RunId};
use spanwise_store::{RunKey, RunQuery, RunRow, Scope, TaskQuery, TaskRow};

use crate::engine::Engine;
use crate::error::Error;
use crate::run::{ActionView, RunHandle};

impl Engine {
    /// The runs that a query asks for, from the journal: what was committed last.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn runs(&self, query: &RunQuery) -> Result<Vec<(RunKey, RunRow)>, Error> {
        Ok(self.inner.journal.store().runs(query)?)
    }

    /// The row of a run with this name, from the journal, without loading the run.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn run_row(&self, id: &RunId) -> Result<Option<(RunKey, RunRow)>, Error> {
        Ok(self.inner.journal.store().find(id)?)
    }

    /// Shows every value that the journal keeps: inputs, outputs, cached outputs, definitions.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn visit_values(&self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        Ok(self.inner.journal.store().visit_values(visit)?)
    }

    /// Returns when retention has deleted runs since the last call: what they left elsewhere can go too. One caller at a time.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn pruned(&self) {
        self.inner.pruned.notified().await;
    }

    /// The row of one action, from the journal: what was committed last, without loading its run.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn action_row(&self, run: RunKey, action: &ActionName) -> Result<Option<ActionView>, Error> {
        Ok(self.inner.journal.store().action(run, action)?)
    }

    /// Every run that is not at its end, the oldest first: what a restart has to take up.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn unfinished(&self) -> Result<Vec<RunId>, Error> {
        Ok(self.inner.journal.store().unfinished()?)
    }

    /// Keeps a definition under its digest; harmless if it is there. Retention leaves it alone while a run or a deployed task
    /// refers to it, and for [`UNREFERRED_DEFINITION`] after this.
    ///
    /// [`UNREFERRED_DEFINITION`]: spanwise_store::UNREFERRED_DEFINITION
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn put_definition(&self, digest: &str, body: &Bytes) -> Result<(), Error> {
        Ok(self.inner.journal.store().put_definition(digest, body, self.now())?)
    }

    /// The definition with this digest.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn definition(&self, digest: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.inner.journal.store().definition(digest)?)
    }

    /// Adds a deployed task. False if its name has this version already, which stays as it is.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn deploy_task(&self, task: &TaskRow) -> Result<bool, Error> {
        match self.inner.journal.store().deploy_task(task) {
            Ok(()) => Ok(true),
            Err(spanwise_store::Error::AlreadyExists(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The deployed tasks that a query asks for, the newest first.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn tasks(&self, query: &TaskQuery) -> Result<Vec<TaskRow>, Error> {
        Ok(self.inner.journal.store().tasks(query)?)
    }

    /// A deployed task in one version.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn task(&self, scope: &Scope, name: &str, version: &str) -> Result<Option<TaskRow>, Error> {
        Ok(self.inner.journal.store().task(scope, name, version)?)
    }
}

impl RunHandle {
    /// The events of one action, in order.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal cannot be written or read.
    pub async fn events_of(&self, action: &ActionName) -> Result<Vec<Event>, Error> {
        self.committed().await?;
        Ok(self.engine.inner.journal.store().events_of(self.cell.key(), action)?)
    }
}
