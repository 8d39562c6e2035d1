//! What becomes of the calls that a body drops before their end: one mechanism for bodies whose calls the engine of this process runs, and
//! for those whose calls a server runs.
//!
//! How the poll of the body ends in which a call was dropped decides. The body goes on, or has returned a result: it gave the call up, and
//! the action is aborted. The body has failed, or is cut short (it panics, times out, is interrupted): the action is kept, and the next
//! attempt of the body finds it by its name.

use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

pub use spanwise_core::Fate;

/// What the caller's body did after it had dropped a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// It goes on, or has returned a result.
    GoesOn,
    /// It has failed.
    Failed,
    /// It was dropped itself.
    CutShort,
}

impl Caller {
    /// What becomes of the call.
    pub fn fate(self) -> Fate {
        match self {
            Caller::GoesOn => Fate::Abort,
            Caller::Failed | Caller::CutShort => Fate::Release,
        }
    }
}

/// The calls that one body has dropped since it was polled last. `C` says which call was dropped.
#[derive(Debug)]
pub struct DroppedCalls<C> {
    state: Mutex<State<C>>,
}

#[derive(Debug)]
struct State<C> {
    /// The body is being polled: whatever it drops is settled when that ends.
    is_polled: bool,
    /// How the body ended, once it has.
    ended: Option<Caller>,
    calls: Vec<C>,
    waker: Option<Waker>,
}

impl<C> Default for DroppedCalls<C> {
    fn default() -> DroppedCalls<C> {
        DroppedCalls { state: Mutex::new(State { is_polled: false, ended: None, calls: Vec::new(), waker: None }) }
    }
}

impl<C> DroppedCalls<C> {
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call that was dropped before its end. Outside of a poll it wakes the body: how the next poll ends decides. Once the body has
    /// ended, its end decides at once.
    pub fn add(&self, call: C) -> Fate {
        let mut state = self.lock();
        if let Some(ended) = state.ended {
            return ended.fate();
        }
        state.calls.push(call);
        if !state.is_polled
            && let Some(waker) = &state.waker
        {
            waker.wake_by_ref();
        }
        Fate::Deferred
    }

    /// Runs the body. `has_failed` reads its result; `settle` is called for each call whose fate was deferred.
    ///
    /// # Cancellation
    /// Dropping the future cuts the body short.
    pub async fn settle_during<T>(
        &self,
        body: impl Future<Output = T>,
        has_failed: impl Fn(&T) -> bool,
        settle: impl FnMut(C, Caller),
    ) -> T {
        let mut body = pin!(body);
        // Dropped before the body, so that calls which fall with it find it ended.
        let mut settling = Settling { dropped: self, settle };
        let result = std::future::poll_fn(|cx| {
            settling.begin_poll(cx.waker());
            let polled = body.as_mut().poll(cx);
            let caller = match &polled {
                Poll::Ready(result) if has_failed(result) => Caller::Failed,
                _ => Caller::GoesOn,
            };
            settling.end_poll(caller, polled.is_ready());
            polled
        });
        let result = result.await;
        drop(settling);
        result
    }
}

/// Settles the calls of a body for as long as it runs, and those that are left when it is over or cut short.
struct Settling<'a, C, S: FnMut(C, Caller)> {
    dropped: &'a DroppedCalls<C>,
    settle: S,
}

impl<C, S: FnMut(C, Caller)> Settling<'_, C, S> {
    fn begin_poll(&self, waker: &Waker) {
        let mut state = self.dropped.lock();
        state.is_polled = true;
        match &mut state.waker {
            Some(earlier) => earlier.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn end_poll(&mut self, caller: Caller, is_over: bool) {
        let calls = {
            let mut state = self.dropped.lock();
            state.is_polled = false;
            state.ended = is_over.then_some(caller);
            std::mem::take(&mut state.calls)
        };
        calls.into_iter().for_each(|call| (self.settle)(call, caller));
    }
}

impl<C, S: FnMut(C, Caller)> Drop for Settling<'_, C, S> {
    fn drop(&mut self) {
        let calls = {
            let mut state = self.dropped.lock();
            state.ended.get_or_insert(Caller::CutShort);
            state.waker = None;
            std::mem::take(&mut state.calls)
        };
        calls.into_iter().for_each(|call| (self.settle)(call, Caller::CutShort));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Context;

    use super::*;

    type Calls = Arc<DroppedCalls<&'static str>>;

    /// Polls a body so often, or until it is over, and drops it: what was settled how, and the fate of a call that is dropped later.
    fn settled<F>(polls: usize, body: impl FnOnce(Calls) -> F) -> (Vec<(&'static str, Caller)>, Fate)
    where
        F: Future<Output = Result<(), ()>>,
    {
        let (calls, mut settled) = (Calls::default(), Vec::new());
        let settle = |call, caller| settled.push((call, caller));
        let mut run = Box::pin(calls.settle_during(body(Arc::clone(&calls)), Result::is_err, settle));
        let mut cx = Context::from_waker(Waker::noop());
        let _ = (0..polls).find(|_| run.as_mut().poll(&mut cx).is_ready());
        drop(run);
        let late = calls.add("late");
        (settled, late)
    }

    #[test]
    fn s4_a_call_that_is_dropped_by_a_body_that_goes_on_or_succeeds_is_aborted() {
        let (calls, late) = settled(9, |calls| async move {
            assert_eq!(calls.add("a"), Fate::Deferred);
            tokio::task::yield_now().await;
            calls.add("b");
            Ok(())
        });
        assert_eq!(calls, [("a", Caller::GoesOn), ("b", Caller::GoesOn)]);
        assert_eq!((Caller::GoesOn.fate(), late), (Fate::Abort, Fate::Abort));
    }

    #[test]
    fn s4_a_call_that_is_dropped_in_the_poll_in_which_its_caller_fails_is_kept() {
        let (calls, late) = settled(9, |calls| async move {
            calls.add("a");
            tokio::task::yield_now().await;
            calls.add("b");
            Err(())
        });
        assert_eq!(calls, [("a", Caller::GoesOn), ("b", Caller::Failed)]);
        assert_eq!((Caller::Failed.fate(), late), (Fate::Release, Fate::Release));
    }

    #[test]
    fn s4_a_call_that_falls_with_a_body_that_is_cut_short_is_kept() {
        struct Falling(Calls);
        impl Drop for Falling {
            fn drop(&mut self) {
                assert_eq!(self.0.add("falls"), Fate::Release);
            }
        }
        let between_polls = Calls::default();
        let (calls, late) = settled(1, |calls| async move {
            let _falling = Falling(calls);
            std::future::pending().await
        });
        assert_eq!((calls, late), (Vec::new(), Fate::Release));
        let mut settled = Vec::new();
        let body = std::future::pending::<Result<(), ()>>();
        let mut run =
            Box::pin(between_polls.settle_during(body, Result::is_err, |call, caller| settled.push((call, caller))));
        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(between_polls.add("between polls"), Fate::Deferred);
        drop(run);
        assert_eq!(settled, [("between polls", Caller::CutShort)]);
    }
}
