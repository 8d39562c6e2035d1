//! `spanwise doctor`: what stands in the way of a first run.

use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use spanwise_server::{Interpreter, Running};
use spanwise_wire::requests::lists;

use super::{Target, TargetOptions, say};

/// Check what a run needs: the server, Python with the SDK, tar; and what a container needs.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    /// A Python interpreter for tasks; by default the one that the server has, else the first one on the PATH.
    #[arg(long, env = "SPANWISE_PYTHON")]
    python: Option<PathBuf>,
}

/// One thing that a run needs.
struct Check {
    what: &'static str,
    found: Found,
}

enum Found {
    Fine(String),
    Unusual(String),
    Missing(String),
}

/// Prints what was found. The exit code is 1 if something is missing.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let target = options.target.resolve()?;
    let mut checks = vec![Check { what: "server", found: server(&target).await }];
    let running = running(&target);
    let memory = running.as_ref().and_then(|running| running.memory.clone());
    let of_server = running.and_then(|running| running.python);
    let is_known = of_server.is_some();
    checks.extend(of_server.map(|python| Check { what: "tasks", found: (*python).into() }));
    checks.extend(memory.map(|memory| Check { what: "memory", found: Found::Fine(format!("limited {memory}")) }));
    if options.python.is_some() || !is_known {
        checks.push(Check { what: "python", found: python(options.python.as_deref()).await });
    }
    checks.push(Check { what: "tar", found: said(Command::new("tar").arg("--version")) });
    checks.push(Check { what: "bwrap", found: containers().await });
    for Check { what, found } in &checks {
        match found {
            Found::Fine(text) => say(format!("ok       {what:8} {text}"))?,
            Found::Unusual(text) => say(format!("warning  {what:8} {text}"))?,
            Found::Missing(text) => say(format!("missing  {what:8} {text}"))?,
        }
    }
    Ok(u8::from(checks.iter().any(|check| matches!(check.found, Found::Missing(_)))))
}

async fn server(target: &Target) -> Found {
    let server = match target.server() {
        Ok(server) => server,
        Err(error) => return Found::Missing(error.to_string()),
    };
    match server.tasks().list_tasks(lists::tasks(&target.scope(), lists::Page::first(1))).await {
        Ok(_) => Found::Fine(format!("{} answers", target.url())),
        Err(error) => Found::Missing(super::explain(target, error).to_string()),
    }
}

/// What the server says of itself; nothing if it is none of ours.
fn running(target: &Target) -> Option<Running> {
    let url = target.url();
    let host = url.strip_prefix("http://")?.split('/').next()?;
    host.to_socket_addrs().ok()?.find_map(spanwise_server::running_at)
}

async fn python(given: Option<&Path>) -> Found {
    match Interpreter::find(given).await {
        Ok(interpreter) => interpreter.into(),
        Err(error) => Found::Missing(error.to_string()),
    }
}

impl From<Interpreter> for Found {
    fn from(interpreter: Interpreter) -> Found {
        match (interpreter.problem, interpreter.warning) {
            (Some(problem), _) => Found::Missing(problem),
            (None, Some(warning)) => Found::Unusual(warning),
            (None, None) => Found::Fine(interpreter.name),
        }
    }
}

/// Whether tasks could be containers; only those that are need it.
async fn containers() -> Found {
    match spanwise_server::can_run_containers().await {
        Ok(()) => Found::Fine("bubblewrap, skopeo and umoci are there".to_owned()),
        Err(missing) => Found::Unusual(format!("tasks cannot be containers: {missing}")),
    }
}

/// The first line that a program prints.
fn said(command: &mut Command) -> Found {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.stdin(Stdio::null()).stderr(Stdio::null()).output() {
        Err(error) => Found::Missing(format!("{program}: {error}")),
        Ok(output) if !output.status.success() => Found::Missing(format!("{program}: {}", output.status)),
        Ok(output) => {
            Found::Fine(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
        }
    }
}
