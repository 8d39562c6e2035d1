//! The settings of a server. Each is defined once, as an argument; a file, the environment and the command line all set that one.
//!
//! A value of the file becomes the default of its argument, so a flag wins over a variable, a variable over the file, and the file over
//! what is built in, and every value is checked by the same parser.

mod file;
mod notify;
mod pools;
mod shown;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use spanwise_server::{
    BadMailServer, BadTarget, CatchUp, CollectorConfig, Config, DEFAULT_COLLECTOR_PORT, DEFAULT_PORT, FiringRules,
    Overlap, Retention, TeeTarget, TraceLevel, Users,
};

pub(crate) use file::{BadFile, with_file};
pub(crate) use shown::effective;

/// What can be set, whoever the server is for.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// Where everything is kept.
    #[arg(long, env = "SPANWISE_DATA_DIR", default_value = ".spanwise")]
    data_dir: PathBuf,
    /// The port of API, console, blob store and collector; 0 lets the system choose one.
    #[arg(long, env = "SPANWISE_PORT", default_value_t = DEFAULT_PORT)]
    port: u16,
    /// The Python interpreter of tasks; by default the first one on the PATH.
    #[arg(long, env = "SPANWISE_PYTHON")]
    python: Option<PathBuf>,
    /// Start every task from nothing instead of forking it from a warm interpreter.
    #[arg(long, env = "SPANWISE_COLD", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    cold: bool,
    /// Refuse runs that ask for what is not honoured, instead of warning.
    #[arg(long, env = "SPANWISE_STRICT", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    strict: bool,
    #[command(flatten)]
    pools: pools::Pools,
    /// Where the log of an attempt is cut, in MiB, or with a unit (KiB, MiB, GiB); 0 lets it grow.
    #[arg(long, env = "SPANWISE_MAX_LOG", value_name = "SIZE", default_value = "256", value_parser = size)]
    max_log: u64,
    /// A variable of this environment that tasks have too; may be given several times. Without it they have PATH, HOME, USER, the locale,
    /// the time zone, proxies, certificates, PYTHON*, OTEL_* and a few more.
    #[arg(long, env = "SPANWISE_PASS_ENV", value_name = "NAME", value_delimiter = ',', value_parser = variable)]
    pass_env: Vec<String>,
    /// Whose connections are taken: those of the user that the server runs as (`own`; root's too), or those of all users of this machine.
    #[arg(long, env = "SPANWISE_USERS", value_name = "own|all", default_value = "own")]
    users: Users,
    /// What becomes of slots of triggers that no server was there for: all (the newest 100), last or none. A trigger says otherwise by
    /// its label `spanwise.catch_up`.
    #[arg(long, env = "SPANWISE_TRIGGER_CATCH_UP", value_name = "all|last|none", default_value = "all")]
    trigger_catch_up: CatchUp,
    /// What becomes of a slot while a run of its trigger goes on: allow, skip or queue. A trigger says otherwise by its label
    /// `spanwise.overlap`.
    #[arg(long, env = "SPANWISE_TRIGGER_OVERLAP", value_name = "allow|skip|queue", default_value = "allow")]
    trigger_overlap: Overlap,
    /// Seconds without a report after which the program of a tracked run is taken for lost, until it reports again; 0 for never.
    #[arg(long, env = "SPANWISE_TRACKED_SILENCE_SECONDS", default_value_t = 3600)]
    tracked_silence_seconds: u64,
    #[command(flatten)]
    trace: Trace,
    #[command(flatten)]
    notify: notify::Notify,
    /// The file of the key that seals secrets, made if it is not there [default: secrets.key in the data directory].
    #[arg(long, env = "SPANWISE_SECRET_KEY_FILE", value_name = "PATH")]
    secret_key_file: Option<PathBuf>,
    /// Seconds that a task may take to end after SIGTERM.
    #[arg(long, env = "SPANWISE_GRACE_SECONDS", default_value_t = 10)]
    grace_seconds: u64,
    /// The port of OTLP over gRPC, beside that of the server; 0 lets the system choose one.
    #[arg(long, env = "SPANWISE_COLLECTOR_PORT", default_value_t = DEFAULT_COLLECTOR_PORT)]
    collector_port: u16,
    /// Days that received spans are kept; 0 keeps them for ever.
    #[arg(long, env = "SPANWISE_COLLECTOR_RETENTION_DAYS", default_value_t = 7)]
    collector_retention_days: u32,
    /// MiB of received spans that are kept, the newest; 0 keeps all.
    #[arg(long, env = "SPANWISE_COLLECTOR_MAX_MIB", default_value_t = 512)]
    collector_max_mib: u32,
    /// Where copies of uploaded code are kept for two days beside the data directory, for clients that remember an upload which a new data
    /// directory does not have; empty keeps none [default: ~/.cache/spanwise/uploads].
    #[arg(long, env = "SPANWISE_UPLOAD_CACHE", value_name = "PATH")]
    upload_cache: Option<String>,
    /// Another OTLP receiver (http/protobuf) that received spans are forwarded to, as OTEL_EXPORTER_OTLP_ENDPOINT has it.
    #[arg(long, env = "SPANWISE_TEE_ENDPOINT", value_name = "URL", hide_env_values = true, hide_default_value = true)]
    tee_endpoint: Option<String>,
    /// Headers for that receiver: name=value,name=value, percent-encoded. Better in the environment than on the command line.
    #[arg(
        long,
        env = "SPANWISE_TEE_HEADERS",
        value_name = "HEADERS",
        hide_env_values = true,
        hide_default_value = true
    )]
    tee_headers: Option<String>,
}

