//! Notifications of the ends of runs. The journal is the outbox: a run is accepted with a row for each of its rules, the commit that ends it
//! makes these due, and a loop brings them to their receivers, one at a time to each. So nothing is lost by a crash, nothing is sent again once
//! it is noted as delivered, memory holds what is on its way, and a receiver that is away disturbs no run and no other receiver.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionName, Failure, Fault, NotificationLimits, Timestamp};
use spanwise_store::{Due, DueQuery, NotificationRow, NotificationState, RunRow, Store};
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinHandle, JoinSet};

use crate::blocking::leave_runtime;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::{Error, with_source};

#[cfg(test)]
mod tests;

/// Receivers that are served at the same time.
const AT_A_TIME: usize = 8;

/// Of these, those that one host or one mail server brings it to.
const OF_ONE_HOST: usize = 2;

/// Of these, those that did not take what was sent last: they may hang again, and leave the others room.
const OF_FAILING: usize = 4;

/// Receivers for whom something is due that are looked at together.
const LOOKED_AT: usize = 64;

/// The pause after the journal could not be read or written.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);

/// A receiver that failed is forgotten when nothing was sent to it for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// The end of a run, for whoever notifies of it.
#[derive(Clone, Debug)]
pub struct RunEnd {
    /// The run.
    pub run: RunRow,
    /// What its root failed with.
    pub failure: Option<Failure>,
    /// What the run was created with: the body of [`RunRow::definition`].
    pub definition: Option<Bytes>,
    /// The number of the rule.
    pub rule: u32,
}

/// What became of a notification that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver has it.
    Delivered,
    /// The rule does not ask for this end.
    Unwanted,
}

/// A notification could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Undelivered {
    /// Why, for people: without secrets.
    pub text: String,
    /// What it is the fault of.
    pub fault: Fault,
}

/// A failure to deliver, for the log.
#[derive(Clone, Debug)]
pub struct Failed<'a> {
    /// The run that is not notified of.
    pub run: &'a RunRow,
    /// Who does not have it.
    pub receiver: &'a str,
    /// Why.
    pub error: &'a str,
    /// How often the receiver has failed since it took something.
    pub failures: u32,
    /// So many notifications are not tried again.
    pub given_up: u64,
}

/// Brings notifications to their receivers.
pub trait Notifier: Send + Sync + 'static {
    /// Sends one. Called again with the same after an error, and after a crash in between: the message says by a number which one it is.
    fn deliver(&self, end: RunEnd) -> Pin<Box<dyn Future<Output = Result<Delivery, Undelivered>> + Send + '_>>;

    /// What brings messages to a receiver, which others may share: its host, or the mail server.
    fn host(&self, receiver: &str) -> String {
        receiver.to_owned()
    }

    /// One could not be delivered.
    fn failed(&self, _failed: &Failed<'_>) {}

    /// A receiver takes notifications again after so many failures.
    fn takes_again(&self, _receiver: &str, _failures: u32) {}
}

/// Notifications under way. Dropping it stops it; what is left is sent by the next one.
#[derive(Debug)]
pub struct Notifications {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Engine {
    /// Notifies of the ends of runs, from now on and of those that have ended before. Once in a process: a second one would send what the
    /// first one sends.
    pub fn notify(&self, notifier: Arc<dyn Notifier>, limits: NotificationLimits) -> Notifications {
        let (stop, stopping) = watch::channel(false);
        let outbox = Outbox {
            store: Arc::clone(self.inner.journal.store()),
            clock: self.inner.clock,
            ended: Arc::clone(&self.inner.ended),
            notifier,
            limits,
        };
        let task = tokio::spawn(Loop { outbox, receivers: HashMap::new(), busy: HashMap::new(), stopping }.run());
        Notifications { stop, task }
    }

    /// Receivers that do not take what they should of runs of a project and a domain (of any, if that is empty): for each the newest
    /// notification with its run, and how many there are. Those of the newest runs first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn troubled_notifications(
        &self,
        project: &str,
        domain: &str,
        limit: usize,
    ) -> Result<Vec<(RunRow, NotificationRow, u64)>, Error> {
        let store = self.inner.journal.store();
        let rows = store.troubled_notifications(project, domain, limit)?;
        let with_run = |(row, count): (NotificationRow, u64)| Ok(store.run(row.run)?.map(|run| (run, row, count)));
        rows.into_iter().filter_map(|row| with_run(row).transpose()).collect()
    }
}

