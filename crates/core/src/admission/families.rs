//! Which child of a parent may begin beside attempts that keep everything and only wait: one at a time, so that what is given out beyond a limit grows with
//! the depth of a run and not with its width.

use std::collections::BTreeMap;
use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::ActionName;

/// The children of parents of runs `R` that need what a waiting process keeps.
#[derive(Debug)]
pub(super) struct Families<R> {
    of: FxHashMap<(R, ActionName), Family>,
}

#[derive(Debug, Default)]
struct Family {
    /// Those who stand in line, by their numbers there.
    in_line: BTreeMap<u64, ActionName>,
    chosen: Option<ActionName>,
}

impl<R: Copy + Eq + Hash> Families<R> {
    pub(super) fn new() -> Families<R> {
        Families { of: FxHashMap::default() }
    }

    /// True if the child is the one that may, which it is if no other one is.
    pub(super) fn choose(&mut self, parent: (R, ActionName), child: ActionName) -> bool {
        *self.of.entry(parent).or_default().chosen.get_or_insert(child) == child
    }

    pub(super) fn stands(&mut self, parent: (R, ActionName), number: u64, child: ActionName) {
        self.of.entry(parent).or_default().in_line.insert(number, child);
    }

    pub(super) fn leaves(&mut self, parent: (R, ActionName), number: u64) {
        if let Some(family) = self.of.get_mut(&parent) {
            family.in_line.remove(&number);
        }
    }

    /// The child has nothing and stands in no line. Gives the next one that may, and its number, if this one was it.
    pub(super) fn gives_up(&mut self, parent: (R, ActionName), child: ActionName) -> Option<(u64, ActionName)> {
        let family = self.of.get_mut(&parent)?;
        family.chosen.take_if(|chosen| *chosen == child)?;
        let next = family.in_line.first_key_value().map(|(number, child)| (*number, *child));
        family.chosen = next.map(|(_, child)| child);
        if family.in_line.is_empty() {
            self.of.remove(&parent);
        }
        next
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }
}
