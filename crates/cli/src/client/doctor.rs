//! `spanwise doctor`: what stands in the way of a first run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use spanwise_proto::flyteidl2::task::ListTasksRequest;

use super::{Target, TargetOptions, say};

/// Check what a run needs: the server, Python with the SDK, tar.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    /// The Python interpreter of tasks; by default the first one on the PATH.
    #[arg(long, env = "SPANWISE_PYTHON", default_value = "python3")]
    python: PathBuf,
}

/// One thing that a run needs.
struct Check {
    what: &'static str,
    found: Result<String, String>,
}

/// Prints what was found. The exit code is 1 if something is missing.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let target = options.target.resolve()?;
    let checks = [
        Check { what: "server", found: server(&target).await },
        Check { what: "python", found: said(Command::new(&options.python).arg("--version")) },
        Check { what: "flyte", found: flyte(&options.python) },
        Check { what: "tar", found: said(Command::new("tar").arg("--version")) },
    ];
    for Check { what, found } in &checks {
        match found {
            Ok(text) => say(format!("ok       {what:8} {text}"))?,
            Err(text) => say(format!("missing  {what:8} {text}"))?,
        }
    }
    Ok(u8::from(checks.iter().any(|check| check.found.is_err())))
}

async fn server(target: &Target) -> Result<String, String> {
    let server = target.server().map_err(|error| error.to_string())?;
    match server.tasks().list_tasks(ListTasksRequest::default()).await {
        Ok(_) => Ok(format!("{} answers", target.url())),
        Err(error) => Err(super::explain(target, error).to_string()),
    }
}

fn flyte(python: &PathBuf) -> Result<String, String> {
    let script = "from importlib.metadata import version; print('flyte', version('flyte'))";
    let install = || format!("the SDK is not installed for {}: {0} -m pip install flyte", python.display());
    said(Command::new(python).args(["-c", script])).map_err(|_| install())
}

/// The first line that a program prints.
fn said(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}
