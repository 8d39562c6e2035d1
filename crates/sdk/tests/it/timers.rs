//! S17: a task waits for a length of time or a moment, without a slot, across restarts.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::try_join_all;
use spanwise::{ActionKind, Client, Config, ErrorKind, Phase, task};

use crate::{ENV, memory};

const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(60);

fn open(path: &Path) -> Client {
    Client::open(Config::new().data_dir(path)).unwrap()
}

#[task(env = ENV)]
async fn sleeps_millis(millis: u64) -> spanwise::Result<()> {
    spanwise::sleep(Duration::from_millis(millis)).await
}

#[task(env = ENV)]
async fn side_by_side(count: u64) -> spanwise::Result<u64> {
    try_join_all((0..count).map(|index| spanwise::sleep(Duration::from_millis(500) + Duration::from_micros(index))))
        .await?;
    Ok(count)
}

#[task(env = ENV)]
async fn sleepers(count: u64) -> spanwise::Result<()> {
    spanwise::map(sleeps_millis, (0..count).map(|index| 3_600_000 + index)).await.into_iter().collect()
}

/// Waits until so many timers of a run are asleep.
async fn asleep(run: &spanwise::Run<()>, count: usize) {
    let all = async {
        loop {
            let actions = run.actions().await.unwrap();
            let is_asleep =
                |view: &&spanwise::ActionView| view.kind == ActionKind::Timer && view.phase == Phase::Running;
            if actions.iter().filter(is_asleep).count() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("all of them fall asleep");
}

#[tokio::test]
async fn s17_outside_of_a_task_it_is_a_plain_sleep() {
    let since = Instant::now();
    spanwise::sleep(Duration::from_millis(30)).await.unwrap();
    spanwise::sleep_until(SystemTime::now() + Duration::from_millis(30)).await.unwrap();
    spanwise::sleep_until(SystemTime::UNIX_EPOCH).await.unwrap();
    assert!(since.elapsed() >= Duration::from_millis(55), "{:?}", since.elapsed());
    let refused = memory().with_runcontext().run(spanwise::sleep(HOUR)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn s17_who_sleeps_takes_up_no_slot() {
    let client = memory();
    let run = client.with_runcontext().max_action_concurrency(2).run(sleepers(12)).await.unwrap();
    asleep(&run, 12).await;
    run.abort("enough").await.unwrap();
    assert_eq!(run.output().await.unwrap_err().kind(), ErrorKind::Aborted);
    let actions = run.actions().await.unwrap();
    assert!(actions.iter().all(|action| action.phase == Phase::Aborted), "{actions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s17_after_a_restart_only_the_rest_is_waited_for() {
    for away in [Duration::ZERO, Duration::from_secs(2)] {
        let directory = tempfile::tempdir().unwrap();
        let first = open(directory.path());
        let run = first.with_runcontext().name("nap").run(sleeps_millis(3000)).await.unwrap();
        asleep(&run, 1).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        first.shutdown().await;
        drop((run, first));
        tokio::time::sleep(away).await;
        let second = open(directory.path());
        let run = second.resume::<()>("nap").await.unwrap();
        run.output().await.unwrap();
        let actions = run.actions().await.unwrap();
        let timers: Vec<_> = actions.iter().filter(|view| view.kind == ActionKind::Timer).collect();
        let [timer] = timers[..] else { panic!("the one that was there: {timers:?}") };
        let took = timer.ended_at.unwrap().since(timer.enqueued_at);
        // Begun anew it would take 4.5 seconds at least.
        assert!((2900..4300).contains(&took.as_millis()), "{took:?} after {away:?}");
    }
}

/// Each of them is an entry: of memory there is no more than a few kilobytes for each, and all end when they should.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s17_ten_thousand_timers_wait_side_by_side() {
    let client = memory();
    let since = Instant::now();
    let run = client.with_runcontext().run(side_by_side(10_000)).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 10_000);
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    let timers = run.actions().await.unwrap();
    let ended = timers.iter().filter(|view| view.kind == ActionKind::Timer && view.phase == Phase::Succeeded).count();
    assert_eq!(ended, 10_000);
}
