//! S4 and S7 under adverse conditions: limits, dropped calls, shutdown, full pools, destructors that panic.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use spanwise::{Backoff, Client, Config, Error, ErrorKind, Overrides, Phase, map, task};
use tokio::sync::Semaphore;

use crate::{ENV, memory};

/// Fails a test that hangs.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it ends")
}

#[task(env = ENV)]
async fn nap(index: i64, millis: u64) -> spanwise::Result<i64> {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    Ok(index)
}

/// Fails after a while, the first time.
async fn own_failure(tries: &AtomicU32) -> spanwise::Result<()> {
    let first = tries.fetch_add(1, Ordering::SeqCst) == 0;
    tokio::time::sleep(Duration::from_millis(10)).await;
    if first { Err(Error::user("Own", "first try")) } else { Ok(()) }
}

static LIMITED: AtomicU32 = AtomicU32::new(0);

#[task(env = ENV, retries = 1)]
async fn fails_beside_two() -> spanwise::Result<i64> {
    let (a, b, ()) = tokio::try_join!(nap(1, 40), nap(2, 40), own_failure(&LIMITED))?;
    Ok(a + b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_children_that_nobody_drives_do_not_hold_the_turns() {
    let run = memory().with_runcontext().max_action_concurrency(2).run(fails_beside_two()).await.unwrap();
    assert_eq!(in_time(run.output()).await.unwrap(), 3);
}

#[task(env = ENV)]
async fn naps(count: i64) -> spanwise::Result<i64> {
    Ok(map(|index| nap(index, 30), 0..count).all().await?.into_iter().sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_an_interrupted_run_with_a_limit_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Client::open(Config::new().data_dir(directory.path())).unwrap();
    let first = open();
    let limited = |client: &Client| client.with_runcontext().name("naps").max_action_concurrency(2);
    let run = limited(&first).run(naps(10)).await.unwrap();
    let mut changes = run.subscribe();
    while run.actions().await.unwrap().iter().filter(|action| action.phase == Phase::Succeeded).count() < 2 {
        in_time(changes.changed()).await.unwrap();
    }
    first.shutdown().await;
    drop((run, first));
    let second = open();
    assert_eq!(in_time(limited(&second).run(naps(10)).await.unwrap().output()).await.unwrap(), 45);
}

#[task(env = ENV)]
async fn streams() -> spanwise::Result<i64> {
    let mut napping = futures_util::stream::iter(0..8).map(|index| nap(index, 10)).buffer_unordered(4);
    let mut sum = 0;
    while let Some(index) = napping.next().await {
        sum += index?;
        nap(100 + sum, 1).await?;
    }
    Ok(sum)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_a_child_that_its_caller_does_not_look_at_goes_on_under_a_limit() {
    let run = memory().with_runcontext().max_action_concurrency(2).run(streams()).await.unwrap();
    assert_eq!(in_time(run.output()).await.unwrap(), 28);
}

static DEEP: [AtomicU32; 20] = [const { AtomicU32::new(0) }; 20];

#[task(env = ENV, retries = 1)]
async fn at_the_bottom(depth: u32) -> spanwise::Result<i64> {
    let (child, ()) = tokio::try_join!(nap(7, 30), own_failure(&DEEP[depth as usize]))?;
    Ok(child)
}

#[task(env = ENV)]
async fn chain(depth: u32, left: u32) -> spanwise::Result<i64> {
    if left == 0 { at_the_bottom(depth).await } else { chain(depth, left - 1).await }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_a_child_falls_with_its_parents_attempt_at_any_depth() {
    for depth in 10..20 {
        let run = memory().with_runcontext().run(chain(depth, depth)).await.unwrap();
        assert_eq!(in_time(run.output()).await.unwrap(), 7, "depth {depth}");
    }
}

static IN_SET: AtomicU32 = AtomicU32::new(0);

#[task(env = ENV, retries = 1)]
async fn fails_beside_a_set() -> spanwise::Result<i64> {
    let mut set = tokio::task::JoinSet::new();
    for index in 0..6 {
        set.spawn(nap(index, 15));
    }
    own_failure(&IN_SET).await?;
    let mut sum = 0;
    while let Some(index) = set.join_next().await {
        sum += index??;
    }
    Ok(sum)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_calls_in_a_set_fall_with_their_parents_attempt() {
    for _ in 0..20 {
        IN_SET.store(0, Ordering::SeqCst);
        let run = memory().with_runcontext().run(fails_beside_a_set()).await.unwrap();
        assert_eq!(in_time(run.output()).await.unwrap(), 15);
    }
}

static CUTS: AtomicU32 = AtomicU32::new(0);

/// Never ends while the program is cut short again and again.
#[task(env = ENV)]
async fn outlives() -> spanwise::Result<i64> {
    if CUTS.load(Ordering::SeqCst) < 20 { std::future::pending().await } else { Ok(5) }
}

#[task(env = ENV)]
async fn spawns() -> spanwise::Result<i64> {
    let spawned = tokio::spawn(outlives());
    spawned.await?
}

#[test]
fn s4_a_runtime_that_goes_without_a_word_aborts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let open = || Client::open(Config::new().data_dir(directory.path())).unwrap();
    while CUTS.load(Ordering::SeqCst) < 20 {
        runtime().block_on(async {
            let run = open().with_runcontext().name("spawns").run(spawns()).await.unwrap();
            let mut changes = run.subscribe();
            while run.actions().await.unwrap().iter().filter(|action| action.phase == Phase::Running).count() < 2 {
                in_time(changes.changed()).await.unwrap();
            }
        });
        CUTS.fetch_add(1, Ordering::SeqCst);
    }
    let output = runtime().block_on(async { in_time(open().resume::<i64>("spawns").await?.output()).await });
    assert_eq!(output.unwrap(), 5);
}

#[task(env = ENV)]
async fn one() -> spanwise::Result<i64> {
    nap(1, 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_of_two_who_start_one_name_at_once_one_is_refused() {
    let client = memory();
    for index in 0..200 {
        let start = || {
            let client = client.clone();
            tokio::spawn(async move { client.with_runcontext().name(format!("race-{index}")).run(one()).await })
        };
        let (first, second) = (start(), start());
        let started = [first.await.unwrap(), second.await.unwrap()];
        let refused = started.iter().filter_map(|run| run.as_ref().err());
        assert!(refused.clone().all(|error| error.kind() == ErrorKind::AlreadyExists));
        assert_eq!(refused.count(), 1, "{index}");
        for run in started.iter().flatten() {
            assert_eq!(in_time(run.output()).await.unwrap(), 1);
        }
    }
}

#[task(env = ENV)]
fn leaf(index: i64) -> spanwise::Result<i64> {
    Ok(index)
}

#[task(env = ENV)]
fn waits_for_leaf(index: i64) -> spanwise::Result<i64> {
    leaf(index).wait()
}

#[task(env = ENV)]
fn recursive(left: i64) -> spanwise::Result<i64> {
    if left == 0 { Ok(0) } else { Ok(recursive(left - 1).wait()? + 1) }
}

#[task(env = ENV)]
async fn many_blocking(count: i64) -> spanwise::Result<i64> {
    let sum: i64 = map(waits_for_leaf, 0..count).all().await?.into_iter().sum();
    Ok(sum + recursive(40).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_waiting_bodies_than_the_pool_has_threads() {
    let run = memory().with_runcontext().run(many_blocking(1_200)).await.unwrap();
    assert_eq!(in_time(run.output()).await.unwrap(), 1_200 * 1_199 / 2 + 40);
}

#[task(env = ENV)]
fn waits_for_ever() -> spanwise::Result<i64> {
    nap(1, 3_600_000).wait()
}

#[test]
fn a_body_that_waits_does_not_keep_the_program() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let client = memory();
    runtime.block_on(async {
        let run = client.with_runcontext().run(waits_for_ever()).await.unwrap();
        let mut changes = run.subscribe();
        while run.actions().await.unwrap().len() < 2 {
            in_time(changes.changed()).await.unwrap();
        }
        client.shutdown().await;
        assert_eq!(run.actions().await.unwrap()[0].phase, Phase::Queued, "given back, not failed");
    });
    drop(runtime);
}

#[task(env = ENV)]
async fn backs_off(factor: f64) -> spanwise::Result<i64> {
    let backoff = Backoff { base: Duration::from_millis(1), factor, cap: None };
    nap(1, 1).override_with(Overrides::new().backoff(backoff)).await
}

#[tokio::test]
async fn a_backoff_that_cannot_be_stored_is_refused_at_the_call() {
    for factor in [f64::INFINITY, 0.5] {
        let error = memory().with_runcontext().run(backs_off(factor)).await.unwrap().output().await.unwrap_err();
        assert!(error.message().contains("backoff factor"), "{error}");
    }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a destructor panics");
        }
    }
}

#[task(env = ENV, timeout = "20ms", retries = 1)]
async fn holds_a_bomb() -> spanwise::Result<()> {
    let _bomb = Bomb;
    std::future::pending().await
}

#[tokio::test]
async fn a_destructor_that_panics_does_not_end_the_driver() {
    let run = memory().with_runcontext().run(holds_a_bomb()).await.unwrap();
    assert_eq!(in_time(run.output()).await.unwrap_err().kind(), ErrorKind::TimedOut);
}

static OTHER: OnceLock<Client> = OnceLock::new();
static LAST: Semaphore = Semaphore::const_new(0);

#[task(env = ENV)]
async fn waits_for_the_last() -> spanwise::Result<i64> {
    LAST.acquire().await?.forget();
    Ok(1)
}

#[task(env = ENV)]
async fn waits_for_another_run(name: String) -> spanwise::Result<i64> {
    let client = OTHER.get().unwrap();
    client.with_runcontext().name(name).run(waits_for_the_last()).await?.output().await
}

#[task(env = ENV)]
async fn last() -> spanwise::Result<i64> {
    LAST.add_permits(2);
    Ok(5)
}

#[task(env = ENV)]
async fn two_wait_for_runs_and_then_one_ends_them() -> spanwise::Result<i64> {
    let [first, second] = ["first", "second"].map(|name| waits_for_another_run(name.to_owned()));
    let (first, second, last) = tokio::try_join!(first, second, last())?;
    Ok(first + second + last)
}

#[tokio::test]
async fn s4_a_task_that_waits_for_another_run_takes_up_no_place() {
    let client = OTHER.get_or_init(memory).clone();
    let run = client.with_runcontext().max_action_concurrency(2).run(two_wait_for_runs_and_then_one_ends_them());
    assert_eq!(in_time(run.await.unwrap().output()).await.unwrap(), 7);
}
