//! A vendor: OTLP over HTTP with protobuf and gzip. Endpoint and credentials come from the environment; `docs/exporters.md`
//! has a table of vendors.
//!
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=.. OTEL_EXPORTER_OTLP_HEADERS=.. cargo run -p spanwise-examples --bin vendor -- https://httpbin.org/get`

use opentelemetry_otlp::{Compression, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use spanwise_examples::{argument, seed, telemetry};

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_compression(Compression::Gzip)
        .build()?;
    telemetry::export_to(exporter);
    seed::run(argument(1, "URL")?).await
}
