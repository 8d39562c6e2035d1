//! What belongs to one attempt while its body runs: the calls it has open, and the ones it dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanwise_core::{ActionName, AttemptNo};

use crate::engine::Engine;

/// The body of one attempt, seen from the calls that it makes.
#[derive(Debug)]
pub struct AttemptScope {
    /// The action.
    pub action: ActionName,
    /// The attempt.
    pub attempt: AttemptNo,
    open_calls: AtomicUsize,
    dropped: Mutex<Dropped>,
}

#[derive(Debug, Default)]
struct Dropped {
    polling: bool,
    closed: bool,
    calls: Vec<(ActionName, Option<AttemptNo>)>,
}

/// What becomes of a call that was dropped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The caller gave it up: it is aborted.
    Abort,
    /// The caller's own attempt ended: the action waits for the caller's next attempt.
    Release,
    /// It depends on how the caller's body ends its current turn.
    Deferred,
}

impl AttemptScope {
    pub(crate) fn new(action: ActionName, attempt: AttemptNo) -> AttemptScope {
        AttemptScope { action, attempt, open_calls: AtomicUsize::new(0), dropped: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Dropped> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin_turn(&self) {
        self.lock().polling = true;
    }

    /// Ends a turn of the body and returns the calls that were dropped in it.
    pub(crate) fn end_turn(&self) -> Vec<(ActionName, Option<AttemptNo>)> {
        let mut dropped = self.lock();
        dropped.polling = false;
        std::mem::take(&mut dropped.calls)
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// A call of this body was dropped before its end.
    pub(crate) fn call_dropped(&self, action: ActionName, attempt: Option<AttemptNo>) -> Fate {
        let mut dropped = self.lock();
        if dropped.closed {
            return Fate::Release;
        }
        if !dropped.polling {
            return Fate::Abort;
        }
        dropped.calls.push((action, attempt));
        Fate::Deferred
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
