//! Driving an action to its end: ask the rules what comes next, do it, ask again.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use spanwise_core::{ActionName, AttemptNo, CachePolicy, Command, Failure, JournalFacts, Lookup, Next, ProcessFacts};
use spanwise_store::Payloads;
use tokio::sync::{Notify, watch};

use crate::calls::RootLeaf;
use crate::cell::{self, New, Watch};
use crate::dropped_calls::Fate;
use crate::error::{Error, with_source};
use crate::executor::{Attempt, Executor, Report};
use crate::reservations::Reservation;
use crate::run::{Outcome, RunHandle};
use crate::scope::AttemptScope;

/// Inputs up to so many bytes stay in memory while their action waits or runs; larger ones are read from the journal again.
const KEPT_INPUTS: usize = 4096;

/// True for inputs that are dropped from memory while their action waits.
fn is_large(inputs: &mut Bytes) -> bool {
    inputs.len() > KEPT_INPUTS
}

/// An action to be driven.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name. It must have been accepted.
    pub action: ActionName,
    /// Its inputs, if the caller has just frozen them; else they are read from the journal.
    pub inputs: Option<Bytes>,
    /// The body that made the call; none for a root.
    pub caller: Option<Arc<AttemptScope>>,
}

impl RunHandle {
    /// Drives an action to its end and returns its outcome, which is safe by then. If somebody drives it already, waits. A condition has no
    /// attempts: it ends when it is answered, or when its time is over.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal failed, and the engine does not wait until it can be written again.
    ///
    /// # Cancellation
    /// Dropping the future aborts the action, or gives its attempt back if there is no caller, the caller's own attempt is
    /// over or the engine is interrupted. Attempts that outlive the process stay under way for whoever drives next.
    pub async fn drive(&self, call: Call, executor: &dyn Executor) -> Result<Outcome, Error> {
        let _root = call.caller.is_none().then(|| RootLeaf::count(self));
        let rules = cell::Driver::new(call.action, Arc::new(Notify::new()))
            .adopting(self.engine.inner.attempts_outlive_the_process)
            .starting_at_once(executor.starts_at_once());
        let mut driver = Driver { run: self, call, rules, delivered: None, reservation: None };
        let outcome = driver.drive(executor).await;
        match &outcome {
            Ok(_) => driver.stop(),
            // Nothing changed by what was refused.
            Err(Error::Rejected(_)) => driver.stop(),
            // It is at its end, but its outputs cannot be read: no matter of the others.
            Err(error) if self.cell.is_finished(&driver.call.action) && driver.is_damage_of_its_own(error) => {
                driver.stop()
            }
            Err(error) => {
                driver.give_back();
                self.cell.break_off(error);
            }
        }
        if driver.call.action.is_root() && outcome.is_ok() {
            self.engine.run_finished(&self.cell);
        }
        outcome
    }
}

/// Whoever drives an action; dropping it half-way settles what becomes of the action.
struct Driver<'a> {
    run: &'a RunHandle,
    call: Call,
    /// The driver as the rules have it.
    rules: cell::Driver,
    delivered: Option<Bytes>,
    /// The reservation of its cache key, where one computation at a time was asked for.
    reservation: Option<Reservation>,
}

