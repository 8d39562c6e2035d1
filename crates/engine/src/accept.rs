//! How runs come into an engine: accepted, or taken up from the journal.

use std::sync::Arc;

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, Command, Rejection, Run, RunId, Timestamp};
use spanwise_store::{Append, Definition, ExportState, Payloads, RunKey, RunRow};

use crate::blocking::{leave_runtime, stays};
use crate::cell::{New, RunCell};
use crate::engine::Engine;
use crate::error::{Error, with_source};
use crate::pools::EnginePools;
use crate::run::RunHandle;
use crate::runs::Made;
use crate::settings::RunSettings;

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

/// Finished runs that are kept in memory; one of ten thousand actions takes some megabytes.
const FINISHED_KEPT: usize = 4;

impl Engine {
    /// Accepts a run. After `Ok` it survives the process.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if the name is taken; [`Error::ConcurrencyOfOne`]; [`Error::Settings`]; [`Error::Store`] if the journal
    /// cannot be written: then there is no such run.
    pub fn create_run(&self, new: NewRun) -> Result<RunHandle, Error> {
        if new.settings.options.max_action_concurrency == Some(1) {
            return Err(Error::ConcurrencyOfOne);
        }
        self.inner.journal.check()?;
        let now = self.inner.clock.now();
        let row = self.row_of(&new, now)?;
        let (receivers, given) = (new.settings.receivers.clone(), new.settings.artifacts.clone());
        let cell = Arc::new(RunCell::new(new.id.clone(), new.settings, &self.inner.pools));
        let action = ActionName::ROOT;
        let inputs = Payloads { inputs: Some(new.inputs), outputs: None };
        let command = Command::Enqueue { action, spec: Arc::new(new.spec) };
        let accepted =
            cell.command(&command, now, New { payloads: inputs, definitions: new.definitions, ..New::default() });
        // A name that is taken stays taken: whoever creates the run again is not told to come later.
        if let Err(refused) = accepted {
            let may_pass = matches!(&refused, Rejection::Refused { refusal, .. } if refusal.may_pass());
            let is_taken = may_pass && self.inner.journal.store().find(&new.id)?.is_some();
            return Err(if is_taken { Error::AlreadyExists(new.id.name) } else { refused.into() });
        }
        let first = Append { receivers, given, ..cell.take_first() };
        let events = first.events.clone();
        let taken = || Error::AlreadyExists(new.id.name.clone());
        // Nobody may find the run in the store before it is found here: there would be two of it.
        let made = Arc::clone(&cell);
        let create = || {
            let key = self.inner.journal.store().create_run(&row, first).map_err(|error| match error {
                spanwise_store::Error::AlreadyExists(_) => taken(),
                other => other.into(),
            })?;
            made.set_key(key);
            // A pruned run may have had the name.
            self.finished().retain(|finished| finished.id() != &new.id);
            Ok(Made::Live(made))
        };
        // One that is at its end may have been pruned; the store says whether its name is free.
        let found = |there: Arc<RunCell>| {
            let is_over = there.is_finished(&ActionName::ROOT) && self.inner.journal.has_all_of(&there);
            if is_over { Ok(None) } else { Err(taken()) }
        };
        // It has its place in a queue already, which it gives up if it does not come to be.
        let cell = self.inner.runs.find_or_make(&new.id, found, create).inspect_err(|_| cell.give_up_pools())?;
        self.inner.unreadable.clear(&new.id);
        self.inner.exports.mark(&cell, 0, events);
        self.inner.run_feeds.note(&[cell.key()]);
        Ok(RunHandle::new(self.clone(), cell))
    }

