//! OTLP over gRPC.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 cargo run -p spanwise-examples --bin otlp_grpc -- https://httpbin.org/get`

use opentelemetry_otlp::SpanExporter;
use spanwise_examples::{argument, seed, telemetry};

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    // Built inside the runtime: the channel belongs to it.
    let exporter = SpanExporter::builder().with_tonic().build()?;
    telemetry::export_to(exporter);
    seed::run(argument(1, "URL")?).await
}
