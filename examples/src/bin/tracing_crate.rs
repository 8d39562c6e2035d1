//! The guide with the `tracing` crate: its spans become OpenTelemetry spans through `tracing-opentelemetry`.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run -p spanwise-examples --bin tracing_crate -- https://httpbin.org/get`

use std::sync::LazyLock;

use opentelemetry::global;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use spanwise::{CustomContext, TaskEnvironment, ctx, custom_context, otel, task};
use spanwise_examples::{argument, http, seed, telemetry};
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::prelude::*;

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("tracing_crate"));

#[task(env = ENV)]
async fn fetch(url: String) -> spanwise::Result<u16> {
    let span = info_span!("fetch");
    span.set_parent(otel::extract(&ctx().custom_context()))?;
    http::get(&url).instrument(span).await
}

#[task(env = ENV, name = "main")]
async fn main_task(url: String) -> spanwise::Result<u16> {
    let span = info_span!("main");
    span.set_parent(otel::extract(&ctx().custom_context()))?;
    custom_context(carrier_of(&span)).scope(async { fetch(url).await }).instrument(span).await
}

fn carrier_of(span: &Span) -> CustomContext {
    let mut carrier = CustomContext::new();
    otel::inject(&span.context(), &mut carrier);
    carrier
}

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    telemetry::export_to(exporter);
    let layer = tracing_opentelemetry::layer().with_tracer(global::tracer("my.app"));
    // Only this program's spans: the HTTP client and the exporter have spans of their own.
    let own = tracing_subscriber::filter::filter_fn(|metadata| metadata.target().starts_with("tracing_crate"));
    tracing_subscriber::registry().with(layer.with_filter(own)).init();
    spanwise::init().await?;

    let root = info_span!("workflow_run");
    let call = main_task(argument(1, "URL")?);
    seed::run_with(carrier_of(&root), call).instrument(root).await
}
