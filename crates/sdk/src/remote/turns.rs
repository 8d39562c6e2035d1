//! Calls that the body of an attempt drops before their end. The body goes on: they are aborted. It fails in the same turn, or
//! is cut short: they are left to its next attempt, which finds them by their names.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use spanwise_core::ActionName;
use spanwise_engine::Report;
use tokio::task::{JoinHandle, JoinSet};

use super::parent::Parent;
use crate::error::Result;

/// The end of an attempt waits this long for aborts that are under way.
const ABORTS_GRACE: Duration = Duration::from_secs(10);

/// A call that was dropped.
pub(super) struct Dropped {
    pub(super) action: ActionName,
    /// Its being accepted, if that was under way: an abort that overtook it would be lost.
    pub(super) accepting: Option<JoinHandle<Result<()>>>,
}

/// The turns of a body.
#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_turn: bool,
    /// The body is over: what is dropped from now on stays.
    is_over: bool,
    dropped: Vec<Dropped>,
    waker: Option<Waker>,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was dropped. Between two turns it wakes the body: how the next turn ends decides.
    pub(super) fn dropped(&self, call: Dropped) {
        let mut state = self.lock();
        if state.is_over {
            return;
        }
        state.dropped.push(call);
        if !state.in_turn
            && let Some(waker) = &state.waker
        {
            waker.wake_by_ref();
        }
    }

    fn begin(&self, waker: &Waker) {
        let mut state = self.lock();
        state.in_turn = true;
        match &mut state.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn end(&self, is_over: bool) -> Vec<Dropped> {
        let mut state = self.lock();
        state.in_turn = false;
        state.is_over = is_over;
        std::mem::take(&mut state.dropped)
    }
}

/// Runs the body of an attempt.
pub(super) async fn run(parent: &Arc<Parent>, body: impl Future<Output = Report>) -> Report {
    // Dropped after the body: what falls with it stays.
    let closing = Closing(parent);
    let mut body = pin!(body);
    let mut aborts = JoinSet::new();
    let report = std::future::poll_fn(|cx| {
        parent.turns().begin(cx.waker());
        let polled = body.as_mut().poll(cx);
        let dropped = parent.turns().end(polled.is_ready());
        if !matches!(polled, Poll::Ready(Report::Failed(_) | Report::Lost { .. })) {
            for call in dropped {
                let parent = Arc::clone(parent);
                aborts.spawn(async move { parent.abort(call).await });
            }
        }
        polled
    })
    .await;
    drop(closing);
    let _ = tokio::time::timeout(ABORTS_GRACE, async { while aborts.join_next().await.is_some() {} }).await;
    report
}

struct Closing<'a>(&'a Arc<Parent>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.turns().lock().is_over = true;
    }
}
