//! Attempts that outlive the process: after a restart they are taken up again, counted, and lost by the rules.

use std::path::Path;
use std::time::Duration;

use spanwise_core::{ActionName, AttemptNo, Phase, Timeouts};
use spanwise_engine::{
    Attempt, Durability, Engine, EngineConfig, Executor, Limits, Outcome, Report, Retention, RunHandle, Storage,
};

use crate::stage::*;
use crate::{Body, id, main_task, open};

fn reopen(path: &Path, max_attempts: Option<u32>) -> Engine {
    let storage = Storage::Directory { path: path.to_owned(), durability: Durability::Process };
    let config = EngineConfig::embedded(storage, Retention::default());
    Engine::open(EngineConfig { limits: Limits::of_slots(max_attempts), attempts_outlive_the_process: true, ..config })
        .unwrap()
}

/// Leaves a run and a child of its root under way, as a process leaves them that ends.
async fn leave_under_way(engine: Engine, run: &str, interrupted: bool) {
    let stage = Stage::new();
    let (run, root) = begin(&engine, run, main_task(), stage.clone());
    stage.began(1).await;
    let child = start(&run, "c", child(), stage.clone());
    stage.began(2).await;
    run.committed().await.unwrap();
    if interrupted {
        engine.interrupt();
        engine.flush().await.unwrap();
    }
    for driven in [child, root] {
        driven.abort();
        assert!(soon(driven).await.is_err());
    }
}

/// Takes up everything that is unfinished, as a server does.
fn take_up(engine: &Engine, stage: &Stage) -> Vec<(RunHandle, Driven)> {
    let runs = engine.unfinished().unwrap().into_iter().map(|id| engine.resume(&id).unwrap());
    runs.flat_map(|run| {
        let unfinished = run.unfinished();
        unfinished.into_iter().map(move |action| (run.clone(), action))
    })
    .map(|(run, action)| (run.clone(), drive(&run, action.as_str(), stage.clone())))
    .collect()
}

#[tokio::test]
async fn s4_attempts_that_outlive_the_process_are_adopted_with_their_number() {
    for interrupted in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        leave_under_way(reopen(directory.path(), None), "one", interrupted).await;
        let (engine, stage) = (reopen(directory.path(), None), Stage::new());
        assert_eq!(engine.unfinished().unwrap(), [id("one")]);
        let taken = take_up(&engine, &stage);
        let mut began = stage.began(2).await;
        began.sort_unstable();
        assert_eq!(began, ["one/a0#1+", "one/c#1+"]);
        for ((run, driven), who) in taken.into_iter().rev().zip(["one/c", "one/a0"]) {
            stage.succeeds(who);
            assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
            assert_eq!(run.action(&name("c")).unwrap().attempts, 1);
        }
        assert_eq!(engine.unfinished().unwrap(), []);
    }
}

#[tokio::test]
async fn s4_an_adopted_attempt_that_is_lost_is_tried_again_within_the_systems_budget() {
    let directory = tempfile::tempdir().unwrap();
    leave_under_way(reopen(directory.path(), None), "one", false).await;
    let (engine, stage) = (reopen(directory.path(), None), Stage::new());
    stage.ends("one/c", Report::lost("exit code 137"));
    let run = engine.resume(&id("one")).unwrap();
    let _root = drive(&run, "a0", stage.clone());
    let outcome = soon(drive(&run, "c", stage.clone())).await.unwrap().unwrap();
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code, spanwise_core::code::MAX_SYSTEM_FAILURES);
    assert!(failure.message.contains("exit code 137"), "{failure:?}");
    let began = stage.began(4).await;
    let of_child: Vec<&String> = began.iter().filter(|who| who.starts_with("one/c")).collect();
    assert_eq!(of_child, ["one/c#1+", "one/c#2", "one/c#3"]);
}

#[tokio::test]
async fn s4_attempts_under_way_are_counted_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    leave_under_way(reopen(directory.path(), Some(1)), "one", false).await;
    let (engine, stage) = (reopen(directory.path(), Some(1)), Stage::new());
    let taken = take_up(&engine, &stage);
    stage.began(2).await;
    engine.resume(&id("one")).unwrap();
    let (two, two_driven) = begin(&engine, "two", main_task(), stage.clone());
    until(&two, "a0", |action| action.phase() == Phase::WaitingForResources).await;
    stage.succeed(&["one/c", "two/a0"]);
    // The child's place is its parent's now.
    until(&taken[0].0, "c", |child| child.is_finished()).await;
    assert_eq!(two.action(&ActionName::ROOT).unwrap().phase(), Phase::WaitingForResources);
    stage.succeeds("one/a0");
    assert_eq!(soon(two_driven).await.unwrap().unwrap(), succeeded());
}

#[tokio::test]
async fn s4_attempts_inside_of_the_process_are_lost_and_not_adopted() {
    let directory = tempfile::tempdir().unwrap();
    leave_under_way(reopen(directory.path(), None), "one", false).await;
    let (engine, stage) = (open(directory.path()), Stage::new());
    let run = engine.resume(&id("one")).unwrap();
    stage.succeed(&["one/c", "one/a0"]);
    assert_eq!(soon(drive(&run, "c", stage.clone())).await.unwrap().unwrap(), succeeded());
    assert_eq!(soon(drive(&run, "a0", stage.clone())).await.unwrap().unwrap(), succeeded());
    assert_eq!(stage.began(2).await, ["one/c#2", "one/a0#2"]);
}

