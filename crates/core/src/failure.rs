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

/// The longest texts of a failure, in bytes, and how many causes are kept.
const MAX_CODE: usize = 256;
const MAX_MESSAGE: usize = 64 * 1024;
const MAX_CAUSES: usize = 32;
const MAX_CAUSE: usize = 4 * 1024;

/// What stands at the end of a text that was cut.
const CUT: &str = " [cut here: it was longer]";

/// Cuts a text that is too long. What was cut once stays as it is.
fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit - CUT.len()));
        text.push_str(CUT);
    }
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
    #[serde(default, rename = "place")]
    pub position: Option<String>,
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
            position: None,
        }
    }

    /// A failure that is not the fault of the task's code.
    pub fn system(code: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure { kind: FailureKind::System, ..Failure::user(code, message) }
    }

    /// The same failure in a form that can be stored and sent with every look at the action: long texts are cut, and say so.
    pub fn shortened(mut self) -> Failure {
        cut(&mut self.code, MAX_CODE);
        cut(&mut self.message, MAX_MESSAGE);
        self.causes.truncate(MAX_CAUSES);
        self.causes.iter_mut().for_each(|cause| cut(cause, MAX_CAUSE));
        self
    }

    /// The same failure, with no retry to follow.
    pub fn terminal(self) -> Failure {
        Failure { recoverable: false, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_a_long_message_is_cut_once_and_nothing_else_of_the_failure_changes() {
        for text in ["m", "ü", "漢"] {
            let long = Failure {
                causes: vec![text.repeat(MAX_CAUSE); 40],
                position: Some("src/main.rs:1:1".to_owned()),
                ..Failure::system("Code", text.repeat(MAX_MESSAGE)).terminal()
            };
            let long = Failure { message: format!("{}{text}", long.message), ..long };
            let short = long.clone().shortened();
            assert!(short.message.len() <= MAX_MESSAGE && short.message.ends_with(CUT));
            assert!(long.message.starts_with(short.message.strip_suffix(CUT).unwrap()));
            assert_eq!((short.causes.len(), &short.code, &short.position), (MAX_CAUSES, &long.code, &long.position));
            assert_eq!((short.kind, short.recoverable), (FailureKind::System, false));
            assert_eq!(short.clone().shortened(), short);
        }
        let fits = Failure::user("E", "m".repeat(MAX_MESSAGE));
        assert_eq!(fits.clone().shortened(), fits);
    }
}
