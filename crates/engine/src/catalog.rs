//! What the engine's store keeps beside its runs' journals: lists of runs, definitions, deployed tasks.

use std::sync::PoisonError;

use bytes::Bytes;
use spanwise_core::trigger::TriggerId;
use spanwise_core::{ActionName, ActionView, RunId, Scope, Timestamp};
use spanwise_store::{
    AppRow, Definition, PrunedRun, RunKey, RunQuery, RunRow, TaskQuery, TaskRow, TriggerQuery, TriggerRow,
};
use tokio::sync::watch;

use crate::engine::Engine;
use crate::error::Error;
use crate::run_feed::RunFeed;
use crate::settings::RunSettings;

impl Engine {
    /// The runs that a query asks for, from the journal: what was committed last. One that cannot be read is among them
    /// ([`RunRow::unreadable`]).
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn runs(&self, query: &RunQuery) -> Result<Vec<(RunKey, RunRow)>, Error> {
        let mut rows = self.inner.journal.store().runs(query)?;
        let unreadable = &self.inner.unreadable;
        for (_, row) in rows.iter_mut().filter(|(_, row)| row.unreadable.is_none()) {
            let settings = || RunSettings::read(row).err().map(|error| error.to_string());
            row.unreadable = unreadable.cause(&row.id).or_else(settings);
        }
        Ok(rows)
    }

    /// Tells of runs that are created and whose roots change, from now on.
    pub fn feed_of_runs(&self) -> RunFeed {
        self.inner.run_feeds.add()
    }

    /// The runs that could not be read when they were asked for last, and why.
    pub fn unreadable(&self) -> Vec<(RunId, String)> {
        self.inner.unreadable.all()
    }

