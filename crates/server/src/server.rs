//! A server from its start to its end.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use spanwise_blobs::{Blobs, Directory};
use spanwise_collector::{Collector, Error as CollectorError};
use spanwise_engine::{Clock, Engine, EngineConfig, Export, ExportLimits, LifecycleExporter, RunKey, Storage};
use spanwise_process::environments::{Base, Environments, NoPython};
use spanwise_process::{Inherited, LogFiles, Machine, Warm, own};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::CollectorConfig;
use crate::api::Api;
use crate::attempt::{self, Launcher, ProcessExecutor, SignsOfLife};
use crate::blobs::signed::{NoKey, Signer};
use crate::calls::{Calls, Stored};
use crate::config::Config;
use crate::control::{ControlPlane, Parts, TraceRules};
use crate::definitions::Definitions;
use crate::http;
use crate::image_plan::SDK;
use crate::kept::Kept;
use crate::layout::{self, DataDir};
use crate::privacy::{self, Ownership};
use crate::readiness::Readiness;
use crate::running::{self, Running};
use crate::secrets::Secrets;
use crate::serve::{Entrance, serve};

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
    #[error("open the data directory{}", by(Some(holder)))]
    InUse {
        /// That server.
        holder: Running,
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
    places: Vec<(TcpListener, axum::Router)>,
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
        if config.repair {
            let repaired = spanwise_store::Sqlite::repair(data.path(), Clock::start().now());
            warnings.extend(repaired.map_err(|source| Error::Repair(Box::new(source)))?);
        }
        // The journal first: it keeps a second server out of the directory, and of the port.
        let storage = Storage::Directory { path: data.path().to_owned(), durability: config.durability };
        let engine = Engine::open(EngineConfig {
            storage,
            retention: config.retention.clone(),
            max_attempts: Some(config.max_tasks.max(1)),
            attempts_outlive_the_process: true,
            waits_for_room: true,
        });
        let engine = engine.map_err(|source| match running::read(data.path()) {
            Some(holder) if source.is_in_use() => Error::InUse { holder, source },
            _ => Error::Engine(source),
        })?;
        let was_open = close(&data, ownership)?;
        warnings.extend(follow(&engine, &data, config.repair)?);
        let address = SocketAddr::new(config.address, config.port);
        let listen_error = |(address, source)| Error::Listen { address, holder: running::at(address), source };
        let listeners = http::listen(address).await.map_err(listen_error)?;
        let port = listeners[0].local_addr().map_err(|error| listen_error((address, error)))?.port();
        let running = Running { pid: std::process::id(), port, data_dir: data.path().to_owned(), python: None };
        // A disk that is full keeps no server from starting.
        let note = running.note();
        warnings.extend(note.as_ref().err().map(|error| {
            format!(
                "`{}` has no note of who uses it: {error}; a second server will not say who is running",
                data.path().display()
            )
        }));
        let (exporter, export) = lifecycle_export(&config, &engine)?.unzip();
        let base = base.await.map_err(|error| Error::Io { doing: "ask the interpreter", source: error.into() })?;
        let (entrance, warning) = Entrance::new(config.users, descriptors);
        warnings.extend(base.problem().or_else(|| base.warning()));
        warnings.extend(was_open.into_iter().chain(warning));
        let collector = match &config.collector {
            Some(asked) => Collecting::start(&config, asked, data.path(), &mut warnings).await?,
            None => None,
        };
        let api = Self::assemble(&config, data, engine, port, base, collector.is_some())?;
        let control = api.control.clone();
        let engine = control.engine().clone();
        let signs = control.executor().signs().clone();
        let ending = CancellationToken::new();
        let mut receivers: Vec<Arc<dyn LifecycleExporter>> = exporter.into_iter().collect();
        receivers.extend(collector.as_ref().map(|collecting| Arc::new(Stored(collecting.collector.clone())) as _));
        let received = collector.as_ref().map(|collecting| &collecting.collector);
        let (calls, trace_url) = (Calls::start(engine, receivers), config.trace_url.as_deref());
        let router = http::router(api, signs, running, ending.clone(), received, calls, trace_url);
        control.recover().map_err(|error| Error::Recover(error.to_string()))?;
        control.keep_house();
        let mut places: Vec<_> = listeners.into_iter().map(|listener| (listener, router.clone())).collect();
        let mut collector = collector;
        if let Some(collecting) = &mut collector {
            let router = http::guarded(http::received(&collecting.collector));
            places.extend(collecting.listeners.drain(..).map(|listener| (listener, router.clone())));
        }
        let (grace, drain) = (config.grace, config.drain);
        let host = http::host(config.address);
        Ok(Server {
            control,
            places,
            host,
            port,
            entrance,
            collector,
            warnings,
            grace,
            drain,
            ending,
            export,
            _note: note.ok(),
        })
    }

    fn assemble(
        config: &Config,
        data: DataDir,
        engine: Engine,
        port: u16,
        base: Base,
        collects: bool,
    ) -> Result<Api, Error> {
        let blobs = Blobs::open(&data.blobs(), config.durability)?;
        let signer = Signer::open(&data.path().join("signing.key"))?;
        let secrets = Secrets::new(data.secrets());
        let definitions = Definitions::new(engine.clone());
        let stopping = TaskTracker::new();
        // Tasks take the address itself where it has two names: the second may be another server's.
        let task_host = match http::host(config.address).as_str() {
            "localhost" => "127.0.0.1".to_owned(),
            other => other.to_owned(),
        };
        let environments = Environments::open(data.environments(), base, config.grace, stopping.clone());
        let readiness = Readiness::new(engine.clone(), blobs.clone());
        let launcher = Launcher::new(environments, Inherited::of_this_process(&config.pass_env), data.bin());
        let warm = (!config.cold).then(|| Warm::new(launcher.common()));
        let executor = ProcessExecutor::new(attempt::Shared {
            blobs: blobs.clone(),
            definitions: definitions.clone(),
            data: data.clone(),
            logs: Arc::new(
                LogFiles::new(config.max_log).map_err(|source| Error::Io { doing: "watch log files", source })?,
            ),
            runner: Arc::new(Machine::new(warm)),
            secrets: secrets.clone(),
            launcher,
            programs: attempt::Programs::new(blobs.clone(), data.programs()),
            signs: SignsOfLife::default(),
            refusals: attempt::Refusals::default(),
            readiness: readiness.clone(),
            endpoint: format!("{task_host}:{port}"),
            defaults: match collects {
                true => attempt::exporter_defaults(&format!("{task_host}:{port}")),
                false => Vec::new(),
            },
            grace: config.grace,
            stopping,
        });
        let trace =
            TraceRules { level: config.trace, projects: config.project_traces.clone(), ratio: config.trace_ratio };
        let kept = Kept::open(config.upload_cache.as_deref());
        let strict = config.strict;
        let parts = Parts { engine, executor, definitions, blobs, secrets, data, readiness, kept, strict, trace };
        let base_url = format!("http://{}:{port}", http::host(config.address));
        Ok(Api { control: ControlPlane::new(parts), signer, base_url })
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
        self.control.executor().environments().base().to_string()
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
            .places
            .into_iter()
            .map(|(listener, router)| tokio::spawn(serve(listener, router, Arc::clone(&entrance), closing.clone())))
            .collect();
        shutdown.await;
        self.ending.cancel();
        end(&self.control, self.drain, self.grace).await;
        if let Some(export) = self.export {
            // What is left goes on at the next start.
            export.finish(self.grace).await;
        }
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

/// Compares the journal with what runs have left beside it. A journal without runs beside the files of some is not theirs; one that is
/// behind them gives none of their keys again, and takes nothing of them for a leftover.
fn follow(engine: &Engine, data: &DataDir, repair: bool) -> Result<Option<String>, Error> {
    let failed = |source| Error::Io { doing: "look what runs have left in the data directory", source };
    let mut last_beside = 0;
    for directory in [data.all_logs(), data.all_work()] {
        let keys = layout::by_key(&directory).map_err(failed)?;
        last_beside = keys.into_iter().map(|(key, _)| key.0).max().unwrap_or(0).max(last_beside);
    }
    let last = engine.last_key()?.0;
    let has_blobs = Directory::has_any(&data.blobs(), layout::RUNS);
    let is_another = last == 0 && (has_blobs || last_beside > 0);
    if is_another && !repair {
        let what = format!(
            "`{}` knows no run, but the files of runs are beside it (`{}`, `{}`): it is not the journal that made them",
            data.path().join("journal.db").display(),
            data.all_logs().display(),
            data.blobs_of_runs().display(),
        );
        return Err(Error::Lost(Box::new(spanwise_store::Error::Lost { directory: data.path().to_owned(), what })));
    }
    if !is_another && last_beside <= last {
        return Ok(None);
    }
    engine.follows_another(RunKey(last_beside))?;
    Ok(Some(format!(
        "the journal of `{}` is older than the files of runs beside it (it ends at run {last}, they at run {last_beside}): \
         runs are missing from it; nothing of theirs is deleted",
        data.path().display()
    )))
}

/// Closes a data directory to other users, and says so if it was open to them. What lies deep in it follows.
fn close(data: &DataDir, ownership: Ownership) -> Result<Option<String>, Error> {
    let warning = privacy::close(data, ownership)
        .map_err(|source| Error::Io { doing: "close the data directory to other users", source })?;
    if ownership != Ownership::Foreign {
        let below = data.clone();
        tokio::task::spawn_blocking(move || {
            let closed = privacy::close_below(&below);
            if closed > 0 {
                tracing::info!(closed, "files of the data directory that other users could read are closed to them");
            }
        });
    }
    Ok(warning)
}

/// An exporter, and the export of lifecycle spans that goes by it.
type Exporting = (Arc<dyn LifecycleExporter>, Export);

/// Sends lifecycle spans to the receiver that the settings or the environment name, if they name one.
fn lifecycle_export(config: &Config, engine: &Engine) -> Result<Option<Exporting>, Error> {
    let endpoint = config.trace_endpoint.as_deref();
    if endpoint.is_none() && !spanwise_otel::otlp::is_configured() {
        return Ok(None);
    }
    let limits = ExportLimits { give_up_after: config.trace_patience, ..ExportLimits::default() };
    let exporter = spanwise_otel::otlp::exporter(endpoint, |trouble| tracing::warn!("{trouble}"))?;
    let export = engine.export_lifecycle(Arc::clone(&exporter), limits)?;
    Ok(Some((exporter, export)))
}

/// A collector and where it listens by itself.
struct Collecting {
    collector: Collector,
    listeners: Vec<TcpListener>,
    port: Option<u16>,
}

impl Collecting {
    /// A port that is taken is worth a warning: everything arrives at the server's port too. None, and a warning, if the stored spans
    /// cannot be opened now: they are worth less than what runs beside them, and are not thrown away for that.
    async fn start(
        config: &Config,
        asked: &CollectorConfig,
        data: &Path,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Collecting>, Error> {
        let clock = Clock::start();
        let collector = match Collector::open(data, config.durability, asked, move || clock.now()) {
            Err(CollectorError::Store(error)) if error.may_pass() => {
                let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
                warnings.push(format!("the collector is off until the server is started again: {error}{cause}"));
                return Ok(None);
            }
            opened => opened?,
        };
        warnings.extend(collector.set_aside());
        let address = SocketAddr::new(config.address, asked.port);
        let listeners = http::listen(address).await.unwrap_or_else(|(taken, error)| {
            warnings
                .push(format!("the collector does not listen on {taken}: {error}; the server's port takes gRPC too"));
            Vec::new()
        });
        let port = listeners.first().and_then(|listener| listener.local_addr().ok()).map(|address| address.port());
        Ok(Some(Collecting { collector, listeners, port }))
    }
}

/// Ends what is driven: first by itself, then by stopping it and giving it back.
async fn end(control: &ControlPlane, drain: Duration, grace: Duration) {
    let engine = control.engine();
    engine.stop_launching();
    let _ = tokio::time::timeout(drain, engine.idle()).await;
    engine.interrupt();
    // Drivers drop what they run, which stops its processes; parents that wait for children are among them.
    let _ = tokio::time::timeout(2 * grace, control.interrupted()).await;
    // The next server judges an attempt by the result that it has left: its body is not run again.
    give_back(control.clone()).await;
    // What a failed journal refused was not acknowledged to anyone.
    let _ = engine.flush().await;
}

/// Gives back the attempts that are under way and have left no result. The engine asks for each in turn, so this has a thread
/// that may wait for the store.
async fn give_back(control: ControlPlane) {
    let runtime = tokio::runtime::Handle::current();
    let giving = tokio::task::spawn_blocking(move || {
        let executor = control.executor();
        let has_result =
            |run: &_, key, action: &_, attempt| runtime.block_on(executor.has_result(run, key, action, attempt));
        control.engine().give_back(&|run, key, action, attempt| !has_result(run, key, action, attempt));
    });
    if let Err(error) = giving.await {
        tracing::error!(%error, "attempts could not be given back: the next server finds them lost");
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Io { doing: "find the data directory", source })
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("port", &self.port).finish_non_exhaustive()
    }
}
