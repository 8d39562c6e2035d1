//! What is still to be exported: which runs, and their newest events as long as there is room for them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spanwise_core::Event;
use spanwise_store::RunKey;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cell::RunCell;

/// The most events in memory, of all runs together. Others are read from the journal, which has all of them.
const ROOM: usize = 64 * 1024;

/// The runs that have events whose spans were not exported yet.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    runs: Mutex<Pending>,
    wake: Notify,
    /// Somebody exports: what is accepted from now on is to be exported.
    open: AtomicBool,
}

#[derive(Debug, Default)]
struct Pending {
    order: VecDeque<RunKey>,
    queued: HashSet<RunKey>,
    tails: HashMap<RunKey, Tail>,
    /// Events that are in the tails.
    buffered: usize,
    /// Events that ever came.
    arrived: u64,
}

/// The newest events of a run, without a gap.
#[derive(Debug)]
struct Tail {
    first_seq: u64,
    events: VecDeque<Event>,
}

impl Exports {
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// A run has these new events in the store, the first of them with this number.
    pub(crate) fn mark(&self, cell: &RunCell, first_seq: u64, events: Vec<Event>) {
        if self.is_open() && cell.settings().trace.is_exported() {
            let run = cell.key();
            self.lock().keep(run, first_seq, events);
            self.add(run);
        }
    }

    pub(super) fn add(&self, run: RunKey) {
        let mut pending = self.lock();
        if pending.queued.insert(run) {
            pending.order.push_back(run);
            self.wake.notify_one();
        }
    }

    /// The first run in line.
    pub(super) fn next(&self) -> Option<RunKey> {
        let mut pending = self.lock();
        let run = pending.order.pop_front()?;
        pending.queued.remove(&run);
        Some(run)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().order.is_empty()
    }

    /// Waits until there are events and then no new ones for some time, or until this lasts too long or fills the room.
    pub(super) async fn lull(&self, quiet: Duration, patience: Duration) {
        while self.is_empty() {
            self.wake.notified().await;
        }
        let begun = Instant::now();
        loop {
            let before = self.lock().arrived;
            tokio::time::sleep(quiet).await;
            let pending = self.lock();
            if pending.arrived == before || pending.buffered > ROOM / 4 * 3 || begun.elapsed() >= patience {
                return;
            }
        }
    }

    /// The events of a run from this number on, at most `limit`; none if they are to be read from the journal.
    pub(super) fn take(&self, run: RunKey, seq: u64, limit: usize) -> Vec<Event> {
        let mut pending = self.lock();
        let Pending { tails, buffered, .. } = &mut *pending;
        let Entry::Occupied(mut tail) = tails.entry(run) else { return Vec::new() };
        let before = tail.get().events.len();
        let taken = tail.get_mut().take(seq, limit);
        *buffered -= before - tail.get().events.len();
        if tail.get().events.is_empty() {
            tail.remove();
        }
        taken
    }

    /// Frees the room of a run's events before this number: they were read from the journal, or nobody wants them.
    pub(super) fn pass(&self, run: RunKey, seq: u64) {
        self.take(run, seq, 0);
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Nothing that can panic runs under this lock.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Keeps events if there is room, and if they go on where those that are kept end.
    fn keep(&mut self, run: RunKey, first_seq: u64, events: Vec<Event>) {
        let count = events.len();
        self.arrived += count as u64;
        if self.buffered + count > ROOM {
            return;
        }
        match self.tails.entry(run) {
            Entry::Vacant(entry) => {
                entry.insert(Tail { first_seq, events: events.into() });
            }
            Entry::Occupied(mut tail) if tail.get().end() == first_seq => tail.get_mut().events.extend(events),
            Entry::Occupied(_) => return,
        }
        self.buffered += count;
    }
}

impl Tail {
    fn end(&self) -> u64 {
        self.first_seq + self.events.len() as u64
    }

    fn take(&mut self, seq: u64, limit: usize) -> Vec<Event> {
        let passed = usize::try_from(seq.saturating_sub(self.first_seq)).unwrap_or(usize::MAX);
        drop(self.drain(passed));
        if self.first_seq == seq { self.drain(limit) } else { Vec::new() }
    }

    fn drain(&mut self, count: usize) -> Vec<Event> {
        let taken: Vec<Event> = self.events.drain(..count.min(self.events.len())).collect();
        self.first_seq += taken.len() as u64;
        taken
    }
}

#[cfg(test)]
mod tests {
    use spanwise_core::{ActionName, Fact, Timestamp};

    use super::*;

    const RUN: RunKey = RunKey(1);

    fn events(numbers: std::ops::Range<u64>) -> Vec<Event> {
        numbers.map(|at| Event { action: ActionName::ROOT, at: Timestamp(at as i64), fact: Fact::Requeued }).collect()
    }

    fn keep(exports: &Exports, numbers: std::ops::Range<u64>) {
        exports.lock().keep(RUN, numbers.start, events(numbers));
    }

    #[test]
    fn events_are_taken_in_order_and_once() {
        let exports = Exports::default();
        keep(&exports, 0..3);
        keep(&exports, 3..7);
        assert_eq!(exports.take(RUN, 0, 5), events(0..5));
        assert_eq!(exports.take(RUN, 5, 5), events(5..7));
        assert_eq!(exports.take(RUN, 7, 5), []);
        assert!(exports.lock().tails.is_empty());
        assert_eq!(exports.lock().buffered, 0);
    }

    #[test]
    fn what_is_not_kept_is_left_to_the_journal() {
        let exports = Exports::default();
        keep(&exports, 10..20);
        assert_eq!(exports.take(RUN, 4, 100), [], "the events before those that are kept come first");
        assert_eq!(exports.take(RUN, 16, 100), events(16..20), "some were read from the journal");
        keep(&exports, 20..22);
        keep(&exports, 25..30);
        assert_eq!(exports.take(RUN, 20, 100), events(20..22), "after a gap nothing is kept");
        assert_eq!(exports.lock().buffered, 0);
    }

    #[test]
    fn events_that_were_read_from_the_journal_take_no_room() {
        let exports = Exports::default();
        keep(&exports, 10..20);
        exports.pass(RUN, 15);
        assert_eq!(exports.lock().buffered, 5);
        exports.pass(RUN, u64::MAX);
        assert_eq!(exports.lock().buffered, 0);
        assert!(exports.lock().tails.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let exports = Exports::default();
        let room = ROOM as u64;
        keep(&exports, 0..room - 1);
        keep(&exports, room - 1..room + 1);
        assert_eq!(exports.lock().buffered, ROOM - 1);
        assert_eq!(exports.take(RUN, 0, ROOM).len(), ROOM - 1);
        keep(&exports, room + 1..room + 2);
        assert_eq!(exports.take(RUN, room - 1, 10), []);
        assert_eq!(exports.take(RUN, room + 1, 10), events(room + 1..room + 2));
    }
}
