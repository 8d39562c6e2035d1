//! The slots of the whole engine, for drivers on several threads; the rules are [`spanwise_core::Slots`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanwise_core::{ActionName, RunSlots, Slots};
use tokio::sync::Notify;

/// What tells a driver that its slot is there.
pub(crate) type Notice = Arc<Notify>;

/// The slots of an engine.
#[derive(Debug, Default)]
pub(crate) struct EngineSlots {
    /// None where there are as many as anybody asks for.
    slots: Option<Mutex<Slots<RunNumber, Notice>>>,
    last_run: AtomicU64,
    /// Notified when no attempt does anything any more.
    idle: Notify,
}

/// A run, as long as it is in this process.
type RunNumber = u64;

impl EngineSlots {
    pub(crate) fn new(limit: Option<u32>) -> EngineSlots {
        let slots = limit.filter(|limit| *limit > 0).map(|limit| Mutex::new(Slots::new(limit)));
        EngineSlots { slots, ..EngineSlots::default() }
    }

    /// The slots as one more run has them.
    pub(crate) fn of_run(self: &Arc<Self>) -> SlotsOfRun {
        let run = self.last_run.fetch_add(1, Ordering::Relaxed);
        SlotsOfRun { engine: Arc::clone(self), run }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Slots<RunNumber, Notice>>> {
        Some(self.slots.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The limit, if all slots are taken.
    pub(crate) fn full(&self) -> Option<u32> {
        self.lock().filter(|slots| slots.are_full()).map(|slots| slots.limit())
    }

    /// Gives no slot away any more.
    pub(crate) fn close(&self) {
        if let Some(mut slots) = self.lock() {
            slots.close();
        }
    }

    /// Returns when no attempt does anything but wait for children. Without a limit nobody counts, and it returns at once.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.lock().is_none_or(|slots| slots.are_idle()) {
                return;
            }
            idle.await;
        }
    }

    /// Changes the slots, and notifies those who have one now.
    fn with(&self, change: impl FnOnce(&mut Slots<RunNumber, Notice>) -> Vec<Notice>) {
        let Some(mut slots) = self.lock() else { return };
        let notices = change(&mut slots);
        if slots.are_idle() {
            self.idle.notify_waiters();
        }
        drop(slots);
        notices.iter().for_each(|notice| notice.notify_one());
    }
}

/// The slots of the engine, as one of its runs has them.
#[derive(Debug)]
pub(crate) struct SlotsOfRun {
    engine: Arc<EngineSlots>,
    run: RunNumber,
}

impl RunSlots for SlotsOfRun {
    type Notice = Notice;

    fn are_limited(&self) -> bool {
        self.engine.slots.is_some()
    }

    fn claim(&self, action: ActionName, notice: &Notice) -> bool {
        self.engine.lock().is_none_or(|mut slots| slots.claim(self.run, action, notice))
    }

    fn withdraw(&self, action: ActionName) {
        self.engine.with(|slots| slots.withdraw(self.run, action));
    }

    fn change(&self, by: i64) {
        if by != 0 {
            self.engine.with(|slots| slots.change(by));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ActionName {
        ActionName::new(text).unwrap()
    }

    #[tokio::test]
    async fn s4_runs_take_turns_and_a_withdrawn_action_gives_its_slot_on() {
        let slots = Arc::new(EngineSlots::new(Some(1)));
        let (first, second) = (slots.of_run(), slots.of_run());
        let notice = || Arc::new(Notify::new());
        assert!(first.claim(name("a"), &notice()));
        let (b, c, d) = (notice(), notice(), notice());
        assert!(!first.claim(name("b"), &b));
        assert!(!first.claim(name("c"), &c));
        assert!(!second.claim(name("d"), &d));
        // `a` was launched, which counts as one, and ends.
        first.change(1);
        first.change(-1);
        first.change(-1);
        b.notified().await;
        // The other run is next, not `c`; `b` goes without having been launched.
        first.withdraw(name("b"));
        d.notified().await;
        assert!(second.claim(name("d"), &d));
        assert!(!first.claim(name("c"), &c));
        second.change(-1);
        c.notified().await;
    }
}
