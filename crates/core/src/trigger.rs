//! Triggers: what a trigger is called, what a run knows of the one that has fired it, and what a scheduler does next.
//!
//! The scheduler of a trigger is level-triggered, as the driver of an action is: it asks [`next`], does what that says, and asks again.
//! Nothing is lost with the process between two questions: what has been decided is [`Facts::settled`], and a slot that is fired twice
//! is one run, as its name is that of the slot.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;
use crate::trace::TraceParent;
use crate::{Scope, Timestamp};

#[cfg(test)]
mod tests;
mod version;

pub use version::{VersionFacts, VersionStep, next_version};

/// A trigger with everything that makes its name unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TriggerId {
    /// Where it belongs.
    pub scope: Scope,
    /// The full name of its task.
    pub task: String,
    /// Its name, unique among the triggers of its task.
    pub name: String,
}

impl fmt::Display for TriggerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.task, self.name)
    }
}

/// What made a revision of a trigger; with Flyte's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerChange {
    /// It was deployed.
    Deployed,
    /// It was activated.
    Activated,
    /// It was deactivated.
    Deactivated,
    /// It was deleted.
    Deleted,
}

impl TriggerChange {
    /// Flyte's number of it.
    pub fn number(self) -> i32 {
        match self {
            TriggerChange::Deployed => 1,
            TriggerChange::Activated => 2,
            TriggerChange::Deactivated => 3,
            TriggerChange::Deleted => 4,
        }
    }

    /// The change with this number.
    pub fn from_number(number: i32) -> Option<TriggerChange> {
        use TriggerChange::{Activated, Deactivated, Deleted, Deployed};
        [Deployed, Activated, Deactivated, Deleted].into_iter().find(|change| change.number() == number)
    }
}

/// What a run knows of the trigger that has fired it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// The name of the trigger; its task is that of the run.
    pub trigger: String,
    /// The revision of the trigger.
    pub revision: u64,
    /// The slot; none if the trigger was fired by request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
    /// The version of an artifact that it waited for; none if something else has fired it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<FiringVersion>,
    /// How long after its slot it was fired, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<u64>,
    /// The span of the call that has deployed the trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_by: Option<TraceParent>,
    /// The span of the run that the trigger had fired before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<TraceParent>,
}

/// The version of an artifact that has fired a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiringVersion {
    /// The name of the artifact, in the scope of the run.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl fmt::Display for FiringVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// What becomes of slots that nobody was there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// All of them are fired, the newest [`MOST_CAUGHT_UP`] at most.
    #[default]
    All,
    /// The newest one is fired.
    Last,
    /// None is.
    None,
}

/// What becomes of a slot while a run of the same trigger goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It is fired.
    #[default]
    Allow,
    /// It is left out.
    Skip,
    /// It waits until that run has ended.
    Queue,
}

/// A word that is none of those that are known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is none of {choices}")]
pub struct NotAChoice {
    word: String,
    choices: &'static str,
}

impl FromStr for CatchUp {
    type Err = NotAChoice;
    fn from_str(word: &str) -> Result<CatchUp, NotAChoice> {
        [CatchUp::All, CatchUp::Last, CatchUp::None]
            .into_iter()
            .find(|choice| choice.to_string() == word)
            .ok_or_else(|| NotAChoice { word: word.chars().take(40).collect(), choices: "all, last and none" })
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            CatchUp::All => "all",
            CatchUp::Last => "last",
            CatchUp::None => "none",
        })
    }
}

impl FromStr for Overlap {
    type Err = NotAChoice;
    fn from_str(word: &str) -> Result<Overlap, NotAChoice> {
        [Overlap::Allow, Overlap::Skip, Overlap::Queue]
            .into_iter()
            .find(|choice| choice.to_string() == word)
            .ok_or_else(|| NotAChoice { word: word.chars().take(40).collect(), choices: "allow, skip and queue" })
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Overlap::Allow => "allow",
            Overlap::Skip => "skip",
            Overlap::Queue => "queue",
        })
    }
}

/// How a trigger deals with slots that were missed, and with those that come too early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FiringRules {
    /// What becomes of those that were missed.
    pub catch_up: CatchUp,
    /// What becomes of those that come while a run goes on.
    pub overlap: Overlap,
}

/// The label of a trigger that says its [`CatchUp`].
pub const CATCH_UP_LABEL: &str = "spanwise.catch_up";

/// The label of a trigger that says its [`Overlap`].
pub const OVERLAP_LABEL: &str = "spanwise.overlap";

/// Missed slots that are fired at most: a server that was away for a year must not be busy with that for a day.
pub const MOST_CAUGHT_UP: usize = 100;

/// Slots that are left out are counted up to this number.
pub const MOST_COUNTED: usize = 10_000;

/// A slot that is older than this has been missed: the scheduler was away, or waited.
pub const MISSED_AFTER: Duration = Duration::from_secs(60);

/// What is known of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// When it was deployed or activated as it is: no slot before that is its own.
    pub since: Timestamp,
    /// Everything up to this slot has been decided.
    pub settled: Option<Timestamp>,
    /// True while a run that it has fired goes on. Only asked for where it matters: see [`Overlap`].
    pub is_running: bool,
}

/// What the scheduler of a trigger does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create the run of the slot, and settle it.
    Fire(Timestamp),
    /// Note that everything up to a slot is decided: so many slots are left out, [`MOST_COUNTED`] or more of them.
    LeaveOut {
        /// The last of them.
        until: Timestamp,
        /// How many were counted.
        count: usize,
        /// Why.
        why: Why,
    },
    /// Wait for the run that goes on.
    AwaitEnd,
    /// Wait for the next slot, if there is one.
    Wait(Option<Timestamp>),
}

/// Why slots are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// They were missed.
    Missed,
    /// A run of the trigger goes on.
    Overlap,
}

/// What the scheduler of a trigger does at a time.
///
/// A clock that goes back loses no slot: what was settled ahead of it is asked for again, and is the run that it was. One that goes
/// ahead makes slots that were missed.
pub fn next(schedule: &Schedule, rules: FiringRules, facts: &Facts, now: Timestamp) -> Step {
    let decided = facts.settled.map_or(facts.since, |settled| settled.max(facts.since)).min(now);
    let Some(slot) = schedule.after(decided).filter(|slot| *slot <= now) else {
        return Step::Wait(schedule.after(now));
    };
    let missed = schedule.newest(decided, now.before(MISSED_AFTER), MOST_CAUGHT_UP + 1);
    let caught_up = match rules.catch_up {
        CatchUp::All => MOST_CAUGHT_UP,
        CatchUp::Last => 1,
        CatchUp::None => 0,
    };
    if let Some(count) = missed.len().checked_sub(caught_up).filter(|count| *count > 0) {
        let until = missed[count - 1];
        let count = schedule.between(decided, until).take(MOST_COUNTED).count();
        return Step::LeaveOut { until, count, why: Why::Missed };
    }
    match rules.overlap {
        Overlap::Skip if facts.is_running => Step::LeaveOut { until: slot, count: 1, why: Why::Overlap },
        Overlap::Queue if facts.is_running => Step::AwaitEnd,
        _ => Step::Fire(slot),
    }
}
