//! The binary `spanwise`: its commands, its signals and its exit codes.
//!
//! Exit codes: 0 ok, 1 a run failed, 2 a wrong setting, 3 no server answers, 128 + the signal after SIGINT or SIGTERM.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

mod client;
mod demo;
mod dev;
mod logging;

/// Durable tasks, one trace.
#[derive(Parser)]
#[command(name = "spanwise", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Options),
    Dev(dev::Options),
    List(client::list::Options),
    Get(client::get::Options),
    Logs(client::logs::Options),
    Abort(client::abort::Options),
    Tasks(client::tasks::Options),
    Doctor(client::doctor::Options),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What is left to do after an interrupt, at most: the user waits.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(141),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(class(&error))
        }
    }
}

fn run(command: Command) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => 128 + 2,
                _ = terminate.recv() => 128 + 15,
            }
        };
        match command {
            Command::Demo(options) => demo::run(options, stop).await,
            Command::Dev(options) => dev::run(options, stop).await,
            asked => tokio::select! {
                code = stop => Ok(code),
                done = ask(asked) => done,
            },
        }
    });
    runtime.shutdown_timeout(SHUTDOWN_GRACE);
    code
}

/// The commands that ask a server, or nobody.
async fn ask(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::List(options) => client::list::run(options).await,
        Command::Get(options) => client::get::run(options).await,
        Command::Logs(options) => client::logs::run(options).await,
        Command::Abort(options) => client::abort::run(options).await,
        Command::Tasks(options) => client::tasks::run(options).await,
        Command::Doctor(options) => client::doctor::run(options).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "spanwise", &mut io::stdout());
            Ok(0)
        }
        Command::Demo(_) | Command::Dev(_) => Ok(0),
    }
}

/// Whoever read the output has gone, as in `spanwise demo | head -1`: not worth a message.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn class(error: &anyhow::Error) -> u8 {
    if error.is::<client::Unreachable>() {
        return 3;
    }
    match error.downcast_ref::<demo::SetupError>() {
        Some(error) if error.is_usage() => 2,
        _ => 1,
    }
}
