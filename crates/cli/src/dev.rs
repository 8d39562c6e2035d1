//! `spanwise dev`: a control plane for one person on this machine.

use std::future::Future;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use crate::logging;
use spanwise_server::{Config, DEFAULT_PORT, Server};

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
        config.max_tasks = self.max_tasks.unwrap_or(config.max_tasks);
        config.grace = Duration::from_secs(self.grace_seconds);
        config
    }
}

/// Serves until `stop` is ready and returns its exit code: a server that is told to end has done its work.
pub(crate) async fn run(options: Options, stop: impl Future<Output = u8>) -> anyhow::Result<u8> {
    logging::init()?;
    let server = Server::start(options.config()).await?;
    announce(&server)?;
    server
        .run(async {
            stop.await;
            eprintln!("ending: tasks have a time of grace, what is left goes on at the next start");
        })
        .await?;
    Ok(0)
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