/// A setting that cannot be used, of those that only a server can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadSetting {
    /// Of the receiver that spans are forwarded to.
    #[error(transparent)]
    Tee(#[from] BadTarget),
    /// Of the mail server.
    #[error(transparent)]
    Mail(#[from] BadMailServer),
    /// Of a queue.
    #[error("queue `{0}` is set twice")]
    QueueTwice(String),
    /// Of the GPUs.
    #[error("the GPU `{0}` is named twice")]
    DeviceTwice(String),
}

impl Common {
    /// What the server is started with.
    ///
    /// # Errors
    /// [`BadSetting`]
    pub(crate) fn config(self, collects: bool) -> Result<Config, BadSetting> {
        let mut config = Config::dev(self.data_dir);
        config.port = self.port;
        config.python = self.python;
        config.cold = self.cold;
        config.strict = self.strict;
        config.max_log = (self.max_log > 0).then_some(self.max_log);
        config.pass_env = self.pass_env;
        config.users = self.users;
        config.firing = FiringRules { catch_up: self.trigger_catch_up, overlap: self.trigger_overlap };
        let silence = Duration::from_secs(self.tracked_silence_seconds);
        config.tracked_silence = (!silence.is_zero()).then_some(silence);
        self.trace.apply(&mut config);
        self.notify.apply(&mut config)?;
        self.pools.apply(&mut config)?;
        config.secret_key_file = self.secret_key_file;
        config.grace = Duration::from_secs(self.grace_seconds);
        let headers = self.tee_headers.unwrap_or_default();
        let tee = self.tee_endpoint.map(|endpoint| TeeTarget::new(&endpoint, &headers)).transpose()?;
        let max_bytes = (self.collector_max_mib > 0).then_some(u64::from(self.collector_max_mib) << 20);
        let retention = Retention { max_age: days(self.collector_retention_days), max_bytes };
        config.upload_cache = self.upload_cache.map(PathBuf::from).or_else(upload_cache);
        config.collector = collects.then_some(CollectorConfig { port: self.collector_port, retention, tee });
        Ok(config)
    }
}

/// A size in bytes; a number without a unit is in MiB.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim() {
        "" | "MiB" => 1 << 20,
        "KiB" => 1 << 10,
        "GiB" => 1 << 30,
        unit => return Err(format!("`{unit}` is no unit: KiB, MiB and GiB are")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{text}` is no size, as 256 or 64MiB are"))?;
    number.checked_mul(unit).ok_or_else(|| format!("`{text}` is too large"))
}

/// The name of a variable.
fn variable(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && !text.contains(['=', '\0']);
    is_name.then(|| text.to_owned()).ok_or_else(|| format!("`{text}` is not the name of a variable"))
}

/// The user's own cache; none for who has none.
fn upload_cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("spanwise/uploads"))
}

/// None are for ever.
fn days(count: u32) -> Option<Duration> {
    (count > 0).then(|| Duration::from_secs(u64::from(count) * 24 * 3600))
}

/// What can be set.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    #[command(flatten)]
    common: Common,
    /// The address to listen on: a loopback address, because there is no login.
    #[arg(long, env = "SPANWISE_ADDRESS", default_value = "127.0.0.1")]
    address: IpAddr,
    /// What an acknowledged commit survives: the end of the process, or a power cut.
    #[arg(long, env = "SPANWISE_DURABILITY", value_enum, default_value = "disk")]
    durability: Durability,
    /// Days that finished runs are kept; 0 keeps them for ever.
    #[arg(long, env = "SPANWISE_RETENTION_DAYS", default_value_t = 30)]
    retention_days: u32,
    /// Seconds that tasks may go on after the server has been told to end.
    #[arg(long, env = "SPANWISE_DRAIN_SECONDS", default_value_t = 10)]
    drain_seconds: u64,
    /// Receive spans of tasks and of others (OTLP) and keep them.
    #[arg(long, env = "SPANWISE_COLLECTOR", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    collector: bool,
}

/// How the lifecycle of runs is traced.
#[derive(Args, Clone, Debug)]
struct Trace {
    /// How much of what the engine does for a run becomes spans, unless the run says it by its label `spanwise.trace`: off, lifecycle
    /// or full (API calls too).
    #[arg(long, env = "SPANWISE_TRACE", default_value = "off")]
    trace: TraceLevel,
    /// Projects with a level of their own, as `name=level` with commas between.
    #[arg(long, env = "SPANWISE_PROJECT_TRACE", default_value = "", value_parser = project_traces)]
    project_trace: ProjectTraces,
    /// The part of the runs that is traced, from 0 to 1, of those that come without a caller's trace.
    #[arg(long, env = "SPANWISE_TRACE_RATIO", default_value = "1", value_parser = ratio)]
    trace_ratio: f64,
    /// Where lifecycle spans are sent by OTLP; else where OTEL_EXPORTER_OTLP_ENDPOINT says, or nowhere.
    #[arg(long, env = "SPANWISE_TRACE_ENDPOINT", hide_env_values = true, hide_default_value = true)]
    trace_endpoint: Option<String>,
    /// Seconds that lifecycle spans wait for a receiver that does not take them; then they are given up and counted.
    #[arg(long, env = "SPANWISE_TRACE_PATIENCE_SECONDS", default_value_t = 3600)]
    trace_patience_seconds: u64,
    /// Where a trace is opened in another tool: a web address with {trace_id}, {run_name}, {start_ms} and {end_ms} in it.
    #[arg(long, env = "SPANWISE_TRACE_URL", value_name = "TEMPLATE", value_parser = trace_url)]
    trace_url: Option<String>,
}

type ProjectTraces = BTreeMap<String, TraceLevel>;

fn project_traces(text: &str) -> Result<ProjectTraces, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let read = |pair: &str| {
        let (project, level) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not of the form name=level"))?;
        Ok((project.trim().to_owned(), level.trim().parse().map_err(|error| format!("{project}: {error}"))?))
    };
    pairs.map(read).collect()
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|error| format!("{error}"))?;
    (0.0..=1.0).contains(&ratio).then_some(ratio).ok_or_else(|| format!("{ratio} is not from 0 to 1"))
}

/// A link of a page: nothing but the web.
fn trace_url(text: &str) -> Result<String, String> {
    let is_web = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    is_web.then(|| text.to_owned()).ok_or_else(|| "an address begins with http:// or https://".to_owned())
}

impl Trace {
    fn apply(self, config: &mut Config) {
        config.trace = self.trace;
        config.project_traces = self.project_trace;
        config.trace_ratio = self.trace_ratio;
        config.trace_endpoint = self.trace_endpoint;
        config.trace_patience = Duration::from_secs(self.trace_patience_seconds);
        config.trace_url = self.trace_url;
    }
}

/// What an acknowledged commit survives.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    Process,
    Disk,
}

/// The settings, and the file that they may come from.
#[derive(Args, Clone, Debug)]
pub(crate) struct Configured {
    /// The file of settings; by default ./spanwise.toml, if it is there.
    #[arg(long, env = "SPANWISE_CONFIG", value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

impl Settings {
    /// What the server is started with.
    ///
    /// # Errors
    /// [`BadSetting`]
    pub(crate) fn config(self) -> Result<Config, BadSetting> {
        let mut config = self.common.config(self.collector)?;
        config.address = self.address;
        config.durability = match self.durability {
            Durability::Process => spanwise_server::Durability::Process,
            Durability::Disk => spanwise_server::Durability::Disk,
        };
        config.retention = Retention { max_age: days(self.retention_days), ..config.retention };
        config.drain = Duration::from_secs(self.drain_seconds);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_is_in_mib() {
        for (text, bytes) in [("0", 0), ("1", 1 << 20), ("64MiB", 64 << 20), ("2 GiB", 2 << 30), ("10KiB", 10 << 10)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, named) in
            [("1MB", "`MB`"), ("MiB", "`MiB`"), ("-1", "`-1`"), ("", "``"), ("99999999999999999GiB", "too large")]
        {
            assert!(size(text).unwrap_err().contains(named), "{text}: {:?}", size(text));
        }
    }
}
