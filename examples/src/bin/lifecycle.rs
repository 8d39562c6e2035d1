//! The guide, with the engine's own spans in the same trace: queue, attempts, pauses, and the guide's spans under their attempts.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run -p spanwise-examples --bin lifecycle -- https://httpbin.org/get`

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use spanwise::Config;
use spanwise_examples::{argument, seed, telemetry};

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    let exporter = || SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
    telemetry::export_to(exporter()?);
    spanwise::init_with(Config::new().trace("lifecycle").lifecycle_exporter(exporter()?)).await?;
    seed::workflow(argument(1, "URL")?).await
}
