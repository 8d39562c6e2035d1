//! A run that recovers another one runs what has not succeeded there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use spanwise::{ActionName, Client, Config, Error, Phase, Relation, task};

use crate::ENV;

static PREPARED: AtomicU32 = AtomicU32::new(0);
static TRAINED: AtomicU32 = AtomicU32::new(0);
static FAILS: AtomicBool = AtomicBool::new(true);
static ROOTS: AtomicU32 = AtomicU32::new(0);

fn open(path: &Path) -> Client {
    Client::open(Config::new().data_dir(path)).unwrap()
}

#[task(env = ENV)]
async fn prepare(index: i64) -> spanwise::Result<i64> {
    PREPARED.fetch_add(1, Ordering::SeqCst);
    Ok(10 * index)
}

#[task(env = ENV)]
async fn train(from: i64) -> spanwise::Result<i64> {
    TRAINED.fetch_add(1, Ordering::SeqCst);
    match FAILS.swap(false, Ordering::SeqCst) {
        true => Err(Error::terminal("the first one fails")),
        false => Ok(from + 1),
    }
}

#[task(env = ENV)]
async fn pipeline(count: i64) -> spanwise::Result<i64> {
    ROOTS.fetch_add(1, Ordering::SeqCst);
    let mut sum = 0;
    for index in 1..=count {
        sum += prepare(index).await?;
    }
    spanwise::sleep(Duration::from_millis(5)).await?;
    train(sum).await
}

/// How often the tasks have run since it was asked last.
fn counts() -> [u32; 3] {
    [&ROOTS, &PREPARED, &TRAINED].map(|count| count.swap(0, Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_what_has_succeeded_in_the_recovered_run_is_not_run_again_unless_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let client = open(directory.path());
    let failed = client.with_runcontext().name("failed").run(pipeline(3)).await.unwrap();
    assert!(failed.output().await.is_err());
    assert_eq!(counts(), [1, 3, 1]);
    let names: BTreeMap<String, ActionName> =
        failed.actions().await.unwrap().into_iter().map(|action| (action.task.to_string(), action.name)).collect();
    let failed_name = failed.name().clone();
    client.shutdown().await;
    drop((failed, client));

    // In another process.
    let client = open(directory.path());
    let recovered = client.with_runcontext().name("recovered").recover::<i64>("failed").await.unwrap();
    assert_eq!(recovered.output().await.unwrap(), 61);
    assert_eq!(counts(), [1, 0, 1], "what failed is run");
    let relation = Relation::Recover { run: failed_name };
    assert_eq!(recovered.relation(), Some(&relation));
    let phases: Vec<Phase> = recovered.actions().await.unwrap().into_iter().map(|action| action.phase).collect();
    let count = |phase| phases.iter().filter(|found| **found == phase).count();
    assert_eq!((count(Phase::Recovered), count(Phase::Succeeded)), (4, 2), "{phases:?}");

    // What was taken over counts in the next one, too.
    let second = client.with_runcontext().recover::<i64>("recovered").await.unwrap();
    assert_eq!(second.output().await.unwrap(), 61);
    assert_eq!(counts(), [1, 0, 0]);

    let last = names["it.prepare"].to_string();
    let forced =
        client.with_runcontext().rerun_actions([last, "nobody".to_owned()]).recover::<i64>("failed").await.unwrap();
    assert_eq!(forced.output().await.unwrap(), 61);
    assert_eq!(counts(), [1, 1, 1]);

    // A rerun takes over nothing, and nobody recovers what is not there.
    let all = client.with_runcontext().rerun::<i64>("failed").await.unwrap();
    assert_eq!(all.output().await.unwrap(), 61);
    assert_eq!(counts(), [1, 3, 1]);
    let missing = client.with_runcontext().recover::<i64>("nobody").await.err().unwrap();
    assert_eq!(missing.kind(), spanwise::ErrorKind::NotFound, "{missing}");
}
