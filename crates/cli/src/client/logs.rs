//! `spanwise logs`: what a task has printed, and what it prints.

use std::io::Write as _;

use serde_json::json;
use spanwise_proto::json::rfc3339;
use spanwise_wire::{AttemptNo, requests};

use super::{Output, TargetOptions, explain};
use crate::terminal::{harmless, harmless_json};

/// Headers of the answer: which attempt has printed the log, and its span as a `traceparent`.
const ATTEMPT: &str = "spanwise-attempt";
const SPAN: &str = "spanwise-attempt-span";

/// Print the log of an action's attempt, and go on until it has ended.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    /// The run.
    run: String,
    /// The action.
    #[arg(default_value = "a0")]
    action: String,
    /// The attempt, from 1; by default the last one.
    #[arg(long, default_value_t = 0)]
    attempt: u32,
    /// Each line with its time.
    #[arg(long)]
    times: bool,
    /// As the task has printed it: with the colours, and whatever else commands a terminal.
    #[arg(long)]
    raw: bool,
    /// As JSON: one object a line, with run, action, attempt, and the ids of its span if the run is traced.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Prints the log until its end.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, run, action, attempt, times, raw, output } = options;
    let target = target.resolve()?;
    let attempt = (attempt > 0).then_some(AttemptNo(attempt));
    let request = requests::tail_logs(&target.run(&run)?, &super::action(&action)?, attempt);
    let data = target.server()?.data();
    let mut batches = data.tail_logs(request).await.map_err(|error| explain(&target, error))?;
    let header = |name: &str| batches.headers().get(name)?.to_str().ok().map(str::to_owned);
    let attempt = header(ATTEMPT).and_then(|number| number.parse::<u32>().ok());
    let mut of = json!({ "run": run, "action": action, "attempt": attempt });
    if let Some(span) = header(SPAN) {
        let mut parts = span.split('-').skip(1);
        of["trace_id"] = parts.next().into();
        of["span_id"] = parts.next().into();
    }
    while let Some(batch) = batches.message().await.map_err(|error| explain(&target, error))? {
        let mut out = std::io::stdout().lock();
        for line in batch.to_owned_message().logs.iter().flat_map(|logs| &logs.lines) {
            if output == Output::Json {
                let mut whole = of.clone();
                whole["time"] = rfc3339(line.timestamp.seconds, line.timestamp.nanos).into();
                whole["message"] = line.message.trim_end_matches('\n').into();
                writeln!(out, "{}", harmless_json(&whole.to_string()))?;
                continue;
            }
            if times {
                write!(out, "{} ", super::time(&line.timestamp))?;
            }
            let message = if raw { line.message.as_str().into() } else { harmless(&line.message) };
            out.write_all(message.as_bytes())?;
        }
        out.flush()?;
    }
    Ok(0)
}
