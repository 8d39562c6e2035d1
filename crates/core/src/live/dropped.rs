//! What becomes of an action whose call is dropped before its end.

use super::{LiveRun, RunPools};
use crate::{Action, ActionName, AttemptNo, Command};

/// What becomes of a call that was dropped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The caller gave it up: it is aborted.
    Abort,
    /// The caller's own attempt ended: the action waits for the caller's next attempt.
    Release,
    /// It depends on how the poll of the caller's body ends.
    Deferred,
}

impl Fate {
    /// The command that settles the action; none where it stays as it is. An attempt that outlives its driver stays under way for whoever drives
    /// next.
    pub fn command(self, action: ActionName, attempt: Option<AttemptNo>, attempts_outlive: bool) -> Option<Command> {
        match (self, attempt) {
            (Fate::Abort, _) => {
                Some(Command::Abort { action, by: "caller".to_owned(), reason: "the call was dropped".to_owned() })
            }
            (Fate::Release, Some(attempt)) if !attempts_outlive => Some(Command::Release { action, attempt }),
            (Fate::Release | Fate::Deferred, _) => None,
        }
    }
}

impl<S: RunPools> LiveRun<S> {
    /// What becomes of a dropped call of an attempt, if the state of the caller alone says so; else it depends on what its body does next.
    pub fn fate_of_call(&self, caller: &ActionName, attempt: AttemptNo, is_interrupted: bool) -> Option<Fate> {
        let caller = self.run().action(caller);
        if is_interrupted {
            Some(Fate::Release)
        } else if caller.is_some_and(Action::is_finished) {
            Some(Fate::Abort)
        } else if caller.and_then(Action::attempt) != Some(attempt) {
            Some(Fate::Release)
        } else {
            None
        }
    }
}
