//! The calls that bodies make: counted while they are open, and settled when they are dropped before their end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use spanwise_core::{ActionName, AttemptNo};
use spanwise_store::Payloads;

use crate::dropped_calls::{Caller, Fate};
use crate::engine::Engine;
use crate::executor::Report;
use crate::run::RunHandle;
use crate::scope::AttemptScope;

impl AttemptScope {
    /// Runs the body of the attempt; every executor puts it around what it runs, in the task that polls it. A call that the
    /// body drops is aborted if the body goes on, and waits for its next attempt if the body fails in the same poll.
    pub async fn run_body(self: Arc<Self>, run: RunHandle, body: impl Future<Output = Report>) -> Report {
        let has_failed = |report: &Report| matches!(report, Report::Failed(_) | Report::Lost { .. });
        let settle = |(action, attempt), caller: Caller| {
            let fate = if caller == Caller::CutShort { run.fate_under(&self) } else { None };
            run.settle(action, attempt, fate.unwrap_or(caller.fate()));
        };
        self.dropped.settle_during(body, has_failed, settle).await
    }
}

impl RunHandle {
    /// What becomes of a dropped call of `caller`, if the caller's state alone says so.
    pub(crate) fn fate_under(&self, caller: &AttemptScope) -> Option<Fate> {
        self.cell.fate_of_call(&caller.action, caller.attempt, self.engine.is_interrupted())
    }

    /// Carries out what becomes of a dropped call. A refusal means that the action has moved on by itself.
    pub(crate) fn settle(&self, action: ActionName, attempt: Option<AttemptNo>, fate: Fate) {
        let outlive = self.engine.inner.attempts_outlive_the_process;
        let Some(command) = fate.command(action, attempt, outlive) else { return };
        let _ = self.cell.command(&command, self.now(), Payloads::default());
        self.engine.inner.journal.write_soon(&self.cell);
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

/// Counts a root among the actions that are doing something.
pub(crate) struct RootLeaf<'a>(&'a RunHandle);

impl RootLeaf<'_> {
    pub(crate) fn count(run: &RunHandle) -> RootLeaf<'_> {
        run.engine.inner.leaves.fetch_add(1, Ordering::AcqRel);
        RootLeaf(run)
    }
}

impl Drop for RootLeaf<'_> {
    fn drop(&mut self) {
        self.0.engine.inner.leaves.fetch_sub(1, Ordering::AcqRel);
    }
}
