//! What of a run is in the journal, and waiting until it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::lifecycle::Span;
use spanwise_core::{ActionName, End, Event, Failure, Timestamp};
use spanwise_store::{ExportState, NotificationRow};

use super::RunHandle;
use crate::blocking::leave_runtime;
use crate::error::Error;

/// Between two tries of what the store refuses.
const PAUSE: Duration = Duration::from_millis(100);

/// A recorded step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRecord {
    /// When its body began.
    pub started: Timestamp,
    /// When its body ended.
    pub ended: Timestamp,
    /// Its outputs, or what went wrong.
    pub outcome: Result<Bytes, Failure>,
}

impl RunHandle {
    /// Looks a step up: what was recorded under this name, if it stands. A recoverable failure does not: the step runs again.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn step(&self, action: ActionName) -> Result<Option<StepRecord>, Error> {
        let Some((started, ended, end)) = self.cell.recorded(&action) else { return Ok(None) };
        let outcome = match end {
            End::Succeeded { .. } => match self.payloads(&action).await?.1 {
                Some(outputs) => Ok(outputs),
                None => return Ok(None),
            },
            End::Failed(failure) if !failure.recoverable => {
                self.committed().await?;
                Err(*failure)
            }
            _ => return Ok(None),
        };
        Ok(Some(StepRecord { started, ended, outcome }))
    }

    /// The events of one action, in order.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal cannot be written or read.
    pub async fn events_of(&self, action: &ActionName) -> Result<Vec<Event>, Error> {
        self.committed().await?;
        let (run, action) = (self.key(), *action);
        self.engine.ask(move |store| store.events_of(run, &action)).await
    }

    /// The values of an action as the journal has them: inputs and outputs.
    ///
    /// # Errors
    /// If the journal cannot be written or read.
    pub async fn payloads(&self, action: &ActionName) -> Result<(Option<Bytes>, Option<Bytes>), Error> {
        self.committed().await?;
        let (run, action) = (self.key(), *action);
        let stored = self.engine.ask(move |store| store.payloads(run, &action)).await?;
        Ok((stored.inputs, stored.outputs))
    }

    /// The spans of its lifecycle as far as they are safe, whether or not it is traced: those that have ended, and those that have not
    /// as if they ended now. The same ids as the exported ones, in no particular order.
    ///
    /// # Errors
    /// If the journal cannot be written or read.
    pub async fn lifecycle(&self) -> Result<Vec<Span>, Error> {
        self.committed().await?;
        let (store, key) = (Arc::clone(self.engine.inner.journal.store()), self.key());
        let mut lifecycle = self.settings().lifecycle(self.id().clone());
        // A whole run: never on the caller's thread.
        let read = leave_runtime(move || {
            let stored = store.load(key)?;
            stored.iter().flat_map(|stored| &stored.events).for_each(|event| lifecycle.apply(event));
            Ok::<_, Error>(lifecycle)
        });
        let mut lifecycle = read.await??;
        let mut spans = lifecycle.take();
        spans.extend(lifecycle.open_until(self.now()));
        Ok(spans)
    }

    /// How far its lifecycle spans have been exported; none if it is not traced.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub async fn export_state(&self) -> Result<Option<ExportState>, Error> {
        if !self.is_traced() {
            return Ok(None);
        }
        let run = self.key();
        let row = self.engine.ask(move |store| store.run(run)).await?;
        Ok(row.and_then(|row| row.export))
    }

    /// The notifications of the run's end, in the order of its rules.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn notifications(&self) -> Result<Vec<NotificationRow>, Error> {
        let run = self.key();
        self.engine.ask(move |store| store.notifications(run)).await
    }

    /// Returns when everything that happened so far is safe.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal failed.
    pub async fn committed(&self) -> Result<(), Error> {
        self.engine.inner.journal.commit(&self.cell, self.engine.is_alone()).await
    }

    /// The same, for whoever can wait: in an engine that waits for room it returns when there was some.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal failed for good, or the engine does not wait.
    pub async fn safe(&self) -> Result<(), Error> {
        while let Err(error) = self.committed().await {
            self.wait_out(error).await?;
        }
        Ok(())
    }

    /// The values of an action, for whoever can wait.
    pub(crate) async fn stored(&self, action: &ActionName) -> Result<(Option<Bytes>, Option<Bytes>), Error> {
        loop {
            match self.payloads(action).await {
                Err(error) => self.wait_out(error).await?,
                read => return read,
            }
        }
    }

    /// In an engine that waits for room, returns when what the store has refused may be tried again.
    async fn wait_out(&self, refused: Error) -> Result<(), Error> {
        if !refused.may_pass() || !self.engine.inner.waits_for_room {
            return Err(refused);
        }
        self.engine.inner.journal.room().await;
        // A read may fail although nothing waits to be written.
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Nothing new begins while nothing can be written: returns when something can, or the engine is interrupted.
    ///
    /// # Errors
    /// [`Error::Store`] if the engine does not wait.
    pub(crate) async fn room(&self) -> Result<(), Error> {
        let Err(stalled) = self.engine.inner.journal.check() else { return Ok(()) };
        if !self.engine.inner.waits_for_room {
            return Err(stalled);
        }
        tokio::select! {
            () = self.engine.inner.journal.room() => {}
            () = self.engine.interrupted() => {}
        }
        Ok(())
    }
}