    /// The row of a run with this name, from the journal, without loading the run.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn run_row(&self, id: &RunId) -> Result<Option<(RunKey, RunRow)>, Error> {
        Ok(self.inner.journal.store().find(id)?)
    }

    /// Shows every value that the journal keeps: inputs, outputs, cached outputs, definitions.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn visit_values(&self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        Ok(self.inner.journal.store().visit_values(visit)?)
    }

    /// Returns when retention has deleted runs since the last call: what they left elsewhere can go too. One caller at a time.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn pruned(&self) {
        self.inner.pruned.notified().await;
    }

    /// The runs that retention has deleted since the last call.
    pub fn take_pruned(&self) -> Vec<PrunedRun> {
        std::mem::take(&mut *self.inner.pruned_runs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells why nothing can be written, and, by none, when there is room again.
    pub fn stalled(&self) -> watch::Receiver<Option<Error>> {
        self.inner.journal.stalled()
    }

    /// Writes a little that changes nothing, to see whether a commit would be refused.
    ///
    /// # Errors
    /// [`Error::Store`]: what a commit would be refused with.
    pub fn probe(&self) -> Result<(), Error> {
        self.inner.journal.check()?;
        Ok(self.inner.journal.store().probe()?)
    }

    /// When the newest fact in the journal happened, which no clock that jumps moves; never later than now.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn newest_fact(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.inner.journal.store().newest_fact()?.map(|newest| newest.min(self.now())))
    }

    /// The key of the last run that there ever was in this journal; 0 if there was none.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn last_key(&self) -> Result<RunKey, Error> {
        Ok(self.inner.journal.store().last_key()?)
    }

    /// Notes that an earlier journal in this directory has used keys up to this one: what its runs have left is not removed.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn follows_another(&self, last: RunKey) -> Result<(), Error> {
        let store = self.inner.journal.store();
        store.keep_what_is_older(self.now())?;
        Ok(store.skip_keys(last)?)
    }

    /// What is older than this, and unknown to the journal, may belong to an earlier one; none if there was none.
    pub fn kept_before(&self) -> Option<Timestamp> {
        self.inner.journal.store().kept_before()
    }

    /// The row of one action, from the journal: what was committed last, without loading its run.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn action_row(&self, run: RunKey, action: &ActionName) -> Result<Option<ActionView>, Error> {
        Ok(self.inner.journal.store().action(run, action)?)
    }

    /// The rows of the roots of some runs, from the journal: what was committed last, without loading the runs. One that cannot be read
    /// is left out.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn root_rows(&self, runs: &[RunKey]) -> Result<Vec<(RunKey, ActionView)>, Error> {
        let store = self.inner.journal.store();
        match store.action_of_each(runs, &ActionName::ROOT) {
            Err(error) if error.is_damage() => {
                let mut roots = Vec::new();
                for run in runs {
                    match store.action(*run, &ActionName::ROOT) {
                        Err(error) if error.is_damage() => {}
                        root => roots.extend(root?.map(|root| (*run, root))),
                    }
                }
                Ok(roots)
            }
            rows => Ok(rows?),
        }
    }

    /// The names of the projects in which runs are or tasks are deployed, each once, in order.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn projects(&self) -> Result<Vec<String>, Error> {
        Ok(self.inner.journal.store().projects()?)
    }

    /// Every run that is not at its end, the oldest first: what a restart has to take up. Those whose rows cannot be read are
    /// among [`Engine::unreadable`] instead.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn unfinished(&self) -> Result<Vec<RunId>, Error> {
        let mut ids = Vec::new();
        for row in self.inner.journal.store().unfinished()? {
            match row.unreadable {
                Some(cause) => self.inner.unreadable.note(row.id, cause),
                None => ids.push(row.id),
            }
        }
        Ok(ids)
    }

    /// The body of the definition with this digest, also of an action that was accepted a moment ago.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn definition(&self, digest: &str) -> Result<Option<Bytes>, Error> {
        // Almost always it is there, and no run has to be asked.
        if let Some(body) = self.inner.journal.store().definition(digest)? {
            return Ok(Some(body));
        }
        // The store once more: a run that has it no longer in memory has written it meanwhile.
        match self.inner.runs.all().iter().find_map(|run| run.unwritten_definition(digest)) {
            Some(body) => Ok(Some(body)),
            None => Ok(self.inner.journal.store().definition(digest)?),
        }
    }

    /// Adds a deployed task with the body of its definition. False if its name has this version already, which stays as it is.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn deploy_task(&self, task: &TaskRow, definition: &Bytes) -> Result<bool, Error> {
        match self.inner.journal.store().deploy_task(task, definition) {
            Ok(()) => Ok(true),
            Err(spanwise_store::Error::AlreadyExists(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The deployed tasks that a query asks for, the newest first.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn tasks(&self, query: &TaskQuery) -> Result<Vec<TaskRow>, Error> {
        Ok(self.inner.journal.store().tasks(query)?)
    }

    /// Adds a revision of a trigger, with what it is made from if that is new. False if the trigger has a revision of that number
    /// already: somebody else has changed it meanwhile.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn put_trigger(&self, trigger: &TriggerRow, definition: Option<&Definition>) -> Result<bool, Error> {
        match self.inner.journal.store().put_trigger(trigger, definition) {
            Ok(()) => Ok(true),
            Err(spanwise_store::Error::AlreadyExists(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The triggers that a query asks for, those that changed last first.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn triggers(&self, query: &TriggerQuery) -> Result<Vec<TriggerRow>, Error> {
        Ok(self.inner.journal.store().triggers(query)?)
    }

    /// The revisions of a trigger, the newest first, also of one that is deleted.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn trigger_revisions(&self, id: &TriggerId, offset: usize, limit: usize) -> Result<Vec<TriggerRow>, Error> {
        Ok(self.inner.journal.store().trigger_revisions(id, offset, limit)?)
    }

    /// Says that everything up to a slot of a trigger has been decided. After `Ok` a restart knows.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn settle_trigger(&self, id: &TriggerId, slot: Timestamp) -> Result<(), Error> {
        Ok(self.inner.journal.store().settle_trigger(id, slot)?)
    }

    /// A deployed task in one version.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn task(&self, scope: &Scope, name: &str, version: &str) -> Result<Option<TaskRow>, Error> {
        Ok(self.inner.journal.store().task(scope, name, version)?)
    }

    /// Adds a revision of an app. False if the app has one of that number already: somebody else was faster.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn put_app(&self, app: &AppRow) -> Result<bool, Error> {
        match self.inner.journal.store().put_app(app) {
            Ok(()) => Ok(true),
            Err(spanwise_store::Error::AlreadyExists(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Every app in its newest revision, the oldest app first.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn apps(&self) -> Result<Vec<AppRow>, Error> {
        Ok(self.inner.journal.store().apps()?)
    }

    /// The revisions of an app that are kept, the newest first.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read.
    pub fn app_revisions(&self, scope: &Scope, name: &str) -> Result<Vec<AppRow>, Error> {
        Ok(self.inner.journal.store().app_revisions(scope, name)?)
    }

    /// Deletes an app with all its revisions. False if there is none.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be written.
    pub fn delete_app(&self, scope: &Scope, name: &str) -> Result<bool, Error> {
        Ok(self.inner.journal.store().delete_app(scope, name)?)
    }
}
