//! What belongs to one attempt while its body runs: the calls it has open, and the ones it dropped.

use std::sync::atomic::AtomicUsize;

use spanwise_core::{ActionName, AttemptNo};
use tokio::sync::watch;

use crate::dropped_calls::{DroppedCalls, Fate};

/// The body of one attempt, seen from the calls that it makes.
#[derive(Debug)]
pub struct AttemptScope {
    /// The action.
    pub action: ActionName,
    /// The attempt.
    pub attempt: AttemptNo,
    pub(crate) open_calls: AtomicUsize,
    pub(crate) dropped: DroppedCalls<(ActionName, Option<AttemptNo>)>,
    /// True while the attempt may be cut short by a timer.
    timed: watch::Sender<bool>,
}

impl AttemptScope {
    /// An adopted attempt may have ended in time while nobody looked: no timer cuts it short before it is seen alive.
    pub(crate) fn new(action: ActionName, attempt: AttemptNo, adopted: bool) -> AttemptScope {
        let timed = watch::Sender::new(!adopted);
        AttemptScope { action, attempt, open_calls: AtomicUsize::new(0), dropped: DroppedCalls::default(), timed }
    }

    /// The adopted attempt is still under way: its timers count as before.
    pub fn report_alive(&self) {
        self.timed.send_replace(true);
    }

    /// The attempt is over, and its report will follow: what it has left counts, even if a timer is due before that is read.
    pub fn report_ended(&self) {
        self.timed.send_replace(false);
    }

    pub(crate) fn timed(&self) -> watch::Receiver<bool> {
        self.timed.subscribe()
    }

    /// A call of this body was dropped before its end.
    pub(crate) fn call_dropped(&self, action: ActionName, attempt: Option<AttemptNo>) -> Fate {
        self.dropped.add((action, attempt))
    }
}
