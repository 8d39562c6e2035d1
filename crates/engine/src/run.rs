//! A run of this process, as executors and clients hold it.

use std::sync::Arc;

use bytes::Bytes;
use spanwise_core::lifecycle::{Lifecycle, Span};
use spanwise_core::trace::TraceParent;
use spanwise_core::{
    Action, ActionName, ActionSpec, ActionView, AttemptNo, Command, End, Failure, RunId, StepOutcome, Timestamp,
};
use spanwise_store::{Definition, ExportState, Payloads, RunKey};
use tokio::sync::watch;

pub use crate::cell::Watch as ActionWatch;
use crate::cell::{New, RunCell};
use crate::engine::Engine;
use crate::error::Error;
use crate::feed::ChildFeed;
use crate::scope::AttemptScope;
use crate::settings::RunSettings;

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

/// A completed step, to be recorded.
#[derive(Clone, Debug)]
pub struct NewStep {
    /// Its name and place.
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

impl From<ActionSpec> for NewAction {
    /// One that is made from nothing but its program.
    fn from(spec: ActionSpec) -> NewAction {
        NewAction { spec, definition: None }
    }
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

    /// Its number in the store.
    pub fn key(&self) -> RunKey {
        self.cell.key()
    }

    /// When it was accepted.
    pub fn accepted_at(&self) -> Timestamp {
        self.cell.action(&ActionName::ROOT).map(|root| root.enqueued_at).unwrap_or_default()
    }

    /// What the run was started with.
    pub fn settings(&self) -> &RunSettings {
        self.cell.settings()
    }

    /// True if the spans of its lifecycle are exported; what is enqueued names the span in its map then
    /// ([`ActionSpec::traceparent`]).
    pub fn is_traced(&self) -> bool {
        self.settings().trace.is_exported()
    }

    /// The span of the run as a whole, if its lifecycle is traced.
    pub fn span(&self) -> Option<TraceParent> {
        let inbound = self.cell.root_spec().and_then(|root| root.traceparent);
        self.is_traced().then(|| Lifecycle::run_span(self.id(), inbound))
    }

