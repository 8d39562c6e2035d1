//! What belongs to one attempt while its body runs: the calls it has open, and the ones it dropped.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use spanwise_core::{ActionName, AttemptNo};
use tokio::sync::watch;

use crate::drive::Report;
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
    dropped: Mutex<Dropped>,
    /// True while the attempt may be cut short by a timer.
    timed: watch::Sender<bool>,
}

type DroppedCall = (ActionName, Option<AttemptNo>);

#[derive(Debug, Default)]
struct Dropped {
    /// The body is being polled: whatever it drops is settled when it stops.
    in_turn: bool,
    /// The body has ended: what becomes of calls that are dropped from now on.
    closed: Option<Fate>,
    calls: Vec<DroppedCall>,
    waker: Option<Waker>,
}

/// What becomes of a call that was dropped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The caller gave it up: it is aborted.
    Abort,
    /// The caller's own attempt ended: the action waits for the caller's next attempt.
    Release,
    /// It depends on how the caller's body ends its turn.
    Deferred,
}

impl AttemptScope {
    /// An adopted attempt may have ended in time while nobody looked: no timer cuts it short before it is seen alive.
    pub(crate) fn new(action: ActionName, attempt: AttemptNo, adopted: bool) -> AttemptScope {
        let timed = watch::Sender::new(!adopted);
        AttemptScope { action, attempt, open_calls: AtomicUsize::new(0), dropped: Mutex::default(), timed }
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
        let mut body = pin!(body);
        // Dropped before the body, so that calls which fall with it find the scope closed.
        let closing = Closing { scope: &self, run: &run };
        let report = std::future::poll_fn(|cx| {
            self.begin_turn(cx.waker());
            let polled = body.as_mut().poll(cx);
            let (fate, ended) = match &polled {
                Poll::Pending => (Fate::Abort, None),
                Poll::Ready(Report::Succeeded(_)) => (Fate::Abort, Some(Fate::Abort)),
                Poll::Ready(Report::Failed(_) | Report::Lost { .. }) => (Fate::Release, Some(Fate::Release)),
            };
            for (action, attempt) in self.end_turn(ended) {
                run.settle(action, attempt, fate);
            }
            polled
        });
        let report = report.await;
        drop(closing);
        report
    }

    fn lock(&self) -> MutexGuard<'_, Dropped> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_turn(&self, waker: &Waker) {
        let mut dropped = self.lock();
        dropped.in_turn = true;
        match &mut dropped.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Ends a turn of the body and returns the calls that were dropped since the last one.
    fn end_turn(&self, ended: Option<Fate>) -> Vec<DroppedCall> {
        let mut dropped = self.lock();
        dropped.in_turn = false;
        dropped.closed = ended;
        std::mem::take(&mut dropped.calls)
    }

    /// A call of this body was dropped before its end. One that is dropped between turns wakes the body: how the next turn
    /// ends decides.
    pub(crate) fn call_dropped(&self, action: ActionName, attempt: Option<AttemptNo>) -> Fate {
        let mut dropped = self.lock();
        if let Some(fate) = dropped.closed {
            return fate;
        }
        dropped.calls.push((action, attempt));
        if !dropped.in_turn
            && let Some(waker) = &dropped.waker
        {
            waker.wake_by_ref();
        }
        Fate::Deferred
    }
}

/// Closes the scope of a body that was cut short.
struct Closing<'a> {
    scope: &'a AttemptScope,
    run: &'a RunHandle,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let calls = {
            let mut dropped = self.scope.lock();
            dropped.closed.get_or_insert(Fate::Release);
            dropped.waker = None;
            std::mem::take(&mut dropped.calls)
        };
        for (action, attempt) in calls {
            let fate = self.run.fate_under(self.scope).unwrap_or(Fate::Release);
            self.run.settle(action, attempt, fate);
        }
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
