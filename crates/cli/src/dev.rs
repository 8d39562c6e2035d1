//! `spanwise dev`: a control plane for one person on this machine.

use std::io::{self, Write as _};

use spanwise_server::{Config, Server};
use tokio::sync::oneshot;

use crate::settings::{BadSetting, Common};
use crate::{Signals, logging};

/// Start a control plane on this machine: Flyte 2's API, tasks as local processes, no configuration needed. Of a file of settings that is
/// there what is for `spanwise serve` alone (address, durability, retention_days, drain_seconds) is left out.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The file of settings; by default ./spanwise.toml, if it is there.
    #[arg(long, env = "SPANWISE_CONFIG", value_name = "PATH")]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    common: Common,
    /// Receive spans of tasks and of others (OTLP) and keep them.
    #[arg(long, env = "SPANWISE_COLLECTOR", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    collector: bool,
    #[command(flatten)]
    repair: Repair,
}

/// What a server may do about a journal that is lost or damaged.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Repair {
    /// Set a lost or damaged journal aside and begin a new one. Blobs and logs stay as they are; a journal that is fine stays too.
    #[arg(long)]
    pub(crate) repair: bool,
}

impl Options {
    /// Tasks have as long at the end of the server as they have at their own.
    fn config(self) -> Result<Config, BadSetting> {
        let mut config = self.common.config(self.collector)?;
        config.drain = config.grace;
        config.repair = self.repair.repair;
        Ok(config)
    }
}

/// Serves until the first signal and what then has to be done, or until the second one.
pub(crate) async fn run(options: Options, signals: Signals) -> anyhow::Result<u8> {
    serve(options.config()?, signals).await
}

/// Serves with these settings. A server that is told to end has done its work, which is no failure.
pub(crate) async fn serve(config: Config, mut signals: Signals) -> anyhow::Result<u8> {
    logging::init()?;
    let server = Server::start(config).await?;
    announce(&server)?;
    for warning in server.warnings() {
        eprintln!("warning: {warning}");
    }
    let (tell, ready) = oneshot::channel();
    let serving = Box::pin(server.run(async {
        let _ = ready.await;
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
    let (url, endpoint) = (server.url(), server.endpoint());
    let mut out = io::stdout().lock();
    writeln!(out, "Console    {url}/")?;
    writeln!(out, "API        {url}")?;
    if server.collects() {
        let own = server.collector_port().map(|port| format!("; gRPC also on {port}")).unwrap_or_default();
        writeln!(out, "Collector  {url} (OTLP http/protobuf, http/json, gRPC{own})")?;
    }
    writeln!(out, "Tasks      {}", server.python())?;
    writeln!(out)?;
    writeln!(
        out,
        "Python     flyte.init(endpoint=\"{endpoint}\", insecure=True, project=\"flytesnacks\", domain=\"development\")"
    )?;
    writeln!(out, "config.yaml")?;
    writeln!(out, "    admin: {{endpoint: \"dns:///{endpoint}\", insecure: true}}")?;
    writeln!(out, "    image: {{builder: remote}}")?;
    writeln!(out, "    task:  {{org: local, project: flytesnacks, domain: development}}")?;
    writeln!(out, "Files and frames of outputs, for a program that is no task")?;
    writeln!(
        out,
        "    export FLYTE_AWS_ENDPOINT={url}/s3 FLYTE_AWS_ACCESS_KEY_ID=spanwise FLYTE_AWS_SECRET_ACCESS_KEY=spanwise"
    )?;
    out.flush()
}
