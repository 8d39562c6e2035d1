//! Where work that may wait for the disk leaves the threads of the runtime, and what stays on them.
//!
//! A call of the store stays on its caller's thread if the caller is alone (one action at most is doing something) or the store is in
//! memory: to hand it to another thread costs as much as the call, and nobody waits for this one meanwhile. A server is alone with a commit
//! at most: requests wait for its threads too. Everything else that an async function of the engine asks of the store leaves. So do commits
//! of several, to the journal's own writer (`journal.rs`).
//!
//! Functions that are not async, such as `Engine::runs`, are called by whoever may block.

use crate::error::Error;

/// True if a call of the store is made on its caller's thread.
pub(crate) fn stays(is_alone: bool, costs_nothing: bool) -> bool {
    is_alone || costs_nothing
}

/// Does work that may wait for the disk on a thread that is there for it.
///
/// # Errors
/// [`Error::Interrupted`] if the runtime ends.
///
/// # Panics
/// If the work does.
///
/// # Cancellation
/// The work goes on, and nobody learns what came of it.
pub(crate) async fn leave_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|failed| match failed.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Error::Interrupted,
    })
}

/// The same for work that nobody waits for.
pub(crate) fn in_background(work: impl FnOnce() + Send + 'static) {
    drop(tokio::task::spawn_blocking(work));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "a fault of the work")]
    async fn a_panic_of_the_work_is_no_interruption() {
        let _ = leave_runtime(|| -> () { panic!("a fault of the work") }).await;
    }
}
