//! The tasks of the guide, and the driver that runs them: `workflow_run > main > fetch > GET`. The exporter examples use them.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::sync::LazyLock;

use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use spanwise::{Call, CustomContext, TaskEnvironment, otel, task, traced};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("otel"));

/// Gets a page and returns its status.
#[task(env = ENV)]
#[traced("fetch")]
pub async fn fetch(url: String) -> spanwise::Result<u16> {
    crate::http::get(&url).await
}

/// Lets another task get the page.
#[task(env = ENV, name = "main")]
#[traced("main")]
pub async fn main_task(url: String) -> spanwise::Result<u16> {
    fetch(url).await
}

/// Sets Spanwise up and runs the two tasks under the span `workflow_run`, and prints where to look and what came out.
///
/// # Errors
/// Those of the tasks.
pub async fn run(url: String) -> spanwise::Result<()> {
    // Before the first span: a process that a server starts for a task comes this far, and no further.
    spanwise::init().await?;
    workflow(url).await
}

/// The same for a program that has set Spanwise up by itself.
///
/// # Errors
/// Those of the tasks.
pub async fn workflow(url: String) -> spanwise::Result<()> {
    let root = Context::new().with_span(global::tracer("my.app").start("workflow_run"));
    let mut carrier = CustomContext::new();
    otel::inject(&root, &mut carrier);
    run_with(carrier, main_task(url)).await
}

/// Runs a task with a custom context, and prints where to look and what came out.
///
/// # Errors
/// Those of the task.
pub async fn run_with(context: CustomContext, call: Call<u16>) -> spanwise::Result<()> {
    let run = spanwise::with_runcontext().custom_context(context).run(call).await?;
    println!("{} ({})", run.url(), run.url().how_to_open());
    println!("{}", run.output().await?);
    Ok(())
}
