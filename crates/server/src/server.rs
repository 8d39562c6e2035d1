//! A server from its start to its end.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use spanwise_collector::Error as CollectorError;
use spanwise_engine::{Export, Notifications};
use spanwise_process::environments::{Base, NoPython};
use spanwise_process::own;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::blobs::signed::NoKey;
use crate::calls::Calls;
use crate::config::Config;
use crate::control::ControlPlane;
use crate::http;
use crate::image_plan::SDK;
use crate::layout::DataDir;
use crate::privacy::Ownership;
use crate::running::{self, Running};
use crate::secrets::NoSecretKey;
use crate::serve::{Entrance, serve};

mod assembly;
mod collecting;
mod journal;

use collecting::Collecting;

/// Why a server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would be reachable from elsewhere, and asks nobody who they are.
    #[error("listen on {0}: only loopback addresses are accepted, because this version has no authentication")]
    NotLoopback(std::net::IpAddr),
    /// The address is taken or cannot be used.
    #[error("listen on {address}{}", by(holder.as_ref()))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The server that listens there, if it is one of ours.
        holder: Option<Running>,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another server has the data directory.
    #[error("open the data directory{}", by(Some(holder.as_ref())))]
    InUse {
        /// That server.
        holder: Box<Running>,
        /// What the journal said.
        #[source]
        source: spanwise_engine::Error,
    },
    /// The journal cannot be used.
    #[error(transparent)]
    Engine(#[from] spanwise_engine::Error),
    /// The journal could not be repaired.
    #[error("repair the journal")]
    Repair(#[source] Box<spanwise_store::Error>),
    /// The journal is not the one that the data directory had.
    #[error(transparent)]
    Lost(Box<spanwise_store::Error>),
    /// The blob store cannot be used.
    #[error(transparent)]
    Blobs(#[from] spanwise_blobs::Error),
    /// The key of signed URLs cannot be used.
    #[error(transparent)]
    SigningKey(#[from] NoKey),
    /// The key of secrets cannot be used.
    #[error(transparent)]
    SecretKey(#[from] NoSecretKey),
    /// The collector cannot be used.
    #[error("start the collector")]
    Collector(#[from] CollectorError),
    /// Something of the machine cannot be used.
    #[error("{doing}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A run that was under way cannot be taken up again.
    #[error("take up the runs that were under way: {0}")]
    Recover(String),
    /// Lifecycle spans cannot be sent.
    #[error(transparent)]
    Exporter(#[from] spanwise_otel::otlp::Error),
    /// There is no Python.
    #[error(transparent)]
    NoPython(#[from] NoPython),
}

/// Who is in the way, for a message.
fn by(holder: Option<&Running>) -> String {
    holder.map(|holder| format!(": {holder} is running")).unwrap_or_default()
}

/// A server that listens.
pub struct Server {
    control: ControlPlane,
    /// Where it listens, and what it serves there.
    listeners: Vec<(TcpListener, axum::Router)>,
    host: String,
    port: u16,
    entrance: Entrance,
    collector: Option<Collecting>,
    warnings: Vec<String>,
    grace: Duration,
    drain: Duration,
    /// Cancelled when the server is told to end.
    ending: CancellationToken,
    /// The export of lifecycle spans, if they are sent anywhere.
    export: Option<Export>,
    notifications: Notifications,
    /// The note of who is running, removed at the end.
    _note: Option<running::Note>,
}

impl Server {
    /// Opens the data directory, takes up the runs that were under way, and listens.
    ///
    /// # Errors
    /// [`Error`]; nothing is left running then.
    pub async fn start(config: Config) -> Result<Server, Error> {
        if !config.address.is_loopback() {
            return Err(Error::NotLoopback(config.address));
        }
        let descriptors = own::settle();
        let data = DataDir::new(&absolute(&config.data_dir)?);
        let ownership =
            Ownership::of(&data).map_err(|source| Error::Io { doing: "look what is in the data directory", source })?;
        let python = Base::find(config.python.as_deref())?;
        // An interpreter takes a while to answer; the journal is opened meanwhile.
        let base = AbortOnDropHandle::new(tokio::spawn(async move { Base::probe(&python, &SDK).await }));
        let mut warnings = Vec::new();
        // The journal first: it keeps a second server out of the directory, and of the port.
        let engine = journal::open(&config, &data, &mut warnings)?;
        let was_open = journal::close(&data, ownership)?;
        warnings.extend(journal::follow(&engine, &data, config.repair)?);
        let (listeners, port) = listen(&config).await?;
        let running = Running::new(port, data.path());
        let note = note(&running, &mut warnings);
        let (exporter, export) = journal::lifecycle_export(&config, &engine)?.unzip();
        let base = base.await.map_err(|error| Error::Io { doing: "ask the interpreter", source: error.into() })?;
        let (entrance, warning) = Entrance::new(config.users, descriptors);
        let of_base = base.problem().or_else(|| base.warning());
        warnings.extend(was_open.into_iter().chain(warning));
        let mut collector = Collecting::start(&config, data.path(), &mut warnings).await?;
        let found = assembly::Found { port, collects: collector.is_some(), descriptors };
        let (api, blobs, apps) = assembly::assemble(&config, data, engine.clone(), found, base)?;
        let (control, ending) = (api.control.clone(), CancellationToken::new());
        let receivers = exporter.into_iter().chain(collector.as_ref().map(Collecting::exporter)).collect();
        let router = http::router(http::Rooms {
            api,
            blobs,
            apps,
            running,
            ending: ending.clone(),
            collector: collector.as_ref().map(|collecting| &collecting.collector),
            calls: Calls::start(engine, receivers),
            trace_url: config.trace_url.as_deref(),
        });
        warnings.extend(take_up(&control, of_base).await?);
        control.keep_house();
        control.keep_time();
        let mut listeners: Vec<_> = listeners.into_iter().map(|listener| (listener, router.clone())).collect();
        listeners.extend(collector.as_mut().map(Collecting::listeners).unwrap_or_default());
        Ok(Server {
            notifications: control.notify(config.notifications),
            control,
            listeners,
            host: http::host(config.address),
            port,
            entrance,
            collector,
            warnings,
            grace: config.grace,
            drain: config.drain,
            ending,
            export,
            _note: note,
        })
    }

    /// For tests that look at it from inside.
    #[cfg(test)]
    pub(crate) fn control(&self) -> ControlPlane {
        self.control.clone()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What does not work, for instance why Python tasks cannot run with the interpreter that it was given.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The interpreter of tasks, for people.
    pub fn python(&self) -> String {
        self.control.python()
    }

    /// The collector's own port, beside that of the server; none without a collector, or if the port is taken.
    pub fn collector_port(&self) -> Option<u16> {
        self.collector.as_ref().and_then(|collecting| collecting.port)
    }

    /// True if spans are received.
    pub fn collects(&self) -> bool {
        self.collector.is_some()
    }

    /// How clients reach it, as `host:port`.
    pub fn endpoint(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.endpoint())
    }

    /// Serves until `shutdown` is ready. Then nothing new is started, tasks under way have a time of grace to end, and what
    /// is left is given back, which costs no attempt: it goes on at the next start.
    ///
    /// # Errors
    /// [`Error::Io`] if a listener fails.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let closing = self.control.closing().clone();
        let entrance = Arc::new(self.entrance);
        let servers: Vec<_> = self
            .listeners
            .into_iter()
            .map(|(listener, router)| tokio::spawn(serve(listener, router, Arc::clone(&entrance), closing.clone())))
            .collect();
        shutdown.await;
        self.ending.cancel();
        self.control.end(self.drain, self.grace).await;
        if let Some(export) = self.export {
            // What is left goes on at the next start.
            export.finish(self.grace).await;
        }
        self.notifications.finish(self.grace).await;
        closing.cancel();
        for server in servers {
            let _ = tokio::time::timeout(self.grace, server).await;
        }
        if let Some(collecting) = self.collector {
            collecting.collector.close().await;
        }
        Ok(())
    }
}

/// Takes up the runs and the apps that were under way, with what stands in for their interpreter. Gives what is to be said `of_base`, the
/// interpreter itself, if nothing does.
async fn take_up(control: &ControlPlane, of_base: Option<String>) -> Result<Option<String>, Error> {
    let failed = |error: crate::control::Error| Error::Recover(error.to_string());
    let stands_in = control.take_up_environment().await;
    control.recover().map_err(failed)?;
    control.recover_apps().await.map_err(failed)?;
    Ok(of_base.filter(|_| !stands_in))
}

/// Where it listens, and on which port.
async fn listen(config: &Config) -> Result<(Vec<TcpListener>, u16), Error> {
    let address = SocketAddr::new(config.address, config.port);
    let failed = |(address, source)| Error::Listen { address, holder: running::at(address), source };
    let listeners = http::listen(address).await.map_err(failed)?;
    let port = listeners[0].local_addr().map_err(|error| failed((address, error)))?.port();
    Ok((listeners, port))
}

/// Notes who is running. A disk that is full keeps no server from starting.
fn note(running: &Running, warnings: &mut Vec<String>) -> Option<running::Note> {
    let data_dir = running.data_dir.display();
    let failed = |error| {
        format!("`{data_dir}` has no note of who uses it: {error}; a second server will not say who is running")
    };
    running.note().map_err(|error| warnings.push(failed(error))).ok()
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Io { doing: "find the data directory", source })
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("port", &self.port).finish_non_exhaustive()
    }
}