    /// What the journal says about a run that is accepted now.
    fn row_of(&self, new: &NewRun, now: Timestamp) -> Result<RunRow, Error> {
        Ok(RunRow {
            id: new.id.clone(),
            task: new.spec.task.clone(),
            phase: spanwise_core::Phase::Queued,
            created_at: now,
            ended_at: None,
            labels: new.settings.options.labels.clone(),
            definition: new.settings.definition.clone(),
            task_version: new.settings.task_version.clone(),
            tracked: new.settings.tracked,
            fired_by: new.settings.firing.as_ref().map(|firing| firing.trigger.clone()),
            settings: new.settings.stored()?,
            export: (new.settings.trace.is_exported() && self.inner.exports.is_open()).then(ExportState::default),
            unreadable: None,
        })
    }

    /// The same, for async callers. `begin` is called as soon as the run is accepted.
    ///
    /// # Errors
    /// Those of [`Engine::create_run`]; [`Error::Interrupted`] if the runtime ends.
    ///
    /// # Cancellation
    /// Safe: a run that is accepted is begun, whether or not anybody learns of it.
    pub async fn accept_run(
        &self,
        new: NewRun,
        begin: impl FnOnce(&RunHandle) + Send + 'static,
    ) -> Result<RunHandle, Error> {
        let stays = stays(self.is_alone_with_its_caller(), self.inner.journal.costs_nothing());
        let engine = self.clone();
        let accept = move || engine.create_run(new).inspect(begin);
        if stays { accept() } else { leave_runtime(accept).await? }
    }

    /// Takes up a run that is in the journal, or the one that this process has already. Attempts that were under way when
    /// their process ended are lost and tried again by the rules; finished actions and steps stay as they are.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such run; [`Error::Store`] if it cannot be read.
    pub fn resume(&self, id: &RunId) -> Result<RunHandle, Error> {
        let mut before = None;
        let keep = |cell: Arc<RunCell>| {
            if cell.is_given_up() && (cell.refused().is_some() || self.inner.journal.has_all_of(&cell)) {
                // It was broken off when the journal failed: it is loaded anew, as the journal has it.
                before = Some(cell);
                return Ok(None);
            }
            Ok(Some(cell))
        };
        let cell = self.inner.runs.find_or_make(id, keep, || self.take_up(id))?;
        // Not earlier: nobody else may have what its attempts have, which count by the new one from now on.
        if let Some(before) = before {
            before.give_up_pools();
        }
        Ok(RunHandle::new(self.clone(), cell))
    }

    /// The run from the cache of finished runs; else from the journal.
    fn take_up(&self, id: &RunId) -> Result<Made, Error> {
        if let Some(cell) = self.finished().iter().find(|cell| cell.id() == id) {
            return Ok(Made::Finished(Arc::clone(cell)));
        }
        let found = self.inner.journal.store().find(id)?.ok_or_else(|| Error::NotFound(id.name.clone()))?;
        let loaded = self.load(found);
        if let Err(error) = &loaded
            && error.is_damage()
        {
            self.inner.unreadable.note(id.clone(), with_source(error));
        }
        let cell = Arc::new(loaded?);
        self.inner.unreadable.clear(id);
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
        run.count_timers_from(self.inner.clock.now(), self.machine_time());
        // A program has begun a run without a definition, in its own process: it takes up nothing of a server's.
        let is_elsewhere = self.inner.attempts_outlive_the_process && settings.definition.is_none();
        let pools = if is_elsewhere { EnginePools::unlimited() } else { Arc::clone(&self.inner.pools) };
        let cell = RunCell::restored(row.id, key, settings, (run, stored.events.len() as u64), &pools);
        if !self.inner.attempts_outlive_the_process {
            cell.report_lost(self.inner.clock.now());
        }
        Ok(cell)
    }

    /// The only run under way for which `is_it` is true; none if there are several.
    pub fn live_run(&self, is_it: impl Fn(&RunId) -> bool) -> Option<RunHandle> {
        let runs = self.inner.runs.all();
        let mut found = runs.iter().filter(|run| is_it(run.id()));
        let run = found.next().filter(|_| found.next().is_none()).cloned()?;
        Some(RunHandle::new(self.clone(), run))
    }
}
