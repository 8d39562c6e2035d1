//! Which children of a parent, or which actions of a run, have changed since a watcher asked last: each once, however often it changed.

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use spanwise_core::ActionName;
use tokio::sync::Notify;

use super::RunCell;

/// The feeds of a run, by the parent that they are about.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    by_parent: FxHashMap<ActionName, Vec<Arc<Changed>>>,
    of_all: Vec<Arc<Changed>>,
}

/// Names that have changed and were not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    names: Mutex<FxHashSet<ActionName>>,
    notify: Notify,
}

impl Feeds {
    pub(crate) fn add(&mut self, parent: ActionName) -> Arc<Changed> {
        let changed = Arc::new(Changed::default());
        self.by_parent.entry(parent).or_default().push(Arc::clone(&changed));
        changed
    }

    pub(crate) fn remove(&mut self, parent: ActionName, changed: &Arc<Changed>) {
        if let Some(feeds) = self.by_parent.get_mut(&parent) {
            feeds.retain(|feed| !Arc::ptr_eq(feed, changed));
            if feeds.is_empty() {
                self.by_parent.remove(&parent);
            }
        }
    }

    pub(crate) fn add_of_all(&mut self) -> Arc<Changed> {
        let changed = Arc::new(Changed::default());
        self.of_all.push(Arc::clone(&changed));
        changed
    }

    pub(crate) fn remove_of_all(&mut self, changed: &Arc<Changed>) {
        self.of_all.retain(|feed| !Arc::ptr_eq(feed, changed));
    }

    pub(crate) fn note(&self, parent: Option<ActionName>, action: ActionName) {
        let of_parent = parent.and_then(|parent| self.by_parent.get(&parent)).into_iter().flatten();
        for feed in of_parent.chain(&self.of_all) {
            feed.names.lock().unwrap_or_else(PoisonError::into_inner).insert(action);
            feed.notify.notify_one();
        }
    }
}

impl Changed {
    /// Waits until something has changed and takes the names, sorted.
    async fn taken(&self) -> Vec<ActionName> {
        loop {
            self.notify.notified().await;
            let names = std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
            if !names.is_empty() {
                let mut names: Vec<ActionName> = names.into_iter().collect();
                names.sort_unstable();
                return names;
            }
        }
    }
}

/// The changes of all actions of a run, from when it was made.
pub struct ActionFeed {
    pub(crate) cell: Arc<RunCell>,
    pub(crate) changed: Arc<Changed>,
}

impl ActionFeed {
    /// Waits until actions have changed and takes their names, sorted. Changes meanwhile are in the next answer.
    ///
    /// # Cancellation
    /// Safe: nothing is taken before the answer.
    pub async fn changed(&self) -> Vec<ActionName> {
        self.changed.taken().await
    }
}

impl Drop for ActionFeed {
    fn drop(&mut self) {
        self.cell.remove_feed_of_all(&self.changed);
    }
}

impl std::fmt::Debug for ActionFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActionFeed").finish_non_exhaustive()
    }
}

/// The changes of the children of one action, from when it was made.
pub struct ChildFeed {
    pub(crate) cell: Arc<RunCell>,
    pub(crate) parent: ActionName,
    pub(crate) changed: Arc<Changed>,
}

impl ChildFeed {
    /// Whose children these are.
    pub fn parent(&self) -> ActionName {
        self.parent
    }

    /// Waits until children have changed and takes their names, sorted. Changes meanwhile are in the next answer.
    ///
    /// # Cancellation
    /// Safe: nothing is taken before the answer.
    pub async fn changed(&self) -> Vec<ActionName> {
        self.changed.taken().await
    }
}

impl Drop for ChildFeed {
    fn drop(&mut self) {
        self.cell.remove_feed(self.parent, &self.changed);
    }
}

impl std::fmt::Debug for ChildFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildFeed").field("parent", &self.parent).finish_non_exhaustive()
    }
}
