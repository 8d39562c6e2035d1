//! The guide: two tasks and an HTTP call in one trace, printed to the console.
//!
//! `cargo run -p spanwise-examples --bin guide -- https://httpbin.org/get`
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::sync::LazyLock;

use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use opentelemetry_sdk::trace::SdkTracerProvider;
use spanwise::{CustomContext, TaskEnvironment, otel, task, traced};
use spanwise_examples::{argument, http, telemetry};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("guide"));

#[task(env = ENV)]
#[traced("fetch")]
async fn fetch(url: String) -> spanwise::Result<u16> {
    http::get(&url).await
}

#[task(env = ENV, name = "main")]
#[traced("main")]
async fn main_task(url: String) -> spanwise::Result<u16> {
    fetch(url).await
}

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    configure_tracer();
    spanwise::init().await?;

    let root = Context::new().with_span(global::tracer("my.app").start("workflow_run"));
    let mut carrier = CustomContext::new();
    otel::inject(&root, &mut carrier);
    let call = main_task(argument(1, "URL")?);
    let run = spanwise::with_runcontext().custom_context(carrier).run(call).await?;
    println!("{} ({})", run.url(), run.url().how_to_open());
    println!("{}", run.output().await?);
    Ok(())
}

/// The console is for a first look; `docs/exporters.md` has the others.
fn configure_tracer() {
    let exporter = opentelemetry_stdout::SpanExporter::default();
    let provider =
        SdkTracerProvider::builder().with_resource(telemetry::resource()).with_batch_exporter(exporter).build();
    global::set_tracer_provider(provider.clone());
    spanwise::at_exit(move || {
        let _ = provider.shutdown();
    });
}
