//! The way in: an engine, and the runs that this process started on it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use spanwise_core::{ActionName, RunId, RunName};
use spanwise_engine::{Call, Engine, Export, ExportLimits, RunHandle};
use tokio::task::JoinHandle;

use crate::asked;
use crate::config::{Config, Exporter, Runs, Settings, Tracing};
use crate::error::{Error, Result};
use crate::executor::InProcess;
#[cfg(feature = "remote")]
use crate::remote;
use crate::run::{Run, RunContext};
use crate::task::{self, TaskOutput};

/// A connection to an engine in this process, or to a server. [`init`] makes the one that [`with_runcontext`] uses; a program that needs more than one, a
/// test for instance, opens its own. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    console: String,
}

/// Who runs runs.
pub(crate) enum Backend {
    /// The engine of this process.
    Embedded(Embedded),
    /// A server.
    #[cfg(feature = "remote")]
    Remote(remote::Server),
}

/// The engine of this process, and the runs that were started on it here.
pub(crate) struct Embedded {
    engine: Engine,
    org: String,
    project: String,
    domain: String,
    directory: Option<std::path::PathBuf>,
    pub(crate) tracing: Tracing,
    export: Mutex<Option<Export>>,
    /// The drivers of root actions.
    drivers: Mutex<Vec<JoinHandle<()>>>,
}

/// How long a program that ends waits for the receiver of its lifecycle spans. What is left is sent by its next process.
const LAST_EXPORT: Duration = Duration::from_secs(5);

fn begin_export(engine: &Engine, exporter: Exporter) -> Result<Export> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(Error::usage("a client with a lifecycle exporter is opened inside a tokio runtime"));
    }
    Ok(engine.export_lifecycle(exporter.0, ExportLimits::default())?)
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
/// In a process that a server has started to run one attempt of a task, this function does not return: it runs the attempt and
/// ends the process, after the hooks of [`at_exit`](crate::at_exit). So what a program does before it, above all setting up its
/// tracer provider, happens in drivers and in task processes alike, and what comes after it in drivers only. Read the program's
/// arguments after it: a task process has others.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if a setting makes no sense; [`ErrorKind::System`](crate::ErrorKind::System) if the data directory cannot be used, for instance
/// because another process has it.
pub async fn init_with(config: Config) -> Result<()> {
    #[cfg(feature = "remote")]
    if remote::is_attempt() {
        remote::take_over().await;
    }
    if asked::is_asked() {
        Box::pin(asked::take_over(config.clone())).await;
    }
    set_default(Client::open(config)?);
    Ok(())
}

pub(crate) fn set_default(client: Client) {
    *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = Some(client);
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

/// Deploys all tasks of this program on the server of [`init`]'s client.
///
/// # Errors
/// See [`Client::deploy`].
pub async fn deploy() -> Result<Deployment> {
    default_client()?.deploy().await
}

/// Tasks that were deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deployment {
    /// Their version: the digest of the program.
    pub version: String,
    /// Their names, in order.
    pub tasks: Vec<String>,
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
        let Settings { runs, org, project, domain, console, tracing, exporter } = config.resolve()?;
        let backend = match runs {
            Runs::Here(engine) => {
                let directory = match &engine.storage {
                    spanwise_engine::Storage::Directory { path, .. } => Some(std::path::absolute(path)?),
                    spanwise_engine::Storage::Memory => None,
                };
                let (engine, drivers) = (Engine::open(engine)?, Mutex::default());
                let export = Mutex::new(exporter.map(|exporter| begin_export(&engine, exporter)).transpose()?);
                Backend::Embedded(Embedded { engine, org, project, domain, directory, tracing, export, drivers })
            }
            #[cfg(feature = "remote")]
            Runs::At(endpoint) => {
                Backend::Remote(remote::Server::connect(&endpoint, spanwise_core::Scope { org, project, domain })?)
            }
        };
        Ok(Client { inner: Arc::new(Inner { backend, console }) })
    }

    /// A client of a server.
    #[cfg(feature = "remote")]
    pub(crate) fn of_server(server: remote::Server) -> Client {
        let console = server.address().to_owned();
        Client { inner: Arc::new(Inner { backend: Backend::Remote(server), console }) }
    }

    /// Starts to describe a run.
    pub fn with_runcontext(&self) -> RunContext {
        RunContext::new(Ok(self.clone()))
    }

    /// Takes up a run by its name: one that was interrupted goes on, a finished one gives its result. Finished actions and
    /// steps are not run again. On a server no run is ever interrupted: this looks one up and waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such run, or its task is not in this program.
    pub async fn resume<T: TaskOutput>(&self, name: &str) -> Result<Run<T>> {
        let name = RunName::new(name)?;
        match self.backend() {
            Backend::Embedded(embedded) => {
                let handle = embedded.engine.resume(&embedded.run_id(name))?;
                embedded.drive(&handle)?;
                Ok(Run::new(self.clone(), handle))
            }
            #[cfg(feature = "remote")]
            Backend::Remote(server) => Ok(Run::on_server(self.clone(), server.find(name).await?)),
        }
    }

    /// Deploys all tasks of this program, so that others can start and call them by their names: `flyte run deployed-task` and
    /// `flyte.remote.Task.get` of Python's SDK, and `remote_task` here. The same program deployed again is the same version.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) without a server; [`ErrorKind::System`](crate::ErrorKind::System) if it
    /// does not answer.
    pub async fn deploy(&self) -> Result<Deployment> {
        match self.backend() {
            Backend::Embedded(_) => Err(Error::usage(
                "tasks are deployed on a server: set an endpoint (`Config::endpoint`, SPANWISE_ENDPOINT)",
            )),
            #[cfg(feature = "remote")]
            Backend::Remote(server) => {
                let (version, tasks) = server.deploy().await?;
                Ok(Deployment { version, tasks })
            }
        }
    }

    /// Ends gracefully: attempts that are under way are given back, everything is written, and runs go on when they are resumed.
    /// Runs on a server go on without this program.
    pub async fn shutdown(&self) {
        match self.backend() {
            Backend::Embedded(embedded) => embedded.shutdown().await,
            #[cfg(feature = "remote")]
            Backend::Remote(_) => {}
        }
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.inner.backend
    }

    pub(crate) fn console(&self) -> &str {
        &self.inner.console
    }
}

impl Embedded {
    async fn shutdown(&self) {
        self.engine.interrupt();
        let drivers = std::mem::take(&mut *self.drivers.lock().unwrap_or_else(PoisonError::into_inner));
        for driver in &drivers {
            driver.abort();
        }
        for driver in drivers {
            let _ = driver.await;
        }
        // What a failed journal refused was not acknowledged to anyone.
        let _ = self.engine.flush().await;
        let export = self.export.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(export) = export {
            export.finish(LAST_EXPORT).await;
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn run_id(&self, name: RunName) -> RunId {
        let Embedded { org, project, domain, .. } = self;
        RunId { org: org.clone(), project: project.clone(), domain: domain.clone(), name }
    }

    pub(crate) fn directory(&self) -> Option<&std::path::Path> {
        self.directory.as_deref()
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
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        drivers.retain(|driver| !driver.is_finished());
        drivers.push(driver);
        Ok(())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Client");
        match self.backend() {
            Backend::Embedded(embedded) => debug.field("directory", &embedded.directory),
            #[cfg(feature = "remote")]
            Backend::Remote(server) => debug.field("server", &server.address()),
        };
        debug.finish_non_exhaustive()
    }
}
