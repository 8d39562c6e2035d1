//! An app as it is now: its revision, its process, and who asks for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanwise_core::Timestamp;
use spanwise_core::app::{Admission, App, Facts, Next, Phase, State, Why};
use spanwise_wire::apps::{AppDefinition, AppId};
use tokio::sync::watch;

use super::address::Address;

/// A revision of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revision {
    pub(crate) number: u64,
    /// When the app was created.
    pub(crate) created_at: Timestamp,
    /// When it was changed to this revision.
    pub(crate) changed_at: Timestamp,
    /// Why, as whoever changed it says.
    pub(crate) reason: String,
}

/// An app.
pub(crate) struct Cell {
    pub(crate) id: AppId,
    record: Mutex<Record>,
    /// Wakes the supervisor.
    changed: watch::Sender<u64>,
    /// Wakes the requests that wait: not each time that one more of them waits.
    passed: watch::Sender<u64>,
    /// Wakes whoever watches all apps.
    any_changed: watch::Sender<u64>,
}

struct Record {
    definition: Arc<AppDefinition>,
    revision: Revision,
    app: App,
    waiting: usize,
    open: usize,
    last_asked: Timestamp,
    upstream: Option<SocketAddr>,
    phase: Phase,
    since: Timestamp,
    message: String,
    started_at: Option<Timestamp>,
    is_deleted: bool,
}

/// How an app is, for people and clients.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) revision: Revision,
    pub(crate) phase: Phase,
    pub(crate) since: Timestamp,
    pub(crate) message: String,
    pub(crate) is_running: bool,
    pub(crate) started_at: Option<Timestamp>,
}

/// What is due, as the supervisor sees it.
pub(super) enum Due {
    /// The app is deleted: end its process, and leave.
    Leave,
    /// What core says.
    Next(Next),
}

/// Where a request goes.
pub(super) enum Entry {
    /// To the process.
    Forward(SocketAddr, Arc<AppDefinition>),
    /// It waits.
    Hold,
    /// Nowhere, for this reason.
    Refused(Admission),
}

impl Cell {
    pub(super) fn new(
        definition: AppDefinition,
        revision: Revision,
        app: App,
        now: Timestamp,
        any_changed: watch::Sender<u64>,
    ) -> Cell {
        let phase = app.phase(definition.desired);
        let id = definition.id.clone();
        let record = Record {
            definition: Arc::new(definition),
            revision,
            app,
            waiting: 0,
            open: 0,
            last_asked: now,
            upstream: None,
            phase,
            since: now,
            message: String::new(),
            started_at: None,
            is_deleted: false,
        };
        let (changed, passed) = (watch::Sender::new(0), watch::Sender::new(0));
        Cell { id, record: Mutex::new(record), changed, passed, any_changed }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known of it and tells who waits for that.
    fn update<T>(&self, now: Timestamp, change: impl FnOnce(&mut Record) -> T) -> T {
        let mut record = self.lock();
        let done = change(&mut record);
        let phase = record.app.phase(record.definition.desired);
        if record.phase != phase {
            (record.phase, record.since) = (phase, now);
            tracing::info!(app = self.id.name, project = self.id.project, ?phase, "an app has changed");
        }
        drop(record);
        for watched in [&self.changed, &self.passed, &self.any_changed] {
            watched.send_modify(|count| *count += 1);
        }
        done
    }

    /// What a supervisor looks at again: whatever happens to it, and who asks for it.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What a request looks at again that waits: whatever happens to it.
    pub(super) fn passages(&self) -> watch::Receiver<u64> {
        self.passed.subscribe()
    }

    pub(crate) fn definition(&self) -> Arc<AppDefinition> {
        Arc::clone(&self.lock().definition)
    }

    pub(crate) fn revision(&self) -> Revision {
        self.lock().revision.clone()
    }

    pub(crate) fn address(&self) -> Address {
        Address::of(&self.lock().definition)
    }

    pub(crate) fn shown(&self) -> Shown {
        let record = self.lock();
        Shown {
            revision: record.revision.clone(),
            phase: record.phase,
            since: record.since,
            message: record.message.clone(),
            is_running: matches!(record.app.state, State::Starting { .. } | State::Serving { .. }),
            started_at: record.started_at,
        }
    }

    /// Another revision. A process that is made from the same goes on, unless something is amiss with it.
    pub(super) fn change(&self, definition: AppDefinition, revision: Revision, now: Timestamp) {
        self.update(now, |record| {
            let is_same = record.definition.process == definition.process
                && record.definition.desired == definition.desired
                && record.app.failures == 0;
            record.definition = Arc::new(definition);
            record.revision = revision;
            if !is_same {
                record.app.changed();
                record.message.clear();
            }
        });
    }

    pub(super) fn delete(&self, now: Timestamp) {
        self.update(now, |record| record.is_deleted = true);
    }

    /// What is due.
    pub(super) fn due(&self, now: Timestamp) -> Due {
        let record = self.lock();
        if record.is_deleted {
            return Due::Leave;
        }
        let facts = Facts {
            desired: record.definition.desired,
            scaling: record.definition.scaling,
            waiting: record.waiting,
            open: record.open,
            last_asked: record.last_asked,
        };
        Due::Next(record.app.next(&facts, now))
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.lock().app.state, State::Starting { .. })
    }

