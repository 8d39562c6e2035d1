//! All figures of Spanwise in one run, each beside its yardstick. `cargo bench -p spanwise-benches`, or `just bench`. The words behind
//! `--` choose among `sequences`, `fan_outs`, `tracing`, `propagation` and `processes`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use spanwise::{Call, Client, Config, CustomContext, Durability};
use spanwise_benches::raw::Raw;
use spanwise_benches::rounds::{Figure, head, row};
use spanwise_benches::tasks::{fan_out, sequence, traced_fan_out, traced_sequence};

const ROUNDS: usize = 9;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == "--list") {
        return Ok(());
    }
    // The same disk as the build's: a temporary directory is often in memory.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let asked = |part: &str| words.is_empty() || words.iter().any(|word| word == part);
    if asked("sequences") {
        sequences(directory.path()).await?;
    }
    if asked("fan_outs") {
        fan_outs(directory.path()).await?;
    }
    if asked("tracing") {
        tracing(directory.path()).await?;
    }
    if asked("propagation") {
        propagation();
    }
    if asked("processes") {
        processes(directory.path())?;
    }
    Ok(())
}

fn open(path: &Path, durability: Durability) -> anyhow::Result<Client> {
    Client::open(Config::new().data_dir(path).durability(durability)).map_err(boxed)
}

fn boxed(error: spanwise::Error) -> anyhow::Error {
    anyhow::Error::from_boxed(error.into_boxed())
}

async fn run(client: &Client, call: Call<i64>) -> anyhow::Result<i64> {
    let run = client.with_runcontext().run(call).await.map_err(boxed)?;
    run.output().await.map_err(boxed)
}

async fn sequences(directory: &Path) -> anyhow::Result<()> {
    const COUNT: u32 = 300;
    let memory = Client::open(Config::new().in_memory()).map_err(boxed)?;
    let process = open(&directory.join("seq-process"), Durability::Process)?;
    let disk = open(&directory.join("seq-disk"), Durability::Disk)?;
    let mut raw_normal = Raw::open(&directory.join("seq-normal.db"), false)?;
    let mut raw_full = Raw::open(&directory.join("seq-full.db"), true)?;
    let mut figures = [
        Figure::new("(a) sequential action, memory"),
        Figure::new("(a) sequential action, SQLite process"),
        Figure::new("    two raw transactions, NORMAL"),
        Figure::new("(a) sequential action, SQLite disk"),
        Figure::new("    two raw transactions, FULL"),
    ];
    for _ in 0..ROUNDS {
        let call = || sequence(i64::from(COUNT));
        figures[0].measure(COUNT, run(&memory, call())).await?;
        figures[1].measure(COUNT, run(&process, call())).await?;
        figures[2].measure(COUNT, async { raw_normal.commit(2 * COUNT, 1) }).await?;
        figures[3].measure(COUNT, run(&disk, call())).await?;
        figures[4].measure(COUNT, async { raw_full.commit(2 * COUNT, 1) }).await?;
    }
    head();
    row(&figures[0], None);
    row(&figures[1], Some(("two raw transactions", &figures[2], 1.0)));
    row(&figures[2], None);
    row(&figures[3], Some(("two raw transactions", &figures[4], 1.0)));
    row(&figures[4], None);
    Ok(())
}

async fn fan_outs(directory: &Path) -> anyhow::Result<()> {
    let process = open(&directory.join("fan-process"), Durability::Process)?;
    let mut raw = Raw::open(&directory.join("fan-raw.db"), false)?;
    let mut figures = [
        Figure::new("(b) fan-out of 1,000, a child"),
        Figure::new("(b) fan-out of 10,000, a child"),
        Figure::new("    raw pair, 100 a transaction"),
    ];
    for _ in 0..ROUNDS {
        for _ in 0..3 {
            figures[0].measure(1_000, run(&process, fan_out(1_000))).await?;
        }
        figures[1].measure(10_000, run(&process, fan_out(10_000))).await?;
        figures[2].measure(10_000, async { raw.commit(100, 100) }).await?;
    }
    row(&figures[0], Some(("raw pairs", &figures[2], 1.0)));
    row(&figures[1], Some(("a child of 1,000", &figures[0], 1.0)));
    row(&figures[2], None);
    let (best, middle) = (1.0 / figures[1].min().as_secs_f64(), 1.0 / figures[1].median().as_secs_f64());
    println!(
        "    {best:.0} children a second at best, {middle:.0} in the middle; (f) the same number of commits answered"
    );
    println!("    peak memory of this process so far: {}", peak_memory());
    Ok(())
}

/// Counts spans and drops them: what is measured is the tracing, not a backend.
#[derive(Clone, Debug, Default)]
struct Count(Arc<AtomicUsize>);

impl SpanExporter for Count {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(spans.len(), Ordering::Relaxed);
        Ok(())
    }
}

