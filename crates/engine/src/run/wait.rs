//! Waiting for the end of actions and attempts.

use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionName, AttemptNo, End, Failure, Timestamp};

use super::RunHandle;
use crate::error::Error;

/// How often the machine's clock is looked at by those who wait for a moment: it may be set, and a machine may have slept.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);

/// How an action ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With these outputs.
    Succeeded(Bytes),
    /// With an error.
    Failed(Failure),
    /// By one of its timeouts.
    TimedOut(Failure),
    /// On request.
    Aborted {
        /// Who asked.
        by: String,
        /// Why.
        reason: String,
    },
}

impl RunHandle {
    /// Waits for an action that somebody else drives.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal failed; [`Error::Interrupted`] if the engine is interrupted.
    pub async fn wait(&self, action: ActionName) -> Result<Outcome, Error> {
        let watch = self.cell.watch(action);
        loop {
            if let Some(end) = self.cell.end(&action)? {
                return self.outcome(action, end, None).await;
            }
            if let Some(error) = self.cell.broken() {
                return Err(error);
            }
            if self.engine.is_interrupted() {
                return Err(Error::Interrupted);
            }
            watch.changed().await;
        }
    }

    /// The outcome of an action at its end, which is safe by then; `delivered` are its outputs, if the caller has them.
    pub(crate) async fn outcome(
        &self,
        action: ActionName,
        end: End,
        delivered: Option<Bytes>,
    ) -> Result<Outcome, Error> {
        self.safe().await?;
        Ok(match end {
            End::Succeeded { .. } => match delivered {
                Some(outputs) => Outcome::Succeeded(outputs),
                None => Outcome::Succeeded(self.stored(&action).await?.1.unwrap_or_default()),
            },
            End::Elapsed => Outcome::Succeeded(Bytes::new()),
            End::Reused(_) | End::Signalled { .. } => {
                Outcome::Succeeded(self.stored(&action).await?.1.unwrap_or_default())
            }
            End::Failed(failure) => Outcome::Failed(*failure),
            End::TimedOut(failure) => Outcome::TimedOut(*failure),
            End::Aborted { by, reason } => Outcome::Aborted { by, reason },
        })
    }

    /// Waits until an attempt is over, and that is safe.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal failed for good, or the engine does not wait.
    pub async fn settled(&self, action: ActionName, attempt: AttemptNo) -> Result<(), Error> {
        let watch = self.cell.watch(action);
        while self.cell.is_under_way(&action, attempt) {
            if let Some(error) = self.cell.broken() {
                return Err(error);
            }
            watch.changed().await;
        }
        self.safe().await
    }

    /// Returns when the machine's clock says that it is time, however it is set meanwhile, or when something is due by the engine's.
    pub(crate) async fn until_machine_says(&self, moment: Timestamp, due: Option<Timestamp>) {
        loop {
            let left = moment.since(self.machine_time());
            if left.is_zero() || due.is_some_and(|due| due <= self.now()) {
                return;
            }
            let look = self.now().after(left.min(LOOK_AT_CLOCK));
            self.until(Some(due.map_or(look, |due| due.min(look)))).await;
        }
    }

    /// Returns when it is time, or at once if there is none.
    pub(crate) async fn until(&self, due: Option<Timestamp>) {
        if let Some(due) = due {
            tokio::time::sleep_until(self.engine.inner.clock.instant(due)).await;
        }
    }
}
