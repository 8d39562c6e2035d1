//! A span for every task attempt and step without touching a body, beside the task's own:
//! `workflow_run > otel.main > main > otel.fetch > fetch > GET`.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run -p spanwise-examples --bin observe -- https://httpbin.org/get`

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;
use spanwise::otel::RunScopedIdGenerator;
use spanwise_examples::{argument, seed, telemetry};

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    let provider = SdkTracerProvider::builder()
        .with_resource(telemetry::resource())
        .with_id_generator(RunScopedIdGenerator::default())
        .with_batch_exporter(exporter)
        .build();
    telemetry::install(provider);
    spanwise::otel::observe();
    seed::run(argument(1, "URL")?).await
}
