//! Runs whose stored form cannot be understood, and why.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use spanwise_core::RunId;

/// The runs that could not be read when they were asked for last.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(Mutex<HashMap<RunId, String>>);

impl Unreadable {
    pub(crate) fn note(&self, id: RunId, cause: String) {
        self.lock().insert(id, cause);
    }

    /// The run was read, or is another one of this name.
    pub(crate) fn clear(&self, id: &RunId) {
        self.lock().remove(id);
    }

    pub(crate) fn cause(&self, id: &RunId) -> Option<String> {
        self.lock().get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(RunId, String)> {
        self.lock().iter().map(|(id, cause)| (id.clone(), cause.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, String>> {
        // Nothing that panics runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
