//! The slots of an engine: how many attempts may do something at one time, over all its runs.
//!
//! An attempt that only waits, for its children or outside of its run, takes up no slot (semantics S4). Where slots are short, runs take
//! turns: one with ten thousand queued actions does not keep another from its first.

use std::collections::VecDeque;
use std::hash::Hash;

use rustc_hash::FxHashSet;

use crate::ActionName;

/// Slots, who has one reserved and who waits. `R` names a run; `T` is what tells a driver that its slot is there: whatever is handed
/// out has to be told.
#[derive(Debug)]
pub struct Slots<R, T> {
    limit: u32,
    /// Attempts that do something, and slots that are reserved for a launch.
    occupied: i64,
    reserved: FxHashSet<(R, ActionName)>,
    /// No slot is given away any more.
    is_closed: bool,
    /// Runs that wait, each with its actions in their order; the first run is next.
    waiting: VecDeque<(R, VecDeque<(ActionName, T)>)>,
}

impl<R: Copy + Eq + Hash, T: Clone> Slots<R, T> {
    /// So many slots, all of them free.
    pub fn new(limit: u32) -> Slots<R, T> {
        let (reserved, waiting) = (FxHashSet::default(), VecDeque::new());
        Slots { limit, occupied: 0, reserved, is_closed: false, waiting }
    }

    /// Takes a slot for a launch, or queues for one; `notice` is handed out when it is there. A slot that was taken is given back by
    /// a [`Slots::change`] of -1 once the launch is counted.
    pub fn claim(&mut self, run: R, action: ActionName, notice: &T) -> bool {
        if self.reserved.remove(&(run, action)) {
            return true;
        }
        if !self.is_closed && !self.are_full() && self.waiting.is_empty() {
            self.occupied += 1;
            return true;
        }
        self.queue(run, action, notice);
        false
    }

    /// An action that waits, or has a slot reserved, will not be launched by its driver.
    #[must_use = "these have a slot now and have to be told"]
    pub fn withdraw(&mut self, run: R, action: ActionName) -> Vec<T> {
        for (_, actions) in self.waiting.iter_mut().filter(|(waiting, _)| *waiting == run) {
            actions.retain(|(name, _)| *name != action);
        }
        self.waiting.retain(|(_, actions)| !actions.is_empty());
        if self.reserved.remove(&(run, action)) { self.change(-1) } else { Vec::new() }
    }

    /// Attempts began or ended to do something.
    #[must_use = "these have a slot now and have to be told"]
    pub fn change(&mut self, by: i64) -> Vec<T> {
        self.occupied += by;
        let mut notices = Vec::new();
        while !self.is_closed && !self.are_full() {
            let Some((run, action, notice)) = self.next() else { break };
            self.occupied += 1;
            self.reserved.insert((run, action));
            notices.push(notice);
        }
        notices
    }

    /// How many slots there are.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// True if no slot is free.
    pub fn are_full(&self) -> bool {
        self.occupied >= i64::from(self.limit)
    }

    /// True if no attempt does anything.
    pub fn are_idle(&self) -> bool {
        self.occupied <= 0
    }

    /// Gives no slot away any more.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    #[cfg(test)]
    pub(crate) fn occupied(&self) -> usize {
        usize::try_from(self.occupied).unwrap()
    }

    #[cfg(test)]
    pub(crate) fn reserved(&self) -> usize {
        self.reserved.len()
    }

    fn queue(&mut self, run: R, action: ActionName, notice: &T) {
        let entry = (action, notice.clone());
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == run) {
            Some((_, actions)) if actions.iter().any(|(name, _)| *name == action) => {}
            Some((_, actions)) => actions.push_back(entry),
            None => self.waiting.push_back((run, VecDeque::from([entry]))),
        }
    }

    /// The first action of the first run, which goes to the end of the line.
    fn next(&mut self) -> Option<(R, ActionName, T)> {
        let (run, mut actions) = self.waiting.pop_front()?;
        let (action, notice) = actions.pop_front()?;
        if !actions.is_empty() {
            self.waiting.push_back((run, actions));
        }
        Some((run, action, notice))
    }
}
