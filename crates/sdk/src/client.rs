//! The client: it starts runs on the backend that was chosen, the engine of this process or a server.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::backend::Backend;
use crate::config::{Config, Runs, Settings};
use crate::embedded::Embedded;
use crate::error::{Error, Result};
use crate::remote;

/// A connection to an engine in this process, or to a server. [`init`](crate::init) makes the one that
/// [`with_runcontext`](crate::with_runcontext) uses; a program that needs more than one, a
/// test for instance, opens its own. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Box<dyn Backend>,
    console: String,
}

/// The client of [`init`](crate::init).
static DEFAULT: RwLock<Option<Client>> = RwLock::new(None);

pub(crate) fn set_default(client: Client) {
    *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = Some(client);
}

/// Deploys all tasks of this program on the server of [`init`](crate::init)'s client.
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

/// The client of [`init`](crate::init), or of the task that this code runs in.
pub(crate) fn default_client() -> Result<Client> {
    let default = DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone();
    default.ok_or_else(|| Error::usage("Spanwise is not set up: call `spanwise::init().await?` first"))
}

/// Forgets the client of [`init`](crate::init) and returns it.
pub(crate) fn take_default() -> Option<Client> {
    DEFAULT.write().unwrap_or_else(PoisonError::into_inner).take()
}

impl Client {
    /// Opens an engine of its own.
    ///
    /// # Errors
    /// See [`init_with`](crate::init_with).
    pub fn open(config: Config) -> Result<Client> {
        let Settings { runs, scope, console, tracing, exporter } = config.resolve()?;
        let backend: Box<dyn Backend> = match runs {
            Runs::Here(engine) => Box::new(Embedded::open(engine, scope, tracing, exporter)?),
            Runs::At(endpoint) => remote::connect(&endpoint, scope)?,
        };
        Ok(Client::new(backend, console))
    }

    /// A client of a backend whose pages are at `console`.
    pub(crate) fn new(backend: Box<dyn Backend>, console: String) -> Client {
        Client { inner: Arc::new(Inner { backend, console }) }
    }

    /// Deploys all tasks of this program, so that others can start and call them by their names: `flyte run deployed-task` and
    /// `flyte.remote.Task.get` of Python's SDK, and `remote_task` here. The same program deployed again is the same version.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) without a server; [`ErrorKind::System`](crate::ErrorKind::System) if it
    /// does not answer.
    pub async fn deploy(&self) -> Result<Deployment> {
        let (version, tasks) = self.backend().deploy().await?;
        Ok(Deployment { version, tasks })
    }

    /// Ends gracefully: attempts that are under way are given back, everything is written, and runs go on when they are resumed.
    /// Runs on a server go on without this program.
    pub async fn shutdown(&self) {
        self.backend().shutdown().await;
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.inner.backend
    }

    pub(crate) fn console(&self) -> &str {
        &self.inner.console
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("backend", &self.backend()).finish_non_exhaustive()
    }
}
