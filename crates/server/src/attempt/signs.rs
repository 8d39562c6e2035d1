//! Signs of life: an attempt's process shows that it runs by asking for its inputs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Who waits for which key of the blob store to be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignsOfLife {
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>,
}

/// A wait for one key; over when it is dropped.
#[derive(Debug)]
pub(crate) struct Sign {
    signs: SignsOfLife,
    key: String,
    /// None once it was seen.
    seen: Option<oneshot::Receiver<()>>,
}

impl SignsOfLife {
    /// Waits for the first read of a key.
    pub(crate) fn of(&self, key: &str) -> Sign {
        let (sender, seen) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), sender);
        Sign { signs: self.clone(), key: key.to_owned(), seen: Some(seen) }
    }

    /// A key is being read.
    pub(crate) fn seen(&self, key: &str) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        if let Some(waiting) = waiting {
            let _ = waiting.send(());
        }
    }
}

impl Sign {
    /// Returns once, when the key is read for the first time; never again after that.
    ///
    /// # Cancellation
    /// Safe.
    pub(crate) async fn seen(&mut self) {
        let seen = match &mut self.seen {
            Some(seen) => seen.await.is_ok(),
            None => false,
        };
        self.seen = None;
        if !seen {
            std::future::pending().await
        }
    }
}

impl Drop for Sign {
    fn drop(&mut self) {
        self.signs.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
