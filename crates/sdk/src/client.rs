//! The way in: an engine, and the runs that this process started on it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use spanwise_core::{ActionName, RunId, RunName};
use spanwise_engine::{Call, Engine, RunHandle};
use tokio::task::JoinHandle;

use crate::config::{Config, Settings};
use crate::error::{Error, Result};
use crate::executor::InProcess;
use crate::run::{Run, RunContext};
use crate::task::{self, TaskOutput};

/// A connection to an engine. [`init`] makes the one that [`with_runcontext`] uses; a program that needs more than one, a
/// test for instance, opens its own. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    org: String,
    project: String,
    domain: String,
    console: String,
    directory: Option<std::path::PathBuf>,
    /// The drivers of root actions.
    drivers: Mutex<Vec<JoinHandle<()>>>,
}

/// The client of [`init`].
static DEFAULT: RwLock<Option<Client>> = RwLock::new(None);

/// Sets Spanwise up from the environment: see [`Config`].
///
/// # Errors
/// See [`init_with`].
pub async fn init() -> Result<()> {
    init_with(Config::new()).await
}

/// Sets Spanwise up. Doing it again replaces the client for runs that are started from then on.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if a setting makes no sense; [`ErrorKind::System`](crate::ErrorKind::System) if the data directory cannot be used, for instance
/// because another process has it.
pub async fn init_with(config: Config) -> Result<()> {
    let client = Client::open(config)?;
    *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = Some(client);
    Ok(())
}

/// Starts to describe a run on the client of [`init`].
pub fn with_runcontext() -> RunContext {
    RunContext::new(default_client())
}

/// Takes up a run by its name: one that was interrupted goes on, a finished one gives its result.
///
/// # Errors
/// See [`Client::resume`].
pub async fn resume<T: TaskOutput>(name: &str) -> Result<Run<T>> {
    default_client()?.resume(name).await
}

/// The client of [`init`], or of the task that this code runs in.
fn default_client() -> Result<Client> {
    let default = DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone();
    default.ok_or_else(|| Error::usage("Spanwise is not set up: call `spanwise::init().await?` first"))
}

/// Forgets the client of [`init`] and returns it.
pub(crate) fn take_default() -> Option<Client> {
    DEFAULT.write().unwrap_or_else(PoisonError::into_inner).take()
}

impl Client {
    /// Opens an engine of its own.
    ///
    /// # Errors
    /// See [`init_with`].
    pub fn open(config: Config) -> Result<Client> {
        let Settings { engine, org, project, domain, console } = config.resolve()?;
        let directory = match &engine.storage {
            spanwise_engine::Storage::Directory { path, .. } => Some(std::path::absolute(path)?),
            spanwise_engine::Storage::Memory => None,
        };
        let engine = Engine::open(engine)?;
        let drivers = Mutex::default();
        Ok(Client { inner: Arc::new(Inner { engine, org, project, domain, console, directory, drivers }) })
    }

    /// Starts to describe a run.
    pub fn with_runcontext(&self) -> RunContext {
        RunContext::new(Ok(self.clone()))
    }

    /// Takes up a run by its name: one that was interrupted goes on, a finished one gives its result. Finished actions and
    /// steps are not run again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such run, or its task is not in this program.
    pub async fn resume<T: TaskOutput>(&self, name: &str) -> Result<Run<T>> {
        let handle = self.inner.engine.resume(&self.run_id(RunName::new(name)?))?;
        self.drive(&handle)?;
        Ok(Run::new(self.clone(), handle))
    }

    /// Ends gracefully: attempts that are under way are given back, everything is written, and runs go on when they are resumed.
    pub async fn shutdown(&self) {
        self.inner.engine.interrupt();
        let drivers = std::mem::take(&mut *self.inner.drivers.lock().unwrap_or_else(PoisonError::into_inner));
        for driver in &drivers {
            driver.abort();
        }
        for driver in drivers {
            let _ = driver.await;
        }
        // What a failed journal refused was not acknowledged to anyone.
        let _ = self.inner.engine.flush().await;
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn run_id(&self, name: RunName) -> RunId {
        let Inner { org, project, domain, .. } = &*self.inner;
        RunId { org: org.clone(), project: project.clone(), domain: domain.clone(), name }
    }

    pub(crate) fn console(&self) -> &str {
        &self.inner.console
    }

    pub(crate) fn directory(&self) -> Option<&std::path::Path> {
        self.inner.directory.as_deref()
    }

    /// Drives a run's root in the background, unless it is at its end.
    pub(crate) fn drive(&self, handle: &RunHandle) -> Result<()> {
        if handle.is_finished() {
            return Ok(());
        }
        let name = handle.root_task().ok_or_else(|| Error::usage("the run has no root action"))?;
        let task = task::find(&name)?;
        let handle = handle.clone();
        let driver = tokio::spawn(async move {
            let call = Call { action: ActionName::ROOT, inputs: None, caller: None };
            // Whoever waits for the run learns of a failed journal from its own wait.
            let _ = handle.drive(call, &InProcess { task, depth: 0 }).await;
        });
        let mut drivers = self.inner.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        drivers.retain(|driver| !driver.is_finished());
        drivers.push(driver);
        Ok(())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("directory", &self.inner.directory).finish_non_exhaustive()
    }
}
