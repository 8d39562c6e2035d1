//! Waiting for changes of one action.

use std::sync::Arc;

use spanwise_core::ActionName;
use tokio::sync::Notify;

use super::RunCell;

/// A subscription to the changes of one action, from when it was made.
pub struct Watch {
    pub(super) cell: Arc<RunCell>,
    pub(super) action: ActionName,
    pub(super) notify: Arc<Notify>,
}

impl Watch {
    /// Returns when the action may have changed since the last call.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.cell.lock();
        if let Some(watchers) = state.watchers.get_mut(&self.action) {
            watchers.retain(|watcher| !Arc::ptr_eq(watcher, &self.notify));
            if watchers.is_empty() {
                state.watchers.remove(&self.action);
            }
        }
    }
}
