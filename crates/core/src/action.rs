//! One action: its states, what a fact makes of them, and when its next timer is due.

use std::sync::Arc;

use crate::event::{ActionKind, ActionSpec, Fact, Source, StepOutcome, Wake};
use crate::policy::limit;
use crate::tracked::{NEXT_ATTEMPT_WITHIN, Report, Reported, TAKEN_UP_WITHIN, Tracked};
use crate::{ActionName, AttemptNo, Failure, Phase, Times, Timestamp};

/// Where an action is.
///
/// ```text
/// Queued --Launched--> Launched --Started--> Running --Succeeded/Failed/TimedOut/Aborted--> Finished
///   ^                      |                    |
///   |<--Requeued-- (AttemptFailed, AttemptTimedOut, AttemptLost, AttemptReleased, BackedOff..Requeued)
///
/// Paused (a condition) --Signalled--> Finished        Asleep (a timer) --Elapsed--> Finished
/// ```
///
/// In a tracked run any of them may be in doubt for a while: [`State::InDoubt`].
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Waits for an executor. Caused by [`Fact::Enqueued`], [`Fact::Requeued`] or [`Fact::AttemptReleased`].
    Queued {
        /// Since when; `max_queued_time` counts from here.
        since: Timestamp,
        /// True if it waits for a slot ([`Fact::WaitsForSlot`]).
        waits_for_slot: bool,
    },
    /// An executor has taken the attempt ([`Fact::Launched`]).
    Launched {
        /// The attempt.
        attempt: AttemptNo,
    },
    /// The attempt runs ([`Fact::Started`]).
    Running {
        /// The attempt.
        attempt: AttemptNo,
        /// Since when; `max_runtime` counts from here.
        since: Timestamp,
    },
    /// Between an attempt's end and the fact that says what follows from it. Never seen between two commands.
    Judged,
    /// Waits out the pause before the next attempt ([`Fact::BackedOff`]).
    Backoff {
        /// When the pause ends.
        until: Timestamp,
    },
    /// A condition waits for its signal.
    Paused,
    /// Shown as failed, until the program of its tracked run says something else ([`Fact::InDoubt`]).
    InDoubt {
        /// What it is shown with.
        failure: Box<Failure>,
        /// Since when.
        since: Timestamp,
        /// When that becomes final; none for what becomes final with its root.
        until: Option<Timestamp>,
        /// Where it was before: [`State::Judged`] if its attempt has failed, else where it is again when the program is heard.
        before: Box<State>,
    },
    /// A timer waits for its moment.
    Asleep {
        /// The moment, by the machine's clock.
        until: Timestamp,
        /// When it has waited for its length, by the clock of the engine; none if the moment itself was given.
        over: Option<Timestamp>,
    },
    /// At its end, for good.
    Finished(End),
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With outputs, stored beside the event.
    Succeeded {
        /// The attempt that delivered them; 0 for a step.
        attempt: AttemptNo,
    },
    /// With outputs that were there already ([`Fact::Reused`]).
    Reused(Source),
    /// With the value of a signal ([`Fact::Signalled`]).
    Signalled {
        /// Who gave it.
        by: String,
    },
    /// At the moment of a timer ([`Fact::Elapsed`]).
    Elapsed,
    /// With an error.
    Failed(Box<Failure>),
    /// By one of its timeouts.
    TimedOut(Box<Failure>),
    /// On request.
    Aborted {
        /// Who asked.
        by: String,
        /// Why.
        reason: String,
    },
}

