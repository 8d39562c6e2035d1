//! The binary `spanwise`: its commands, its signals and its exit codes.
//!
//! Exit codes: 0 ok, 1 a run failed, 2 a wrong setting, 3 no server answers, 4 what was to be ended or answered had ended already,
//! 128 + the signal after SIGINT or SIGTERM.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

mod client;
mod demo;
mod dev;
mod logging;
mod misuse;
mod progress;
mod run;
mod serve;
mod settings;
mod terminal;
mod trace_tree;

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
    Run(run::Options),
    Dev(dev::Options),
    Serve(serve::Options),
    Config(serve::Show),
    List(client::list::Options),
    Get(client::get::Options),
    Logs(client::logs::Options),
    Trace(client::trace::Options),
    Explain(client::explained::Options),
    Abort(client::abort::Options),
    Signal(client::signal::Options),
    Tasks(client::tasks::Options),
    Triggers(client::triggers::Options),
    Backfill(client::backfill::Options),
    Apps(client::apps::Options),
    Doctor(client::doctor::Options),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What is left to do after an interrupt, at most: the user waits.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(100);

/// Threads that wait for the disk or for a receiver of spans at one time. Each has a pool of memory of its own, which it does not give back; more of
/// them would wait for the same disk.
const BLOCKING_THREADS: usize = 8;

/// The signals that tell the process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one and gives the exit code that it stands for.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 128 + 2,
            _ = self.terminate.recv() => 128 + 15,
        }
    }
}

fn main() -> ExitCode {
    match start() {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(141),
        Err(error) => {
            // A server's words may be among them.
            eprintln!("error: {}", terminal::harmless(&format!("{error:#}")));
            ExitCode::from(class(&error))
        }
    }
}

fn start() -> anyhow::Result<u8> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let matches = settings::with_file(Cli::command(), &arguments)?.get_matches_from(arguments);
    let command = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command;
    match (&command, matches.subcommand()) {
        (Command::Config(_), Some((_, matches))) => serve::show(matches),
        _ => perform(command),
    }
}

fn perform(command: Command) -> anyhow::Result<u8> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    let code = runtime.block_on(async {
        let mut signals = Signals::new()?;
        match command {
            Command::Demo(options) => demo::run(options, signals.next()).await,
            Command::Dev(options) => dev::run(options, signals).await,
            Command::Run(options) => run::run(options, &mut signals).await,
            Command::Serve(options) => serve::run(options, signals).await,
            command => tokio::select! {
                code = signals.next() => Ok(code),
                done = ask(command) => done,
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
        Command::Trace(options) => client::trace::run(options).await,
        Command::Explain(options) => client::explained::run(options).await,
        Command::Abort(options) => client::abort::run(options).await,
        Command::Signal(options) => client::signal::run(options).await,
        Command::Tasks(options) => client::tasks::run(options).await,
        Command::Triggers(options) => client::triggers::run(options).await,
        Command::Backfill(options) => client::backfill::run(options).await,
        Command::Apps(options) => client::apps::run(options).await,
        Command::Doctor(options) => client::doctor::run(options).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "spanwise", &mut io::stdout());
            Ok(0)
        }
        Command::Demo(_) | Command::Run(_) | Command::Dev(_) | Command::Serve(_) | Command::Config(_) => Ok(0),
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
    if error.is::<client::Ended>() {
        return 4;
    }
    match error.downcast_ref::<demo::SetupError>() {
        Some(error) if error.is_usage() => 2,
        _ if error.is::<misuse::Misuse>() || error.is::<client::BadTarget>() => 2,
        _ if error.is::<settings::BadFile>() || error.is::<settings::BadSetting>() => 2,
        _ => 1,
    }
}
