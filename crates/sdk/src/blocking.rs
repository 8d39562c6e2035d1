//! Bodies that are not async: run on the pool for blocking work, and waiting for calls there.

use std::cell::Cell;
use std::future::Future;

use crate::ctx::Ambient;
use crate::error::{Error, Result};
use crate::parent::Parent;

thread_local! {
    /// This thread belongs to a body that is not async and waits for a call.
    static WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a body that is not async on the pool for blocking work, with the task's context. The work cannot be cut short: after
/// a timeout or an abort it goes on, and what it gives is not used.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    if WAITING.get() {
        // The thread waits for this very work: taking another one for it would exhaust the pool in a deep or wide tree.
        return work();
    }
    match crate::ctx::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::from(error)),
        },
    }
}

/// Waits for a future on this thread. If the process is being shut down meanwhile, unwinds the body that waits.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output> {
    use tokio::runtime::{Builder, Handle, RuntimeFlavor};
    let ambient = Ambient::current();
    let future = async {
        let Some(ambient) = ambient else { return future.await };
        tokio::select! {
            biased;
            done = waiting(future) => done,
            () = ambient.task.parent.interrupted() => std::panic::resume_unwind(Box::new("interrupted")),
        }
    };
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::CurrentThread => Err(Error::usage(
            "`wait` would block a single-threaded runtime: await the call, or use a multi-threaded one",
        )),
        Ok(handle) => Ok(tokio::task::block_in_place(|| handle.block_on(future))),
        Err(_) => Ok(Builder::new_current_thread().enable_all().build()?.block_on(future)),
    }
}

/// Polls a future with its thread marked as waiting.
async fn waiting<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let before = WAITING.replace(true);
        let polled = future.as_mut().poll(cx);
        WAITING.set(before);
        polled
    })
    .await
}
