//! One driver of an action: what it knows, what it is in the middle of, and what it reports of an attempt.

use crate::{ActionName, AttemptNo, Command, Failure};

/// A driver of an action: one of those who wait for its end. One of them at a time drives it, the others only wait.
#[derive(Debug)]
pub struct Driver<T> {
    pub(super) action: ActionName,
    pub(super) notice: T,
    pub(super) adopts: bool,
    pub(super) starts_at_once: bool,
    pub(super) drives: bool,
    pub(super) watches: bool,
    pub(super) cache_is_read: bool,
    /// It waits for a slot of the engine, or has one that it has not used yet.
    pub(super) is_in_line: bool,
    pub(super) doing: Doing,
}

/// What the last [`super::LiveRun::advance`] has sent a driver into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Nothing,
    /// It asks the cache, or waits for another computation of its key.
    Lookup,
    Attempt(AttemptNo),
}

/// How an attempt ended, as its executor says.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// It has delivered outputs.
    Succeeded,
    /// What went wrong.
    Failed(Failure),
    /// It is over without a result.
    Lost {
        /// Why it is taken for lost.
        reason: String,
        /// False if the attempt is known not to be at fault: it never began, or the machine failed it.
        blamed: bool,
    },
}

impl<T> Driver<T> {
    /// Somebody who waits for the action and drives it if nobody else does. `notice` tells it that a slot of the engine is there.
    pub fn new(action: ActionName, notice: T) -> Driver<T> {
        Driver {
            action,
            notice,
            adopts: false,
            starts_at_once: false,
            drives: false,
            watches: false,
            cache_is_read: false,
            is_in_line: false,
            doing: Doing::Nothing,
        }
    }

    /// Its executor finds attempts again that an earlier driver has launched.
    pub fn adopting(self, adopts: bool) -> Driver<T> {
        Driver { adopts, ..self }
    }

    /// Its executor runs an attempt as soon as it is asked to, which is the attempt's first sign of life.
    pub fn starting_at_once(self, starts_at_once: bool) -> Driver<T> {
        Driver { starts_at_once, ..self }
    }

    /// The action.
    pub fn action(&self) -> ActionName {
        self.action
    }

    /// What tells it that a slot of the engine is there.
    pub fn notice(&self) -> &T {
        &self.notice
    }

    /// True if nobody else drives the action.
    pub fn drives(&self) -> bool {
        self.drives
    }

    /// From now on it is woken when the action changes.
    pub fn set_watching(&mut self) {
        self.watches = true;
    }

    /// The command that says how an attempt ended. None where nothing is said: in a process that is interrupted, a failure may be the
    /// interruption's own, so the attempt is given back and made again.
    pub fn report(&self, attempt: AttemptNo, ended: Ended, is_interrupted: bool) -> Option<Command> {
        let action = self.action;
        match ended {
            Ended::Succeeded => Some(Command::ReportSucceeded { action, attempt }),
            Ended::Failed(_) | Ended::Lost { .. } if is_interrupted => None,
            Ended::Failed(failure) => Some(Command::ReportFailed { action, attempt, failure }),
            Ended::Lost { reason, blamed } => Some(Command::ReportLost { action, attempt, reason, blamed }),
        }
    }
}
