//! An action as lists and watchers show it.

use serde::{Deserialize, Serialize};

use crate::{ActionKind, ActionName, Failure, Phase, TaskName, Times, Timestamp};

/// An action, as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionView {
    /// Its name.
    pub name: ActionName,
    /// The task action that asked for it.
    pub parent: Option<ActionName>,
    /// Task, step or condition.
    pub kind: ActionKind,
    /// The task's full name, or the step's name.
    pub task: TaskName,
    /// The group it is shown in.
    pub group: Option<String>,
    /// Where it is.
    pub phase: Phase,
    /// Attempts launched so far.
    pub attempts: u32,
    /// When it was accepted.
    pub enqueued_at: Timestamp,
    /// When its first attempt began to run.
    pub started_at: Option<Timestamp>,
    /// When it came to its end.
    pub ended_at: Option<Timestamp>,
    /// What went wrong, if it failed or timed out.
    pub failure: Option<Failure>,
}

impl ActionView {
    /// When it was created, started and ended.
    pub fn times(&self) -> Times {
        Times { created: self.enqueued_at, started: self.started_at, ended: self.ended_at }
    }
}
