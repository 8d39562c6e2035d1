//! The engine: a journal, and the runs of this process.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanwise_core::admission::Limits;
use spanwise_core::{ActionName, AttemptNo, RunId};
use spanwise_store::{Durability, Memory, PrunedRun, Retention, RunKey, Sqlite, Store};
use tokio::sync::Notify;

use crate::blocking::in_background;
use crate::cell::RunCell;
use crate::clock::Clock;
use crate::error::Error;
use crate::export::Exports;
use crate::journal::Journal;
use crate::pools::EnginePools;
use crate::reservations::Reservations;
use crate::run_feed::RunFeeds;
use crate::runs::Runs;
use crate::unreadable::Unreadable;

/// Where an engine keeps its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory: nothing survives the process.
    Memory,
    /// In a directory, made if it is not there.
    Directory {
        /// The directory.
        path: PathBuf,
        /// What a commit survives.
        durability: Durability,
    },
}

/// How an engine is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Where the journal is kept.
    pub storage: Storage,
    /// How long finished runs are kept.
    pub retention: Retention,
    /// What attempts may take up at one time, over all runs and in each queue; those that wait for children take up no slot.
    pub limits: Limits,
    /// Attempts live outside of this process: after a restart they are taken up again ([`Attempt::adopted`]), not lost.
    ///
    /// [`Attempt::adopted`]: crate::Attempt::adopted
    pub attempts_outlive_the_process: bool,
    /// What is under way waits while nothing can be written, and goes on when there is room. Else whoever waits for it gets the
    /// error, and the run goes on when it is resumed.
    pub waits_for_room: bool,
}

impl EngineConfig {
    /// An engine for attempts inside of this process, as many at a time as are asked for.
    pub fn embedded(storage: Storage, retention: Retention) -> EngineConfig {
        let (attempts_outlive_the_process, waits_for_room) = (false, false);
        let limits = Limits::default();
        EngineConfig { storage, retention, limits, attempts_outlive_the_process, waits_for_room }
    }
}

/// The engine. Cheap to clone; the journal is closed when the last clone and the last run handle are gone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Where it keeps what it keeps; none: in memory.
    directory: Option<PathBuf>,
    pub(crate) clock: Clock,
    pub(crate) journal: Journal,
    pub(crate) interrupted: AtomicBool,
    interruption: Notify,
    /// Actions under way that do not wait for a child of their own.
    pub(crate) leaves: AtomicUsize,
    pub(crate) reservations: Reservations,
    pub(crate) exports: Arc<Exports>,
    /// Notified when runs have ended, after the commit that ended them.
    pub(crate) ended: Arc<Notify>,
    pub(crate) run_feeds: Arc<RunFeeds>,
    pub(crate) pools: Arc<EnginePools>,
    pub(crate) attempts_outlive_the_process: bool,
    pub(crate) waits_for_room: bool,
    retention: Retention,
    /// Notified when retention has deleted runs.
    pub(crate) pruned: Notify,
    /// Deleted runs that [`Engine::take_pruned`] has not given out yet.
    pub(crate) pruned_runs: Mutex<Vec<PrunedRun>>,
    pub(crate) unreadable: Arc<Unreadable>,
    finished_runs: AtomicU32,
    pub(crate) runs: Runs,
    /// The last finished runs that were looked at: nothing changes them, and a page asks for one many times.
    finished: Mutex<VecDeque<Arc<RunCell>>>,
}

/// Finished runs are looked through for old ones at the start and after this many more.
const PRUNE_EVERY: u32 = 256;

/// The store's memory for them is given back after so many: what they have written may be some kilobytes each.
const FREE_EVERY: u32 = 32;

impl Engine {
    /// Opens the journal.
    ///
    /// # Errors
    /// [`Error::Open`] if the directory cannot be used: see [`spanwise_store::Error`].
    pub fn open(config: EngineConfig) -> Result<Engine, Error> {
        match &config.storage {
            Storage::Memory => Engine::on(Arc::new(Memory::new()), true, config),
            Storage::Directory { path, durability } => {
                let store = Sqlite::open(path, *durability).map_err(unusable)?;
                Engine::on(Arc::new(store), false, config)
            }
        }
    }

