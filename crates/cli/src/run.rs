//! `spanwise run`: a task of a program, or one that is deployed, started from the command line and followed to its end.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Arg, Args as _, Command, FromArgMatches as _};
use serde_json::{Map, Value as Json};
use spanwise_wire::{CustomContext, RunOptions};

use crate::Signals;
use crate::client::{self, TargetOptions};
use crate::misuse::Misuse;

mod deployed;
mod end;
mod flags;
mod follow;
mod interface;
mod local;
mod program;
mod value;

use self::interface::{Described, Task};

/// Start a task of a program, and show how it goes until its end.
///
/// PROGRAM is one with `#[spanwise::main]`, or one that calls `spanwise::main`. Without a task its tasks are listed;
/// `spanwise run PROGRAM TASK --help` shows what a task takes. Options of the run may also stand behind the task, unless an input
/// has the same name. What the run gives is printed to standard output, everything else to standard error.
///
/// Exit codes: 0 it succeeded, or was started with --detach; 1 it failed; 2 something cannot be meant; 3 no server answers; 130 it was
/// interrupted here, and goes on.
#[derive(clap::Args, Clone)]
#[command(
    override_usage = "spanwise run [OPTIONS] PROGRAM [TASK [--INPUT VALUE]..]\n       spanwise run [OPTIONS] --deployed TASK [--INPUT VALUE].."
)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    how: How,
    /// The program, its task, and the task's inputs.
    #[arg(
        value_name = "PROGRAM [TASK [--INPUT VALUE]..]",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    what: Vec<OsString>,
}

/// How the run is started and shown.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct How {
    /// Run it with the engine of the program itself, without a server.
    #[arg(long, conflicts_with_all = ["deployed", "detach"])]
    local: bool,
    /// Run a task that is deployed on the server instead of one of a program.
    #[arg(long)]
    deployed: bool,
    /// The version of the deployed task; by default the one that was deployed last.
    #[arg(long = "version", value_name = "VERSION", requires = "deployed")]
    task_version: Option<String>,
    /// The name of the run; by default a random one.
    #[arg(long, value_parser = run_name)]
    name: Option<String>,
    /// A variable for the processes of the run; may be given several times.
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// A label of the run; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// A note about the run, shown with it; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    annotation: Vec<(String, String)>,
    /// An entry of the custom context; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    context: Vec<(String, String)>,
    /// How much of what the engine does for the run becomes spans.
    #[arg(long, value_name = "LEVEL", value_parser = ["off", "lifecycle", "full"])]
    trace: Option<String>,
    /// The queue of its tasks, of those that name none themselves.
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    queue: Option<String>,
    /// How many actions of the run may run at one time; 0 means no limit.
    #[arg(long, value_name = "COUNT")]
    max_action_concurrency: Option<u32>,
    /// Start the run and print its name and the address of its page; do not wait.
    #[arg(long)]
    detach: bool,
    /// Print a text output as it is on a terminal too, whatever it does there.
    #[arg(long)]
    raw: bool,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl How {
    /// What is chosen about the run, wherever it runs.
    fn options(&self) -> RunOptions {
        RunOptions {
            max_action_concurrency: self.max_action_concurrency,
            queue: self.queue.clone(),
            labels: self.label.iter().cloned().collect(),
            annotations: self.annotation.iter().cloned().collect(),
            env: self.env.iter().cloned().collect(),
            trace: self.trace.clone(),
            ..RunOptions::default()
        }
    }

    /// The custom context, wherever the run runs: of a key that is given twice the last value counts, and an empty one takes the key away.
    fn context(&self) -> CustomContext {
        CustomContext::from_pairs(self.context.iter().cloned()).without_empty()
    }
}

