//! The engine with small executors of its own: outcome, retries, abort, restart, joining and a failed journal.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, Backoff, Failure, Phase, RetryPolicy, RunId, RunName, Timeouts};
use spanwise_engine::{
    Attempt, Call, Durability, Engine, EngineConfig, Error, Executor, NewRun, Outcome, Report, Retention, RunHandle,
    RunOptions, RunSettings, Storage,
};

mod adoption;
mod cache;
mod damage;
mod export;
mod feeds;
mod inputs;
mod places;
mod reservations;
mod stage;

type Body = Pin<Box<dyn Future<Output = Report> + Send>>;

/// An executor made of a closure.
struct Run<F>(F);

impl<F: Fn(Attempt) -> Body + Send + Sync> Executor for Run<F> {
    fn execute(&self, attempt: Attempt) -> Body {
        self.0(attempt)
    }
}

fn done(text: &'static str) -> Body {
    Box::pin(async move { Report::Succeeded(Bytes::from_static(text.as_bytes())) })
}

fn open(path: &Path) -> Engine {
    let storage = Storage::Directory { path: path.to_owned(), durability: Durability::Process };
    Engine::open(EngineConfig::embedded(storage, Retention::default())).unwrap()
}

fn memory() -> Engine {
    Engine::open(EngineConfig::embedded(Storage::Memory, Retention::default())).unwrap()
}

fn id(name: &str) -> RunId {
    RunId { org: String::new(), project: "p".to_owned(), domain: "d".to_owned(), name: RunName::new(name).unwrap() }
}

fn new_run(name: &str, spec: ActionSpec) -> NewRun {
    NewRun {
        id: id(name),
        spec,
        inputs: Bytes::from_static(b"in"),
        // What a server drives has one.
        settings: RunSettings { definition: Some("program".to_owned()), ..RunSettings::default() },
        definitions: Vec::new(),
    }
}

fn root() -> Call {
    Call { action: ActionName::ROOT, inputs: None, caller: None }
}

fn main_task() -> ActionSpec {
    ActionSpec::task("env.main")
}

fn phase(run: &RunHandle, action: &str) -> Phase {
    run.actions().into_iter().find(|row| row.name.as_str() == action).unwrap().phase
}

#[tokio::test]
async fn an_action_runs_with_its_inputs_and_its_outcome_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let run = engine.create_run(new_run("one", main_task())).unwrap();
    let echo = Run(|attempt: Attempt| Box::pin(async move { Report::Succeeded(attempt.inputs) }) as Body);
    assert_eq!(run.drive(root(), &echo).await.unwrap(), Outcome::Succeeded(Bytes::from_static(b"in")));
    drop((run, engine));

    let again = open(directory.path()).resume(&id("one")).unwrap();
    let never = Run(|_| panic!("finished work is not run again"));
    assert_eq!(again.drive(root(), &never).await.unwrap(), Outcome::Succeeded(Bytes::from_static(b"in")));
}

#[tokio::test]
async fn a_name_is_taken_once_and_an_unknown_one_is_not_found() {
    let engine = memory();
    engine.create_run(new_run("one", main_task())).unwrap();
    assert!(matches!(engine.create_run(new_run("one", main_task())), Err(Error::AlreadyExists(_))));
    assert!(matches!(engine.resume(&id("two")), Err(Error::NotFound(_))));
}

#[tokio::test]
async fn s4_retries_wait_out_their_backoff() {
    let engine = memory();
    let backoff = Some(Backoff::constant(Duration::from_millis(20)));
    let spec = ActionSpec { retry: RetryPolicy { retries: 2, backoff }, ..main_task() };
    let run = engine.create_run(new_run("one", spec)).unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let third_time = Run(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        2 => done("ok"),
        _ => Box::pin(async { Report::Failed(Failure::user("E", "no")) }),
    });
    let begin = std::time::Instant::now();
    assert_eq!(run.drive(root(), &third_time).await.unwrap(), Outcome::Succeeded(Bytes::from_static(b"ok")));
    assert!(begin.elapsed() >= Duration::from_millis(40));
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn s4_max_runtime_ends_an_attempt_that_never_ends() {
    let engine = memory();
    let spec = ActionSpec { timeouts: Timeouts::max_runtime(Duration::from_millis(10)), ..main_task() };
    let run = engine.create_run(new_run("one", spec)).unwrap();
    let forever = Run(|_| Box::pin(std::future::pending()) as Body);
    let Outcome::TimedOut(failure) = run.drive(root(), &forever).await.unwrap() else { panic!("timed out") };
    assert_eq!(failure.code, spanwise_core::code::MAX_RUNTIME_EXCEEDED);
}

#[tokio::test]
async fn s4_an_abort_ends_a_running_attempt_and_keeps_who_and_why() {
    let engine = memory();
    let run = engine.create_run(new_run("one", main_task())).unwrap();
    let forever = Run(|_| Box::pin(std::future::pending()) as Body);
    let driver = run.clone();
    let driven = tokio::spawn(async move { driver.drive(root(), &forever).await });
    let mut changes = run.subscribe();
    while phase(&run, "a0") != Phase::Running {
        changes.changed().await.unwrap();
    }
    run.abort(ActionName::ROOT, "ann", "enough").await.unwrap();
    let outcome = driven.await.unwrap().unwrap();
    assert_eq!(outcome, Outcome::Aborted { by: "ann".to_owned(), reason: "enough".to_owned() });
}

