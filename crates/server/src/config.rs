//! How a server is set up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use spanwise_core::lifecycle::TraceLevel;
use spanwise_core::trigger::FiringRules;
use spanwise_engine::{Durability, ExportLimits, Limits, NotificationLimits, QueueLimits, Retention, ServerLimits};

use crate::CollectorConfig;
use crate::notify::MailServer;
use crate::peers::Users;

/// The port of the API, the console and the blob store.
pub const DEFAULT_PORT: u16 = 8585;

/// Where the log of an attempt is cut.
const DEFAULT_MAX_LOG: u64 = 256 << 20;

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept: journal, blobs, logs, environments, secrets.
    pub data_dir: PathBuf,
    /// The address to listen on. Only loopback is accepted: there is no authentication.
    pub address: IpAddr,
    /// The port; 0 lets the system choose one.
    pub port: u16,
    /// What an acknowledged commit survives.
    pub durability: Durability,
    /// How long finished runs are kept.
    pub retention: Retention,
    /// An attempt's log is cut at this many bytes; none lets it grow.
    pub max_log: Option<u64>,
    /// A journal that is lost or damaged is set aside, and a new one begun, instead of refusing to start.
    pub repair: bool,
    /// How many tasks may do something at one time, over all runs; those that wait for their children are not counted.
    pub max_tasks: u32,
    /// How many tasks that ask for no processor may run beside those; none: 16 for each of them.
    pub max_idle_tasks: Option<u32>,
    /// Thousandths of a processor, bytes of memory and devices that tasks may ask for in all, as far as they are counted.
    pub resources: ServerResources,
    /// The queues that tasks may name.
    pub queues: BTreeMap<String, QueueLimits>,
    /// The interpreter of tasks whose image asks for no environment of its own.
    pub python: Option<PathBuf>,
    /// Start each task as a process of its own from the first instruction, instead of forking it from a warm interpreter.
    pub cold: bool,
    /// Variables of the server's environment that tasks have too, beside those that all tasks have.
    pub pass_env: Vec<String>,
    /// Whose connections are taken.
    pub users: Users,
    /// Refuse runs that ask for what is not honoured, instead of warning.
    pub strict: bool,
    /// What becomes of slots that were missed or come too early, of triggers that do not say it by their labels.
    pub firing: FiringRules,
    /// After which time without a report the program of a tracked run is taken for lost; none: never.
    pub tracked_silence: Option<Duration>,
    /// How much of what the engine does for a run is traced, for runs that do not say it by their label `spanwise.trace`.
    pub trace: TraceLevel,
    /// The levels of projects that differ.
    pub project_traces: BTreeMap<String, TraceLevel>,
    /// The part of the runs that is traced, from 0 to 1, of those that come without a caller's trace.
    pub trace_ratio: f64,
    /// Where lifecycle spans are sent by OTLP. None: to `OTEL_EXPORTER_OTLP_ENDPOINT`; if that is not set, nothing is sent.
    pub trace_endpoint: Option<String>,
    /// Lifecycle spans that their receiver does not take for this long are given up and counted.
    pub trace_patience: Duration,
    /// The file of the key that seals secrets, made if it is not there; none: `secrets.key` in the data directory.
    pub secret_key_file: Option<PathBuf>,
    /// The mail server of notifications; none sends no mail.
    pub mail: Option<MailServer>,
    /// How notifications that are not delivered are tried again.
    pub notifications: NotificationLimits,
    /// Where a trace is opened in another tool: an address with `{trace_id}`, `{run_name}`, `{start_ms}` and `{end_ms}` in it.
    pub trace_url: Option<String>,
    /// How long a task may take to end after SIGTERM.
    pub grace: Duration,
    /// How long tasks under way may go on after the server has been told to end.
    pub drain: Duration,
    /// Where copies of uploaded code are kept beside the data directory, for clients that remember an upload which a new one does not
    /// have; none keeps none.
    pub upload_cache: Option<PathBuf>,
    /// Spans of tasks and of others are received (OTLP) and kept.
    pub collector: Option<CollectorConfig>,
}

impl Config {
    /// A server for one person on this machine.
    pub fn dev(data_dir: impl Into<PathBuf>) -> Config {
        Config {
            data_dir: data_dir.into(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: DEFAULT_PORT,
            durability: Durability::Process,
            retention: Retention::default(),
            max_log: Some(DEFAULT_MAX_LOG),
            repair: false,
            max_tasks: default_max_tasks(),
            max_idle_tasks: None,
            resources: ServerResources::default(),
            queues: BTreeMap::new(),
            python: None,
            cold: false,
            pass_env: Vec::new(),
            users: Users::Own,
            strict: false,
            firing: FiringRules::default(),
            tracked_silence: Some(Duration::from_hours(1)),
            trace: TraceLevel::Off,
            project_traces: BTreeMap::new(),
            trace_ratio: 1.0,
            trace_endpoint: None,
            trace_patience: ExportLimits::default().give_up_after,
            secret_key_file: None,
            mail: None,
            notifications: NotificationLimits::default(),
            trace_url: None,
            grace: Duration::from_secs(10),
            drain: Duration::from_secs(10),
            upload_cache: None,
            collector: Some(CollectorConfig::default()),
        }
    }
}

/// What of the machine is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerResources {
    /// Thousandths of a processor.
    pub cpu: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Its GPUs, by the names that CUDA has for them; none: they are not counted, and tasks see what there is.
    pub gpus: Vec<String>,
}

impl Config {
    /// What attempts may take up at one time.
    pub(crate) fn limits(&self) -> Limits {
        let slots = self.max_tasks.max(1);
        let idle = self.max_idle_tasks.unwrap_or(slots.saturating_mul(IDLE_A_SLOT)).max(1);
        let ServerResources { cpu, memory, ref gpus } = self.resources;
        let gpu = (!gpus.is_empty()).then_some(gpus.len() as u64);
        let server = ServerLimits { slots: Some(slots), idle: Some(idle), cpu, memory, gpu };
        Limits { server, queues: self.queues.clone() }
    }
}

/// Tasks that only sleep or wait take up memory all the same: as many processes as this beside each that computes.
const IDLE_A_SLOT: u32 = 16;

/// Two tasks a processor: one may wait for the network while the other computes. At least four, so that small machines get on.
fn default_max_tasks() -> u32 {
    let processors = std::thread::available_parallelism().map_or(2, |count| count.get() as u32);
    (2 * processors).max(4)
}
