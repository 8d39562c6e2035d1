//! Commits in groups.
//!
//! A run keeps its new events until somebody must know that they are safe. A commit made by a caller who is alone happens on
//! the caller's own thread (a hand-over to another thread costs as much as the commit itself); where several wait, one
//! writer thread takes everything that has gathered into one transaction.
//!
//! What the store refuses because the disk is full, or for another reason that may pass, stays in front of the queue: memory is ahead of
//! the disk then, nobody is told that it is not, and the writer tries again until there is room. What it will never take breaks off
//! the run that it belongs to, and no other.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use spanwise_store::{Append, RunKey, Store};
use tokio::sync::{Notify, oneshot, watch};

use crate::blocking::{leave_runtime, stays};
use crate::cell::RunCell;
use crate::error::Error;
use crate::export::Exports;
use crate::run_feed::RunFeeds;

/// After so long the writer tries again what was refused.
const RETRY: Duration = Duration::from_millis(500);

/// The journal of an engine. Dropping it writes what is left and ends the writer thread.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    store: Arc<dyn Store>,
    /// True for a store whose commits cost nothing: every commit is made by its caller.
    always_inline: bool,
    /// Where runs with new events are queued for their export.
    exports: Arc<Exports>,
    /// Notified when runs have ended.
    ended: Arc<Notify>,
    /// Who watches runs is told of what was written.
    run_feeds: Arc<RunFeeds>,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Why nothing can be written now, if so.
    stalled: watch::Sender<Option<Error>>,
}

#[derive(Default)]
struct Queue {
    /// Runs with events that are to be written.
    runs: Vec<Arc<RunCell>>,
    /// What was refused and comes first, in order.
    refused: Vec<Taken>,
    /// Runs of the group that is being written: what was taken from them is not in the store yet.
    in_flight: Vec<Arc<RunCell>>,
    waiters: Vec<Waiter>,
    /// Somebody is writing a group now.
    writing: bool,
    /// The writer thread has been asked to write.
    requested: bool,
    /// Why the last group was refused, until one is written.
    stalled: Option<Error>,
    closed: bool,
}

/// Events that were taken from a run.
type Taken = (Arc<RunCell>, Append);

struct Waiter {
    run: Arc<RunCell>,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl Journal {
    pub(crate) fn open(
        store: Arc<dyn Store>,
        always_inline: bool,
        exports: Arc<Exports>,
        ended: Arc<Notify>,
        run_feeds: Arc<RunFeeds>,
    ) -> Result<Journal, Error> {
        let (queue, stalled) = (Mutex::default(), watch::Sender::new(None));
        let wake = Condvar::new();
        let shared = Arc::new(Shared { store, always_inline, exports, ended, run_feeds, queue, wake, stalled });
        let writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("spanwise-journal".to_owned())
            .spawn(move || writer.write_until_closed())
            .map_err(|source| spanwise_store::Error::Open { path: "journal thread".into(), source })?;
        Ok(Journal { shared, writer: Some(writer) })
    }

    /// True for a store in memory.
    pub(crate) fn costs_nothing(&self) -> bool {
        self.shared.always_inline
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Asks something of the store beside the journal's own commits, for async callers. `alone` says that nobody else is doing something.
    ///
    /// # Errors
    /// What the store says; [`Error::Interrupted`] if the runtime ends.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        alone: bool,
        question: impl FnOnce(&dyn Store) -> Result<T, spanwise_store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        if stays(alone, self.shared.always_inline) {
            return Ok(question(&*self.shared.store)?);
        }
        let store = Arc::clone(&self.shared.store);
        Ok(leave_runtime(move || question(&*store)).await??)
    }

    /// Refuses what is new while what is older cannot be written.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.shared.lock().stalled.clone().map_or(Ok(()), Err)
    }

    /// Tells when nothing can be written, and when it can again.
    pub(crate) fn stalled(&self) -> watch::Receiver<Option<Error>> {
        self.shared.stalled.subscribe()
    }

    /// Returns when the store takes what it is given.
    ///
    /// # Cancellation
    /// Safe.
    pub(crate) async fn room(&self) {
        let _ = self.stalled().wait_for(Option::is_none).await;
    }

