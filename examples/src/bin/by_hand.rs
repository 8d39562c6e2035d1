//! The guide without `#[traced]`: each task extracts its parent, starts a span and injects it for the tasks that it calls.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run -p spanwise-examples --bin by_hand -- https://httpbin.org/get`

use std::sync::LazyLock;

use opentelemetry::trace::{FutureExt, TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use spanwise::{CustomContext, TaskEnvironment, ctx, custom_context, otel, task};
use spanwise_examples::{argument, http, seed, telemetry};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("by_hand"));

#[task(env = ENV)]
async fn fetch(url: String) -> spanwise::Result<u16> {
    let parent = otel::extract(&ctx().custom_context());
    let span = global::tracer("my.app").start_with_context("fetch", &parent);
    http::get(&url).with_context(parent.with_span(span)).await
}

#[task(env = ENV, name = "main")]
async fn main_task(url: String) -> spanwise::Result<u16> {
    let parent = otel::extract(&ctx().custom_context());
    let span = global::tracer("my.app").start_with_context("main", &parent);
    let context = parent.with_span(span);
    let mut carrier = CustomContext::new();
    otel::inject(&context, &mut carrier);
    // The call is written inside the scope, so it carries the scope.
    custom_context(carrier).scope(async { fetch(url).await }).with_context(context).await
}

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    telemetry::export_to(exporter);
    spanwise::init().await?;

    let root = Context::new().with_span(global::tracer("my.app").start("workflow_run"));
    let mut carrier = CustomContext::new();
    otel::inject(&root, &mut carrier);
    seed::run_with(carrier, main_task(argument(1, "URL")?)).await
}
