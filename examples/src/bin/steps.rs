//! A run in one trace without a caller: two attempts of a task meet under the trace id that is derived from the run, and the
//! step that the first one finished appears again in the second with the times that it really had.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run -p spanwise-examples --bin steps -- https://httpbin.org/get`
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::sync::LazyLock;

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;
use spanwise::otel::RunScopedIdGenerator;
use spanwise::{Error, TaskEnvironment, ctx, task, trace};
use spanwise_examples::{argument, http, telemetry};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("steps"));

#[trace]
async fn download(url: String) -> spanwise::Result<u16> {
    http::get(&url).await
}

#[task(env = ENV, retries = 1)]
async fn report(url: String) -> spanwise::Result<u16> {
    let status = download(url).await?;
    if ctx().task()?.attempt_number() == 0 {
        return Err(Error::user("NotYet", "the first attempt always fails"));
    }
    Ok(status)
}

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

    spanwise::init().await?;
    let name = argument(2, "the name of the run").unwrap_or_else(|_| "report".to_owned());
    let run = spanwise::with_runcontext().name(name).run(report(argument(1, "URL")?)).await?;
    println!("{} ({})", run.url(), run.url().how_to_open());
    println!("{}", run.output().await?);
    Ok(())
}
