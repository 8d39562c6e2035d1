//! Apps: supervised processes behind the server's port, each started when it is asked for and ended when nobody asks any more.
//!
//! What is due for an app is decided by `core::app`; `supervise` carries it out, one task an app, the same way live and after a restart.
//! `proxy` is where requests come in: by the host name of an app, or by its path.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spanwise_core::Timestamp;
use spanwise_core::app::App;
use spanwise_engine::Clock;
use spanwise_process::{Logs, Runner};
use spanwise_wire::apps::{AppDefinition, AppId, AppState};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt::Launcher;
use crate::layout::DataDir;
use crate::secrets::Secrets;

mod address;
mod adopt;
mod cell;
mod files;
mod launch;
mod ports;
pub(crate) mod proxy;
mod supervise;

pub(crate) use address::{Address, Addresses};
pub(crate) use cell::{Cell, Revision};

/// One descriptor of so many may be a connection to an app: half of all are for the clients of the server, the rest is for files, processes
/// and the journal.
const SHARE: u64 = 4;

/// What every app needs.
pub(crate) struct Shared {
    pub(crate) data: DataDir,
    pub(crate) logs: Arc<dyn Logs>,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) secrets: Secrets,
    pub(crate) launcher: Arc<Launcher>,
    /// Where the server listens, as `host:port`, for processes.
    pub(crate) endpoint: String,
    /// How clients and browsers reach the server.
    pub(crate) addresses: Addresses,
    /// Where apps send their spans unless something else says so.
    pub(crate) defaults: Vec<(String, String)>,
    /// How long an app may take to end after SIGTERM.
    pub(crate) grace: Duration,
    /// How many descriptors this process may have.
    pub(crate) descriptors: u64,
}

/// All apps. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Apps {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Shared,
    clock: Clock,
    cells: Mutex<BTreeMap<AppId, Arc<Cell>>>,
    ports: ports::Ports,
    /// One for each connection to a process that may be open.
    connections: Arc<Semaphore>,
    /// Held by whoever changes one: revisions follow each other.
    changing: Mutex<()>,
    /// Counts what happens to any of them.
    changed: watch::Sender<u64>,
    supervisors: TaskTracker,
    /// Held by whoever supervises an app: who takes the place of one that was deleted waits until nothing of it is left.
    locks: Mutex<BTreeMap<AppId, Arc<tokio::sync::Mutex<()>>>>,
    ending: CancellationToken,
}

impl Apps {
    pub(crate) fn new(shared: Shared) -> Apps {
        let connections = usize::try_from(shared.descriptors / SHARE).unwrap_or(usize::MAX);
        let inner = Inner {
            shared,
            connections: Arc::new(Semaphore::new(connections.clamp(16, Semaphore::MAX_PERMITS))),
            clock: Clock::start(),
            cells: Mutex::default(),
            ports: ports::Ports::default(),
            changing: Mutex::default(),
            changed: watch::Sender::new(0),
            supervisors: TaskTracker::new(),
            locks: Mutex::default(),
            ending: CancellationToken::new(),
        };
        Apps { inner: Arc::new(inner) }
    }

    fn cells(&self) -> MutexGuard<'_, BTreeMap<AppId, Arc<Cell>>> {
        self.inner.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// For who changes apps, one after the other.
    pub(crate) fn change_alone(&self) -> MutexGuard<'_, ()> {
        self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An app by its name.
    pub(crate) fn get(&self, id: &AppId) -> Option<Arc<Cell>> {
        self.cells().get(id).cloned()
    }

    /// Every app.
    pub(crate) fn all(&self) -> Vec<Arc<Cell>> {
        self.cells().values().cloned().collect()
    }

    /// Whoever else has the host names that an app asks for.
    pub(crate) fn conflict(&self, definition: &AppDefinition) -> Option<(String, AppId)> {
        let wanted = Address::of(definition).hosts();
        self.all().into_iter().filter(|cell| cell.id != definition.id).find_map(|cell| {
            let taken = cell.address().hosts();
            wanted.iter().find(|host| taken.contains(host)).map(|host| (host.clone(), cell.id.clone()))
        })
    }

    /// Takes an app in, in its first revision or in another one.
    pub(crate) fn put(&self, definition: AppDefinition, revision: Revision) -> Arc<Cell> {
        let current = self.get(&definition.id);
        match current {
            Some(cell) => {
                cell.change(definition, revision, self.now());
                cell
            }
            None => self.take_up(definition, revision, App::default(), None),
        }
    }

    /// Supervises an app from now on.
    fn take_up(
        &self,
        definition: AppDefinition,
        revision: Revision,
        app: App,
        adopted: Option<launch::Running>,
    ) -> Arc<Cell> {
        let id = definition.id.clone();
        let cell = Arc::new(Cell::new(definition, revision, app, self.now(), self.inner.changed.clone()));
        self.cells().insert(id, Arc::clone(&cell));
        let (apps, supervised) = (self.clone(), Arc::clone(&cell));
        self.inner.supervisors.spawn(async move { apps.supervise(&supervised, adopted).await });
        self.inner.changed.send_modify(|count| *count += 1);
        cell
    }

    /// Forgets an app: its process ends, and what it has written on this machine goes.
    pub(crate) fn remove(&self, id: &AppId) {
        let removed = self.cells().remove(id);
        if let Some(cell) = removed {
            cell.delete(self.now());
        }
    }

    /// How an app is, for a client.
    pub(crate) fn state(&self, cell: &Cell) -> AppState {
        let shown = cell.shown();
        AppState {
            revision: shown.revision.number,
            created_at: shown.revision.created_at,
            changed_at: shown.revision.changed_at,
            phase: shown.phase,
            since: shown.since,
            message: shown.message,
            is_running: shown.is_running,
            started_at: shown.started_at,
            url: self.inner.shared.addresses.by_path(&cell.id),
            host_url: self.inner.shared.addresses.by_host(&cell.address()),
        }
    }

    /// Told of whatever happens to any app.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// The logs of an app that are there, by the number of the start, the newest last.
    pub(crate) fn logs_of(&self, id: &AppId) -> Vec<(u32, PathBuf)> {
        files::AppFiles::of(&self.inner.shared.data, id).logs()
    }

    /// What reads and follows logs.
    pub(crate) fn logs(&self) -> &dyn Logs {
        &*self.inner.shared.logs
    }

    /// Ends every process, for the end of the server. Whoever asks for an app is refused from now on.
    pub(crate) async fn end(&self) {
        self.inner.ending.cancel();
        self.inner.supervisors.close();
        let _ = tokio::time::timeout(2 * self.inner.shared.grace, self.inner.supervisors.wait()).await;
    }
}
