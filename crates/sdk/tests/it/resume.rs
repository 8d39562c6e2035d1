//! S4: an interrupted run goes on, and only once.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use spanwise::{Client, Config, ErrorKind, Overrides, task, trace};
use tokio::sync::Notify;

use crate::ENV;

fn open(path: &Path) -> Client {
    Client::open(Config::new().data_dir(path)).unwrap()
}

static CHILDREN: AtomicU32 = AtomicU32::new(0);
static STEPS: AtomicU32 = AtomicU32::new(0);
static HELD: AtomicU32 = AtomicU32::new(0);
static REACHED: Notify = Notify::const_new();

#[task(env = ENV)]
async fn child(index: i64) -> spanwise::Result<i64> {
    CHILDREN.fetch_add(1, Ordering::SeqCst);
    Ok(index)
}

#[trace]
async fn step(index: i64) -> spanwise::Result<i64> {
    STEPS.fetch_add(1, Ordering::SeqCst);
    Ok(index)
}

/// The first process waits here for ever.
async fn hold() {
    if HELD.fetch_add(1, Ordering::SeqCst) == 0 {
        REACHED.notify_one();
        std::future::pending::<()>().await;
    }
}

#[task(env = ENV)]
async fn long(count: i64) -> spanwise::Result<i64> {
    let mut sum = 0;
    for index in 0..count {
        sum += child(index).await? + step(index).await?;
    }
    hold().await;
    Ok(sum)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_an_interrupted_run_goes_on_under_its_name_and_repeats_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let run = first.with_runcontext().name("long").run(long(5)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), REACHED.notified()).await.unwrap();

    let joined = first.with_runcontext().name("long").run(long(5)).await.unwrap_err();
    assert!(joined.message().contains("it is running in this process"), "{joined}");
    first.shutdown().await;
    assert_eq!(run.output().await.unwrap_err().kind(), ErrorKind::Interrupted);
    drop((run, first));

    let second = open(directory.path());
    let other_inputs = second.with_runcontext().name("long").run(long(6)).await.unwrap_err();
    assert_eq!(other_inputs.kind(), ErrorKind::AlreadyExists);
    assert!(other_inputs.message().contains("it has other inputs"), "{other_inputs}");
    let other_task = second.with_runcontext().name("long").run(child(5)).await.unwrap_err();
    assert!(other_task.message().contains("it is a run of another task"), "{other_task}");

    let run = second.with_runcontext().name("long").run(long(5)).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 20);
    assert_eq!((CHILDREN.load(Ordering::SeqCst), STEPS.load(Ordering::SeqCst)), (5, 5));
    drop((run, second));

    let third = open(directory.path());
    assert_eq!(third.resume::<i64>("long").await.unwrap().output().await.unwrap(), 20);
    assert_eq!(third.resume::<i64>("none").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(CHILDREN.load(Ordering::SeqCst), 5);
}

static OVERRIDDEN: AtomicU32 = AtomicU32::new(0);
static HOLDING: Notify = Notify::const_new();

/// Asks for what no process has.
#[task(env = ENV, secrets = ["nobody-has-it"], env_vars = [("NOBODY_HAS_IT", "x")])]
async fn asks_for_much() -> spanwise::Result<u32> {
    let attempt = OVERRIDDEN.fetch_add(1, Ordering::SeqCst);
    if attempt == 0 {
        HOLDING.notify_one();
        std::future::pending::<()>().await;
    }
    Ok(attempt)
}

#[tokio::test]
async fn s4_a_run_that_is_started_again_under_its_name_goes_on_with_the_settings_of_the_call() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = || Overrides::new().secrets([] as [&str; 0]).env_vars([] as [(&str, &str); 0]);
    let call = || asks_for_much().override_with(nothing());
    let first = open(directory.path());
    let run = first.with_runcontext().name("overridden").run(call()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), HOLDING.notified()).await.unwrap();
    first.shutdown().await;
    drop((run, first));

    let second = open(directory.path());
    let run = second.with_runcontext().name("overridden").run(call()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 1);
    let error = second.with_runcontext().run(asks_for_much()).await.unwrap().output().await.unwrap_err();
    assert_eq!(error.code(), "VariableNotSet", "its own settings hold where the call says nothing");
    second.shutdown().await;
}

#[tokio::test]
async fn two_engines_on_one_data_directory_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path());
    let error = Client::open(Config::new().data_dir(directory.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::System);
    assert!(format!("{error:#}").contains("is in use by process"), "{error:#}");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Client::open(Config::new().data_dir(file.join("inside"))).unwrap_err();
    assert!(format!("{error:#}").contains("inside"), "{error:#}");
}

static BEGUN: AtomicU32 = AtomicU32::new(0);

#[task(env = ENV)]
async fn begun(stays: bool) -> spanwise::Result<bool> {
    BEGUN.fetch_add(1, Ordering::SeqCst);
    if stays {
        std::future::pending::<()>().await;
    }
    Ok(stays)
}

async fn until_begun(count: u32) {
    let all = async {
        while BEGUN.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
}

/// While others are under way, the write of a new run is not waited for on their thread.
#[tokio::test]
async fn a_run_is_accepted_beside_others_and_begins_also_if_whoever_started_it_has_gone() {
    let directory = tempfile::tempdir().unwrap();
    let client = open(directory.path());
    for name in ["a", "b"] {
        client.with_runcontext().name(name).run(begun(true)).await.unwrap();
    }
    until_begun(2).await;
    tokio::select! {
        biased;
        started = async { client.with_runcontext().name("c").run(begun(false)).await } => panic!("{:?}", started.map(drop)),
        () = std::future::ready(()) => {}
    }
    until_begun(3).await;
    assert!(!client.resume::<bool>("c").await.unwrap().output().await.unwrap());
    client.shutdown().await;
}
