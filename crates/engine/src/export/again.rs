//! Runs whose events could not be read and may be readable later.

use std::collections::HashSet;
use std::time::Duration;

use spanwise_store::RunKey;
use tokio::time::Instant;

/// The longest pause between two tries.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Runs that are to be read again when a pause is over; it doubles from one failure to the next.
#[derive(Debug)]
pub(super) struct Again {
    runs: HashSet<RunKey>,
    due: Option<Instant>,
    pause: Duration,
    first_pause: Duration,
}

impl Again {
    pub(super) fn new(first_pause: Duration) -> Again {
        Again { runs: HashSet::new(), due: None, pause: first_pause, first_pause }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// These could not be read just now, of all that were tried.
    pub(super) fn note(&mut self, failed: impl Iterator<Item = RunKey>) {
        let before = self.runs.len();
        self.runs.extend(failed);
        if self.runs.is_empty() {
            self.pause = self.first_pause;
        } else if self.runs.len() > before {
            self.due = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns when the pause is over, and never if there is nothing to be read again.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// All of them: whoever takes them reads them now.
    pub(super) fn take(&mut self) -> HashSet<RunKey> {
        self.due = None;
        std::mem::take(&mut self.runs)
    }
}
