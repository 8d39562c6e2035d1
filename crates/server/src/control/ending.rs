//! The end of the server: what is driven ends by itself, or is stopped and given back.

use std::time::Duration;

use super::ControlPlane;

impl ControlPlane {
    /// Starts nothing more and waits for what is under way, for as long as `drain`; what is left then is stopped and given back, which
    /// costs no attempt.
    pub(crate) async fn end(&self, drain: Duration, grace: Duration) {
        let engine = &self.inner.engine;
        engine.stop_launching();
        let _ = tokio::time::timeout(drain, engine.idle()).await;
        engine.interrupt();
        // Drivers drop what they run, which stops its processes; parents that wait for children are among them.
        let stopped = tokio::time::timeout(2 * grace, self.inner.executor.stopped());
        let _ = tokio::join!(stopped, self.inner.apps.end());
        // The next server judges an attempt by the result that it has left: its body is not run again.
        self.give_back().await;
        // What a failed journal refused was not acknowledged to anyone.
        let _ = engine.flush().await;
    }

    /// Gives back the attempts that are under way and have left no result. The engine asks for each in turn, so this has a thread
    /// that may wait for the store.
    async fn give_back(&self) {
        let (inner, runtime) = (self.inner.clone(), tokio::runtime::Handle::current());
        let giving = tokio::task::spawn_blocking(move || {
            inner.engine.give_back(&|run, key, action, attempt| {
                !runtime.block_on(inner.executor.has_result(run, key, action, attempt))
            });
        });
        if let Err(error) = giving.await {
            tracing::error!(%error, "attempts could not be given back: the next server finds them lost");
        }
    }
}
