//! `spanwise logs`: what a task has printed, and what it prints.

use std::io::Write as _;

use spanwise_proto::flyteidl2::common::ActionIdentifier;
use spanwise_proto::flyteidl2::dataproxy::TailLogsRequest;

use super::{TargetOptions, explain};

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
}

/// Prints the log until its end.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, run, action, attempt, times } = options;
    let target = target.resolve()?;
    let id = ActionIdentifier { run: target.run(&run).into(), name: action, ..ActionIdentifier::default() };
    let request = TailLogsRequest { action_id: id.into(), attempt, ..TailLogsRequest::default() };
    let data = target.server()?.data();
    let mut batches = data.tail_logs(request).await.map_err(|error| explain(&target, error))?;
    while let Some(batch) = batches.message().await.map_err(|error| explain(&target, error))? {
        let mut out = std::io::stdout().lock();
        for line in batch.to_owned_message().logs.iter().flat_map(|logs| &logs.lines) {
            if times {
                write!(out, "{} ", super::time(&line.timestamp))?;
            }
            out.write_all(line.message.as_bytes())?;
        }
        out.flush()?;
    }
    Ok(0)
}