/// An action: what is fixed about it, its counters and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// What was fixed when it was accepted.
    pub spec: Arc<ActionSpec>,
    /// When it was accepted; `deadline` counts from here. For a step, when its body began.
    pub enqueued_at: Timestamp,
    /// When its last fact happened.
    pub updated_at: Timestamp,
    /// When its first attempt started to run; of a timer, when it was accepted.
    pub started_at: Option<Timestamp>,
    /// Attempts launched so far.
    pub attempts: u32,
    /// Attempts that cost a retry: user failures and expired limits.
    pub failures: u32,
    /// Attempts lost to the system in a row, with no progress in between.
    pub system_failures: u32,
    /// Attempts lost without blame in a row, with no progress in between.
    pub unblamed_losses: u32,
    /// When the first of these was.
    pub unblamed_since: Option<Timestamp>,
    /// The last attempt that was longer in RUNNING than it may.
    pub timed_out: Option<AttemptNo>,
    /// Where it is.
    pub state: State,
    /// Children that are not at their end.
    pub(crate) live_children: u32,
    /// How many things outside of the run the attempt under way waits for. In this process only: no fact records it.
    pub(crate) outside: u32,
    /// When its deadline began to count: when it was accepted, unless the clock was set back since.
    pub(crate) counted_from: Timestamp,
    /// Its number in the queue of a run with a limit of running actions.
    pub(crate) queue_number: Option<u64>,
    /// The names of all its children.
    pub(crate) children: Vec<ActionName>,
    /// The last report about it, in a tracked run.
    pub(crate) reported: Option<Box<Reported>>,
    /// Of the root of a tracked run: when its program was heard last.
    pub(crate) heard_at: Option<Timestamp>,
}

impl Action {
    /// The action as its first fact leaves it.
    pub(crate) fn new(spec: &Arc<ActionSpec>, at: Timestamp) -> Action {
        Action {
            spec: Arc::clone(spec),
            enqueued_at: at,
            updated_at: at,
            started_at: None,
            attempts: 0,
            failures: 0,
            system_failures: 0,
            unblamed_losses: 0,
            unblamed_since: None,
            timed_out: None,
            state: State::Queued { since: at, waits_for_slot: false },
            live_children: 0,
            outside: 0,
            counted_from: at,
            queue_number: None,
            children: Vec::new(),
            reported: None,
            heard_at: spec.tracked.is_some().then_some(at),
        }
    }

