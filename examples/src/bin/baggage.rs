//! W3C Baggage through two tasks: the caller says `tenant=..`, and a task deep below reads it.
//!
//! `BAGGAGE=tenant=acme cargo run -p spanwise-examples --bin baggage -- URL`

use std::sync::LazyLock;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use spanwise::{TaskEnvironment, task, traced};
use spanwise_examples::{argument, http, seed, telemetry};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("baggage"));

#[task(env = ENV)]
#[traced("fetch")]
async fn fetch(url: String) -> spanwise::Result<u16> {
    let context = Context::current();
    if let Some(tenant) = context.baggage().get("tenant") {
        context.span().set_attribute(KeyValue::new("tenant", tenant.to_string()));
    }
    http::get(&url).await
}

#[task(env = ENV, name = "main")]
#[traced("main")]
async fn main_task(url: String) -> spanwise::Result<u16> {
    fetch(url).await
}

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    telemetry::export_to(exporter);
    // Without a propagator Spanwise reads and writes `traceparent` and `tracestate` itself; baggage needs this one.
    global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]));
    spanwise::init().await?;
    seed::run_with(telemetry::environment_carrier(), main_task(argument(1, "URL")?)).await
}
