//! Ways to end: `main` gets a page, then its second child fails, panics or hangs. Every span that has ended arrives all the same.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT=.. cargo run -p spanwise-examples --bin endings -- URL fail|late|panic|hang|hang_map|hang_set`
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::sync::LazyLock;

use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use spanwise::{CustomContext, Error, TaskEnvironment, map, otel, task, traced};
use spanwise_examples::{argument, http, seed, telemetry};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("endings"));

#[task(env = ENV)]
#[traced("fetch")]
async fn fetch(url: String) -> spanwise::Result<u16> {
    http::get(&url).await
}

#[task(env = ENV)]
#[traced("fail")]
async fn fail() -> spanwise::Result<u16> {
    Err(Error::user("NoSuchPage", "the page is not there"))
}

#[task(env = ENV, timeout = "50ms")]
#[traced("late")]
async fn late() -> spanwise::Result<u16> {
    std::future::pending().await
}

#[task(env = ENV)]
#[traced("panic")]
async fn panic() -> spanwise::Result<u16> {
    panic!("the page is not what it was")
}

/// What a body does when it is cut may take a moment.
struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[task(env = ENV)]
#[traced("hang")]
async fn hang(index: i64) -> spanwise::Result<u16> {
    let _cleanup = Cleanup;
    println!("hanging {index}");
    std::future::pending().await
}

#[task(env = ENV, name = "main")]
#[traced("main")]
async fn main_task(url: String, how: String) -> spanwise::Result<u16> {
    let status = fetch(url).await?;
    match how.as_str() {
        "fail" => fail().await,
        "panic" => panic().await,
        "late" => late().await,
        "hang" => hang(0).await,
        "hang_set" => {
            let mut calls: tokio::task::JoinSet<_> = (0..3).map(hang).collect();
            calls.join_next().await.unwrap_or(Ok(Ok(status)))?
        }
        "hang_map" => Ok(map(hang, 0..3).all().await?.into_iter().max().unwrap_or(status)),
        _ => Ok(status),
    }
}

#[spanwise::main]
async fn main() -> spanwise::Result<()> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    telemetry::export_to(exporter);
    spanwise::init().await?;

    let root = Context::new().with_span(global::tracer("my.app").start("workflow_run"));
    let mut carrier = CustomContext::new();
    otel::inject(&root, &mut carrier);
    seed::run_with(carrier, main_task(argument(1, "URL")?, argument(2, "how to end")?)).await
}
