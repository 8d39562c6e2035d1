//! tmp
use spanwise::{Client, Config, Durability, TaskEnvironment, map, task};
use std::sync::LazyLock;
use std::time::Instant;
static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("bench"));

#[task(env = ENV)]
async fn noop(index: i64) -> spanwise::Result<i64> {
    Ok(index)
}

#[task(env = ENV)]
async fn sequence(count: i64) -> spanwise::Result<i64> {
    let mut sum = 0;
    for index in 0..count {
        sum += noop(index).await?;
    }
    Ok(sum)
}
#[task(env = ENV)]
async fn fan(count: i64) -> spanwise::Result<i64> {
    Ok(map(noop, 0..count).all().await?.into_iter().sum())
}
#[tokio::main(worker_threads = 2)]
#[allow(missing_docs)]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let dir = tempfile::tempdir_in("/work/main/target")?;
    let memory = Client::open(Config::new().in_memory())?;
    let process = Client::open(Config::new().data_dir(dir.path().join("p")))?;
    let disk = Client::open(Config::new().data_dir(dir.path().join("d")).durability(Durability::Disk))?;
    for _ in 0..3 {
        for (name, c) in [("memory", &memory), ("process", &process), ("disk", &disk)] {
            let n = 1000;
            let t = Instant::now();
            c.with_runcontext().run(sequence(n)).await?.output().await?;
            eprintln!("{name} seq {:?}/op", t.elapsed() / n as u32);
            for n in [1000i64, 10000] {
                let t = Instant::now();
                c.with_runcontext().run(fan(n)).await?.output().await?;
                eprintln!("{name} fan {n} {:?}/op", t.elapsed() / n as u32);
            }
        }
    }
    Ok(())
}
