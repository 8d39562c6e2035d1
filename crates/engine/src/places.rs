//! The places of the whole engine: how many attempts may do something at one time, over all runs.
//!
//! An attempt that only waits, for its children or outside of its run, takes up no place (semantics S4). Where places are short, runs take turns:
//! one with ten thousand queued actions does not keep another from its first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashSet;
use spanwise_core::ActionName;
use spanwise_store::RunKey;
use tokio::sync::Notify;

/// The places of an engine.
#[derive(Debug)]
pub(crate) struct Places {
    limit: Option<u32>,
    inner: Mutex<Inner>,
    /// Told when nobody does anything any more.
    idle: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Attempts that do something, and places that are reserved for a launch.
    occupied: i64,
    reserved: FxHashSet<(RunKey, ActionName)>,
    /// Nothing more is launched.
    closed: bool,
    /// Runs that wait, each with its actions in their order; the first run is next.
    waiting: VecDeque<(RunKey, VecDeque<Waiting>)>,
}

/// An action that waits, and what tells it that its place is there.
type Waiting = (ActionName, Arc<Notify>);

impl Places {
    pub(crate) fn new(limit: Option<u32>) -> Places {
        Places { limit: limit.filter(|limit| *limit > 0), inner: Mutex::default(), idle: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a launch, or queues for one; `turn` is notified when it is there. A place that was taken is given
    /// back with [`Places::settle`] once the launch is counted.
    pub(crate) fn claim(&self, run: RunKey, action: ActionName, turn: &Arc<Notify>) -> bool {
        let Some(limit) = self.limit else { return true };
        let mut inner = self.lock();
        if inner.reserved.remove(&(run, action)) {
            return true;
        }
        if !inner.closed && inner.occupied < i64::from(limit) && inner.waiting.is_empty() {
            inner.occupied += 1;
            return true;
        }
        inner.queue(run, action, turn);
        false
    }

    /// The launch of a claimed action is counted (or was refused): its reservation ends.
    pub(crate) fn settle(&self) {
        self.change(-1);
    }

    /// An action that waits, or has a place reserved, will not be launched by its driver.
    pub(crate) fn withdraw(&self, run: RunKey, action: ActionName) {
        if self.limit.is_none() {
            return;
        }
        let mut inner = self.lock();
        for (_, actions) in inner.waiting.iter_mut().filter(|(waiting, _)| *waiting == run) {
            actions.retain(|(name, _)| *name != action);
        }
        inner.waiting.retain(|(_, actions)| !actions.is_empty());
        let had_place = inner.reserved.remove(&(run, action));
        drop(inner);
        if had_place {
            self.change(-1);
        }
    }

    /// The limit, if all places are taken.
    pub(crate) fn full(&self) -> Option<u32> {
        self.limit.filter(|limit| self.lock().occupied >= i64::from(*limit))
    }

    /// Gives no place away any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// Returns when no attempt does anything but wait for children. Without a limit nobody counts, and it returns at once.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.limit.is_none() || self.lock().occupied <= 0 {
                return;
            }
            idle.await;
        }
    }

    /// Attempts began or ended to do something. Whoever's turn it is now is notified.
    pub(crate) fn change(&self, by: i64) {
        let Some(limit) = self.limit else { return };
        if by == 0 {
            return;
        }
        let mut inner = self.lock();
        inner.occupied += by;
        if inner.occupied <= 0 {
            self.idle.notify_waiters();
        }
        while !inner.closed && inner.occupied < i64::from(limit) {
            let Some((run, action, turn)) = inner.next() else { break };
            inner.occupied += 1;
            inner.reserved.insert((run, action));
            turn.notify_one();
        }
    }
}

impl Inner {
    fn queue(&mut self, run: RunKey, action: ActionName, turn: &Arc<Notify>) {
        let entry = (action, Arc::clone(turn));
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == run) {
            Some((_, actions)) if actions.iter().any(|(name, _)| *name == action) => {}
            Some((_, actions)) => actions.push_back(entry),
            None => self.waiting.push_back((run, VecDeque::from([entry]))),
        }
    }

    /// The first action of the first run, which goes to the end of the line.
    fn next(&mut self) -> Option<(RunKey, ActionName, Arc<Notify>)> {
        let (run, mut actions) = self.waiting.pop_front()?;
        let (action, turn) = actions.pop_front()?;
        if !actions.is_empty() {
            self.waiting.push_back((run, actions));
        }
        Some((run, action, turn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ActionName {
        ActionName::new(text).unwrap()
    }

    #[tokio::test]
    async fn s4_runs_take_turns_and_a_withdrawn_action_gives_its_place_on() {
        let places = Places::new(Some(1));
        let turn = || Arc::new(Notify::new());
        assert!(places.claim(RunKey(1), name("a"), &turn()));
        let (b, c, d) = (turn(), turn(), turn());
        assert!(!places.claim(RunKey(1), name("b"), &b));
        assert!(!places.claim(RunKey(1), name("c"), &c));
        assert!(!places.claim(RunKey(2), name("d"), &d));
        // `a` was launched, which counts as one, and ends.
        places.change(1);
        places.settle();
        places.change(-1);
        b.notified().await;
        // The other run is next, not `c`; `b` goes without having been launched.
        places.withdraw(RunKey(1), name("b"));
        d.notified().await;
        assert!(places.claim(RunKey(2), name("d"), &d));
        assert!(!places.claim(RunKey(1), name("c"), &c));
        places.settle();
        c.notified().await;
    }
}
