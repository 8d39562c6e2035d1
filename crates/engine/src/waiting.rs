//! Attempts that wait for something outside of their run, and what an action waits for that is not launched.

use std::sync::Arc;

use spanwise_core::{ActionName, AttemptNo, HeldBy, RunId, State, Timestamp};

use crate::cell::RunCell;
use crate::pools::InTheWay;
use crate::run::RunHandle;

/// An attempt that waits for something outside of its run, until this is dropped: it takes up no slot (semantics S4).
#[must_use = "the wait is over when this is dropped"]
pub struct OutsideWait {
    cell: Arc<RunCell>,
    action: ActionName,
    attempt: AttemptNo,
}

impl Drop for OutsideWait {
    fn drop(&mut self) {
        self.cell.wait_outside(&self.action, self.attempt, false);
    }
}

impl std::fmt::Debug for OutsideWait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutsideWait").field("action", &self.action).field("attempt", &self.attempt).finish()
    }
}

/// What keeps an action from being launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// A slot of its run, all of which are taken.
    SlotOfRun(Busy),
    /// A slot of the engine, all of which are taken.
    Slot(Busy),
    /// A pool of the engine that has too little left.
    Pool(ShortPool),
    /// Another action that computes its cache key.
    Key,
    /// A moment, by the machine's clock: it is a timer.
    Moment(Timestamp),
}

/// Who takes up the slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// How many slots there are.
    pub limit: u32,
    /// Who has them.
    pub who: Vec<(RunId, ActionName)>,
}

/// A pool that has too little left, and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortPool {
    /// The pool, with what is taken of it and what there is: `gpu 2 of 2`.
    pub pool: String,
    /// Who has it, the first of them.
    pub who: Vec<(RunId, ActionName)>,
    /// How many have it, where each has one.
    pub count: Option<u64>,
}

impl RunHandle {
    /// An attempt of this run begins to wait for something outside of it. Nothing changes if the attempt is over.
    pub fn wait_outside(&self, action: ActionName, attempt: AttemptNo) -> OutsideWait {
        self.cell.wait_outside(&action, attempt, true);
        OutsideWait { cell: Arc::clone(&self.cell), action, attempt }
    }

    /// The only action of the run that takes up a slot, if it is only one.
    pub fn only_busy(&self) -> Option<ActionName> {
        match self.cell.busy()[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// What a timer or an action in WAITING_FOR_RESOURCES waits for, as far as that is still so.
    pub fn waits_for(&self, action: &ActionName) -> Option<WaitsFor> {
        if let State::Asleep { until, .. } = self.cell.action(action)?.state {
            return Some(WaitsFor::Moment(until));
        }
        let (held_by, busy) = self.cell.held_by(action)?;
        Some(match held_by {
            HeldBy::Key => WaitsFor::Key,
            HeldBy::Run => {
                let limit = self.settings().limits().max_action_concurrency?;
                let who = busy.into_iter().map(|name| (self.id().clone(), name)).collect();
                WaitsFor::SlotOfRun(Busy { limit, who })
            }
            HeldBy::Engine => {
                let InTheWay { pool, slots, who, count, .. } = self.cell.in_the_way(action)?;
                match slots {
                    Some(limit) => WaitsFor::Slot(Busy { limit, who: self.engine.busy() }),
                    None => WaitsFor::Pool(ShortPool { pool, who, count }),
                }
            }
        })
    }
}
