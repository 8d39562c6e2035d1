//! Reservations of cache keys: one computation of a key at a time, where that was asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use spanwise_core::trace::TraceParent;
use tokio::sync::OwnedMutexGuard;

/// Who computes which key now, where one computation at a time was asked for.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    keys: Mutex<HashMap<String, Weak<KeyLock>>>,
}

/// Held by whoever computes a key; inside, the span of the action that did so last.
pub(crate) type KeyLock = tokio::sync::Mutex<Option<TraceParent>>;

/// The right to compute a key; the next one in line has it when this is dropped.
pub(crate) type Reservation = OwnedMutexGuard<Option<TraceParent>>;

impl Reservations {
    /// The lock of a key: whoever has it computes the key.
    pub(crate) fn of(&self, key: &str) -> Arc<KeyLock> {
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