    pub(super) fn launched(&self, now: Timestamp) {
        self.update(now, |record| {
            record.app.launched(now);
            record.started_at = Some(now);
            record.upstream = None;
        });
    }

    pub(super) fn answered(&self, at: SocketAddr, now: Timestamp) {
        self.update(now, |record| {
            record.app.answered(now);
            record.upstream = Some(at);
            record.message.clear();
        });
    }

    pub(super) fn ending(&self, why: Why, now: Timestamp) {
        self.update(now, |record| {
            record.app.ending(why);
            record.upstream = None;
        });
    }

    /// Its process has ended; `message` says how, if nobody has asked it to.
    pub(super) fn ended(&self, message: Option<String>, now: Timestamp) {
        self.update(now, |record| {
            record.app.ended(now);
            record.upstream = None;
            if let Some(message) = message {
                record.message = message;
            }
        });
    }

    /// Whether an app that was asked to end was too slow, which counts as its own fault.
    pub(super) fn is_asked_to_end(&self) -> bool {
        matches!(self.lock().app.state, State::Ending { why } if why != Why::TooSlow)
    }

    /// Where a request goes that comes now. One that goes to the process counts until its guard is dropped.
    pub(super) fn enter(self: &Arc<Cell>, now: Timestamp) -> (Entry, Option<Open>) {
        let mut record = self.lock();
        record.last_asked = now;
        match (record.app.admission(record.definition.desired, now), record.upstream) {
            _ if record.is_deleted => (Entry::Refused(Admission::Stopped), None),
            (Admission::Forward, Some(upstream)) => {
                record.open += 1;
                let entry = Entry::Forward(upstream, Arc::clone(&record.definition));
                drop(record);
                (entry, Some(Open(Arc::clone(self))))
            }
            (Admission::Forward | Admission::Hold, _) => (Entry::Hold, None),
            (refused, _) => (Entry::Refused(refused), None),
        }
    }

    /// Returns when requests do not go there any more.
    pub(super) async fn leaves(&self, upstream: SocketAddr) {
        let mut changes = self.passages();
        while self.lock().upstream == Some(upstream) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Holds a request from now on; none if so many are held already.
    pub(super) fn hold(self: &Arc<Cell>, most: usize) -> Option<Waiting> {
        let mut record = self.lock();
        if record.waiting >= most {
            return None;
        }
        record.waiting += 1;
        let is_first = record.waiting == 1;
        drop(record);
        if is_first {
            self.changed.send_modify(|count| *count += 1);
        }
        Some(Waiting(Arc::clone(self)))
    }
}

/// A request, a stream or a socket that the process has.
pub(super) struct Open(Arc<Cell>);

impl Open {
    /// The end of it is the last time that the app was asked.
    pub(super) fn close(self, now: Timestamp) {
        self.0.lock().last_asked = now;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut record = self.0.lock();
        record.open = record.open.saturating_sub(1);
        let is_last = record.open == 0;
        drop(record);
        if is_last {
            // Nobody but the supervisor waits for this.
            self.0.changed.send_modify(|count| *count += 1);
        }
    }
}

/// A request that waits for the process.
pub(super) struct Waiting(Arc<Cell>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut record = self.0.lock();
        record.waiting = record.waiting.saturating_sub(1);
        let is_last = record.waiting == 0;
        drop(record);
        if is_last {
            self.0.changed.send_modify(|count| *count += 1);
        }
    }
}
