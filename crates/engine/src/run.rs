//! A run of this process, as executors and clients hold it.

use std::sync::Arc;

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, Command, End, Failure, RunId, StepOutcome, Timestamp};
use spanwise_store::{ActionRow, Payloads};
use tokio::sync::watch;

use crate::cell::RunCell;
use crate::engine::Engine;
use crate::error::Error;
use crate::scope::AttemptScope;
use crate::settings::RunSettings;

/// An action as it is now, for display.
pub type ActionView = ActionRow;

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

/// A run of this process. Cheap to clone.
#[derive(Clone)]
pub struct RunHandle {
    pub(crate) engine: Engine,
    pub(crate) cell: Arc<RunCell>,
}

impl RunHandle {
    pub(crate) fn new(engine: Engine, cell: Arc<RunCell>) -> RunHandle {
        RunHandle { engine, cell }
    }

    /// The run's full name.
    pub fn id(&self) -> &RunId {
        self.cell.id()
    }

    /// What the run was started with.
    pub fn settings(&self) -> &RunSettings {
        self.cell.settings()
    }

    /// The engine it runs on.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The task of the root action.
    pub fn root_task(&self) -> Option<spanwise_core::TaskName> {
        self.cell.root_spec().map(|spec| spec.task.clone())
    }

    /// What was fixed about the root action.
    pub fn root_spec(&self) -> Option<ActionSpec> {
        self.cell.root_spec().map(|spec| ActionSpec::clone(&spec))
    }

    /// True if somebody in this process drives the action.
    pub fn is_driven(&self, action: &ActionName) -> bool {
        self.cell.is_driven(action)
    }

    /// The code of the timeout that cut an attempt short, if one did.
    pub fn timeout_of(&self, attempt: &AttemptScope) -> Option<String> {
        self.cell.timeout_of(&attempt.action, attempt.attempt)
    }

    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        self.engine.inner.clock.now()
    }

    /// True once the root is at its end.
    pub fn is_finished(&self) -> bool {
        self.cell.is_finished(&ActionName::ROOT)
    }

    /// All actions as they are now, in the order in which they were accepted.
    pub fn actions(&self) -> Vec<ActionView> {
        let mut rows = self.cell.rows();
        rows.sort_by_key(|row| (row.enqueued_at, row.name));
        rows
    }

    /// Tells when the run has changed.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.cell.subscribe()
    }

    /// Accepts an action, in memory: it is safe at the latest when its outcome is. True if it is new; otherwise the first
    /// one of that name stays as it was, with its inputs.
    ///
    /// # Errors
    /// [`Error::Rejected`] if the run or the parent has ended.
    pub fn enqueue(&self, action: ActionName, spec: ActionSpec, inputs: Bytes) -> Result<bool, Error> {
        let payloads = Payloads { inputs: Some(inputs), outputs: None };
        let command = Command::Enqueue { action, spec: Arc::new(spec) };
        Ok(self.cell.command(&command, self.now(), payloads)?)
    }

    /// Ends an action and everything under it. Harmless if it is at its end.
    ///
    /// # Errors
    /// [`Error::Rejected`] if there is no such action.
    pub async fn abort(&self, action: ActionName, by: &str, reason: &str) -> Result<(), Error> {
        let command = Command::Abort { action, by: by.to_owned(), reason: reason.to_owned() };
        self.cell.command(&command, self.now(), Payloads::default())?;
        self.committed().await
    }

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

    /// Records a completed step. After `Ok` it is safe.
    ///
    /// # Errors
    /// [`Error::Rejected`] if the run or the parent has ended; [`Error::Store`].
    pub async fn record_step(
        &self,
        action: ActionName,
        spec: ActionSpec,
        started: Timestamp,
        inputs: Bytes,
        outcome: Result<Bytes, Failure>,
    ) -> Result<(), Error> {
        let (outcome, outputs) = match outcome {
            Ok(outputs) => (StepOutcome::Succeeded, Some(outputs)),
            Err(failure) => (StepOutcome::Failed(failure), None),
        };
        let command = Command::RecordStep { action, spec: Arc::new(spec), started, outcome };
        let payloads = Payloads { inputs: Some(inputs), outputs };
        self.cell.command(&command, self.now(), payloads)?;
        self.committed().await
    }

    /// The values of an action as the journal has them: inputs and outputs.
    ///
    /// # Errors
    /// If the journal cannot be written or read.
    pub async fn payloads(&self, action: &ActionName) -> Result<(Option<Bytes>, Option<Bytes>), Error> {
        self.committed().await?;
        let stored = self.engine.inner.journal.store().payloads(self.cell.key(), action)?;
        Ok((stored.inputs, stored.outputs))
    }

    /// Returns when everything that happened so far is safe.
    pub(crate) async fn committed(&self) -> Result<(), Error> {
        self.engine.inner.journal.commit(&self.cell, self.engine.is_alone()).await
    }
}

impl std::fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunHandle").field("id", self.cell.id()).finish_non_exhaustive()
    }
}
