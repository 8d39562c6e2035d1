//! The facts of a run, as they stand in the journal.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::admission::Needs;
use crate::trace::TraceParent;
use crate::tracked::{Reported, Tracked};
use crate::{ActionName, AttemptNo, Failure, RetryPolicy, RunId, RunName, Scope, TaskName, Timeouts, Timestamp};

/// Something that happened to an action. Stored, never edited; a later version may only add optional fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The action it happened to.
    pub action: ActionName,
    /// When.
    pub at: Timestamp,
    /// What.
    pub fact: Fact,
}

/// What happened. The tag and the fields are the stored form (JSON), version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fact {
    /// The action was accepted.
    Enqueued {
        /// Everything that is fixed about it.
        spec: Arc<ActionSpec>,
    },
    /// No slot was free, or too little of what the action needs: it waits.
    #[serde(rename = "held")]
    WaitsForSlot {
        /// What it waits for, if that is a pool.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait: Option<Wait>,
    },
    /// An attempt was handed to an executor.
    Launched {
        /// Its number.
        attempt: AttemptNo,
    },
    /// The attempt gave its first sign of life.
    Started {
        /// Its number.
        attempt: AttemptNo,
    },
    /// The attempt delivered outputs; the action is at its end.
    Succeeded {
        /// Its number.
        attempt: AttemptNo,
    },
    /// The cache was asked and answered.
    LookedUp {
        /// The question, with what was learned when it was answered.
        lookup: Lookup,
        /// True if the cache had outputs that may be used.
        hit: bool,
    },
    /// The outputs were there already; the action is at its end without an attempt of its own.
    Reused {
        /// Where they come from.
        source: Source,
    },
    /// The moment of a timer has come; it is at its end.
    Elapsed,
    /// A condition got its value, which is stored beside the event; it is at its end.
    Signalled {
        /// Who gave it.
        by: String,
        /// The span of whoever gave it, if it came with one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<TraceParent>,
    },
    /// The attempt delivered an error.
    AttemptFailed {
        /// Its number.
        attempt: AttemptNo,
        /// The error.
        failure: Failure,
    },
    /// The attempt was longer in RUNNING than `max_runtime` allows.
    AttemptTimedOut {
        /// Its number.
        attempt: AttemptNo,
    },
    /// No attempt began within `max_queued_time`.
    QueueTimedOut,
    /// The attempt's process went away without a word.
    AttemptLost {
        /// Its number.
        attempt: AttemptNo,
        /// Why it is taken for lost.
        reason: String,
        /// False if the loss is not the attempt's own: it never began, or it only waited for its children.
        blamed: bool,
    },
    /// The executor gave the attempt back (shutdown, end of its parent's attempt): no retry is spent.
    AttemptReleased {
        /// Its number.
        attempt: AttemptNo,
    },
    /// The pause before the next attempt began.
    BackedOff {
        /// When it ends.
        until: Timestamp,
    },
    /// The action waits for its next attempt.
    Requeued,
    /// The action is at its end with an error.
    Failed {
        /// The error of its last attempt.
        failure: Failure,
    },
    /// The action is at its end because of a timeout.
    TimedOut {
        /// Which one, by its code.
        failure: Failure,
    },
    /// The action is at its end on request.
    Aborted {
        /// Who asked.
        by: String,
        /// Why.
        reason: String,
    },
    /// A step was completed and recorded; it is at its end.
    StepRecorded {
        /// What is fixed about the step.
        spec: Arc<ActionSpec>,
        /// When its body began.
        started: Timestamp,
        /// When its body ended.
        ended: Timestamp,
        /// How its body ended.
        outcome: StepOutcome,
        /// The program has made a span of it by itself.
        #[serde(default, skip_serializing_if = "is_default")]
        observed: bool,
    },
    /// The program of a tracked run has said how the action stands; what follows from it stands in the facts beside this one.
    Reported {
        /// What is recorded of the report.
        report: Reported,
    },
    /// An action of a tracked run is shown as failed until its program says something else: its attempt has failed and another one may follow,
    /// or nothing was heard of the program for too long.
    InDoubt {
        /// What it is shown with.
        failure: Failure,
        /// When that becomes final; none for what becomes final with its root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The program of a tracked run has reported again: the action is where it was before it was silent.
    HeardAgain,
}

