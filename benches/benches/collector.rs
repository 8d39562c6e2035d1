//! How many spans a second the collector takes and stores, beside SQLite alone. `cargo bench -p spanwise-benches --bench collector`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;

use anyhow::Context as _;
use prost::Message as _;
use spanwise_benches::rounds::{Figure, head, row};
use spanwise_benches::spans::{RawSpans, request, span};
use spanwise_server::{Config, Server};
use tokio::sync::oneshot;

const ROUNDS: u64 = 9;

/// Spans of a round, of a request, and how many requests are under way.
const SPANS: u64 = 20_480;
const BATCH: u64 = 512;
const SENDERS: u64 = 4;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    // The same disk as the build's: a temporary directory is often in memory.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut config = Config::dev(directory.path().join("data"));
    config.port = 0;
    config.python = Some("/bin/false".into());
    config.collector = Some(spanwise_server::CollectorConfig { port: 0, ..Default::default() });
    let server = Server::start(config).await?;
    let url: Arc<str> = format!("http://127.0.0.1:{}/v1/traces", server.port()).into();
    let (tell, told) = oneshot::channel::<()>();
    let serving = tokio::spawn(Box::pin(server.run(async {
        let _ = told.await;
    })));
    let mut raw = RawSpans::open(&directory.path().join("raw.db"))?;
    let mut figures =
        [Figure::new("a span through the collector, http/protobuf"), Figure::new("    a raw row, 512 a transaction")];
    for round in 0..ROUNDS {
        let numbers = round * SPANS..(round + 1) * SPANS;
        let bodies: Vec<_> =
            numbers.clone().step_by(BATCH as usize).map(|first| request((first..first + BATCH).map(span))).collect();
        figures[0].measure(SPANS as u32, send_all(&url, bodies)).await?;
        let rows: Vec<_> = numbers
            .map(span)
            .map(|span| {
                let body = span.encode_to_vec();
                (span, body)
            })
            .collect();
        figures[1]
            .measure(SPANS as u32, async { rows.chunks(BATCH as usize).try_for_each(|rows| raw.insert(rows)) })
            .await?;
    }
    head();
    row(&figures[0], Some(("raw rows", &figures[1], 1.0)));
    row(&figures[1], None);
    let (best, middle) = (1.0 / figures[0].min().as_secs_f64(), 1.0 / figures[0].median().as_secs_f64());
    println!("    {best:.0} spans a second at best, {middle:.0} in the middle");
    let _ = tell.send(());
    serving.await??;
    Ok(())
}

/// Sends requests over a few connections and waits for all answers: each is stored then.
async fn send_all(url: &Arc<str>, bodies: Vec<Vec<u8>>) -> anyhow::Result<()> {
    let mut senders = Vec::new();
    for part in bodies.chunks(bodies.len().div_ceil(SENDERS as usize)) {
        let (url, part) = (Arc::clone(url), part.to_vec());
        senders.push(tokio::task::spawn_blocking(move || {
            let agent = ureq::Agent::new_with_defaults();
            part.iter().try_for_each(|body| {
                let request = agent.post(&*url).header("content-type", "application/x-protobuf");
                let mut answer = request.send(&body[..]).context("send spans")?;
                let answer = answer.body_mut().read_to_vec()?;
                anyhow::ensure!(answer.is_empty(), "something was refused");
                Ok(())
            })
        }));
    }
    for sender in senders {
        sender.await??;
    }
    Ok(())
}
