//! A run: its actions and the commands it accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::action::{Action, State};
use crate::admission::Refusal;
use crate::event::{ActionKind, ActionSpec, Event, Fact, Lookup, Source, StepOutcome, Wait};
use crate::trace::TraceParent;
use crate::tracked::Report;
use crate::{ActionName, AttemptNo, Backoff, Failure, Timestamp};

mod decide;
mod next;
mod report;
#[cfg(test)]
mod tests;

pub use next::{DriverFacts, JournalFacts, Next, ProcessFacts};

/// Attempts that may be lost to the system in a row before the action fails (Flyte's backend: 3).
pub const SYSTEM_FAILURE_BUDGET: u32 = 3;

/// The pauses between attempts that are lost without blame, one after another: a machine that cannot start a process is asked
/// again, but not in a loop.
const UNBLAMED_PAUSE: Backoff =
    Backoff { base: Duration::from_millis(100), factor: 2.0, cap: Some(Duration::from_secs(10)) };

/// An action fails when more attempts than this were lost without blame in a row, over more than this time. Until then the trouble may pass by
/// itself.
const UNBLAMED_BUDGET: (u32, Duration) = (30, Duration::from_hours(1));

/// A wish. It may be refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Accept an action. Accepting a name again is harmless: the first one stays as it is.
    Enqueue {
        /// Its name.
        action: ActionName,
        /// What is fixed about it.
        spec: Arc<ActionSpec>,
    },
    /// Hand the next attempt to an executor.
    Launch {
        /// Of which action.
        action: ActionName,
    },
    /// The attempt gave a sign of life.
    ReportStarted {
        /// Of which action.
        action: ActionName,
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// The attempt delivered outputs.
    ReportSucceeded {
        /// Of which action.
        action: ActionName,
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// The attempt delivered an error.
    ReportFailed {
        /// Of which action.
        action: ActionName,
        /// Which attempt.
        attempt: AttemptNo,
        /// The error.
        failure: Failure,
    },
    /// The attempt's process went away without a word.
    ReportLost {
        /// Of which action.
        action: ActionName,
        /// Which attempt.
        attempt: AttemptNo,
        /// Why it is taken for lost.
        reason: String,
        /// False if the attempt is known not to be at fault: it never began, or the machine failed it.
        blamed: bool,
    },
    /// The executor gives the attempt back; it costs nothing.
    Release {
        /// Of which action.
        action: ActionName,
        /// Which attempt.
        attempt: AttemptNo,
    },
    /// Nobody can run it yet: it waits for a slot of the engine or for its cache key.
    Hold {
        /// Which action.
        action: ActionName,
        /// What it waits for, if that is a pool.
        wait: Option<Wait>,
    },
    /// End the action with outputs that were there already.
    Reuse {
        /// Which action.
        action: ActionName,
        /// Where they come from.
        source: Source,
        /// The question to the cache that was answered with them.
        lookup: Option<Lookup>,
    },
    /// The cache was asked in vain.
    Miss {
        /// For which action.
        action: ActionName,
        /// The question.
        lookup: Lookup,
    },
    /// Give a condition its value.
    Signal {
        /// Which condition.
        action: ActionName,
        /// Who gives it.
        by: String,
        /// Their span, if there is one.
        from: Option<TraceParent>,
    },
    /// Look at the clocks: whatever is due happens now.
    Tick {
        /// Of which action.
        action: ActionName,
        /// What the clock of the machine says, which somebody may set: the moments of timers are its.
        clock: Timestamp,
    },
    /// End the action and everything under it.
    Abort {
        /// Which action; the root ends the run.
        action: ActionName,
        /// Who asks.
        by: String,
        /// Why.
        reason: String,
    },
    /// Record a completed step.
    RecordStep {
        /// The step's name.
        action: ActionName,
        /// Its spec; the parent is the task action it ran in.
        spec: Arc<ActionSpec>,
        /// When its body began.
        started: Timestamp,
        /// How it ended.
        outcome: StepOutcome,
        /// The program has made a span of it by itself.
        observed: bool,
    },
    /// The program of a tracked run says how an action stands. What says nothing new changes nothing.
    Report {
        /// Its name.
        action: ActionName,
        /// What is fixed about it; needed by the first report about it.
        spec: Option<Arc<ActionSpec>>,
        /// What is said.
        report: Report,
    },
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The action is not part of the run.
    #[error("action `{0}` is not known to the run")]
    NotFound(ActionName),
    /// The root is at its end: nothing new is accepted.
    #[error("the run has ended, `{0}` is not accepted")]
    RunEnded(ActionName),
    /// The parent is at its end: it can ask for nothing more.
    #[error("the parent `{parent}` has ended, `{action}` is not accepted")]
    ParentEnded {
        /// The parent.
        parent: ActionName,
        /// The action that was to be accepted.
        action: ActionName,
    },
    /// A late report of an attempt that is not the one under way.
    #[error("attempt {attempt} of `{action}` is not under way")]
    Stale {
        /// The action.
        action: ActionName,
        /// The attempt the report was about.
        attempt: AttemptNo,
    },
    /// The action is not in a state for this command.
    #[error("cannot {command} `{action}`: it is {phase}")]
    WrongState {
        /// What was asked, as a verb.
        command: &'static str,
        /// The action.
        action: ActionName,
        /// Where it is.
        phase: crate::Phase,
    },
    /// What a tracked run does is reported, not asked for.
    #[error(
        "`{0}` is part of a tracked run: its own program runs it and reports it, and only the run as a whole can be aborted here"
    )]
    Tracked(ActionName),
    /// Reports are about tracked runs.
    #[error("the run is not tracked: nobody reports `{0}` to it")]
    NotTracked(ActionName),
    /// A report that takes an attempt back to where it was, although it is the newest one.
    #[error("attempt {attempt} of `{action}` cannot be {phase} any more")]
    GoesBack {
        /// The action.
        action: ActionName,
        /// The attempt that the report is about.
        attempt: AttemptNo,
        /// What is reported.
        phase: crate::Phase,
    },
    /// The first report about an action says what it is.
    #[error("`{0}` is new to the run, and its report names neither a task nor a trace")]
    Unintroduced(ActionName),
    /// The limit of running actions is reached.
    #[error("`{0}` waits for a slot")]
    NoSlot(ActionName),
    /// The pools of the engine do not take the action.
    #[error("`{action}` is not accepted: {refusal}")]
    Refused {
        /// The action.
        action: ActionName,
        /// Why.
        #[source]
        refusal: Box<Refusal>,
    },
}