impl Notifications {
    /// Begins no more, and waits for those on their way for at most this long.
    pub async fn finish(mut self, patience: Duration) {
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(patience, &mut self.task).await;
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What sending a notification needs.
#[derive(Clone)]
struct Outbox {
    store: Arc<dyn Store>,
    clock: Clock,
    ended: Arc<Notify>,
    notifier: Arc<dyn Notifier>,
    limits: NotificationLimits,
}

/// A receiver that has failed.
struct Resting {
    failures: u32,
    until: Timestamp,
}

/// A receiver that is being sent something.
struct Busy {
    receiver: String,
    host: String,
    /// It did not take what was sent last.
    is_failing: bool,
}

struct Loop {
    outbox: Outbox,
    /// Those that have failed since they took something.
    receivers: HashMap<String, Resting>,
    /// Who is being sent something, by the task that does.
    busy: HashMap<Id, Busy>,
    stopping: watch::Receiver<bool>,
}

/// How a try ended, as far as its receiver is concerned.
enum Tried {
    Taken,
    /// It failed by the fault of the receiver.
    Refused,
    /// It says nothing about the receiver.
    Neither,
}

impl Loop {
    async fn run(mut self) {
        let mut under_way = JoinSet::new();
        loop {
            let is_stopping = *self.stopping.borrow();
            if is_stopping && under_way.is_empty() {
                return;
            }
            let next = if is_stopping { None } else { self.begin(&mut under_way).await };
            let due = next.map(|at| self.outbox.clock.instant(at));
            tokio::select! {
                Some(ended) = under_way.join_next_with_id() => self.ended(ended),
                () = self.outbox.ended.notified(), if !is_stopping => {}
                () = sleep_until(due) => {}
                _ = self.stopping.changed(), if !is_stopping => {}
            }
        }
    }

    /// Begins to send what is due, and says when to look again.
    async fn begin(&mut self, under_way: &mut JoinSet<Tried>) -> Option<Timestamp> {
        let now = self.outbox.clock.now();
        self.receivers.retain(|_, resting| resting.until.after(FORGOTTEN_AFTER) > now);
        let resting: Vec<String> =
            self.receivers.iter().filter(|(_, resting)| resting.until > now).map(|(name, _)| name.clone()).collect();
        let wakes = self.receivers.values().map(|resting| resting.until).filter(|until| *until > now).min();
        let latest = now.after(self.outbox.limits.longest_pause);
        let mut passed_over: Vec<String> = resting;
        let mut later = None;
        while self.busy.len() < AT_A_TIME {
            let busy = self.busy.values().map(|busy| busy.receiver.clone());
            let resting = passed_over.iter().cloned().chain(busy).collect();
            let (store, query) = (Arc::clone(&self.outbox.store), DueQuery { now, latest, resting, limit: LOOKED_AT });
            let Ok(Ok(Due { rows, next })) = leave_runtime(move || store.due_notifications(&query)).await else {
                return Some(now.after(JOURNAL_PAUSE));
            };
            later = next;
            let is_all = rows.len() < LOOKED_AT;
            for row in rows {
                let (receiver, failures) = (row.receiver.clone(), self.failures_of(&row.receiver));
                let host = self.outbox.notifier.host(&receiver);
                let is_failing = failures > 0 || row.tries > 0;
                if !self.has_room(&host, is_failing) {
                    passed_over.push(receiver);
                    continue;
                }
                let sending = under_way.spawn(self.outbox.clone().send(row, failures));
                self.busy.insert(sending.id(), Busy { receiver, host, is_failing });
            }
            if is_all {
                break;
            }
        }
        wakes.into_iter().chain(later).min()
    }

    fn failures_of(&self, receiver: &str) -> u32 {
        self.receivers.get(receiver).map_or(0, |resting| resting.failures)
    }

    /// Whether something may be sent now. Those that are passed over are looked at again when one has ended.
    fn has_room(&self, host: &str, is_failing: bool) -> bool {
        let of_host = self.busy.values().filter(|busy| busy.host == host).count();
        let failing = self.busy.values().filter(|busy| busy.is_failing).count();
        self.busy.len() < AT_A_TIME && of_host < OF_ONE_HOST && !(is_failing && failing >= OF_FAILING)
    }

    fn ended(&mut self, ended: Result<(Id, Tried), tokio::task::JoinError>) {
        // A panic is a fault of ours: the receiver rests, so that it does not come again at once.
        let (id, tried) = ended.unwrap_or_else(|error| (error.id(), Tried::Refused));
        let Some(Busy { receiver, .. }) = self.busy.remove(&id) else { return };
        match tried {
            Tried::Taken => {
                if let Some(resting) = self.receivers.remove(&receiver) {
                    self.outbox.notifier.takes_again(&receiver, resting.failures);
                }
            }
            Tried::Refused => {
                let now = self.outbox.clock.now();
                let resting = self.receivers.entry(receiver).or_insert(Resting { failures: 0, until: now });
                resting.failures = resting.failures.saturating_add(1);
                resting.until = now.after(self.outbox.limits.pause(resting.failures));
            }
            Tried::Neither => {}
        }
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Outbox {
    /// Sends a notification, and notes what became of it.
    async fn send(self, row: NotificationRow, failures: u32) -> Tried {
        let end = match self.read(&row).await {
            Ok(Some(end)) => end,
            // It was pruned meanwhile, and its notifications with it.
            Ok(None) => return Tried::Neither,
            Err(error) if error.is_damage() => {
                let error = format!("the run cannot be read: {}", with_source(&error));
                let given_up = (NotificationState::GivenUp, self.clock.now());
                let is_noted = self.put(NotificationRow { error: Some(error), ..settled(row, given_up) }).await;
                return if is_noted { Tried::Neither } else { Tried::Refused };
            }
            Err(_) => return Tried::Refused,
        };
        let run = end.run.clone();
        let delivered = self.notifier.deliver(end).await;
        let now = self.clock.now();
        match delivered {
            Ok(Delivery::Unwanted) => {
                let is_noted = self.put(settled(row, (NotificationState::Unwanted, now))).await;
                if is_noted { Tried::Neither } else { Tried::Refused }
            }
            Ok(Delivery::Delivered) => {
                let tries = row.tries.saturating_add(1);
                let row = NotificationRow { tries, error: None, ..settled(row, (NotificationState::Delivered, now)) };
                if self.put(row).await { Tried::Taken } else { Tried::Refused }
            }
            Err(undelivered) => {
                let is_noted = self.note(row, &run, &undelivered, failures).await;
                let says_nothing = is_noted && undelivered.fault != Fault::Receiver;
                if says_nothing { Tried::Neither } else { Tried::Refused }
            }
        }
    }

    async fn read(&self, row: &NotificationRow) -> Result<Option<RunEnd>, Error> {
        let (store, key, rule) = (Arc::clone(&self.store), row.run, row.rule);
        let read = move || {
            let Some(run) = store.run(key)? else { return Ok(None) };
            let failure = store.action(key, &ActionName::ROOT)?.and_then(|root| root.failure);
            let definition = match &run.definition {
                Some(digest) => store.definition(digest)?,
                None => None,
            };
            Ok(Some(RunEnd { run, failure, definition, rule }))
        };
        leave_runtime(read).await?
    }

    /// It was not delivered: it is tried again after a pause, or given up with all that are as old and wait for the same receiver.
    async fn note(&self, row: NotificationRow, run: &RunRow, undelivered: &Undelivered, failures: u32) -> bool {
        let Undelivered { text, fault } = undelivered;
        let (now, tries, receiver) = (self.clock.now(), row.tries.saturating_add(1), row.receiver.clone());
        let is_over = *fault == Fault::Rule || run.ended_at.is_none_or(|ended| self.limits.is_over(ended, now));
        let mut given_up = u64::from(is_over);
        let row = match is_over {
            true => settled(row, (NotificationState::GivenUp, now)),
            false => NotificationRow { at: Some(now.after(self.limits.pause(tries))), ..row },
        };
        let is_noted = self.put(NotificationRow { tries, error: Some(text.clone()), ..row }).await;
        if *fault == Fault::Receiver {
            let (store, receiver, oldest, why) =
                (Arc::clone(&self.store), receiver.clone(), self.limits.oldest(now), text.clone());
            let others = leave_runtime(move || store.give_up_notifications(&receiver, oldest, now, &why)).await;
            given_up += others.ok().and_then(Result::ok).unwrap_or(0);
        }
        let failures = if *fault == Fault::Receiver { failures.saturating_add(1) } else { tries };
        self.notifier.failed(&Failed { run, receiver: &receiver, error: text, failures, given_up });
        is_noted
    }

    /// Notes what became of a notification; while that cannot be noted, nothing more is sent to its receiver. False if it never can.
    async fn put(&self, row: NotificationRow) -> bool {
        loop {
            let (store, rows) = (Arc::clone(&self.store), [row.clone()]);
            match leave_runtime(move || store.put_notifications(&rows)).await {
                Ok(Err(error)) if error.may_pass() => tokio::time::sleep(JOURNAL_PAUSE).await,
                written => return matches!(written, Ok(Ok(()))),
            }
        }
    }
}

/// Nothing more is to be done for it.
fn settled(row: NotificationRow, (state, now): (NotificationState, Timestamp)) -> NotificationRow {
    NotificationRow { state, at: Some(now), ..row }
}
