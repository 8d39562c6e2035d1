//! What this process was started for: its arguments say it.

use crate::{describe, launch, remote};

/// What a process of this program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// What the program is written for.
    Program,
    /// It prints its tasks.
    Describe,
    /// It starts one of its tasks for `spanwise run`.
    Launch,
    /// It runs one attempt of a task for a server.
    Attempt,
}

impl Purpose {
    /// The purpose of this process.
    pub(crate) fn of_process() -> Purpose {
        let mut arguments = std::env::args_os().skip(1);
        let Some(first) = arguments.next() else { return Purpose::Program };
        let is_only = arguments.next().is_none();
        match first.to_str() {
            Some(first) if remote::is_attempt(first) => Purpose::Attempt,
            Some(launch::ARGUMENT) if is_only => Purpose::Launch,
            Some(describe::ARGUMENT) if is_only => Purpose::Describe,
            _ => Purpose::Program,
        }
    }
}