/// Limits of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunLimits {
    /// How many actions may run at one time; those that only wait for others are not counted. `None` = no limit.
    pub max_action_concurrency: Option<u32>,
}

/// A run: the fold of its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    limits: RunLimits,
    actions: FxHashMap<ActionName, Action>,
    /// Queued actions, the one that is next first. Kept only where there is a limit.
    queue: BTreeMap<u64, ActionName>,
    next_in_queue: u64,
    occupied: u32,
    /// Who has these slots. Kept only where there is a limit.
    holders: BTreeSet<ActionName>,
}

impl Run {
    /// A run with no actions yet.
    pub fn new(limits: RunLimits) -> Run {
        Run { limits, ..Run::default() }
    }

    /// The action with this name.
    pub fn action(&self, name: &ActionName) -> Option<&Action> {
        self.actions.get(name)
    }

    /// The root action, once it was accepted.
    pub fn root(&self) -> Option<&Action> {
        self.action(&ActionName::ROOT)
    }

    /// All actions, in no order.
    pub fn actions(&self) -> impl Iterator<Item = (&ActionName, &Action)> {
        self.actions.iter()
    }

    /// True once the root is at its end.
    pub fn is_finished(&self) -> bool {
        self.root().is_some_and(Action::is_finished)
    }

    /// Slots taken by running actions.
    pub fn occupied(&self) -> u32 {
        self.occupied
    }

    /// True if the run has a limit of running actions.
    pub fn is_limited(&self) -> bool {
        self.limits.max_action_concurrency.is_some()
    }

    /// True if another action may run now.
    pub fn has_free_slot(&self) -> bool {
        self.limits.max_action_concurrency.is_none_or(|limit| self.occupied < limit)
    }

