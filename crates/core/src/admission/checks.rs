//! A second opinion on the counts, for tests.

use std::collections::BTreeMap;
use std::hash::Hash;

use super::amounts::{Amounts, Dimension};
use super::tree::ROOT;
use super::{Admission, Now, Wish};

impl<R: Copy + Eq + Hash, T: Clone> Admission<R, T> {
    /// Attempts that do something, and those that may begin.
    pub(crate) fn begun(&self) -> usize {
        self.entries.values().filter(|entry| entry.is_busy()).count()
    }

    /// Attempts that may begin, and have not.
    pub(crate) fn granted(&self) -> usize {
        self.entries.values().filter(|entry| matches!(entry.now, Now::Granted { .. })).count()
    }

    /// Actions that wait in the queue of this wish, and have not begun.
    pub(crate) fn queued(&self, wish: &Wish) -> u64 {
        self.queued.get(&self.queue(wish)).copied().unwrap_or_default()
    }

    /// True if the server or the queue has no room for one more of these.
    pub(crate) fn are_full_for(&self, wish: &Wish) -> bool {
        let (queue, needs) = (self.queue(wish), wish.needs.amounts());
        let lacks = |pool: &super::pool::Pool<_>| {
            let is_short = |of: &Dimension| {
                needs[*of] > 0 && pool.capacity[*of as usize].is_some_and(|limit| pool.used[*of] + needs[*of] > limit)
            };
            Dimension::ALL.iter().any(is_short)
        };
        lacks(self.tree.pool(ROOT)) || lacks(self.tree.pool(queue))
    }

    /// What is counted is what the entries have.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut used: BTreeMap<usize, (Amounts, u64)> = BTreeMap::new();
        let mut queued = BTreeMap::new();
        for entry in self.entries.values() {
            for pool in self.tree.path(entry.key) {
                let (amounts, waiting) = used.entry(pool).or_default();
                amounts.add(&entry.had().used);
                *waiting += u64::from(matches!(entry.now, Now::InLine { .. }));
            }
            *queued.entry(entry.queue).or_insert(0) += u64::from(entry.is_queued());
        }
        for (pool, (amounts, waiting)) in used {
            let counted = self.tree.pool(pool);
            if (counted.used, counted.waiting) != (amounts, waiting) {
                let (used, waits) = (counted.used, counted.waiting);
                return Err(format!("{}: {used:?} and {waits}, not {amounts:?} and {waiting}", counted.name));
            }
        }
        if let Some((queue, count)) = queued.into_iter().find(|(queue, count)| self.queued.get(queue) != Some(count)) {
            return Err(format!("{count} are queued in {queue}, not {:?}", self.queued.get(&queue)));
        }
        if self.busy != self.begun() as u64 {
            return Err(format!("{} are busy, not {}", self.begun(), self.busy));
        }
        match self.tree.next() {
            Some(_) if !self.is_closed => Err("somebody may begin and does not".to_owned()),
            _ => Ok(()),
        }
    }

    /// How many parents have children that one is chosen of.
    pub(crate) fn families(&self) -> usize {
        self.families.len()
    }

    /// How many lines stand at the server.
    pub(crate) fn lines(&self) -> usize {
        self.tree.pool(ROOT).classes.len()
    }

    /// How many pools there are.
    pub(crate) fn pools(&self) -> usize {
        self.tree.len()
    }
}
