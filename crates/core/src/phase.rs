//! The phases an action shows to the outside.

use serde::{Deserialize, Serialize};

/// The phase of an action, with Flyte's numbers (`common.ActionPhase`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Accepted, no attempt is under way.
    Queued = 1,
    /// Waits for a slot, or for another action that computes its cache key.
    WaitingForResources = 2,
    /// An attempt was launched and has not given a sign of life yet.
    Initializing = 3,
    /// An attempt runs the task.
    Running = 4,
    /// Ended with outputs.
    Succeeded = 5,
    /// Ended with an error.
    Failed = 6,
    /// Ended on request, before it had an outcome.
    Aborted = 7,
    /// Ended by one of its timeouts.
    TimedOut = 8,
    /// A condition that waits for its signal.
    Paused = 9,
    /// Ended with the outputs that an earlier run has for it.
    Recovered = 10,
}

impl Phase {
    /// Every phase, in the order of their numbers.
    pub const ALL: [Phase; 10] = [
        Phase::Queued,
        Phase::WaitingForResources,
        Phase::Initializing,
        Phase::Running,
        Phase::Succeeded,
        Phase::Failed,
        Phase::Aborted,
        Phase::TimedOut,
        Phase::Paused,
        Phase::Recovered,
    ];

    /// True for a phase that is never left again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Phase::Succeeded | Phase::Failed | Phase::Aborted | Phase::TimedOut | Phase::Recovered)
    }

    /// The number on Flyte's wire.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The phase with this number, if there is one.
    pub fn from_number(number: i32) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.number() == number)
    }

    /// Flyte's name of the phase, for instance `WAITING_FOR_RESOURCES`.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Queued => "QUEUED",
            Phase::WaitingForResources => "WAITING_FOR_RESOURCES",
            Phase::Initializing => "INITIALIZING",
            Phase::Running => "RUNNING",
            Phase::Succeeded => "SUCCEEDED",
            Phase::Failed => "FAILED",
            Phase::Aborted => "ABORTED",
            Phase::TimedOut => "TIMED_OUT",
            Phase::Paused => "PAUSED",
            Phase::Recovered => "RECOVERED",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
