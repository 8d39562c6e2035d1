//! The tasks of a program as JSON, for tools that have the program and not its source.

use serde_json::{Value as Json, json};

use crate::{launch, remote, task};

/// The only argument of a program that is to describe itself.
pub(crate) const ARGUMENT: &str = "describe";

/// The tasks of this program, by their names, and how `spanwise run` can start them.
pub(crate) fn tasks() -> Json {
    let mut tasks: Vec<_> = task::all().collect();
    tasks.sort_by(|a, b| a.described().name.cmp(&b.described().name));
    let tasks: Vec<Json> = tasks
        .into_iter()
        .map(|task| {
            let described = task.described();
            let millis = |limit: Option<std::time::Duration>| limit.map(|limit| limit.as_millis());
            json!({
                "name": described.name.as_str(),
                "docs": task.docs(),
                "inputs": task.input_schemas(),
                "output": task.output_schema(),
                "retries": described.retry.retries,
                "timeout_ms": {
                    "max_runtime": millis(described.timeouts.max_runtime),
                    "max_queued_time": millis(described.timeouts.max_queued_time),
                    "deadline": millis(described.timeouts.deadline),
                },
                "image": task.environment().described_image().and_then(|image| image.uri().ok()),
            })
        })
        .collect();
    let runs = json!({ "version": launch::VERSION, "on_servers": remote::IS_SUPPORTED });
    json!({ "spanwise_run": runs, "tasks": tasks })
}