    /// Returns when every event that the run has now is safe. `alone` says that nobody else is about to commit.
    ///
    /// # Errors
    /// [`Error::Store`]. If it may pass ([`Error::may_pass`]), the events are written when there is room.
    ///
    /// # Cancellation
    /// Safe: the events are written all the same.
    pub(crate) async fn commit(&self, run: &Arc<RunCell>, alone: bool) -> Result<(), Error> {
        let answer = {
            let mut queue = self.shared.lock();
            if queue.stalled.is_some() {
                return queue.refuse(run);
            }
            queue.add(run);
            if !queue.writing && stays(alone, self.shared.always_inline) {
                self.shared.write_group(queue);
                return self.shared.lock().outcome(run);
            }
            let (answer, answered) = oneshot::channel();
            queue.waiters.push(Waiter { run: Arc::clone(run), answer });
            self.shared.request(&mut queue);
            answered
        };
        answer.await.unwrap_or(Err(Error::Interrupted))
    }

    /// Sees to it that the run's events are written soon; waits for nothing.
    pub(crate) fn write_soon(&self, run: &Arc<RunCell>) {
        if !run.has_unwritten() {
            return;
        }
        let mut queue = self.shared.lock();
        queue.add(run);
        if queue.stalled.is_some() {
            // The writer tries again by itself.
        } else if self.shared.always_inline && !queue.writing {
            self.shared.write_group(queue);
        } else {
            self.shared.request(&mut queue);
        }
    }

