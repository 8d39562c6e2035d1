//! A run of this process, as executors and clients hold it.

use std::collections::BTreeMap;
use std::sync::Arc;

use spanwise_core::lifecycle::Lifecycle;
use spanwise_core::trace::TraceParent;
use spanwise_core::{Action, ActionName, ActionSpec, ActionView, AttemptNo, RunId, Timestamp};
use spanwise_store::RunKey;
use tokio::sync::watch;

use crate::cell::{ActionFeed, ChildFeed, RunCell, Watch};
use crate::engine::Engine;
use crate::scope::AttemptScope;
use crate::settings::RunSettings;

mod commands;
mod stored;
mod wait;

pub use commands::{NewAction, NewReport, NewStep};
pub use stored::StepRecord;
pub use wait::Outcome;

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

    /// The time that the run is for: that of its slot if a schedule has fired it, else when it was accepted.
    pub fn start_time(&self) -> Timestamp {
        self.given_start_time().unwrap_or_else(|| self.accepted_at())
    }

    /// The time that the run is for, if that is not when it was accepted.
    pub fn given_start_time(&self) -> Option<Timestamp> {
        let settings = self.settings();
        settings.start_time.or(settings.firing.as_ref().and_then(|firing| firing.scheduled_at))
    }

    /// What the run was started with.
    pub fn settings(&self) -> &RunSettings {
        self.cell.settings()
    }

    /// True if the spans of its lifecycle are exported; then the context of each enqueued action carries a span ([`ActionSpec::traceparent`]).
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

    /// What the machine's clock says: timers are for moments of this one.
    pub fn machine_time(&self) -> Timestamp {
        self.engine.machine_time()
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

    /// Every action that is not at its end and needs a driver: what a restart has to drive.
    pub fn unfinished(&self) -> Vec<ActionName> {
        self.cell.unfinished()
    }

    /// Tells of changes of the children of an action, from now on.
    pub fn feed(&self, parent: ActionName) -> ChildFeed {
        self.cell.feed(parent)
    }

    /// Tells of changes of any action, from now on.
    pub fn feed_of_all(&self) -> ActionFeed {
        self.cell.feed_of_all()
    }

    /// One action as lists show it.
    pub fn view(&self, action: &ActionName) -> Option<ActionView> {
        self.cell.row(action)
    }

    /// How many children of an action are in which phase.
    pub fn phases_of_children(&self, parent: &ActionName) -> BTreeMap<i32, i32> {
        let mut counts = BTreeMap::new();
        for phase in self.cell.phases_of_children(parent) {
            *counts.entry(phase.number()).or_default() += 1;
        }
        counts
    }

    /// Tells of changes of one action, from now on.
    pub fn watch(&self, action: ActionName) -> Watch {
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
}

impl std::fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunHandle").field("id", self.cell.id()).finish_non_exhaustive()
    }
}