    /// The span of an attempt, if the run's lifecycle is traced.
    pub fn attempt_span(&self, action: &ActionName, attempt: AttemptNo) -> Option<TraceParent> {
        self.cell.attempt_span(action, attempt)
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

    /// True if the run cannot go on in this process as it is: the journal failed. [`Engine::resume`] takes it up anew.
    pub fn is_broken(&self) -> bool {
        self.cell.broken().is_some()
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

    /// One action as it is now.
    pub fn action(&self, action: &ActionName) -> Option<Action> {
        self.cell.action(action)
    }

    /// The children of an action, in the order in which they were accepted.
    pub fn children(&self, parent: &ActionName) -> Vec<ActionName> {
        self.cell.children(parent)
    }

    /// Every task action that is not at its end: what a restart has to drive.
    pub fn unfinished(&self) -> Vec<ActionName> {
        self.cell.unfinished()
    }

    /// Tells of changes of the children of an action, from now on.
    pub fn feed(&self, parent: ActionName) -> ChildFeed {
        self.cell.feed(parent)
    }

    /// Tells of changes of one action, from now on.
    pub fn watch(&self, action: ActionName) -> ActionWatch {
        self.cell.watch(action)
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
    /// [`Error::Rejected`] if the run or the parent has ended; [`Error::Store`] while nothing can be written.
    pub fn enqueue(&self, action: ActionName, new: impl Into<NewAction>, inputs: Bytes) -> Result<bool, Error> {
        self.engine.inner.journal.check()?;
        let NewAction { spec, definition } = new.into();
        let payloads = Payloads { inputs: Some(inputs), outputs: None };
        let command = Command::Enqueue { action, spec: Arc::new(spec) };
        let new = New { payloads, definitions: definition.into_iter().collect() };
        Ok(self.cell.command(&command, self.now(), new)?)
    }

    /// An attempt gave its first sign of life. Harmless if it has given one, or is over.
    pub fn report_started(&self, action: ActionName, attempt: AttemptNo) {
        let command = Command::ReportStarted { action, attempt };
        let _ = self.cell.command(&command, self.now(), Payloads::default());
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

    /// Waits until a condition is at its end, and ends it when its time is over.
    ///
    /// # Errors
    /// [`Error::Rejected`] if it is unknown; [`Error::Store`] if the journal failed; [`Error::Interrupted`] if the engine is
    /// interrupted.
    pub async fn drive_condition(&self, action: ActionName) -> Result<(), Error> {
        let watch = self.cell.watch(action);
        while self.cell.end(&action)?.is_none() {
            if let Some(error) = self.cell.broken() {
                return Err(error);
            }
            if self.engine.is_interrupted() {
                return Err(Error::Interrupted);
            }
            self.engine.inner.journal.write_soon(&self.cell);
            let due = self.cell.due(&action);
            tokio::select! {
                () = watch.changed() => {}
                () = self.until(due), if due.is_some() => {
                    // A tick that comes too late does nothing.
                    let _ = self.cell.command(&Command::Tick { action }, self.now(), Payloads::default());
                }
            }
        }
        self.safe().await
    }

    /// Ends an action and everything under it. False if it was at its end already, which it keeps. While nothing can be written it ends
    /// all the same, for it may be what has filled the disk; that it has is safe when there is room.
    ///
    /// # Errors
    /// [`Error::Rejected`] if there is no such action; [`Error::Store`] if it is not safe yet.
    pub async fn abort(&self, action: ActionName, by: &str, reason: &str) -> Result<bool, Error> {
        let command = Command::Abort { action, by: by.to_owned(), reason: reason.to_owned() };
        let ended = self.cell.command(&command, self.now(), Payloads::default())?;
        self.committed().await?;
        Ok(ended)
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
    pub async fn record_step(&self, action: ActionName, step: NewStep) -> Result<(), Error> {
        self.engine.inner.journal.check()?;
        let NewStep { spec, started, inputs, outcome, observed, definition } = step;
        let (outcome, outputs) = match outcome {
            Ok(outputs) => (StepOutcome::Succeeded, Some(outputs)),
            Err(failure) => (StepOutcome::Failed(failure), None),
        };
        let command = Command::RecordStep { action, spec: Arc::new(spec), started, outcome, observed };
        let payloads = Payloads { inputs: Some(inputs), outputs };
        let new = New { payloads, definitions: definition.into_iter().collect() };
        self.cell.command(&command, self.now(), new)?;
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

    /// The spans of its lifecycle as far as they are safe, whether or not it is traced: those that have ended, and those that have not
    /// as if they ended now. The same ids as the exported ones, in no particular order.
    ///
    /// # Errors
    /// If the journal cannot be written or read.
    pub async fn lifecycle(&self) -> Result<Vec<Span>, Error> {
        self.committed().await?;
        let (store, key) = (Arc::clone(self.engine.inner.journal.store()), self.key());
        let mut lifecycle = Lifecycle::new(self.id().clone(), self.settings().trace.clone());
        let read = tokio::task::spawn_blocking(move || {
            let stored = store.load(key)?;
            stored.iter().flat_map(|stored| &stored.events).for_each(|event| lifecycle.apply(event));
            Ok::<_, Error>(lifecycle)
        });
        let mut lifecycle = read.await.map_err(|_| Error::Interrupted)??;
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
        let (store, key) = (Arc::clone(self.engine.inner.journal.store()), self.key());
        let row = tokio::task::spawn_blocking(move || store.run(key)).await.map_err(|_| Error::Interrupted)??;
        Ok(row.and_then(|row| row.export))
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

    /// Waits until an attempt is over, and that is safe.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal failed for good, or the engine does not wait.
    pub async fn settled(&self, action: ActionName, attempt: AttemptNo) -> Result<(), Error> {
        let watch = self.cell.watch(action);
        while self.cell.is_under_way(&action, attempt) {
            if let Some(error) = self.cell.broken() {
                return Err(error);
            }
            watch.changed().await;
        }
        self.safe().await
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

/// Between two tries of what the store refuses.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

impl std::fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunHandle").field("id", self.cell.id()).finish_non_exhaustive()
    }
}
