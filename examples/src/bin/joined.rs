//! Joins the trace of whoever started the program: `TRACEPARENT`, `TRACESTATE` and `BAGGAGE` of the environment become the
//! custom context of the run. With `OTEL_TRACES_EXPORTER=none` there is no provider and no span, and the ids reach the web
//! service all the same.
//!
//! `TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 cargo run -p spanwise-examples --bin joined -- URL`

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use spanwise_examples::{argument, seed, telemetry};

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    if std::env::var("OTEL_TRACES_EXPORTER").is_ok_and(|exporter| exporter == "none") {
        return join().await;
    }
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    telemetry::export_to(exporter);
    join().await
}

async fn join() -> spanwise::Result<()> {
    spanwise::init().await?;
    seed::run_with(telemetry::environment_carrier(), seed::main_task(argument(1, "URL")?)).await
}
