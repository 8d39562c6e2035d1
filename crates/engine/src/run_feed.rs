//! Which runs have changed since a watcher asked last: each once, however often it changed, and after its change is in the journal.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanwise_store::RunKey;
use tokio::sync::Notify;

/// So many changed runs wait for a watcher that does not take them; one that is slower begins anew.
const MOST: usize = 10_000;

/// The feeds of an engine.
#[derive(Debug, Default)]
pub(crate) struct RunFeeds {
    feeds: Mutex<Vec<Arc<Changed>>>,
}

#[derive(Debug, Default)]
struct Changed {
    pending: Mutex<Pending>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    runs: BTreeSet<RunKey>,
    is_too_slow: bool,
}

/// More runs have changed than wait for a watcher: what it has not taken is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MOST} runs have changed since the last message was taken: watch again")]
pub struct TooSlow;

impl RunFeeds {
    /// Tells of changes from now on.
    pub(crate) fn add(self: &Arc<Self>) -> RunFeed {
        let changed = Arc::new(Changed::default());
        lock(&self.feeds).push(Arc::clone(&changed));
        RunFeed { feeds: Arc::clone(self), changed }
    }

    /// The roots of these runs have changed.
    pub(crate) fn note(&self, runs: &[RunKey]) {
        if runs.is_empty() {
            return;
        }
        for feed in lock(&self.feeds).iter() {
            let mut pending = lock(&feed.pending);
            pending.runs.extend(runs);
            if pending.runs.len() > MOST {
                *pending = Pending { is_too_slow: true, ..Pending::default() };
            }
            drop(pending);
            feed.notify.notify_one();
        }
    }
}

/// The changes of the runs of an engine, from when it was made.
pub struct RunFeed {
    feeds: Arc<RunFeeds>,
    changed: Arc<Changed>,
}

impl RunFeed {
    /// Waits until runs have changed and takes them, the oldest first. Changes meanwhile are in the next answer.
    ///
    /// # Errors
    /// [`TooSlow`] if some were forgotten.
    ///
    /// # Cancellation
    /// Safe: nothing is taken before the answer.
    pub async fn changed(&self) -> Result<Vec<RunKey>, TooSlow> {
        loop {
            self.changed.notify.notified().await;
            let pending = std::mem::take(&mut *lock(&self.changed.pending));
            if pending.is_too_slow {
                return Err(TooSlow);
            }
            if !pending.runs.is_empty() {
                return Ok(pending.runs.into_iter().collect());
            }
        }
    }
}

impl Drop for RunFeed {
    fn drop(&mut self) {
        lock(&self.feeds.feeds).retain(|feed| !Arc::ptr_eq(feed, &self.changed));
    }
}

impl std::fmt::Debug for RunFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunFeed").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that panics runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_run_is_told_once_and_a_watcher_that_is_too_slow_is_told_so() {
        let feeds = Arc::new(RunFeeds::default());
        let feed = feeds.add();
        feeds.note(&[RunKey(2), RunKey(1)]);
        feeds.note(&[RunKey(2)]);
        assert_eq!(feed.changed().await, Ok(vec![RunKey(1), RunKey(2)]));
        let many: Vec<RunKey> = (0..=MOST as i64).map(RunKey).collect();
        feeds.note(&many);
        assert_eq!(feed.changed().await, Err(TooSlow));
        feeds.note(&[RunKey(7)]);
        assert_eq!(feed.changed().await, Ok(vec![RunKey(7)]));
        drop(feed);
        assert!(lock(&feeds.feeds).is_empty());
    }
}
