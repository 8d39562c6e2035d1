//! The engine: a journal, and the runs of this process.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, AttemptNo, Command, Run, RunId};
use spanwise_store::{
    Definition, Durability, ExportState, Memory, Payloads, PrunedRun, Retention, RunKey, RunRow, Sqlite, Store,
};
use tokio::sync::Notify;

use crate::cache::Reservations;
use crate::cell::{New, RunCell};
use crate::clock::Clock;
use crate::error::{Error, with_source};
use crate::export::Exports;
use crate::journal::Journal;
use crate::run::RunHandle;
use crate::runs::{Made, Runs};
use crate::settings::RunSettings;
use crate::slots::EngineSlots;

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
    /// How many attempts may do something at one time, over all runs; those that wait for children are not counted. None
    /// or 0 means no limit.
    pub max_attempts: Option<u32>,
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
        EngineConfig { storage, retention, max_attempts: None, attempts_outlive_the_process, waits_for_room }
    }
}

/// A run to be created.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its full name.
    pub id: RunId,
    /// Its root action.
    pub spec: ActionSpec,
    /// The root's inputs, with the context in them.
    pub inputs: Bytes,
    /// Its settings.
    pub settings: RunSettings,
    /// What the run and its root are made from, under the digests that settings and root name: written with the run.
    pub definitions: Vec<Definition>,
}

/// The engine. Cheap to clone; the journal is closed when the last clone and the last run handle are gone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) clock: Clock,
    pub(crate) journal: Journal,
    pub(crate) interrupted: AtomicBool,
    interruption: Notify,
    /// Actions under way that do not wait for a child of their own.
    pub(crate) leaves: AtomicUsize,
    pub(crate) reservations: Reservations,
    pub(crate) exports: Arc<Exports>,
    slots: Arc<EngineSlots>,
    pub(crate) attempts_outlive_the_process: bool,
    pub(crate) waits_for_room: bool,
    retention: Retention,
    /// Told when retention has deleted runs.
    pub(crate) pruned: Notify,
    /// Those that nobody has asked for yet.
    pub(crate) pruned_runs: Mutex<Vec<PrunedRun>>,
    /// Runs that could not be read, and why.
    pub(crate) unreadable: Mutex<HashMap<RunId, String>>,
    finished_runs: AtomicU32,
    pub(crate) runs: Runs,
    /// The last finished runs that were looked at: nothing changes them, and a page asks for one many times.
    finished: Mutex<VecDeque<Arc<RunCell>>>,
}