impl Driver<'_> {
    async fn drive(&mut self, executor: &dyn Executor) -> Result<Outcome, Error> {
        let mut watch = None;
        loop {
            match self.run.cell.advance(&mut self.rules, self.run.process_facts(), self.run.now())? {
                Next::Finished(end) => return self.run.outcome(self.call.action, end, self.delivered.take()).await,
                Next::GiveBack => {
                    self.drop_large_inputs();
                    self.give_back();
                    // An interruption is no outcome: the caller is dropped while it waits for one.
                    return std::future::pending().await;
                }
                Next::AwaitRoom => {
                    self.drop_large_inputs();
                    self.run.room().await?;
                }
                Next::Leave => return Err(self.run.cell.broken().unwrap_or(Error::Interrupted)),
                Next::Adopt { attempt } => {
                    self.reservation = self.run.try_reserve(&self.call.action);
                    self.run_attempt(attempt, true, executor).await?;
                }
                // What few do stands apart: the call of each action has room for the largest part of this.
                Next::LookUp(policy) => Box::pin(self.look_up(&policy, executor)).await?,
                Next::Launch { attempt } => self.run_attempt(attempt, false, executor).await?,
                Next::Watch => {
                    watch = Some(self.run.cell.watch(self.call.action));
                    self.rules.set_watching();
                }
                Next::Hold { due } | Next::Wait { due } => {
                    self.drop_large_inputs();
                    self.wait(watch.as_ref(), self.run.until(due), due.is_some()).await;
                }
                Next::Sleep { until, due } => {
                    self.call.inputs = None;
                    let time = Box::pin(self.run.until_machine_says(until, due));
                    self.wait(watch.as_ref(), time, true).await;
                }
            }
        }
    }

    /// Ends the action with outputs that the cache has for it; if there are none, keeps the reservation of its key, where one was asked for.
    async fn look_up(&mut self, policy: &CachePolicy, executor: &dyn Executor) -> Result<(), Error> {
        let action = self.call.action;
        let watch = self.run.cell.watch(action);
        let mut lookup = Lookup { asked_at: self.run.now(), ..Lookup::default() };
        let mut reserve = Box::pin(self.run.reserve(action, policy, &mut lookup));
        self.reservation = loop {
            if !self.goes_on() {
                return Ok(());
            }
            self.run.engine.inner.journal.write_soon(&self.run.cell);
            let due = self.run.cell.due(&action);
            let inputs = &mut self.call.inputs;
            let changed = async {
                // Another action computes the key, however long that takes.
                inputs.take_if(is_large);
                watch.changed().await;
            };
            tokio::select! {
                biased;
                reservation = &mut reserve => break reservation,
                () = changed => {}
                () = self.run.until(due), if due.is_some() => self.tick(),
            }
        };
        drop(reserve);
        self.run.reuse_cached(action, policy, lookup, executor).await
    }

    async fn run_attempt(&mut self, attempt: AttemptNo, adopted: bool, executor: &dyn Executor) -> Result<(), Error> {
        let action = self.call.action;
        // Large inputs are handed to the body alone: a retry reads them from the journal.
        let in_hand = self.call.inputs.take_if(is_large).or_else(|| self.call.inputs.clone());
        let inputs = match in_hand {
            Some(inputs) => inputs,
            None => match self.run.stored(&action).await {
                Ok((inputs, _)) => inputs.unwrap_or_default(),
                Err(error) if self.is_damage_of_its_own(&error) => return self.end_damaged(attempt, &error),
                Err(error) => return Err(error),
            },
        };
        let scope = Arc::new(AttemptScope::new(action, attempt, adopted));
        let timed = scope.timed();
        let span = self.run.cell.attempt_span(&action, attempt);
        let mut body = Body(executor.execute(Attempt { run: self.run.clone(), scope, inputs, span, adopted }));
        let Some(report) = self.finish(&mut body.0, timed).await else { return Ok(()) };
        let (ended, outputs, artifacts) = report.split();
        let Some(command) = self.rules.report(attempt, ended, self.run.engine.is_interrupted()) else { return Ok(()) };
        let payloads = Payloads { inputs: None, outputs: outputs.clone() };
        let new = New { payloads, artifacts, ..New::default() };
        if self.run.cell.command(&command, self.run.now(), new).is_err() {
            // The attempt was ended from outside while it delivered: what the state says stands.
            return Ok(());
        }
        let Some(outputs) = outputs else { return Ok(()) };
        self.delivered = Some(outputs.clone());
        match self.run.cell.cache_policy(&action) {
            Some(policy) => {
                let reservation = self.reservation.take();
                Box::pin(self.run.fill_cache((action, attempt), &policy, outputs, reservation)).await
            }
            None => Ok(()),
        }
    }

    /// True if the lookup or the attempt that this driver is in the middle of goes on.
    fn goes_on(&self) -> bool {
        self.run.cell.goes_on(&self.rules, self.run.engine.is_interrupted())
    }

    /// Drops large inputs before a wait that may be long: the journal has them.
    fn drop_large_inputs(&mut self) {
        self.call.inputs.take_if(is_large);
    }

    /// True if the error is about stored values of this action alone: the run goes on.
    fn is_damage_of_its_own(&self, error: &Error) -> bool {
        error.is_damage() && self.run.cell.broken().is_none()
    }

    /// Fails an action whose inputs can be read neither now nor later.
    fn end_damaged(&self, attempt: AttemptNo, error: &Error) -> Result<(), Error> {
        let failure =
            Failure::system("SystemError", format!("read the stored inputs: {}", with_source(error))).terminal();
        let command = Command::ReportFailed { action: self.call.action, attempt, failure };
        // A refusal means that it was ended from outside.
        let _ = self.run.cell.command(&command, self.run.now(), Payloads::default());
        Ok(())
    }

    /// Runs the body to its end; none if the attempt was ended from outside, or its run is broken off for good.
    async fn finish(
        &self,
        body: &mut Pin<Box<dyn Future<Output = Report> + Send>>,
        mut timed: watch::Receiver<bool>,
    ) -> Option<Report> {
        let first = std::future::poll_fn(|cx| Poll::Ready(body.as_mut().poll(cx))).await;
        if let Poll::Ready(report) = first {
            return Some(report);
        }
        let action = self.call.action;
        let cell = &self.run.cell;
        let watch = cell.watch(action);
        // The body waits for something, so there is time to write that it began.
        self.run.engine.inner.journal.write_soon(cell);
        while self.goes_on() {
            let due = cell.due(&action).filter(|_| *timed.borrow_and_update());
            tokio::select! {
                biased;
                report = &mut *body => return Some(report),
                () = watch.changed() => {}
                // The body may have called off its timers just now: looked at before a timer that is due.
                Ok(()) = timed.changed() => {}
                () = self.run.until(due), if due.is_some() => self.tick(),
            }
        }
        None
    }

    /// Waits for a change, for a slot, or until it is time to look at the clocks, if anything of the action has a time.
    async fn wait(&self, watch: Option<&Watch>, time: impl Future<Output = ()>, has_time: bool) {
        self.run.engine.inner.journal.write_soon(&self.run.cell);
        let changed = async {
            match watch {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = changed => {}
            () = self.rules.notice().notified() => {}
            () = time, if has_time => self.tick(),
        }
    }

    fn tick(&self) {
        let command = Command::Tick { action: self.call.action, clock: self.run.machine_time() };
        // The action is known; a tick that comes too late does nothing.
        let _ = self.run.cell.command(&command, self.run.now(), Payloads::default());
    }

    /// Gives the attempt under way back and stops driving.
    fn give_back(&mut self) {
        if self.rules.drives() {
            let action = self.call.action;
            self.run.settle(action, self.run.cell.attempt(&action), Fate::Release);
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.run.cell.leave(&mut self.rules);
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        if !self.rules.drives() {
            return;
        }
        let action = self.call.action;
        if !self.run.cell.is_finished(&action) {
            let attempt = self.run.cell.attempt(&action);
            let fate = self.fate(action, attempt);
            self.run.settle(action, attempt, fate);
        }
        self.stop();
    }
}

impl Driver<'_> {
    fn fate(&self, action: ActionName, attempt: Option<AttemptNo>) -> Fate {
        let Some(caller) = self.call.caller.as_deref() else { return Fate::Release };
        self.run.fate_under(caller).unwrap_or_else(|| caller.call_dropped(action, attempt))
    }
}

impl RunHandle {
    /// What the rules have to know of this process.
    fn process_facts(&self) -> ProcessFacts {
        let is_full = self.engine.inner.journal.check().is_err();
        let journal = if is_full { JournalFacts::Full } else { JournalFacts::Open };
        ProcessFacts { is_interrupted: self.engine.is_interrupted(), journal }
    }
}

/// The body of an attempt, dropped without letting a panic out: a destructor of the task's must not end its driver.
struct Body(Pin<Box<dyn Future<Output = Report> + Send>>);

impl Drop for Body {
    fn drop(&mut self) {
        let body = std::mem::replace(&mut self.0, Box::pin(std::future::pending()));
        // The panic hook has said what happened.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(body)));
    }
}
