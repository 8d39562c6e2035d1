//! The cache of outputs: looked up before the first attempt, filled after a success (semantics S5).

use std::sync::Arc;

use spanwise_core::{ActionName, AttemptNo, CachePolicy, Command, Lookup, Source};
use spanwise_store::{CachedOutputs, Payloads, Store};

use crate::error::Error;
use crate::executor::Executor;
use crate::reservations::Reservation;
use crate::run::RunHandle;

impl RunHandle {
    /// Reserves a key, if one computation at a time was asked for: waits until nobody else has it, and notes in `lookup` whom it waited for.
    pub(crate) async fn reserve(
        &self,
        action: ActionName,
        policy: &CachePolicy,
        lookup: &mut Lookup,
    ) -> Option<Reservation> {
        if !self.cell.needs_key(&action, policy) {
            return None;
        }
        let lock = self.engine.inner.reservations.of(&policy.key);
        let mut reservation = match Arc::clone(&lock).try_lock_owned() {
            Ok(reservation) => reservation,
            Err(_) => {
                // A refusal means that it is no longer queued, which the driver sees by itself.
                let _ = self.cell.command(&Command::Hold { action, wait: None }, self.now(), Payloads::default());
                let reservation = lock.lock_owned().await;
                lookup.waited_for = *reservation;
                reservation
            }
        };
        *reservation = self.cell.action_span(&action);
        Some(reservation)
    }

    /// Reserves the key of an attempt that is under way already, unless somebody else has it.
    pub(crate) fn try_reserve(&self, action: &ActionName) -> Option<Reservation> {
        let policy = self.cell.cache_policy(action).filter(|policy| policy.serialize)?;
        self.engine.inner.reservations.of(&policy.key).try_lock_owned().ok()
    }

    /// Ends the action with the outputs that the cache has for it, if it has any that count.
    pub(crate) async fn reuse_cached(
        &self,
        action: ActionName,
        policy: &CachePolicy,
        mut lookup: Lookup,
        executor: &dyn Executor,
    ) -> Result<(), Error> {
        if policy.overwrite {
            return Ok(());
        }
        // What cannot be read is computed again.
        let key = policy.key.clone();
        let found = self.engine.ask(move |store| store.cached(&key)).await.unwrap_or_default();
        let hit = match found.filter(|found| !policy.is_too_old(found.stored_at, self.now())) {
            Some(found) => {
                lookup.producer = found.producer;
                let scope = found.scope.filter(|scope| *scope != self.id().scope()).map(Box::new);
                let source = Source::Cache { run: found.run, scope, action: found.action, attempt: found.attempt };
                let command = Command::Reuse { action, source, lookup: Some(lookup.clone()) };
                self.deliver(command, action, found.outputs, executor).await
            }
            None => false,
        };
        if !hit {
            // A refusal means that it is no longer queued, which the driver sees by itself.
            let _ = self.cell.command(&Command::Miss { action, lookup }, self.now(), Payloads::default());
        }
        Ok(())
    }

    /// Ends an action with outputs that were there already.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal failed. An action with an attempt under way, or at its end, stays as it is.
    pub async fn reuse(
        &self,
        action: ActionName,
        source: Source,
        outputs: bytes::Bytes,
        executor: &dyn Executor,
    ) -> Result<(), Error> {
        self.deliver(Command::Reuse { action, source, lookup: None }, action, outputs, executor).await;
        Ok(())
    }

    /// Puts outputs where the caller looks for them, then ends the action by the command; false if they cannot be put there and
    /// have to be computed again.
    async fn deliver(
        &self,
        command: Command,
        action: ActionName,
        outputs: bytes::Bytes,
        executor: &dyn Executor,
    ) -> bool {
        if executor.deliver(self, action, &outputs).await.is_err() {
            return false;
        }
        let payloads = Payloads { inputs: None, outputs: Some(outputs) };
        // A refusal means that an attempt is under way, or that it is at its end: it stays as it is.
        let _ = self.cell.command(&command, self.now(), payloads);
        true
    }

    /// Keeps the outputs of a success for later actions with the same key. If the store refuses them, they are computed again.
    ///
    /// # Cancellation
    /// Once the write has begun it goes on, and the next one in line has the reservation when it has ended.
    pub(crate) async fn fill_cache(
        &self,
        (action, attempt): (ActionName, AttemptNo),
        policy: &CachePolicy,
        outputs: bytes::Bytes,
        reservation: Option<Reservation>,
    ) -> Result<(), Error> {
        // Nobody may be given outputs whose own success is not safe yet.
        self.safe().await?;
        let (run, scope) = (self.id().name.to_string(), Some(self.id().scope()));
        let (stored_at, producer) = (self.now(), self.cell.attempt_span(&action, attempt));
        let value = CachedOutputs { run, scope, action, attempt, outputs, stored_at, producer };
        // The success stands; a store that cannot be written at all is found out by the next commit.
        let key = policy.key.clone();
        let write = move |store: &dyn Store| {
            let written = store.cache(&key, &value);
            drop(reservation);
            written
        };
        let _ = self.engine.ask(write).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::task::Poll;

    use bytes::Bytes;
    use spanwise_core::{ActionSpec, RunId, RunName};
    use spanwise_store::{Durability, Retention};

    use super::*;
    use crate::blocking::in_background;
    use crate::{Engine, EngineConfig, NewRun, RunSettings, Storage};

    fn engine(directory: &std::path::Path) -> Engine {
        let storage = Storage::Directory { path: directory.to_owned(), durability: Durability::Process };
        let config = EngineConfig::embedded(storage, Retention::default());
        // What it asks of the store leaves the caller's thread.
        Engine::open(EngineConfig { attempts_outlive_the_process: true, ..config }).unwrap()
    }

    /// The only thread for blocking work is taken, so that the write cannot have ended when whoever waits for it goes away.
    #[test]
    fn s5_who_goes_away_while_the_cache_is_filled_leaves_the_key_to_the_write() {
        let directory = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let engine = engine(directory.path());
            let (org, project, domain) = (String::new(), "p".to_owned(), "d".to_owned());
            let id = RunId { org, project, domain, name: RunName::new("one").unwrap() };
            let policy = CachePolicy { key: "k".to_owned(), overwrite: false, serialize: true, max_age_seconds: None };
            let spec = ActionSpec { cache: Some(policy.clone()), ..ActionSpec::task("env.main") };
            let (settings, definitions) = (RunSettings::default(), Vec::new());
            let run = engine.create_run(NewRun { id, spec, inputs: Bytes::new(), settings, definitions }).unwrap();
            let reservation = run.reserve(ActionName::ROOT, &policy, &mut Lookup::default()).await;
            assert!(reservation.is_some());

            let (let_go, gate) = mpsc::channel::<()>();
            in_background(move || gate.recv().unwrap());
            {
                let of = (ActionName::ROOT, AttemptNo(1));
                let mut fill = Box::pin(run.fill_cache(of, &policy, Bytes::from_static(b"ok"), reservation));
                assert!(poll_fn(|cx| Poll::Ready(fill.as_mut().poll(cx))).await.is_pending());
            }
            let lock = engine.inner.reservations.of(&policy.key);
            assert!(lock.try_lock().is_err(), "nobody may compute it again");
            let_go.send(()).unwrap();
            let _next = lock.lock().await;
            let found = engine.inner.journal.store().cached(&policy.key).unwrap();
            assert_eq!(found.unwrap().outputs, Bytes::from_static(b"ok"));
        });
    }
}
