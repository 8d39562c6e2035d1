//! Runs on the embedded engine whose lifecycle spans go to an OTLP receiver: `traced DIRECTORY late|aborted|killed`. The one that is to
//! be killed waits at its gate until the file `gate` is in the directory, and is taken up again by the next start.

use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use spanwise::{Config, Error, ErrorKind, ExitCode, Result, Run, TaskEnvironment, ctx, task, trace};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("traced"));

fn argument(number: usize) -> PathBuf {
    std::env::args_os().nth(number).expect("traced DIRECTORY CASE").into()
}

fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

#[trace]
async fn step(number: u64) -> Result<u64> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(number + 1)
}

#[task(env = ENV)]
async fn nap(millis: u64) -> Result<u64> {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    Ok(millis)
}

#[task(env = ENV, retries = 1, backoff(base = "20ms"))]
async fn flaky() -> Result<u64> {
    tokio::time::sleep(Duration::from_millis(2)).await;
    match ctx().task()?.attempt_number() {
        0 => Err(Error::user("OnPurpose", "the first attempt fails")),
        _ => Ok(1),
    }
}

/// Its second attempt is given up while it waits for a child.
#[task(env = ENV, timeout = "150ms", retries = 1)]
async fn late() -> Result<u64> {
    nap(60_000).await
}

#[task(env = ENV)]
async fn for_ever() -> Result<u64> {
    nap(5).await?;
    say("READY")?;
    nap(60_000).await
}

#[task(env = ENV)]
async fn gate() -> Result<u64> {
    say("READY")?;
    while !argument(1).join("gate").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(1)
}

#[task(env = ENV)]
async fn killed() -> Result<u64> {
    let mut sum = step(1).await? + flaky().await? + nap(3).await?;
    let (waited, napped) = tokio::join!(gate(), nap(4));
    sum += waited? + napped?;
    Ok(sum + step(sum).await? + nap(6).await?)
}

/// The run of this name as a program that is started again finds it.
async fn started(call: spanwise::Call<u64>, name: &str) -> Result<Run<u64>> {
    match spanwise::with_runcontext().name(name).run(call).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => spanwise::resume(name).await,
        started => started,
    }
}

async fn program() -> Result<()> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    let config = Config::new().data_dir(argument(1).join("data")).trace("lifecycle");
    spanwise::init_with(config.lifecycle_exporter(exporter)).await?;
    let ended = match argument(2).to_str() {
        Some("late") => started(late(), "late").await?.output().await,
        Some("aborted") => {
            let run = started(for_ever(), "aborted").await?;
            std::io::stdin().lines().next();
            run.abort("enough").await?;
            run.output().await
        }
        _ => started(killed(), "killed").await?.output().await,
    };
    say(&format!("ENDED {}", ended.map_or_else(|error| format!("{:?}", error.kind()), |sum| sum.to_string())))
}

fn main() -> ExitCode {
    spanwise::main(program())
}