    /// The phase to show.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Queued { waits_for_slot: true, .. } => Phase::WaitingForResources,
            State::Queued { .. } | State::Backoff { .. } | State::Judged => Phase::Queued,
            State::Launched { .. } => Phase::Initializing,
            State::Running { .. } | State::Asleep { .. } => Phase::Running,
            State::Paused => Phase::Paused,
            State::InDoubt { .. } => Phase::Failed,
            State::Finished(End::Succeeded { .. } | End::Signalled { .. } | End::Elapsed) => Phase::Succeeded,
            State::Finished(End::Reused(Source::Cache { .. })) => Phase::Succeeded,
            State::Finished(End::Reused(Source::Recovery { .. })) => Phase::Recovered,
            State::Finished(End::Failed(_)) => Phase::Failed,
            State::Finished(End::TimedOut(_)) => Phase::TimedOut,
            State::Finished(End::Aborted { .. }) => Phase::Aborted,
        }
    }

    /// When it was created, started and ended.
    pub fn times(&self) -> Times {
        let ended = match &self.state {
            State::InDoubt { since, .. } => Some(*since),
            _ => self.is_finished().then_some(self.updated_at),
        };
        Times { created: self.enqueued_at, started: self.started_at, ended }
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<&End> {
        match &self.state {
            State::Finished(end) => Some(end),
            _ => None,
        }
    }

    /// What it has failed by, also if that may still be taken back.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.state {
            State::Finished(End::Failed(failure) | End::TimedOut(failure)) | State::InDoubt { failure, .. } => {
                Some(failure)
            }
            _ => None,
        }
    }

    /// True if it is shown as failed and may go on all the same, because the program of its tracked run may report again.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.state, State::InDoubt { .. })
    }

    /// The last report about it, in a tracked run.
    pub fn reported(&self) -> Option<&Reported> {
        self.reported.as_deref()
    }

    /// Of the root of a tracked run: when its program was heard last, by the clock of whoever heard it.
    pub fn heard_at(&self) -> Option<Timestamp> {
        self.heard_at
    }

    /// True if a report says more than the last one did.
    pub(crate) fn is_news(&self, report: &Report) -> bool {
        let last = self.reported.as_ref().map(|last| (last.attempt, last.version));
        last.is_none_or(|last| (report.attempt, report.version) > last)
    }

    /// True once its program has said how it stands.
    pub fn was_reported(&self) -> bool {
        self.reported.is_some()
    }

    /// True once nothing can change any more (a step that failed recoverably may still be recorded over).
    pub fn is_finished(&self) -> bool {
        self.end().is_some()
    }

    /// The attempt under way, if there is one.
    pub fn attempt(&self) -> Option<AttemptNo> {
        match self.state.before_doubt() {
            State::Launched { attempt } | State::Running { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }

    /// The number of the attempt that is launched next.
    pub(crate) fn next_attempt(&self) -> AttemptNo {
        AttemptNo(self.attempts + 1)
    }

    /// Children that are not at their end.
    pub fn live_children(&self) -> u32 {
        self.live_children
    }

    /// The names of all its children, in the order in which they were accepted.
    pub fn children(&self) -> &[ActionName] {
        &self.children
    }

    /// True while it takes up a slot: an attempt is under way and does more than wait, for children or for something outside
    /// of its run (semantics S4).
    pub fn occupies_slot(&self) -> bool {
        self.attempt().is_some() && self.spec.tracked.is_none() && self.live_children == 0 && self.outside == 0
    }

    /// When the next of its time limits is over; of a timer also when it has waited for its length.
    pub fn due(&self) -> Option<Timestamp> {
        if let Some(tracked) = &self.spec.tracked {
            return self.due_of_tracked(tracked);
        }
        let timeouts = &self.spec.timeouts;
        let own = match self.state {
            State::Queued { since, .. } => limit(timeouts.max_queued_time).map(|limit| since.after(limit)),
            State::Running { since, .. } => limit(timeouts.max_runtime).map(|limit| since.after(limit)),
            State::Backoff { until } => Some(until),
            State::Asleep { over, .. } => [over, self.runtime_over()].into_iter().flatten().min(),
            State::Launched { .. } | State::Judged | State::Paused | State::InDoubt { .. } => None,
            State::Finished(_) => return None,
        };
        [own, self.deadline()].into_iter().flatten().min()
    }

    /// When its doubt is over, or its program is taken for lost.
    fn due_of_tracked(&self, tracked: &Tracked) -> Option<Timestamp> {
        match &self.state {
            State::Finished(_) => None,
            State::InDoubt { until, .. } => *until,
            _ => Some(self.heard_at?.after(tracked.silence()?)),
        }
    }

    /// When `max_runtime` of a timer is over, which runs from the beginning.
    pub(crate) fn runtime_over(&self) -> Option<Timestamp> {
        limit(self.spec.timeouts.max_runtime).map(|limit| self.counted_from.after(limit))
    }

    /// When `deadline` is over.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        limit(self.spec.timeouts.deadline).map(|limit| self.counted_from.after(limit))
    }

    /// Starts what began in the future now, because the clock was set back since: nothing lasts longer than its length.
    pub(crate) fn count_from(&mut self, now: Timestamp, clock: Timestamp) {
        self.counted_from = self.counted_from.min(now);
        self.unblamed_since = self.unblamed_since.map(|since| since.min(now));
        // Nobody could hear the program of a tracked run meanwhile.
        self.heard_at = self.heard_at.map(|_| now);
        match &mut self.state {
            State::InDoubt { until: Some(until), .. } => {
                *until = (*until).clamp(now.after(NEXT_ATTEMPT_WITHIN), now.after(TAKEN_UP_WITHIN));
            }
            State::Queued { since, .. } | State::Running { since, .. } => *since = (*since).min(now),
            State::Backoff { until } if self.updated_at > now => *until = now.after(until.since(self.updated_at)),
            State::Asleep { until, over: over @ Some(_) } => {
                // The two clocks agree on nothing but lengths.
                let length = self.spec.wake.and_then(|wake| Some(wake.until.since(wake.since?))).unwrap_or_default();
                let left = until.since(clock).min(length);
                *until = (*until).min(clock.after(left));
                *over = Some(now.after(left));
            }
            _ => {}
        }
    }

    /// Ends a row of losses: the action has made progress.
    pub(crate) fn note_progress(&mut self) {
        self.system_failures = 0;
        self.unblamed_losses = 0;
        self.unblamed_since = None;
    }

    /// Applies a fact about this action. Total: a fact that fits no state changes the counters only.
    pub(crate) fn apply(&mut self, fact: &Fact, at: Timestamp) {
        self.updated_at = at;
        if let Fact::AttemptTimedOut { attempt } = fact {
            self.timed_out = Some(*attempt);
        }
        match fact {
            Fact::Launched { attempt } => {
                self.attempts = self.attempts.max(attempt.0);
                self.outside = 0;
            }
            Fact::Enqueued { spec } if spec.kind == ActionKind::Timer => self.started_at = Some(at),
            Fact::Started { .. } => self.started_at = self.started_at.or(Some(at)),
            Fact::AttemptFailed { failure, .. } if failure.kind == crate::FailureKind::System => {
                self.system_failures += 1;
            }
            Fact::AttemptFailed { .. } | Fact::AttemptTimedOut { .. } | Fact::QueueTimedOut => {
                self.failures += 1;
                self.note_progress();
            }
            Fact::AttemptLost { blamed: true, .. } => self.system_failures += 1,
            Fact::AttemptLost { blamed: false, .. } => {
                self.unblamed_losses = self.unblamed_losses.saturating_add(1);
                self.unblamed_since = self.unblamed_since.or(Some(at));
            }
            Fact::StepRecorded { spec, started, .. } => {
                self.spec = spec.clone();
                self.enqueued_at = *started;
                self.started_at = Some(*started);
            }
            Fact::Reported { report } => self.reported = Some(Box::new(report.clone())),
            _ => {}
        }
        let state = std::mem::replace(&mut self.state, State::Judged);
        self.state = state.apply(fact, at);
    }
}

