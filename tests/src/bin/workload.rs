//! A run with a bit of everything, made to be killed: every body says in a log when it begins and ends, and every caller when
//! an outcome has reached it.
//!
//! Settings: `WORKLOAD_DIR` has the log and the data directory; while `WORKLOAD_GATE` names a file that is not there, one task
//! waits for it.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spanwise::{Config, Error, ErrorKind, ExitCode, Result, TaskEnvironment, ctx, map, task, trace};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("crash"));

static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| std::env::var("WORKLOAD_DIR").expect("WORKLOAD_DIR").into());

static LOG: LazyLock<File> = LazyLock::new(|| {
    let file = OpenOptions::new().create(true).append(true).open(DIRECTORY.join("log"));
    file.expect("the log can be opened")
});

/// One write to a file opened for appending: the line is whole, and the kernel has it when this returns.
fn log(line: &str) {
    (&*LOG).write_all(format!("{line}\n").as_bytes()).expect("the log can be written");
}

fn begin(key: &str) {
    let attempt = ctx().task().map_or(0, |task| task.attempt_number());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    log(&format!("begin {key} {attempt} {}", now.as_micros()));
}

fn end(key: &str) {
    log(&format!("end {key}"));
}

/// Waits for an outcome and says that it has come.
async fn acked<T>(key: &str, outcome: impl Future<Output = Result<T>>) -> Result<T> {
    let outcome = outcome.await?;
    log(&format!("ack {key}"));
    Ok(outcome)
}

#[task(env = ENV)]
async fn leaf(key: String, millis: u64) -> Result<u64> {
    begin(&key);
    tokio::time::sleep(Duration::from_millis(millis)).await;
    end(&key);
    Ok(millis)
}

#[task(env = ENV)]
fn blocking_leaf(key: String, millis: u64) -> Result<u64> {
    begin(&key);
    std::thread::sleep(Duration::from_millis(millis));
    end(&key);
    Ok(millis)
}

#[task(env = ENV, retries = 2, backoff(base = "3ms", factor = 2))]
async fn flaky(key: String) -> Result<u64> {
    begin(&key);
    match ctx().task()?.attempt_number() {
        0 | 1 => Err(Error::user("OnPurpose", "the first two attempts fail")),
        _ => {
            end(&key);
            Ok(1)
        }
    }
}

#[task(env = ENV)]
async fn outer() -> Result<u64> {
    begin("outer");
    let done = acked("inner", inner()).await? + acked("outer-step", step("outer-step".to_owned(), 1)).await?;
    end("outer");
    Ok(done)
}

#[task(env = ENV)]
async fn inner() -> Result<u64> {
    begin("inner");
    let done = acked("innermost", leaf("innermost".to_owned(), 2)).await?;
    end("inner");
    Ok(done)
}

#[task(env = ENV)]
async fn gate() -> Result<u64> {
    begin("gate");
    if let Some(gate) = std::env::var_os("WORKLOAD_GATE").map(PathBuf::from) {
        while !gate.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    end("gate");
    Ok(1)
}

#[trace]
async fn step(key: String, value: u64) -> Result<u64> {
    begin(&key);
    tokio::time::sleep(Duration::from_millis(1)).await;
    end(&key);
    Ok(value)
}

#[task(env = ENV)]
async fn root() -> Result<u64> {
    begin("root");
    let mut sum = one_after_another().await?;
    sum += at_once().await?;
    sum += acked("gate", gate()).await?;
    sum += acked("flaky-0", flaky("flaky-0".to_owned())).await?;
    sum += acked("flaky-1", flaky("flaky-1".to_owned())).await?;
    sum += acked("outer", outer()).await?;
    sum += mapped().await?;
    end("root");
    Ok(sum)
}

/// 5 children and 9 steps.
async fn one_after_another() -> Result<u64> {
    let mut sum = 0;
    for index in 0..4 {
        let (child, before) = (format!("leaf-{index}"), format!("step-{index}"));
        sum += acked(&before, step(before.clone(), 1)).await?;
        sum += acked(&child, leaf(child.clone(), 1 + index % 3)).await?;
    }
    sum += acked("blocking", blocking_leaf("blocking".to_owned(), 2)).await?;
    for index in 4..9 {
        let key = format!("step-{index}");
        sum += acked(&key, step(key.clone(), 1)).await?;
    }
    Ok(sum)
}

/// 5 children.
async fn at_once() -> Result<u64> {
    let join = async |index: u64| {
        let key = format!("join-{index}");
        acked(&key, leaf(key.clone(), 1 + index % 3)).await
    };
    let (a, b, c, d, e) = tokio::join!(join(0), join(1), join(2), join(3), join(4));
    Ok(a? + b? + c? + d? + e?)
}

/// 6 children.
async fn mapped() -> Result<u64> {
    let keys = || (0..6).map(|index| format!("map-{index}"));
    let done = map(|key: String| leaf(key, 2), keys()).concurrency(3).all().await?;
    keys().for_each(|key| log(&format!("ack {key}")));
    Ok(done.iter().sum())
}

fn main() -> ExitCode {
    spanwise::main(async {
        spanwise::init_with(Config::new().data_dir(DIRECTORY.join("data"))).await?;
        let run = match spanwise::with_runcontext().name("crash").run(root()).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => spanwise::resume("crash").await?,
            started => started?,
        };
        let sum = acked("root", run.output()).await?;
        writeln!(std::io::stdout(), "result {sum}")?;
        Ok(())
    })
}