#[tokio::test]
async fn two_who_drive_one_action_run_it_once() {
    let engine = memory();
    let run = engine.create_run(new_run("one", main_task())).unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let slow = Arc::new(Run(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Report::Succeeded(Bytes::from_static(b"ok"))
        }) as Body
    }));
    let drive = || {
        let (run, slow) = (run.clone(), Arc::clone(&slow));
        tokio::spawn(async move { run.drive(root(), slow.as_ref()).await.unwrap() })
    };
    let (first, second) = (drive(), drive());
    assert_eq!(first.await.unwrap(), Outcome::Succeeded(Bytes::from_static(b"ok")));
    assert_eq!(second.await.unwrap(), Outcome::Succeeded(Bytes::from_static(b"ok")));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_dropped_root_is_given_back_and_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let run = engine.create_run(new_run("one", main_task())).unwrap();
    let forever = Run(|_| Box::pin(std::future::pending()) as Body);
    let cut = tokio::time::timeout(Duration::from_millis(10), run.drive(root(), &forever)).await;
    assert!(cut.is_err());
    drop((run, engine));

    let again = open(directory.path()).resume(&id("one")).unwrap();
    assert_eq!(phase(&again, "a0"), Phase::Queued);
    assert_eq!(again.drive(root(), &Run(|_| done("ok"))).await.unwrap(), Outcome::Succeeded(Bytes::from_static(b"ok")));
}

#[tokio::test]
async fn an_unknown_action_is_refused_and_its_run_goes_on() {
    let run = memory().create_run(new_run("one", main_task())).unwrap();
    let unknown = Call { action: ActionName::new("x").unwrap(), ..root() };
    let refused = run.drive(unknown, &Run(|_| done("ok"))).await;
    assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
    assert_eq!(run.drive(root(), &Run(|_| done("ok"))).await.unwrap(), Outcome::Succeeded(Bytes::from_static(b"ok")));
}

#[tokio::test]
async fn a_limit_of_one_is_refused() {
    let settings = RunSettings {
        options: RunOptions { max_action_concurrency: Some(1), ..RunOptions::default() },
        ..RunSettings::default()
    };
    let refused = memory().create_run(NewRun { settings, ..new_run("one", main_task()) });
    assert!(matches!(refused, Err(Error::ConcurrencyOfOne)));
}

/// Ten thousand commits from two threads, alone and in groups: each is answered, the order of events is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_runs_at_once_are_all_answered() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let runs = (0..200).map(|index| {
        let run = engine.create_run(new_run(&format!("run-{index}"), main_task())).unwrap();
        tokio::spawn(async move { run.drive(root(), &Run(|_| done("ok"))).await.unwrap() })
    });
    for run in runs.collect::<Vec<_>>() {
        assert_eq!(run.await.unwrap(), Outcome::Succeeded(Bytes::from_static(b"ok")));
    }
    drop(engine);
    let engine = open(directory.path());
    for index in 0..200 {
        assert!(engine.resume(&id(&format!("run-{index}"))).unwrap().is_finished());
    }
}

#[tokio::test]
async fn finished_runs_are_pruned_by_age_when_the_journal_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let finished = engine.create_run(new_run("finished", main_task())).unwrap();
    finished.drive(root(), &Run(|_| done("ok"))).await.unwrap();
    engine.create_run(new_run("unfinished", main_task())).unwrap();
    drop((finished, engine));

    let storage = Storage::Directory { path: directory.path().to_owned(), durability: Durability::Process };
    let retention = Retention { max_age: Some(Duration::ZERO), max_bytes: None };
    let engine = Engine::open(EngineConfig::embedded(storage, retention)).unwrap();
    assert!(matches!(engine.resume(&id("finished")), Err(Error::NotFound(_))));
    assert_eq!(phase(&engine.resume(&id("unfinished")).unwrap(), "a0"), Phase::Queued);
}

#[tokio::test]
async fn it_is_told_when_finished_runs_were_pruned() {
    let retention = Retention { max_age: Some(Duration::ZERO), max_bytes: None };
    let engine = Engine::open(EngineConfig::embedded(Storage::Memory, retention)).unwrap();
    let first = engine.create_run(new_run("run-0", main_task())).unwrap();
    first.drive(root(), &Run(|_| done("ok"))).await.unwrap();
    for index in 1..256 {
        let run = engine.create_run(new_run(&format!("run-{index}"), main_task())).unwrap();
        run.drive(root(), &Run(|_| done("ok"))).await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(60), engine.pruned()).await.unwrap();
    assert_eq!(engine.run_row(first.id()).unwrap(), None);
}

/// An idle engine's threads sleep until there is something to write.
#[tokio::test]
async fn an_idle_engine_does_not_wake_up() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let run = engine.create_run(new_run("one", main_task())).unwrap();
    run.drive(root(), &Run(|_| done("ok"))).await.unwrap();
    let switches = || {
        let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
        let ours = |path: &std::path::PathBuf| {
            std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("spanwise-"))
        };
        let count = |path: std::path::PathBuf| {
            let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap_or("0");
            line.trim().parse::<u64>().unwrap()
        };
        threads.filter(ours).map(count).sum::<u64>()
    };
    // Other tests of this binary have journals too; a quiet one stands still in one of the looks.
    let quiet = async {
        loop {
            let before = switches();
            tokio::time::sleep(Duration::from_millis(300)).await;
            if switches() == before {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), quiet).await.expect("the writer threads of idle engines sleep");
}