impl Count {
    /// Waits until no more spans come, and says how long they came from `begin` on.
    async fn quiet(&self, begin: Instant) -> Duration {
        let (mut seen, mut last) = (self.0.load(Ordering::Relaxed), begin.elapsed());
        while begin.elapsed() < last + Duration::from_millis(300) {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let now = self.0.load(Ordering::Relaxed);
            if now != seen {
                (seen, last) = (now, begin.elapsed());
            }
        }
        last
    }
}

async fn tracing(directory: &Path) -> anyhow::Result<()> {
    const COUNT: u32 = 300;
    let process = open(&directory.join("traced"), Durability::Process)?;
    let mut figures = [
        Figure::new("(c) sequential action, no provider"),
        Figure::new("(c) sequential action, traced, batch exporter"),
        Figure::new("(c) fan-out of 10,000, a child, no provider"),
        Figure::new("(c) fan-out of 10,000, a child, traced"),
        Figure::new("(c) fan-out of 10,000, a child, lifecycle"),
        Figure::new("    the same until its last span has arrived"),
    ];
    let config = Config::new().data_dir(directory.join("lifecycle")).durability(Durability::Process);
    let spans = Count::default();
    let watched = Client::open(config.lifecycle_exporter(spans.clone())).map_err(boxed)?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(Count::default()).build();
    for _ in 0..ROUNDS {
        figures[0].measure(COUNT, run(&process, sequence(i64::from(COUNT)))).await?;
        figures[2].measure(10_000, run(&process, fan_out(10_000))).await?;
        let begin = Instant::now();
        figures[4].measure(10_000, run_watched(&watched, fan_out(10_000))).await?;
        figures[5].add(spans.quiet(begin).await / 10_000);
        opentelemetry::global::set_tracer_provider(provider.clone());
        figures[1].measure(COUNT, run(&process, traced_sequence(i64::from(COUNT)))).await?;
        figures[3].measure(10_000, run(&process, traced_fan_out(10_000))).await?;
        opentelemetry::global::set_tracer_provider(opentelemetry::trace::noop::NoopTracerProvider::new());
    }
    row(&figures[0], None);
    row(&figures[1], Some(("untraced", &figures[0], 1.0)));
    row(&figures[2], None);
    row(&figures[3], Some(("untraced", &figures[2], 1.0)));
    row(&figures[4], Some(("untraced", &figures[2], 1.0)));
    row(&figures[5], Some(("untraced", &figures[2], 1.0)));
    watched.shutdown().await;
    Ok(())
}

/// The same run with the spans of its lifecycle exported; what is left of them at its end is exported later.
async fn run_watched(client: &Client, call: Call<i64>) -> anyhow::Result<i64> {
    let run = client.with_runcontext().trace("lifecycle").run(call).await.map_err(boxed)?;
    run.output().await.map_err(boxed)
}

/// (d): a map with traceparent, tracestate and five other keys is read, and written into a fresh one.
fn propagation() {
    const COUNT: u32 = 20_000;
    let mut carrier: CustomContext = (0..5).map(|index| (format!("key-{index}"), "value")).collect();
    carrier.set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    carrier.set("tracestate", "vendor=1");
    let propagator = TraceContextPropagator::new();
    let mut figure = Figure::new("(d) extract + inject of a map of seven keys");
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..COUNT {
            let context = propagator.extract(&carrier);
            let mut next = carrier.clone();
            propagator.inject_context(&context, &mut next);
            std::hint::black_box(next);
        }
        figure.add(begin.elapsed() / COUNT);
    }
    row(&figure, None);
}

/// (e) and (g): from the start of a process to its first result, and to the first new step of a run that was killed.
fn processes(directory: &Path) -> anyhow::Result<()> {
    let mut fresh = Figure::new("(e) process start to first result, new data");
    let mut again = Figure::new("(e) process start to first result, old data");
    let mut resumed = Figure::new("(g) process start to first new step after kill");
    for round in 0..ROUNDS {
        let data = directory.join(format!("hello-{round}"));
        fresh.add(first_line(&data, &[])?);
        again.add(first_line(&data, &[])?);
        let data = directory.join(format!("long-{round}"));
        first_line(&data, &["long"])?;
        resumed.add(first_line(&data, &["long"])?);
    }
    row(&fresh, None);
    row(&again, None);
    row(&resumed, None);
    Ok(())
}

/// Starts the hello world, waits for its first line and kills it.
fn first_line(data: &Path, arguments: &[&str]) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_bench-hello"))
        .args(arguments)
        .env("SPANWISE_DATA_DIR", data)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let elapsed = begin.elapsed();
    child.kill()?;
    child.wait()?;
    anyhow::ensure!(!line.is_empty(), "the program ended without a line");
    Ok(elapsed)
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}