    /// For whoever takes up a stored run: what began later than now, because the clock was set back since, begins now. `clock` is what the
    /// machine's clock says, by which timers have their moments.
    pub fn count_timers_from(&mut self, now: Timestamp, clock: Timestamp) {
        self.actions.values_mut().for_each(|action| action.count_from(now, clock));
    }

    /// Applies a fact. Total: cannot fail, cannot refuse.
    pub fn apply(&mut self, event: &Event) {
        let name = event.action;
        let before = self.actions.get(&name).map(|action| (action.is_finished(), action.occupies_slot()));
        match &event.fact {
            Fact::Enqueued { spec } | Fact::StepRecorded { spec, .. } if before.is_none() => {
                self.insert(name, spec, event.at);
            }
            _ => {}
        }
        let mut heard = None;
        let Some(action) = self.actions.get_mut(&name) else { return };
        action.apply(&event.fact, event.at);
        if let Fact::Reported { report } = &event.fact {
            heard = Some(report.received_at);
        }
        let (was_finished, was_occupying) = before.unwrap_or((false, false));
        let (finished, occupying) = (action.is_finished(), action.occupies_slot());
        let parent = action.spec.parent;
        let is_step = action.spec.kind == ActionKind::Step;
        self.count_slot(name, was_occupying, occupying);
        if let Some(parent) = parent {
            match (before.is_none() && !is_step, !was_finished && finished) {
                (true, _) => self.change_live_children(&parent, 1),
                (false, true) if is_step => self.note_progress(&parent),
                (false, true) => self.change_live_children(&parent, -1),
                (false, false) => {}
            }
        }
        self.keep_queue(name);
        if let (Some(heard), Some(root)) = (heard, self.actions.get_mut(&ActionName::ROOT)) {
            root.heard_at = root.heard_at.max(Some(heard));
        }
    }

    /// An attempt begins to wait for something outside of the run, or has waited: meanwhile it takes up no slot. This is no fact of the run: after a
    /// restart, whoever still waits says so again.
    pub fn wait_outside(&mut self, name: &ActionName, attempt: AttemptNo, begins: bool) {
        let Some(action) = self.actions.get_mut(name).filter(|action| action.attempt() == Some(attempt)) else {
            return;
        };
        let before = action.occupies_slot();
        action.outside = action.outside.saturating_add_signed(if begins { 1 } else { -1 });
        let after = action.occupies_slot();
        self.count_slot(*name, before, after);
    }

    fn insert(&mut self, name: ActionName, spec: &Arc<ActionSpec>, at: Timestamp) {
        self.actions.insert(name, Action::new(spec, at));
        if let Some(parent) = spec.parent.and_then(|parent| self.actions.get_mut(&parent)) {
            parent.children.push(name);
        }
    }

    fn count_slot(&mut self, name: ActionName, before: bool, after: bool) {
        self.occupied = self.occupied + u32::from(after) - u32::from(before);
        if before != after && self.is_limited() {
            if after {
                self.holders.insert(name)
            } else {
                self.holders.remove(&name)
            };
        }
    }

    /// A child began or ended; its end is progress of the parent.
    fn change_live_children(&mut self, parent: &ActionName, by: i32) {
        let Some(action) = self.actions.get_mut(parent) else { return };
        let before = action.occupies_slot();
        action.live_children = action.live_children.saturating_add_signed(by);
        if by < 0 {
            action.note_progress();
        }
        let after = action.occupies_slot();
        self.count_slot(*parent, before, after);
    }

    fn note_progress(&mut self, parent: &ActionName) {
        if let Some(action) = self.actions.get_mut(parent) {
            action.note_progress();
        }
    }

    /// Keeps the line in order: an action enters when it is queued and leaves when it is not.
    fn keep_queue(&mut self, name: ActionName) {
        if !self.is_limited() {
            return;
        }
        let Some(action) = self.actions.get_mut(&name) else { return };
        match (matches!(action.state, State::Queued { .. }), action.queue_number) {
            (true, None) => {
                action.queue_number = Some(self.next_in_queue);
                self.queue.insert(self.next_in_queue, name);
                self.next_in_queue += 1;
            }
            (false, Some(number)) => {
                action.queue_number = None;
                self.queue.remove(&number);
            }
            _ => {}
        }
    }
}
