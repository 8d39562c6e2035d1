//! What belongs to one attempt while its body runs: the calls it has open, and the ones it dropped.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spanwise_core::{ActionName, AttemptNo};
use tokio::sync::watch;

use crate::drive::Report;
pub(crate) use crate::dropped_calls::Fate;
use crate::dropped_calls::{Caller, DroppedCalls};
use crate::engine::Engine;
use crate::run::RunHandle;

/// The body of one attempt, seen from the calls that it makes.
#[derive(Debug)]
pub struct AttemptScope {
    /// The action.
    pub action: ActionName,
    /// The attempt.
    pub attempt: AttemptNo,
    open_calls: AtomicUsize,
    dropped: DroppedCalls<(ActionName, Option<AttemptNo>)>,
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

    /// Runs the body of the attempt; every executor puts it around what it runs, in the task that polls it. A call that the
    /// body drops is aborted if the body goes on, and waits for its next attempt if the body fails in the same turn.
    pub async fn turns(self: Arc<Self>, run: RunHandle, body: impl Future<Output = Report>) -> Report {
        let has_failed = |report: &Report| matches!(report, Report::Failed(_) | Report::Lost { .. });
        let settle = |(action, attempt), caller: Caller| {
            let known = if caller == Caller::CutShort { run.fate_under(&self) } else { None };
            run.settle(action, attempt, known.unwrap_or(caller.fate()));
        };
        self.dropped.settle_during(body, has_failed, settle).await
    }

    /// A call of this body was dropped before its end.
    pub(crate) fn call_dropped(&self, action: ActionName, attempt: Option<AttemptNo>) -> Fate {
        self.dropped.add((action, attempt))
    }
}

/// Counts a call from when it is made until it is over, so that the engine knows whether a commit can be grouped.
#[derive(Debug)]
pub struct CallToken {
    engine: Engine,
    scope: Arc<AttemptScope>,
}

impl CallToken {
    /// Counts a call made by the body of `scope`.
    pub fn new(engine: &Engine, scope: &Arc<AttemptScope>) -> CallToken {
        if scope.open_calls.fetch_add(1, Ordering::AcqRel) > 0 {
            engine.inner.leaves.fetch_add(1, Ordering::AcqRel);
        }
        CallToken { engine: engine.clone(), scope: Arc::clone(scope) }
    }
}

impl Drop for CallToken {
    fn drop(&mut self) {
        if self.scope.open_calls.fetch_sub(1, Ordering::AcqRel) > 1 {
            self.engine.inner.leaves.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
