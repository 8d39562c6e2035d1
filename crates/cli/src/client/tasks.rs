//! `spanwise tasks`: the deployed tasks of a project.

use serde_json::json;
use spanwise_proto::flyteidl2::task::Task;
use spanwise_wire::requests::lists;

use super::table::{table, text};
use super::{Output, TargetOptions, as_it_is, explain, print_json, say, time};
use crate::terminal::harmless;

/// List the deployed tasks of a project, each in its newest version.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    /// At most this many.
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// A header of the answer: what the user has to know, percent-encoded.
const WARNING: &str = "spanwise-warning";

/// Prints the list.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, limit, output } = options;
    let target = target.resolve()?;
    let request = lists::tasks(&target.scope(), lists::Page::first(limit));
    let answer = target.server()?.tasks().list_tasks(request).await.map_err(|error| explain(&target, error))?;
    for warning in answer.headers().get_all(WARNING).iter().filter_map(|warning| warning.to_str().ok()) {
        let warning = percent_encoding::percent_decode_str(warning).decode_utf8_lossy();
        eprintln!("warning: {}", harmless(&warning));
    }
    let tasks = answer.into_owned().tasks;
    match output {
        Output::Json => print_json(&tasks.iter().map(described).collect())?,
        Output::Table if tasks.is_empty() => say("no tasks are deployed")?,
        Output::Table => {
            let mut table = table(&["TASK", "VERSION", "DEPLOYED", "WHAT IT DOES"]);
            for task in &tasks {
                table.add_row([
                    text(&task.task_id.name),
                    text(&task.task_id.version),
                    text(&time(&task.metadata.deployed_at)),
                    text(&task.metadata.short_description),
                ]);
            }
            as_it_is(table)?;
        }
    }
    Ok(0)
}

fn described(task: &Task) -> serde_json::Value {
    json!({
        "name": task.task_id.name,
        "version": task.task_id.version,
        "deployed": time(&task.metadata.deployed_at),
        "description": task.metadata.short_description,
    })
}