impl State {
    /// The state that a doubt is about; without one the state itself.
    pub(crate) fn before_doubt(&self) -> &State {
        match self {
            State::InDoubt { before, .. } => before,
            other => other,
        }
    }

    /// The state after a fact. Total: cannot fail.
    fn apply(self, fact: &Fact, at: Timestamp) -> State {
        match fact {
            Fact::Enqueued { spec } if spec.kind == ActionKind::Condition => State::Paused,
            Fact::Enqueued { spec } if spec.kind == ActionKind::Timer => {
                let Wake { until, since } = spec.wake.unwrap_or(Wake::at(at));
                State::Asleep { until, over: since.map(|since| at.after(until.since(since))) }
            }
            Fact::Enqueued { .. } | Fact::Requeued | Fact::AttemptReleased { .. } => {
                State::Queued { since: at, waits_for_slot: false }
            }
            Fact::WaitsForSlot { .. } => match self {
                State::Queued { since, .. } => State::Queued { since, waits_for_slot: true },
                other => other,
            },
            Fact::Launched { attempt } => State::Launched { attempt: *attempt },
            Fact::Started { attempt } => State::Running { attempt: *attempt, since: at },
            Fact::AttemptFailed { .. }
            | Fact::AttemptTimedOut { .. }
            | Fact::QueueTimedOut
            | Fact::AttemptLost { .. } => State::Judged,
            Fact::BackedOff { until } => State::Backoff { until: *until },
            Fact::LookedUp { .. } | Fact::Reported { .. } => self,
            Fact::InDoubt { failure, until } => State::InDoubt {
                failure: Box::new(failure.clone()),
                since: at,
                until: *until,
                before: Box::new(match self {
                    State::InDoubt { before, .. } => *before,
                    before => before,
                }),
            },
            Fact::HeardAgain => match self {
                State::InDoubt { before, .. } if *before != State::Judged => *before,
                other => other,
            },
            Fact::Reused { source } => State::Finished(End::Reused(source.clone())),
            Fact::Signalled { by, .. } => State::Finished(End::Signalled { by: by.clone() }),
            Fact::Elapsed => State::Finished(End::Elapsed),
            Fact::Succeeded { attempt } => State::Finished(End::Succeeded { attempt: *attempt }),
            Fact::Failed { failure } => State::Finished(End::Failed(Box::new(failure.clone()))),
            Fact::TimedOut { failure } => State::Finished(End::TimedOut(Box::new(failure.clone()))),
            Fact::Aborted { by, reason } => State::Finished(End::Aborted { by: by.clone(), reason: reason.clone() }),
            Fact::StepRecorded { outcome, .. } => State::Finished(match outcome {
                StepOutcome::Succeeded => End::Succeeded { attempt: AttemptNo(0) },
                StepOutcome::Failed(failure) => End::Failed(Box::new(failure.clone())),
            }),
        }
    }
}
