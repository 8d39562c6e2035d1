//! What is asked of a run: actions, signs of life, signals, aborts, steps.

use std::sync::Arc;

use bytes::Bytes;
use spanwise_core::trace::TraceParent;
use spanwise_core::tracked::Report;
use spanwise_core::{ActionName, ActionSpec, AttemptNo, Command, Failure, StepOutcome, Timestamp};
use spanwise_store::{Definition, Payloads};

use super::RunHandle;
use crate::cell::New;
use crate::error::Error;

/// A completed step, to be recorded.
#[derive(Clone, Debug)]
pub struct NewStep {
    /// What it is, and under which parent.
    pub spec: ActionSpec,
    /// When its body began; it ends now.
    pub started: Timestamp,
    /// What it was given.
    pub inputs: Bytes,
    /// Its outputs, or what went wrong.
    pub outcome: Result<Bytes, Failure>,
    /// The program has made a span of it by itself.
    pub observed: bool,
    /// What it is made from, under the digest that its spec names.
    pub definition: Option<Definition>,
}

/// An action to be accepted.
#[derive(Clone, Debug)]
pub struct NewAction {
    /// What is fixed about it.
    pub spec: ActionSpec,
    /// What it is made from, under the digest that its spec names: written with it.
    pub definition: Option<Definition>,
}

/// How an action of a tracked run stands, as its program says.
#[derive(Clone, Debug)]
pub struct NewReport {
    /// Its name.
    pub action: ActionName,
    /// What is fixed about it; needed by the first report about it.
    pub spec: Option<ActionSpec>,
    /// What is said.
    pub report: Report,
    /// What it is made from, under the digest that its spec names.
    pub definition: Option<Definition>,
    /// Its inputs and outputs, as far as they are new.
    pub payloads: Payloads,
}

impl From<ActionSpec> for NewAction {
    /// One that is made from nothing but its program.
    fn from(spec: ActionSpec) -> NewAction {
        NewAction { spec, definition: None }
    }
}

impl RunHandle {
    /// Accepts an action, in memory: it is safe at the latest when its outcome is. True if it is new; otherwise the first
    /// one of that name stays as it was, with its inputs.
    ///
    /// # Errors
    /// [`Error::Rejected`] if the run or the parent has ended; [`Error::Store`] while nothing can be written.
    pub fn enqueue(&self, action: ActionName, new: impl Into<NewAction>, inputs: Bytes) -> Result<bool, Error> {
        self.engine.inner.journal.check()?;
        let NewAction { spec, definition } = new.into();
        let payloads = Payloads { inputs: Some(inputs), outputs: None };
        let command = Command::Enqueue { action, spec: Arc::new(spec) };
        let new = New { payloads, definitions: definition.into_iter().collect(), ..New::default() };
        Ok(self.cell.command(&command, self.now(), new)?)
    }

    /// An attempt gave its first sign of life. Harmless if it has given one, or is over.
    pub fn report_started(&self, action: ActionName, attempt: AttemptNo) {
        let command = Command::ReportStarted { action, attempt };
        let _ = self.cell.command(&command, self.now(), Payloads::default());
    }

    /// The program of a tracked run says how one of its actions stands, with the values that it has delivered. In memory: it is safe after
    /// [`RunHandle::committed`]. False if nothing follows from it.
    ///
    /// # Errors
    /// [`Error::Rejected`] if it makes no sense; [`Error::Store`] while nothing can be written.
    pub fn report(&self, new: NewReport) -> Result<bool, Error> {
        self.engine.inner.journal.check()?;
        let NewReport { action, spec, report, definition, payloads } = new;
        let command = Command::Report { action, spec: spec.map(Arc::new), report };
        let new = New { payloads, definitions: definition.into_iter().collect(), ..New::default() };
        Ok(self.cell.command(&command, self.now(), new)?)
    }

    /// Gives a condition its value. `from` is the span of whoever gives it. After `Ok` it is safe.
    ///
    /// # Errors
    /// [`Error::Rejected`] if it is unknown or at its end.
    pub async fn signal(
        &self,
        action: ActionName,
        by: &str,
        from: Option<TraceParent>,
        value: Bytes,
    ) -> Result<(), Error> {
        self.engine.inner.journal.check()?;
        let payloads = Payloads { inputs: None, outputs: Some(value) };
        self.cell.command(&Command::Signal { action, by: by.to_owned(), from }, self.now(), payloads)?;
        self.committed().await
    }

    /// Ends an action and everything under it. False if it had ended already. It also ends while nothing can be written, because it may be what fills
    /// the disk; its end is safe as soon as there is room.
    ///
    /// # Errors
    /// [`Error::Rejected`] if there is no such action; [`Error::Store`] if it is not safe yet.
    pub async fn abort(&self, action: ActionName, by: &str, reason: &str) -> Result<bool, Error> {
        let command = Command::Abort { action, by: by.to_owned(), reason: reason.to_owned() };
        let ended = self.cell.command(&command, self.now(), Payloads::default())?;
        self.committed().await?;
        Ok(ended)
    }

    /// Records a completed step. After `Ok` it is safe.
    ///
    /// # Errors
    /// [`Error::Rejected`] if the run or the parent has ended; [`Error::Store`].
    pub async fn record_step(&self, action: ActionName, step: NewStep) -> Result<(), Error> {
        self.engine.inner.journal.check()?;
        let NewStep { spec, started, inputs, outcome, observed, definition } = step;
        let (outcome, outputs) = match outcome {
            Ok(outputs) => (StepOutcome::Succeeded, Some(outputs)),
            Err(failure) => (StepOutcome::Failed(failure), None),
        };
        let command = Command::RecordStep { action, spec: Arc::new(spec), started, outcome, observed };
        let payloads = Payloads { inputs: Some(inputs), outputs };
        let new = New { payloads, definitions: definition.into_iter().collect(), ..New::default() };
        self.cell.command(&command, self.now(), new)?;
        self.committed().await
    }
}