    /// True if everything that happened to a run is in the store; what is not is written now, if nobody else is writing.
    pub(crate) fn has_all_of(&self, run: &Arc<RunCell>) -> bool {
        let mut queue = self.shared.lock();
        if queue.stalled.is_none() && !queue.writing && run.has_unwritten() {
            queue.add(run);
            self.shared.write_group(queue);
            queue = self.shared.lock();
        }
        !queue.writing && !queue.is_behind(run)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Queue {
    fn add(&mut self, run: &Arc<RunCell>) {
        if !self.runs.iter().any(|queued| Arc::ptr_eq(queued, run)) {
            self.runs.push(Arc::clone(run));
        }
    }

    /// True if something that happened to the run is not in the store.
    fn is_behind(&self, run: &Arc<RunCell>) -> bool {
        let mut behind = self.refused.iter().map(|(refused, _)| refused).chain(&self.in_flight);
        behind.any(|behind| Arc::ptr_eq(behind, run)) || run.has_unwritten()
    }

    /// The result of a commit while nothing can be written: `Ok` for a run without new events.
    fn refuse(&mut self, run: &Arc<RunCell>) -> Result<(), Error> {
        if run.has_unwritten() {
            self.add(run);
        }
        self.outcome(run)
    }

    /// What a commit of the run came to, after a group was written.
    fn outcome(&self, run: &Arc<RunCell>) -> Result<(), Error> {
        if let Some(stalled) = self.stalled.clone().filter(|_| self.is_behind(run)) {
            return Err(stalled);
        }
        run.refused().map_or(Ok(()), Err)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under this lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the writer thread, unless it is asked already or will look again anyway.
    fn request(&self, queue: &mut MutexGuard<'_, Queue>) {
        if !queue.requested {
            queue.requested = true;
            self.wake.notify_one();
        }
    }

    /// Writes everything that is queued; the queue is unlocked meanwhile.
    fn write_group(&self, mut queue: MutexGuard<'_, Queue>) {
        queue.writing = true;
        queue.requested = false;
        let (runs, waiters) = (std::mem::take(&mut queue.runs), std::mem::take(&mut queue.waiters));
        let mut taken = std::mem::take(&mut queue.refused);
        queue.in_flight = taken.iter().map(|(run, _)| run).chain(&runs).cloned().collect();
        drop(queue);
        taken.extend(runs.into_iter().filter_map(|run| {
            let append = run.take_unwritten()?;
            Some((run, append))
        }));
        let refused = self.write(taken).err();
        let queue = self.end_group(refused);
        let outcomes: Vec<_> = waiters.into_iter().map(|waiter| (queue.outcome(&waiter.run), waiter.answer)).collect();
        drop(queue);
        for (outcome, answer) in outcomes {
            let _ = answer.send(outcome);
        }
    }

    /// Writes in one transaction what was taken; gives back what may be written later, and why it was not.
    fn write(&self, mut taken: Vec<Taken>) -> Result<(), (Error, Vec<Taken>)> {
        while !taken.is_empty() {
            let (runs, appends): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
            let Err(error) = self.store.commit(&appends) else {
                let of_roots = appends.iter().filter(|append| append.run_phase.is_some());
                self.run_feeds.note(&of_roots.map(|append| append.run).collect::<Vec<_>>());
                for (run, Append { first_seq, events, definitions, run_phase, .. }) in runs.iter().zip(appends) {
                    run.forget_written(&definitions);
                    if run.may_notify() && run_phase.is_some_and(|(_, ended_at)| ended_at.is_some()) {
                        self.ended.notify_one();
                    }
                    self.exports.mark(run, first_seq, events);
                }
                return Ok(());
            };
            taken = runs.into_iter().zip(appends).collect();
            match error {
                spanwise_store::Error::Conflict { run, .. } if is_of_one(RunKey(run), &taken) => {
                    taken = give_up(RunKey(run), taken);
                }
                error if error.may_pass() => return Err((error.into(), taken)),
                error => return self.write_one_by_one(&error.into(), taken),
            }
        }
        Ok(())
    }

    /// The store will never take this: each run by itself, so that only the one at fault is broken off.
    fn write_one_by_one(&self, error: &Error, mut taken: Vec<Taken>) -> Result<(), (Error, Vec<Taken>)> {
        let first = Arc::clone(&taken[0].0);
        if taken.iter().all(|(run, _)| Arc::ptr_eq(run, &first)) {
            first.refuse(error);
            return Ok(());
        }
        let mut refused: Option<(Error, Vec<Taken>)> = None;
        while let Some((run, _)) = taken.first() {
            let run = Arc::clone(run);
            let (own, others) = taken.into_iter().partition(|(of, _)| Arc::ptr_eq(of, &run));
            taken = others;
            if let Err((error, own)) = self.write(own) {
                refused.get_or_insert_with(|| (error, Vec::new())).1.extend(own);
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn end_group(&self, refused: Option<(Error, Vec<Taken>)>) -> MutexGuard<'_, Queue> {
        let mut queue = self.lock();
        queue.writing = false;
        queue.in_flight.clear();
        let (stalled, refused) = refused.unzip();
        queue.refused = refused.unwrap_or_default();
        let has_changed = queue.stalled.is_some() != stalled.is_some();
        queue.stalled = stalled;
        if has_changed {
            self.stalled.send_replace(queue.stalled.clone());
        }
        if queue.requested || queue.closed || has_changed {
            self.wake.notify_one();
        }
        queue
    }

    fn write_until_closed(&self) {
        let mut queue = self.lock();
        loop {
            if queue.writing || !(queue.requested || queue.closed) {
                queue = self.wait(queue);
                continue;
            }
            let last = queue.closed;
            self.write_group(queue);
            if last {
                return;
            }
            queue = self.lock();
        }
    }

    /// Sleeps until somebody asks; while nothing can be written, until it is time to try again.
    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        if queue.stalled.is_none() {
            return self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let (mut queue, waited) = self.wake.wait_timeout(queue, RETRY).unwrap_or_else(PoisonError::into_inner);
        queue.requested |= waited.timed_out();
        queue
    }
}

/// True if what was taken from the run with this key is from one [`RunCell`]. After a full disk there may be two: one that was broken off,
/// which alone is at fault, and one that has taken the run up since.
fn is_of_one(key: RunKey, taken: &[Taken]) -> bool {
    let mut its = taken.iter().filter(|(_, append)| append.run == key);
    its.next().is_some_and(|(first, _)| its.all(|(run, _)| Arc::ptr_eq(run, first)))
}

/// Breaks off a run that somebody else has written to; what is left is what was taken from the others.
fn give_up(key: RunKey, taken: Vec<Taken>) -> Vec<Taken> {
    let (lost, others): (Vec<Taken>, Vec<Taken>) = taken.into_iter().partition(|(_, append)| append.run == key);
    for (run, _) in lost {
        run.refuse(&Error::NotOurs(run.id().name.clone()));
    }
    others
}

#[cfg(test)]
mod tests;
