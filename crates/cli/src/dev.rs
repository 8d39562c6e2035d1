//! `spanwise dev`: a control plane for one person on this machine.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use spanwise_server::{Config, DEFAULT_PORT, Server};
use tokio::sync::oneshot;

use crate::settings::Trace;
use crate::{Signals, logging};

/// Start a control plane on this machine: Flyte 2's API, tasks as local processes, no configuration.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where everything is kept.
    #[arg(long, env = "SPANWISE_DATA_DIR", default_value = ".spanwise")]
    data_dir: PathBuf,
    /// The port of API, console and blob store; 0 lets the system choose one.
    #[arg(long, env = "SPANWISE_PORT", default_value_t = DEFAULT_PORT)]
    port: u16,
    /// The Python interpreter of tasks; by default the first one on the PATH.
    #[arg(long, env = "SPANWISE_PYTHON")]
    python: Option<PathBuf>,
    /// Start every task from nothing instead of forking it from a warm interpreter.
    #[arg(long, env = "SPANWISE_COLD")]
    cold: bool,
    /// Refuse runs that ask for what is not honoured, instead of warning.
    #[arg(long, env = "SPANWISE_STRICT")]
    strict: bool,
    /// How many tasks may do something at one time; those that wait for children are not counted [default: 2 a processor].
    #[arg(long, env = "SPANWISE_MAX_TASKS")]
    max_tasks: Option<u32>,
    #[command(flatten)]
    trace: Trace,
    /// Seconds that tasks may take to end after SIGTERM, and at the end of the server.
    #[arg(long, env = "SPANWISE_GRACE_SECONDS", default_value_t = 10)]
    grace_seconds: u64,
}

impl Options {
    fn config(self) -> Config {
        let mut config = Config::dev(self.data_dir);
        config.port = self.port;
        config.python = self.python;
        config.cold = self.cold;
        config.strict = self.strict;
        self.trace.apply(&mut config);
        config.max_tasks = self.max_tasks.unwrap_or(config.max_tasks);
        config.grace = Duration::from_secs(self.grace_seconds);
        config.drain = config.grace;
        config
    }
}

/// Serves until the first signal and what then has to be done, or until the second one.
pub(crate) async fn run(options: Options, signals: Signals) -> anyhow::Result<u8> {
    serve(options.config(), signals).await
}

/// Serves with these settings. A server that is told to end has done its work, which is no failure.
pub(crate) async fn serve(config: Config, mut signals: Signals) -> anyhow::Result<u8> {
    logging::init()?;
    let server = Server::start(config).await?;
    announce(&server)?;
    if let Some(warning) = server.warning() {
        eprintln!("warning: {warning}");
    }
    let (tell, told) = oneshot::channel();
    let serving = Box::pin(server.run(async {
        let _ = told.await;
    }));
    let ended_twice = async {
        signals.next().await;
        eprintln!(
            "ending: tasks have a time of grace, what is left goes on at the next start; a second signal ends at once"
        );
        let _ = tell.send(());
        signals.next().await
    };
    tokio::select! {
        biased;
        code = ended_twice => {
            eprintln!("ended at once: what was under way goes on at the next start");
            Ok(code)
        }
        done = serving => {
            done?;
            Ok(0)
        }
    }
}

fn announce(server: &Server) -> io::Result<()> {
    let (url, port) = (server.url(), server.port());
    let mut out = io::stdout().lock();
    writeln!(out, "Console    {url}/")?;
    writeln!(out, "API        {url}")?;
    writeln!(out)?;
    writeln!(
        out,
        "Python     flyte.init(endpoint=\"localhost:{port}\", insecure=True, project=\"flytesnacks\", domain=\"development\")"
    )?;
    writeln!(out, "config.yaml")?;
    writeln!(out, "    admin: {{endpoint: \"dns:///localhost:{port}\", insecure: true}}")?;
    writeln!(out, "    image: {{builder: remote}}")?;
    writeln!(out, "    task:  {{org: local, project: flytesnacks, domain: development}}")?;
    out.flush()
}
