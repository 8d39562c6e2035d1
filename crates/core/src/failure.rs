//! What went wrong with an attempt, as a fact that can be stored and sent.

use serde::{Deserialize, Serialize};

/// Codes that Spanwise itself gives to failures; clients choose the exception class by them.
pub mod code {
    /// An attempt was longer in RUNNING than `max_runtime` allows.
    pub const MAX_RUNTIME_EXCEEDED: &str = "MAX_RUNTIME_EXCEEDED";
    /// An attempt was longer in QUEUED and WAITING_FOR_RESOURCES than `max_queued_time` allows.
    pub const QUEUED_TIMEOUT_EXCEEDED: &str = "QUEUED_TIMEOUT_EXCEEDED";
    /// The action was not at its end when its `deadline` came.
    pub const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
    /// Too many attempts in a row were lost to the system.
    pub const MAX_SYSTEM_FAILURES: &str = "MaxSystemFailuresExceeded";
    /// The attempt was under way when its process went away.
    pub const ATTEMPT_LOST: &str = "AttemptLost";
    /// The body of the task panicked.
    pub const PANIC: &str = "Panic";
    /// The action was aborted.
    pub const ABORTED: &str = "ActionAborted";
}

/// Whose failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// The task's own code.
    User,
    /// The machine, the process or Spanwise itself.
    System,
    /// Nobody's in particular: the task's code could not be loaded. Retried like a user's.
    Unknown,
}

/// A failure of an attempt or a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A short name for programs, for instance `ParseIntError` or [`code::PANIC`].
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// Whose failure it is.
    pub kind: FailureKind,
    /// False if trying again cannot help: no retry is made then.
    pub recoverable: bool,
    /// The messages of the causes, nearest first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// Where it happened (`file:line:column`), if that is known.
    #[serde(default)]
    pub place: Option<String>,
}

impl Failure {
    /// A recoverable failure of the task's own code.
    pub fn user(code: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure {
            code: code.into(),
            message: message.into(),
            kind: FailureKind::User,
            recoverable: true,
            causes: Vec::new(),
            place: None,
        }
    }

    /// A failure that is not the fault of the task's code.
    pub fn system(code: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure { kind: FailureKind::System, ..Failure::user(code, message) }
    }

    /// The same failure, with no retry to follow.
    pub fn terminal(self) -> Failure {
        Failure { recoverable: false, ..self }
    }
}
