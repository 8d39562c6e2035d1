//! Jaeger: it takes OTLP itself, gRPC on port 4317 and HTTP on 4318. Its own exporter is retired.
//!
//! `cargo run -p spanwise-examples --bin jaeger -- https://httpbin.org/get`, then look at `http://localhost:16686`.

use opentelemetry_otlp::SpanExporter;
use spanwise_examples::{argument, seed, telemetry};

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    // Jaeger on this machine is where OTLP over gRPC goes anyway; OTEL_EXPORTER_OTLP_ENDPOINT names another one.
    let exporter = SpanExporter::builder().with_tonic().build()?;
    telemetry::export_to(exporter);
    seed::run(argument(1, "URL")?).await
}
