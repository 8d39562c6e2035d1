//! The cache of outputs: looked up before the first attempt, filled after a success (semantics S5).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use spanwise_core::{ActionName, AttemptNo, CachePolicy, Command, Source, Timestamp};
use spanwise_store::{CachedOutputs, Payloads};
use tokio::sync::OwnedMutexGuard;

use crate::drive::Executor;
use crate::error::Error;
use crate::run::RunHandle;

/// Who computes which key now, where one computation at a time was asked for.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    keys: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

/// The right to compute a key; the next one in line has it when this is dropped.
pub(crate) type Reservation = OwnedMutexGuard<()>;

impl Reservations {
    fn of(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = keys.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        keys.insert(key.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

impl RunHandle {
    /// Waits for the right to compute a key, if one computation at a time was asked for.
    pub(crate) async fn reserve(&self, action: ActionName, policy: &CachePolicy) -> Option<Reservation> {
        if !policy.serialize || self.cell.is_reserved_above(&action, &policy.key) {
            return None;
        }
        let lock = self.engine.inner.reservations.of(&policy.key);
        if let Ok(reservation) = Arc::clone(&lock).try_lock_owned() {
            return Some(reservation);
        }
        // A refusal means that it is no longer queued, which the driver sees by itself.
        let _ = self.cell.command(&Command::Hold { action }, self.now(), Payloads::default());
        Some(lock.lock_owned().await)
    }

    /// The right to compute the key of an attempt that is under way already, if nobody else has it.
    pub(crate) fn try_reserve(&self, action: &ActionName) -> Option<Reservation> {
        let policy = self.cell.cache_policy(action).filter(|policy| policy.serialize)?;
        self.engine.inner.reservations.of(&policy.key).try_lock_owned().ok()
    }

    /// Ends the action with the outputs that the cache has for it, if it has any that count.
    pub(crate) async fn reuse_cached(
        &self,
        action: ActionName,
        policy: &CachePolicy,
        executor: &dyn Executor,
    ) -> Result<(), Error> {
        if policy.overwrite {
            return Ok(());
        }
        let Some(found) = self.engine.inner.journal.store().cached(&policy.key)? else { return Ok(()) };
        if is_too_old(policy, found.stored_at, self.now()) {
            return Ok(());
        }
        let source = Source::Cache { run: found.run, action: found.action, attempt: found.attempt };
        self.reuse(action, source, found.outputs, executor).await
    }

    /// Ends an action with outputs that were there already.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal failed. An action with an attempt under way, or at its end, stays as it is.
    pub async fn reuse(
        &self,
        action: ActionName,
        source: Source,
        outputs: bytes::Bytes,
        executor: &dyn Executor,
    ) -> Result<(), Error> {
        if executor.deliver(self, action, &outputs).await.is_err() {
            // What cannot be delivered is computed again.
            return Ok(());
        }
        let payloads = Payloads { inputs: None, outputs: Some(outputs) };
        let _ = self.cell.command(&Command::Reuse { action, source }, self.now(), payloads);
        Ok(())
    }

    /// Keeps the outputs of a success for later actions with the same key. If the store refuses them, they are computed again.
    pub(crate) async fn fill_cache(
        &self,
        action: ActionName,
        attempt: AttemptNo,
        policy: &CachePolicy,
        outputs: bytes::Bytes,
    ) -> Result<(), Error> {
        // Nobody may be given outputs whose own success is not safe yet.
        self.committed().await?;
        let (run, stored_at) = (self.id().name.to_string(), self.now());
        let value = CachedOutputs { run, action, attempt, outputs, stored_at };
        // The success stands; a store that cannot be written at all is found out by the next commit.
        let _ = self.engine.inner.journal.store().cache(&policy.key, &value);
        Ok(())
    }
}

fn is_too_old(policy: &CachePolicy, stored_at: Timestamp, now: Timestamp) -> bool {
    policy.max_age_seconds.is_some_and(|limit| now.since(stored_at).as_secs() >= limit)
}