/// Finished runs that are kept in memory; one of ten thousand actions takes some megabytes.
const FINISHED_KEPT: usize = 4;

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
        let exports = Arc::new(Exports::default());
        let inner = Inner {
            clock,
            journal: Journal::open(store, always_inline, Arc::clone(&exports))?,
            exports,
            interrupted: AtomicBool::new(false),
            interruption: Notify::new(),
            leaves: AtomicUsize::new(0),
            reservations: Reservations::default(),
            slots: Arc::new(EngineSlots::new(config.max_attempts)),
            attempts_outlive_the_process: config.attempts_outlive_the_process,
            waits_for_room: config.waits_for_room,
            retention: config.retention,
            pruned: Notify::new(),
            pruned_runs: Mutex::new(pruned.runs),
            unreadable: Mutex::default(),
            finished_runs: AtomicU32::new(0),
            runs: Runs::default(),
            finished: Mutex::default(),
        };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Accepts a run. After `Ok` it survives the process.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if the name is taken; [`Error::ConcurrencyOfOne`]; [`Error::Settings`]; [`Error::Store`] if the journal cannot be written:
    /// then there is no such run.
    pub fn create_run(&self, new: NewRun) -> Result<RunHandle, Error> {
        if new.settings.options.max_action_concurrency == Some(1) {
            return Err(Error::ConcurrencyOfOne);
        }
        self.inner.journal.check()?;
        let now = self.inner.clock.now();
        let row = RunRow {
            id: new.id.clone(),
            task: new.spec.task.clone(),
            phase: spanwise_core::Phase::Queued,
            created_at: now,
            ended_at: None,
            labels: new.settings.options.labels.clone(),
            definition: new.settings.definition.clone(),
            task_version: new.settings.task_version.clone(),
            settings: new.settings.stored()?,
            export: (new.settings.trace.is_exported() && self.inner.exports.is_open()).then(ExportState::default),
            unreadable: None,
        };
        let cell = RunCell::new(new.id.clone(), new.settings, &self.inner.slots);
        let action = ActionName::ROOT;
        let inputs = Payloads { inputs: Some(new.inputs), outputs: None };
        let command = Command::Enqueue { action, spec: Arc::new(new.spec) };
        cell.command(&command, now, New { payloads: inputs, definitions: new.definitions })?;
        let first = cell.take_first();
        let events = first.events.clone();
        let taken = || Error::AlreadyExists(new.id.name.clone());
        // Nobody may find the run in the store before it is found here: there would be two of it.
        let create = || {
            let key = self.inner.journal.store().create_run(&row, first).map_err(|error| match error {
                spanwise_store::Error::AlreadyExists(_) => taken(),
                other => other.into(),
            })?;
            cell.set_key(key);
            // A pruned run may have had the name.
            self.finished().retain(|finished| finished.id() != &new.id);
            Ok(Made::Live(Arc::new(cell)))
        };
        // One that is at its end may have been pruned; the store says whether its name is free.
        let found = |there: Arc<RunCell>| {
            let is_over = there.is_finished(&ActionName::ROOT) && self.inner.journal.has_all_of(&there);
            if is_over { Ok(None) } else { Err(taken()) }
        };
        let cell = self.inner.runs.find_or_make(&new.id, found, create)?;
        self.inner.exports.mark(&cell, 0, events);
        Ok(RunHandle::new(self.clone(), cell))
    }

    /// Takes up a run that is in the journal, or the one that this process has already. Attempts that were under way when
    /// their process ended are lost and tried again by the rules; finished actions and steps stay as they are.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such run; [`Error::Store`] if it cannot be read.
    pub fn resume(&self, id: &RunId) -> Result<RunHandle, Error> {
        let keep = |cell: Arc<RunCell>| {
            if cell.is_given_up() && (cell.refused().is_some() || self.inner.journal.has_all_of(&cell)) {
                // It failed when the journal did. What the journal has of it counts, once.
                cell.give_up_slots();
                return Ok(None);
            }
            Ok(Some(cell))
        };
        let cell = self.inner.runs.find_or_make(id, keep, || self.take_up(id))?;
        Ok(RunHandle::new(self.clone(), cell))
    }

    /// The run as it was looked at a moment ago, if it is at its end; else from the journal.
    fn take_up(&self, id: &RunId) -> Result<Made, Error> {
        if let Some(cell) = self.finished().iter().find(|cell| cell.id() == id) {
            return Ok(Made::Finished(Arc::clone(cell)));
        }
        let found = self.inner.journal.store().find(id)?.ok_or_else(|| Error::NotFound(id.name.clone()))?;
        let loaded = self.load(found);
        if let Err(error) = &loaded
            && error.is_damage()
        {
            self.note_unreadable(id.clone(), with_source(error));
        }
        let cell = Arc::new(loaded?);
        if !cell.is_finished(&ActionName::ROOT) {
            return Ok(Made::Live(cell));
        }
        let mut finished = self.finished();
        finished.truncate(FINISHED_KEPT - 1);
        finished.push_front(Arc::clone(&cell));
        Ok(Made::Finished(cell))
    }

    fn load(&self, (key, row): (RunKey, RunRow)) -> Result<RunCell, Error> {
        let settings = RunSettings::read(&row)?;
        let stored = self.inner.journal.store().load(key)?.ok_or_else(|| Error::NotFound(row.id.name.clone()))?;
        let mut run = Run::new(settings.limits());
        for event in &stored.events {
            run.apply(event);
        }
        run.count_timers_from(self.inner.clock.now());
        let cell = RunCell::restored(row.id, key, settings, (run, stored.events.len() as u64), &self.inner.slots);
        if !self.inner.attempts_outlive_the_process {
            cell.report_lost(self.inner.clock.now());
        }
        Ok(cell)
    }

    pub(crate) fn note_unreadable(&self, id: RunId, cause: String) {
        self.inner.unreadable.lock().unwrap_or_else(PoisonError::into_inner).insert(id, cause);
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
        self.inner.slots.close();
    }

    /// Returns when no attempt does anything but wait for its children, in an engine with a limit of attempts.
    pub async fn idle(&self) {
        self.inner.slots.idle().await;
    }

    /// Gives back every attempt that is still under way after an interruption, because whatever ran it is gone: it costs
    /// nothing, and the next process makes another. Those that `is_lost` denies stay under way: the next process finds what they
    /// have left.
    pub fn give_back(&self, is_lost: &dyn Fn(&RunId, RunKey, &ActionName, AttemptNo) -> bool) {
        let now = self.inner.clock.now();
        self.inner.runs.all().iter().for_each(|run| run.release_all(now, is_lost));
    }

    /// The run under way that is meant; none if several could be.
    pub fn live_run(&self, is_it: impl Fn(&RunId) -> bool) -> Option<RunHandle> {
        let runs = self.inner.runs.all();
        let mut found = runs.iter().filter(|run| is_it(run.id()));
        let run = found.next().filter(|_| found.next().is_none()).cloned()?;
        Some(RunHandle::new(self.clone(), run))
    }

    /// Every action that takes up a place, by its run.
    pub(crate) fn busy(&self) -> Vec<(RunId, ActionName)> {
        let runs = self.inner.runs.all();
        let mut busy: Vec<(RunKey, RunId, ActionName)> = runs
            .iter()
            .flat_map(|run| run.busy().into_iter().map(|action| (run.key(), run.id().clone(), action)))
            .collect();
        busy.sort_by_key(|(run, ..)| *run);
        busy.into_iter().map(|(_, run, action)| (run, action)).collect()
    }

    /// The engine's time.
    pub fn now(&self) -> spanwise_core::Timestamp {
        self.inner.clock.now()
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

    /// True if one action at most is doing something: its commit has nobody to be grouped with.
    pub(crate) fn is_alone(&self) -> bool {
        self.inner.leaves.load(Ordering::Acquire) <= 1
    }

    /// Forgets a finished run's memory; it stays in the journal until retention takes it.
    pub(crate) fn run_finished(&self, cell: &Arc<RunCell>) {
        self.inner.runs.forget(cell);
        let finished = self.inner.finished_runs.fetch_add(1, Ordering::Relaxed) + 1;
        let inner = Arc::clone(&self.inner);
        if finished.is_multiple_of(PRUNE_EVERY) {
            self.finished().clear();
            tokio::task::spawn_blocking(move || inner.prune());
        } else if finished.is_multiple_of(FREE_EVERY) {
            tokio::task::spawn_blocking(move || inner.journal.store().free_memory());
        }
    }

    fn finished(&self) -> MutexGuard<'_, VecDeque<Arc<RunCell>>> {
        self.inner.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The limit of attempts, if it is reached.
    pub(crate) fn full(&self) -> Option<u32> {
        self.slots.full()
    }

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