/// How a result is printed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// The output as it is.
    Text,
    /// One JSON document: the run, its phase, its output or its error.
    Json,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected a name and a value with = between")?;
    if key.is_empty() {
        return Err("the name is empty".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn run_name(text: &str) -> Result<String, String> {
    spanwise::RunName::new(text).map(|name| name.to_string()).map_err(|error| error.to_string())
}

/// A task with its inputs, ready to be started.
struct Chosen {
    options: Options,
    task: String,
    inputs: Map<String, Json>,
}

/// Runs the command.
pub(crate) async fn run(options: Options, signals: &mut Signals) -> anyhow::Result<u8> {
    if options.how.deployed {
        return deployed::run(options, signals).await;
    }
    let program = program_of(&options.what[0]);
    let path = program.clone();
    let described = tokio::select! {
        code = signals.next() => return Ok(code),
        described = tokio::task::spawn_blocking(move || program::describe(&path)) => described.context("ask the program")??,
    };
    let Some(name) = options.what.get(1).filter(|name| !is_help(name)) else {
        return list(&program, &described);
    };
    let task = task_name(name).and_then(|name| described.task(name)).map_err(Misuse)?;
    let Some(chosen) = choose(&options, task, 2)? else { return Ok(0) };
    let can = described.spanwise_run;
    program::check(&program, can.as_ref(), chosen.options.how.local)?;
    if chosen.options.how.local {
        return local::run(&program, chosen, signals).await;
    }
    let target = chosen.options.target.resolve()?;
    let how = chosen.options.how.clone();
    let started = tokio::select! {
        code = signals.next() => {
            eprintln!("interrupted before the run was started");
            return Ok(code);
        }
        started = program::start_on(&target, &program, chosen) => started?,
    };
    follow::run(&target, &how, started, signals).await
}

/// A file here is meant before a program on the PATH.
fn program_of(written: &OsStr) -> PathBuf {
    let path = Path::new(written);
    if path.is_file() { std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() }
}

fn is_help(text: &OsStr) -> bool {
    text == "--help" || text == "-h"
}

fn task_name(written: &OsStr) -> Result<&str, String> {
    let name = written.to_str().ok_or_else(|| format!("the task {written:?} is no UTF-8"))?;
    if name.starts_with('-') {
        return Err(format!("expected a task, found `{name}`: options stand before the program or behind the task"));
    }
    Ok(name)
}

/// The tasks of a program.
fn list(program: &Path, described: &Described) -> anyhow::Result<u8> {
    let mut table = client::table(&["TASK", "WHAT IT DOES"]);
    for task in &described.tasks {
        table.add_row([client::text(&task.name), client::text(task.docs.lines().next().unwrap_or_default())]);
    }
    client::as_it_is(table)?;
    client::say(format!("\nWhat a task takes: spanwise run {} TASK --help", program.display()))?;
    Ok(0)
}

/// Reads what stands behind the name of a task, at `at` of what is to be run; none if help was asked for and is printed.
fn choose(options: &Options, task: &Task, at: usize) -> anyhow::Result<Option<Chosen>> {
    let (head, tail) = options.what.split_at(at);
    let shown = head.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let called = format!("spanwise run {}{shown}", if options.how.deployed { "--deployed " } else { "" });
    let own: Vec<Arg> = options_of_run();
    let read = match flags::read(&called, task, &own, tail) {
        Ok(read) => read,
        Err(error) if error.use_stderr() => error.exit(),
        Err(error) => {
            error.print()?;
            return Ok(None);
        }
    };
    let options = if read.options.is_empty() { options.clone() } else { again(options, read.options)? };
    Ok(Some(Chosen { options, task: task.name.clone(), inputs: read.inputs }))
}

/// The options of a run, without what is to be run.
fn options_of_run() -> Vec<Arg> {
    let command = How::augment_args(TargetOptions::augment_args(Command::new("run")));
    // What kind of thing is started is decided in front of it.
    command.get_arguments().filter(|option| option.get_id() != "deployed").cloned().collect()
}

/// The options with those that stood behind the task.
fn again(options: &Options, more: Vec<OsString>) -> anyhow::Result<Options> {
    // Behind the name of this program and of the command; what is to be run comes last.
    let given: Vec<OsString> = std::env::args_os().skip(2).collect();
    let before = given.len().saturating_sub(options.what.len());
    let before = given.into_iter().take(before).filter(|option| option != "--");
    let all = before.chain(more).chain(options.what.clone());
    let command = Options::augment_args(Command::new("spanwise run")).no_binary_name(true).args_override_self(true);
    let matches = command.try_get_matches_from(all).unwrap_or_else(|error| error.exit());
    Ok(Options::from_arg_matches(&matches)?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::How;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        how: How,
    }

    #[test]
    fn s1_10_of_a_key_that_is_given_twice_the_last_value_counts_and_an_empty_one_takes_it_away() {
        let cases = [("a=1", "a=1"), ("a=1 a=2", "a=2"), ("a=1 a=", ""), ("a= a=1", "a=1"), ("a=1 b=2 a=", "b=2")];
        for (given, expected) in cases {
            let flags = given.split(' ').flat_map(|pair| ["--context", pair]);
            let line = Line::try_parse_from(["run"].into_iter().chain(flags)).unwrap();
            let context = line.how.context();
            let pairs: Vec<String> = context.iter().map(|(key, value)| format!("{key}={value}")).collect();
            assert_eq!(pairs.join(" "), expected, "{given}");
        }
    }
}