/// What an action waits for: a pool that has too little left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The pool, with what was taken of it and what there is: `gpu 2 of 2`.
    pub pool: String,
    /// The spans of attempts that had it, as far as they are exported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<TraceParent>,
    /// Actions of the same run that had it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionName>,
}

/// A question to the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// When the cache was asked.
    #[serde(rename = "asked")]
    pub asked_at: Timestamp,
    /// The span of the action that computed the key while this one waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_for: Option<TraceParent>,
    /// The span of the attempt that made the outputs, if it was traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<TraceParent>,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// With outputs, which are stored beside the event.
    Succeeded,
    /// With an error.
    Failed(Failure),
}

impl StepOutcome {
    /// The same outcome in a form that can be stored, see [`Failure::shortened`].
    pub(crate) fn shortened(self) -> StepOutcome {
        match self {
            StepOutcome::Failed(failure) => StepOutcome::Failed(failure.shortened()),
            StepOutcome::Succeeded => self,
        }
    }
}

/// What an action runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// A task: it has attempts.
    Task,
    /// A step inside a task (`flyte.trace`): recorded once it is done.
    Step,
    /// A wait for a value from outside (Flyte's conditions): it has no attempts.
    Condition,
    /// A wait for a moment (Flyte's `core-sleep`): it has no attempts.
    Timer,
}

/// When a timer ends: fixed when it is accepted (semantics S17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wake {
    /// The moment, by the machine's clock.
    pub until: Timestamp,
    /// When the wait began, by the same clock, if a length of time is waited: however the clock is set, it lasts no longer than that. None if the
    /// moment itself was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Wake {
    /// The last moment that can be waited for, at the end of the year 9999: whoever shows it has no words for a later one.
    pub const LAST: Timestamp = Timestamp(253_402_128_000_000_000);

    /// After this length of time, which begins now by the machine's clock.
    pub fn after(length: Duration, clock: Timestamp) -> Wake {
        Wake { until: clock.after(length).min(Wake::LAST), since: Some(clock) }
    }

    /// At this moment.
    pub fn at(moment: Timestamp) -> Wake {
        Wake { until: moment.min(Wake::LAST), since: None }
    }
}

/// Where outputs come from that no attempt of the action made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// From the cache, under the action's key.
    Cache {
        /// The run that computed them.
        run: String,
        /// Where that run belongs, if it is not where the run belongs that reuses them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<Box<Scope>>,
        /// The action that computed them.
        action: ActionName,
        /// Its attempt that computed them.
        attempt: AttemptNo,
    },
    /// From the run that this one recovers, where the same action has succeeded.
    Recovery {
        /// The run that is recovered.
        run: String,
        /// The attempt that computed them.
        attempt: AttemptNo,
    },
}

impl Source {
    /// The run that the outputs come from, as the run that reuses them reads it; none if its name can be none of a run.
    pub fn run_id(&self, reader: &RunId) -> Option<RunId> {
        let (run, scope) = match self {
            Source::Cache { run, scope, .. } => (run, scope.as_deref().cloned()),
            Source::Recovery { run, .. } => (run, None),
        };
        let name = RunName::new(run).ok()?;
        Some(scope.unwrap_or_else(|| reader.scope()).run(name))
    }
}

/// How an action uses the cache (semantics S5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CachePolicy {
    /// Under which key, scope included.
    pub key: String,
    /// Recompute and replace: no lookup.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overwrite: bool,
    /// Only one action computes this key at a time; others wait for its result, except its own descendants. Two keys that depend on each other must
    /// not both set this: their actions would wait for each other for ever.
    #[serde(default, skip_serializing_if = "is_default")]
    pub serialize: bool,
    /// Outputs older than this, in seconds, are not used; none: outputs of any age are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
}

