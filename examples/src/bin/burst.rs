//! Many short tasks, and no span lost: the queue of the batch processor holds them all.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run -p spanwise-examples --bin burst -- 10000`
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use spanwise::{TaskEnvironment, map, task, traced};
use spanwise_examples::{argument, telemetry};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("burst"));

#[task(env = ENV)]
#[traced("item")]
async fn item(index: i64) -> spanwise::Result<i64> {
    Ok(index)
}

#[task(env = ENV, name = "main")]
#[traced("main")]
async fn main_task(count: i64) -> spanwise::Result<i64> {
    let items = map(item, 0..count).concurrency(64).all().await?;
    Ok(items.into_iter().sum())
}

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    // The default is a queue of 2048 spans, sent every 5 s or when 512 are there; what does not fit is dropped.
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(32_768)
        .with_max_export_batch_size(2_048)
        .with_scheduled_delay(Duration::from_millis(200))
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    let provider =
        SdkTracerProvider::builder().with_resource(telemetry::resource()).with_span_processor(processor).build();
    telemetry::install(provider);

    spanwise::init().await?;
    let count = argument(1, "how many")?.parse()?;
    let run = spanwise::with_runcontext().run(main_task(count)).await?;
    println!("{} ({})", run.url(), run.url().how_to_open());
    println!("{}", run.output().await?);
    Ok(())
}