    /// An engine on a store that is open.
    pub(crate) fn on(store: Arc<dyn Store>, always_inline: bool, config: EngineConfig) -> Result<Engine, Error> {
        let clock = Clock::start();
        // What cannot be deleted now is tried again the next time.
        let pruned = store.prune(&config.retention, clock.now()).unwrap_or_default();
        let (exports, run_feeds) = (Arc::new(Exports::default()), Arc::new(RunFeeds::default()));
        let ended = Arc::new(Notify::new());
        let (of_journal, feeds) = (Arc::clone(&exports), Arc::clone(&run_feeds));
        let directory = match &config.storage {
            Storage::Directory { path, .. } => Some(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            Storage::Memory => None,
        };
        let inner = Inner {
            directory,
            clock,
            journal: Journal::open(store, always_inline, of_journal, Arc::clone(&ended), feeds)?,
            exports,
            ended,
            run_feeds,
            interrupted: AtomicBool::new(false),
            interruption: Notify::new(),
            leaves: AtomicUsize::new(0),
            reservations: Reservations::default(),
            pools: EnginePools::new(&config.limits, clock),
            attempts_outlive_the_process: config.attempts_outlive_the_process,
            waits_for_room: config.waits_for_room,
            retention: config.retention,
            pruned: Notify::new(),
            pruned_runs: Mutex::new(pruned.runs),
            unreadable: Arc::default(),
            finished_runs: AtomicU32::new(0),
            runs: Runs::default(),
            finished: Mutex::default(),
        };
        if let Some(period) = config.limits.queues.values().filter_map(|queue| Some(queue.rate?.period())).max() {
            inner.recall_begun(period)?;
        }
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Where it keeps what it keeps; none: in memory.
    pub fn directory(&self) -> Option<&Path> {
        self.inner.directory.as_deref()
    }

    /// Gives every attempt back, for a process that ends while runs are under way: bodies are dropped, calls stay open without
    /// an answer, and the runs go on when they are resumed. Attempts that outlive the process are not given back.
    pub fn interrupt(&self) {
        self.inner.interrupted.store(true, Ordering::Release);
        self.inner.runs.all().iter().for_each(|run| run.wake_all());
        self.inner.interruption.notify_waiters();
    }

    /// Launches no more attempts, for a process that is about to end: what is under way goes on. An engine without a limit of
    /// attempts cannot be stopped in this way.
    pub fn stop_launching(&self) {
        self.inner.pools.close();
    }

    /// Returns when no attempt does anything but wait for its children, in an engine with a limit of attempts.
    pub async fn idle(&self) {
        self.inner.pools.idle().await;
    }

    /// True if there is a queue of this name: in an engine without limits there is none.
    pub fn has_queue(&self, name: &str) -> bool {
        self.inner.pools.has_queue(name)
    }

    /// Gives back every attempt that is still under way after an interruption, because whatever ran it is gone: it costs
    /// nothing, and the next process makes another. Those that `is_lost` denies stay under way: the next process finds what they
    /// have left.
    pub fn give_back(&self, is_lost: &dyn Fn(&RunId, RunKey, &ActionName, AttemptNo) -> bool) {
        let now = self.inner.clock.now();
        self.inner.runs.all().iter().for_each(|run| run.release_all(now, is_lost));
    }

    /// Every action that takes up a slot of the engine, by its run.
    pub(crate) fn busy(&self) -> Vec<(RunId, ActionName)> {
        let runs = self.inner.runs.all();
        let mut busy: Vec<(RunKey, RunId, ActionName)> = runs
            .iter()
            .flat_map(|run| run.on_slots().into_iter().map(|action| (run.key(), run.id().clone(), action)))
            .collect();
        busy.sort_by_key(|(run, ..)| *run);
        busy.into_iter().map(|(_, run, action)| (run, action)).collect()
    }

    /// The engine's time.
    pub fn now(&self) -> spanwise_core::Timestamp {
        self.inner.clock.now()
    }

    /// What the machine's clock says: timers are for moments of this one.
    pub fn machine_time(&self) -> spanwise_core::Timestamp {
        Clock::of_machine()
    }

    /// Returns when the engine is interrupted.
    pub async fn interrupted(&self) {
        let interruption = self.inner.interruption.notified();
        if !self.is_interrupted() {
            interruption.await;
        }
    }

    /// Returns when everything that happened so far is safe.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal failed.
    pub async fn flush(&self) -> Result<(), Error> {
        for run in &self.inner.runs.all() {
            self.inner.journal.commit(run, false).await?;
        }
        Ok(())
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.inner.interrupted.load(Ordering::Acquire)
    }

    /// Asks something of the store, for async callers.
    ///
    /// # Errors
    /// What the store says; [`Error::Interrupted`] if the runtime ends.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Store) -> Result<T, spanwise_store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.inner.journal.ask(self.is_alone_with_its_caller(), question).await
    }

    /// True if one action at most is doing something: its commit has nobody to be grouped with.
    pub(crate) fn is_alone(&self) -> bool {
        self.inner.leaves.load(Ordering::Acquire) <= 1
    }

    /// The same for questions that requests ask too. Never on a server, whose attempts outlive it: other requests wait for the thread.
    pub(crate) fn is_alone_with_its_caller(&self) -> bool {
        !self.inner.attempts_outlive_the_process && self.is_alone()
    }

    /// Forgets a finished run's memory; it stays in the journal until retention takes it.
    pub(crate) fn run_finished(&self, cell: &Arc<RunCell>) {
        self.inner.runs.forget(cell);
        let finished = self.inner.finished_runs.fetch_add(1, Ordering::Relaxed) + 1;
        let inner = Arc::clone(&self.inner);
        if finished.is_multiple_of(PRUNE_EVERY) {
            self.finished().clear();
            in_background(move || inner.prune());
        } else if finished.is_multiple_of(FREE_EVERY) {
            in_background(move || inner.journal.store().free_memory());
        }
    }

    /// The last finished runs that were looked at.
    pub(crate) fn finished(&self) -> MutexGuard<'_, VecDeque<Arc<RunCell>>> {
        self.inner.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What cannot be deleted now is tried again the next time; a journal that cannot be written is found out by a commit.
    fn prune(&self) {
        if let Ok(pruned) = self.journal.store().prune(&self.retention, self.clock.now())
            && !pruned.runs.is_empty()
        {
            self.pruned_runs.lock().unwrap_or_else(PoisonError::into_inner).extend(pruned.runs);
            self.pruned.notify_one();
        }
    }
}

fn unusable(error: spanwise_store::Error) -> Error {
    Error::Open(Arc::new(error))
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