impl CachePolicy {
    /// The key of a result as it holds in a scope, or in all projects and domains of its organisation.
    pub fn scoped(key: &str, scope: &Scope, any_project: bool) -> String {
        let Scope { org, project, domain } = scope;
        if any_project { format!("{org}//{key}") } else { format!("{org}/{project}/{domain}/{key}") }
    }

    /// True if outputs that were stored at `stored_at` are too old to be used.
    pub fn is_too_old(&self, stored_at: Timestamp, now: Timestamp) -> bool {
        self.max_age_seconds.is_some_and(|limit| now.since(stored_at).as_secs() >= limit)
    }
}

/// Everything that is fixed about an action when it is accepted. Inputs and context are stored beside it, never in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSpec {
    /// The task action that asked for it; none for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ActionName>,
    /// What it runs, or waits for.
    pub kind: ActionKind,
    /// The task's full name, or the name of the step or the condition.
    pub task: TaskName,
    /// The group it is shown in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How often it is tried again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: RetryPolicy,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: Timeouts,
    /// The cache it uses, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CachePolicy>,
    /// The digest of its definition, which is stored once for all actions that share it; none if the program has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Arc<str>>,
    /// When it ends, if it is a timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<Wake>,
    /// The span in its custom context, if the run's lifecycle is traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
    /// The queue that it is in; none: the one of those who name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Arc<str>>,
    /// What its attempts need beside a slot.
    #[serde(default, skip_serializing_if = "is_default")]
    pub needs: Needs,
    /// Its program runs elsewhere and reports how it stands: nothing of it is launched here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracked: Option<Box<Tracked>>,
}

/// True for a default, which is left out of the stored form.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ActionSpec {
    /// A task with no parent, no retries and no timeouts.
    pub fn task(name: impl Into<TaskName>) -> ActionSpec {
        ActionSpec {
            parent: None,
            kind: ActionKind::Task,
            task: name.into(),
            group: None,
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            cache: None,
            definition: None,
            wake: None,
            traceparent: None,
            queue: None,
            needs: Needs::default(),
            tracked: None,
        }
    }

    /// A step of the task action `parent`.
    pub fn step(name: impl Into<TaskName>, parent: ActionName) -> ActionSpec {
        ActionSpec { parent: Some(parent), kind: ActionKind::Step, ..ActionSpec::task(name) }
    }

    /// True if somebody has to drive it: a task through its attempts, a condition or a timer until its time is over, the root of a tracked run until
    /// its end is reported or its program is lost. A step is recorded when it has ended.
    pub fn needs_driver(&self) -> bool {
        self.kind != ActionKind::Step && (self.tracked.is_none() || self.parent.is_none())
    }

    /// A timer: one that `parent` waits for, or the root of a run.
    pub fn timer(name: impl Into<TaskName>, parent: Option<ActionName>, wake: Wake) -> ActionSpec {
        ActionSpec { parent, ..ActionSpec::task(name).into_timer(wake) }
    }

    /// The same as a timer: nothing is tried again, nothing is needed, and there are no outputs that could be cached.
    #[must_use]
    pub fn into_timer(self, wake: Wake) -> ActionSpec {
        let (kind, wake, needs) = (ActionKind::Timer, Some(wake), Needs::default());
        ActionSpec { kind, wake, needs, retry: RetryPolicy::default(), cache: None, queue: None, ..self }
    }

    /// A condition that the task action `parent` waits for.
    pub fn condition(name: impl Into<TaskName>, parent: ActionName) -> ActionSpec {
        ActionSpec { parent: Some(parent), kind: ActionKind::Condition, ..ActionSpec::task(name) }
    }
}
