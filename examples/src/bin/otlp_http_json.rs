//! OTLP over HTTP with JSON: for receivers without protobuf, and for looking at what is sent.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run -p spanwise-examples --bin otlp_http_json -- https://httpbin.org/get`

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use spanwise_examples::{argument, seed, telemetry};

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpJson).build()?;
    telemetry::export_to(exporter);
    seed::run(argument(1, "URL")?).await
}