/// An executor whose attempts take their time to begin.
struct Starting(Stage);

impl Executor for Starting {
    fn execute(&self, attempt: Attempt) -> Body {
        self.0.execute(attempt)
    }

    fn starts_at_once(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn s4_an_attempt_is_initializing_until_its_first_sign_of_life_and_max_runtime_counts_from_there() {
    let (engine, stage) = (crate::memory(), Stage::new());
    let limit = Duration::from_millis(20);
    let spec = spanwise_core::ActionSpec { timeouts: Timeouts::max_runtime(limit), ..main_task() };
    let (run, driven) = begin(&engine, "one", spec, Starting(stage.clone()));
    stage.began(1).await;
    let now = run.action(&ActionName::ROOT).unwrap();
    assert_eq!((now.phase(), now.due(), now.started_at), (Phase::Initializing, None, None));
    run.report_started(ActionName::ROOT, spanwise_core::AttemptNo(2));
    assert_eq!(run.action(&ActionName::ROOT).unwrap().phase(), Phase::Initializing, "another attempt's");
    let before = run.now();
    run.report_started(ActionName::ROOT, spanwise_core::AttemptNo(1));
    let now = run.action(&ActionName::ROOT).unwrap();
    assert_eq!(now.phase(), Phase::Running);
    assert!(now.due() >= Some(before.after(limit)));
    run.report_started(ActionName::ROOT, spanwise_core::AttemptNo(1));
    assert_eq!(run.action(&ActionName::ROOT).unwrap().due(), now.due(), "the first sign counts");
    assert!(matches!(soon(driven).await.unwrap().unwrap(), Outcome::TimedOut(_)));
}

/// An executor whose attempts give no sign of life.
struct Silent(Stage);

impl Executor for Silent {
    fn execute(&self, attempt: Attempt) -> Body {
        self.0.execute(attempt)
    }

    fn starts_at_once(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn s4_an_attempt_inside_of_the_process_is_blamed_for_its_loss_only_if_it_began() {
    for began in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (engine, stage) = (reopen(directory.path(), None), Stage::new());
        let (run, driven) = begin(&engine, "one", main_task(), Silent(stage.clone()));
        stage.began(1).await;
        if began {
            run.report_started(ActionName::ROOT, AttemptNo(1));
        }
        run.committed().await.unwrap();
        driven.abort();
        assert!(soon(driven).await.is_err());
        drop((run, engine));
        let run = open(directory.path()).resume(&id("one")).unwrap();
        let root = run.action(&ActionName::ROOT).unwrap();
        assert_eq!((root.phase(), root.system_failures), (Phase::Queued, u32::from(began)));
    }
}

/// An executor that does not know at once what has become of an attempt, as one that has to read files does not.
struct Reading {
    limit: Duration,
    alive: bool,
}

impl Executor for Reading {
    fn execute(&self, attempt: Attempt) -> Body {
        let (limit, alive) = (self.limit, self.alive);
        Box::pin(async move {
            if alive {
                attempt.scope.report_alive();
                return std::future::pending().await;
            }
            if !attempt.adopted {
                // It ends just before its limit.
                tokio::task::yield_now().await;
            }
            attempt.scope.report_ended();
            // Longer than any timer would wait.
            tokio::time::sleep(2 * limit).await;
            ok()
        })
    }
}

#[tokio::test]
async fn s4_an_attempt_that_ended_in_time_keeps_its_result_however_long_that_takes_to_read() {
    let limit = Duration::from_millis(50);
    let limits = [Timeouts::max_runtime(limit), Timeouts { deadline: Some(limit), ..Timeouts::default() }];
    for timeouts in limits {
        for (adopted, alive) in [(true, false), (true, true), (false, false)] {
            let directory = tempfile::tempdir().unwrap();
            let spec = spanwise_core::ActionSpec { timeouts, ..main_task() };
            if adopted {
                let engine = reopen(directory.path(), None);
                let (run, driven) = begin(&engine, "one", spec.clone(), Stage::new());
                until(&run, "a0", |root| root.phase() == Phase::Running).await;
                run.committed().await.unwrap();
                driven.abort();
                assert!(soon(driven).await.is_err());
            }
            let engine = reopen(directory.path(), None);
            let run = match adopted {
                true => engine.resume(&id("one")).unwrap(),
                false => engine.create_run(crate::new_run("one", spec)).unwrap(),
            };
            let due = run.action(&ActionName::ROOT).unwrap().due();
            while adopted && due > Some(run.now()) {
                tokio::task::yield_now().await;
            }
            let driven = drive(&run, "a0", Reading { limit, alive });
            // Somebody else who waits for it has no timers of his own.
            let joined = drive(&run, "a0", Reading { limit, alive });
            for driven in [driven, joined] {
                let outcome = soon(driven).await.unwrap().unwrap();
                match alive {
                    true => assert!(matches!(outcome, Outcome::TimedOut(_)), "{timeouts:?}: {outcome:?}"),
                    false => assert_eq!(outcome, succeeded(), "{timeouts:?}, adopted: {adopted}"),
                }
            }
            assert_eq!(run.action(&ActionName::ROOT).unwrap().attempts, 1);
        }
    }
}
