//! Commits in groups.
//!
//! A run keeps its new events until somebody must know that they are safe. A commit made by a caller who is alone happens on
//! the caller's own thread (a hand-over to another thread costs as much as the commit itself); where several wait, one
//! writer thread takes everything that has gathered into one transaction. After a failed commit the journal accepts
//! nothing more: memory would be ahead of the disk.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use spanwise_store::{Append, Store};
use tokio::sync::oneshot;

use crate::cell::RunCell;
use crate::error::Error;
use crate::export::Exports;

/// The journal of an engine. Dropping it writes what is left and ends the writer thread.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    store: Arc<dyn Store>,
    /// True for a store whose commits cost nothing: every commit is made by its caller.
    always_inline: bool,
    /// Who is told of runs that have new events.
    exports: Arc<Exports>,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Runs with events that are to be written.
    runs: Vec<Arc<RunCell>>,
    waiters: Vec<oneshot::Sender<Result<(), Error>>>,
    /// Somebody is writing a group now.
    writing: bool,
    /// The writer thread has been asked to write.
    requested: bool,
    failed: Option<Error>,
    closed: bool,
}

impl Journal {
    pub(crate) fn open(store: Arc<dyn Store>, always_inline: bool, exports: Arc<Exports>) -> Result<Journal, Error> {
        let shared = Arc::new(Shared { store, always_inline, exports, queue: Mutex::default(), wake: Condvar::new() });
        let writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("spanwise-journal".to_owned())
            .spawn(move || writer.write_until_closed())
            .map_err(|source| spanwise_store::Error::Open { path: "journal thread".into(), source })?;
        Ok(Journal { shared, writer: Some(writer) })
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Returns when every event that the run has now is safe. `alone` says that nobody else is about to commit.
    ///
    /// # Cancellation
    /// Safe: the events are written all the same.
    pub(crate) async fn commit(&self, run: &Arc<RunCell>, alone: bool) -> Result<(), Error> {
        let answer = {
            let mut queue = self.shared.lock();
            if let Some(failed) = &queue.failed {
                return Err(failed.clone());
            }
            queue.add(run);
            if !queue.writing && (alone || self.shared.always_inline) {
                return self.shared.write_group(queue);
            }
            let (waiter, answer) = oneshot::channel();
            queue.waiters.push(waiter);
            self.shared.request(&mut queue);
            answer
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
        if self.shared.always_inline && !queue.writing {
            let _ = self.shared.write_group(queue);
        } else {
            self.shared.request(&mut queue);
        }
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
    fn write_group(&self, mut queue: MutexGuard<'_, Queue>) -> Result<(), Error> {
        queue.writing = true;
        queue.requested = false;
        let (runs, waiters) = (std::mem::take(&mut queue.runs), std::mem::take(&mut queue.waiters));
        let failed = queue.failed.clone();
        drop(queue);
        let taken = runs.into_iter().filter_map(|run| Some((run.take_unwritten()?, run)));
        let (appends, runs): (Vec<Append>, Vec<_>) = taken.unzip();
        let written = match failed {
            Some(error) => Err(error),
            None if appends.is_empty() => Ok(()),
            None => self.store.commit(&appends).map_err(Error::from),
        };
        if written.is_ok() {
            for (run, Append { first_seq, events, .. }) in runs.iter().zip(appends) {
                self.exports.mark(run, first_seq, events);
            }
        }
        self.end_group(written.as_ref().err());
        for waiter in waiters {
            let _ = waiter.send(written.clone());
        }
        written
    }

    fn end_group(&self, failed: Option<&Error>) {
        let mut queue = self.lock();
        queue.writing = false;
        if let Some(error) = failed {
            queue.failed.get_or_insert_with(|| error.clone());
        }
        if queue.requested || queue.closed {
            self.wake.notify_one();
        }
    }

    fn write_until_closed(&self) {
        let mut queue = self.lock();
        loop {
            if queue.writing || !(queue.requested || queue.closed) {
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let last = queue.closed;
            let _ = self.write_group(queue);
            if last {
                return;
            }
            queue = self.lock();
        }
    }
}
