//! One thread that writes what has arrived meanwhile in one transaction, and answers after it.
//!
//! The queue needs no bound of its own: each request has one batch in it, and requests share a bounded memory.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use spanwise_core::{Retention, Timestamp};
use tokio::sync::oneshot;

use crate::decode;
use crate::refused::Refusal;
use crate::spans::{SpanStore, StoredSpan};
use crate::tee::Tee;

/// A transaction is closed when it has this many spans.
const GROUP: usize = 4096;

/// Old spans are looked for after this many new ones, as they are at the start: nothing happens while nothing arrives.
const PRUNE_EVERY: usize = 4096;

/// The store's memory for them is given back when so many have come and nothing waits to be written: ten thousand a second share it.
const FREE_EVERY: usize = 256;

/// The queue of the thread. Dropping it writes what is left and ends the thread.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Job {
    spans: Vec<StoredSpan>,
    answer: oneshot::Sender<Result<(), Refusal>>,
}

/// The time, as the one who opens the store has it.
pub(super) type Now = Box<dyn Fn() -> Timestamp + Send>;

struct Writing {
    store: Arc<SpanStore>,
    retention: Retention,
    tee: Option<Arc<Tee>>,
    now: Now,
    /// New spans since old ones were looked for.
    unpruned: usize,
    /// New spans since the store's memory was given back.
    unfreed: usize,
    /// The last transaction failed; said once.
    is_failing: bool,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses one.
    pub(super) fn start(
        store: Arc<SpanStore>,
        retention: Retention,
        tee: Option<Arc<Tee>>,
        now: Now,
    ) -> Result<Writer, std::io::Error> {
        let (jobs, received) = mpsc::channel();
        let mut writing = Writing { store, retention, tee, now, unpruned: 0, unfreed: 0, is_failing: false };
        let thread = std::thread::Builder::new().name("spanwise-spans".to_owned()).spawn(move || {
            writing.prune();
            writing.write_until_closed(&received);
        })?;
        Ok(Writer { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    /// Returns when the spans are safe.
    ///
    /// # Cancellation
    /// Safe: the spans are stored all the same.
    pub(super) async fn write(&self, spans: Vec<StoredSpan>) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        let closed = || Refusal::NotStored("the server is ending".to_owned());
        let sent = {
            let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            jobs.as_ref().is_some_and(|jobs| jobs.send(Job { spans, answer }).is_ok())
        };
        if !sent {
            return Err(closed());
        }
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Takes nothing more, and returns when everything that was taken is written.
    pub(super) fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// What to tell about files of spans that were set aside.
pub(super) fn set_aside_warnings(aside: Vec<std::path::PathBuf>) -> Vec<String> {
    let warning = |file: std::path::PathBuf| {
        format!(
            "the file of received spans was damaged: it is `{}` now, and a new one was begun; earlier spans are not shown",
            file.display()
        )
    };
    aside.into_iter().map(warning).collect()
}

impl Writing {
    fn write_until_closed(&mut self, jobs: &Receiver<Job>) {
        while let Some(Job { mut spans, answer }) = self.next(jobs) {
            let mut answers = vec![answer];
            while spans.len() < GROUP {
                let Ok(mut job) = jobs.try_recv() else { break };
                spans.append(&mut job.spans);
                answers.push(job.answer);
            }
            let written = self.write(&spans);
            let refused = written.as_ref().err().cloned();
            for answer in answers {
                let _ = answer.send(refused.clone().map_or(Ok(()), Err));
            }
            if let Ok(repeated) = written {
                self.after(&spans, &repeated);
            }
        }
    }

    /// The next job, at once if one waits. None at the end.
    fn next(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        if let Ok(job) = jobs.try_recv() {
            return Some(job);
        }
        if self.unfreed >= FREE_EVERY {
            self.unfreed = 0;
            self.store.free_memory();
        }
        jobs.recv().ok()
    }

    /// One transaction. The places of those that were known already.
    fn write(&mut self, spans: &[StoredSpan]) -> Result<Vec<usize>, Refusal> {
        match self.store.insert(spans, (self.now)()) {
            Ok(inserted) => {
                self.is_failing = false;
                set_aside_warnings(self.store.set_aside()).iter().for_each(|warning| tracing::warn!("{warning}"));
                self.unpruned += inserted.new;
                self.unfreed += inserted.new;
                Ok(inserted.repeated)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(error = &error as &dyn std::error::Error, "spans cannot be stored");
                }
                Err(Refusal::NotStored(error.to_string()))
            }
        }
    }

    /// What the senders need not wait for.
    fn after(&mut self, spans: &[StoredSpan], repeated: &[usize]) {
        if let Some(tee) = &self.tee {
            // A sender that tries again sends what is already on its way.
            let new = spans.iter().enumerate().filter(|(position, _)| repeated.binary_search(position).is_err());
            tee.offer(decode::request_of(new.map(|(_, span)| span)), spans.len() - repeated.len());
        }
        if self.unpruned >= PRUNE_EVERY {
            self.prune();
        }
    }

    fn prune(&mut self) {
        (self.unpruned, self.unfreed) = (0, FREE_EVERY);
        if let Err(error) = self.store.prune(self.retention.max_age, self.retention.max_bytes, (self.now)()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "old spans cannot be deleted");
        }
    }
}
