//! The cache of outputs: hit, miss, overwrite, age, one computation at a time, delivery.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{
    Action, ActionName, ActionSpec, AttemptNo, CachePolicy, End, Failure, Phase, RunId, Source, Timeouts,
};
use spanwise_engine::{
    Attempt, Call, Durability, Engine, EngineConfig, Executor, Limits, NewRun, Outcome, Report, Retention, RunHandle,
    Storage,
};

use crate::stage::*;
use crate::{Body, Run, done, main_task, memory, new_run, open, phase};

fn policy() -> CachePolicy {
    CachePolicy { key: "p:d:k".to_owned(), overwrite: false, serialize: false, max_age_seconds: None }
}

pub(crate) fn alone() -> CachePolicy {
    CachePolicy { serialize: true, ..policy() }
}

pub(crate) fn cached(policy: CachePolicy) -> ActionSpec {
    ActionSpec { cache: Some(policy), ..main_task() }
}

fn text(text: &'static str) -> Outcome {
    Outcome::Succeeded(Bytes::from_static(text.as_bytes()))
}

pub(crate) async fn outcome(driven: Driven) -> Outcome {
    soon(driven).await.unwrap().unwrap()
}

pub(crate) fn never() -> impl Executor {
    Run(|_| panic!("what the cache has is not computed"))
}

pub(crate) fn root(run: &RunHandle) -> Action {
    run.action(&ActionName::ROOT).unwrap()
}

pub(crate) fn is_held(action: &Action) -> bool {
    action.phase() == Phase::WaitingForResources
}

#[tokio::test]
async fn s5_a_hit_has_the_outputs_no_attempt_and_the_name_of_its_source() {
    let directory = tempfile::tempdir().unwrap();
    {
        let engine = open(directory.path());
        let (_, driven) = begin(&engine, "one", cached(policy()), Run(|_| done("first")));
        assert_eq!(outcome(driven).await, text("first"));
        let (_, driven) = begin(&engine, "other", main_task(), Run(|_| done("other")));
        assert_eq!(outcome(driven).await, text("other"), "no policy, no cache");
    }
    let engine = open(directory.path());
    let (run, driven) = begin(&engine, "two", cached(policy()), never());
    assert_eq!(outcome(driven).await, text("first"));
    let source = Source::Cache { run: "one".to_owned(), scope: None, action: ActionName::ROOT, attempt: AttemptNo(1) };
    assert_eq!((root(&run).end(), root(&run).attempts), (Some(&End::Reused(source)), 0));
    drop((run, engine));
    let again = open(directory.path()).resume(&crate::id("two")).unwrap();
    assert_eq!(outcome(drive(&again, "a0", never())).await, text("first"));
}

/// A key of every project: the source says where it belongs if that is not where the reader belongs.
#[tokio::test]
async fn s5_a_hit_names_the_project_of_its_source_if_it_is_another_one() {
    let engine = memory();
    let of = |project: &str, name: &str| {
        let new = new_run(name, cached(policy()));
        NewRun { id: RunId { project: project.to_owned(), ..new.id }, ..new }
    };
    let (_, driven) = begin_with(&engine, of("q", "one"), Run(|_| done("first")));
    assert_eq!(outcome(driven).await, text("first"));
    for (project, name, is_elsewhere) in [("p", "two", true), ("q", "three", false), ("p", "one", true)] {
        let (run, driven) = begin_with(&engine, of(project, name), never());
        assert_eq!(outcome(driven).await, text("first"));
        let source = of("q", "one").id;
        let root = root(&run);
        let Some(End::Reused(found @ Source::Cache { run: bare, scope, .. })) = root.end() else { panic!("{root:?}") };
        assert_eq!((bare.as_str(), found.run_id(run.id())), ("one", Some(source.clone())), "{project} {name}");
        assert_eq!(scope.as_deref(), Some(&source.scope()).filter(|_| is_elsewhere), "{project} {name}");
    }
}

#[tokio::test]
async fn s5_overwrite_computes_again_and_replaces() {
    let engine = memory();
    let (_, driven) = begin(&engine, "one", cached(policy()), Run(|_| done("old")));
    assert_eq!(outcome(driven).await, text("old"));
    let overwrite = CachePolicy { overwrite: true, ..alone() };
    let (_, driven) = begin(&engine, "two", cached(overwrite), Run(|_| done("new")));
    assert_eq!(outcome(driven).await, text("new"));
    let (_, driven) = begin(&engine, "three", cached(policy()), never());
    assert_eq!(outcome(driven).await, text("new"));
}

#[tokio::test]
async fn s5_a_value_that_is_too_old_does_not_count() {
    let engine = memory();
    let of_age = |seconds: u64| cached(CachePolicy { max_age_seconds: Some(seconds), ..policy() });
    let (_, driven) = begin(&engine, "one", of_age(0), Run(|_| done("old")));
    assert_eq!(outcome(driven).await, text("old"));
    let (_, driven) = begin(&engine, "two", of_age(3600), never());
    assert_eq!(outcome(driven).await, text("old"));
    let (_, driven) = begin(&engine, "three", of_age(0), Run(|_| done("new")));
    assert_eq!(outcome(driven).await, text("new"));
}

#[tokio::test]
async fn s5_failures_are_not_kept_and_another_key_is_another_value() {
    let engine = memory();
    let (_, driven) = begin(&engine, "one", cached(policy()), Run(|_| Box::pin(async { broken() }) as Body));
    assert!(matches!(outcome(driven).await, Outcome::Failed(_)));
    let (_, driven) = begin(&engine, "two", cached(policy()), Run(|_| done("ok")));
    assert_eq!(outcome(driven).await, text("ok"));
    let other = CachePolicy { key: "p:d:other".to_owned(), ..policy() };
    let (_, driven) = begin(&engine, "three", cached(other), Run(|_| done("other")));
    assert_eq!(outcome(driven).await, text("other"));
}

#[tokio::test]
async fn s5_one_computation_at_a_time_and_the_next_takes_over_if_it_fails() {
    let (engine, stage) = (memory(), Stage::new());
    let (_, one) = begin(&engine, "one", cached(alone()), stage.clone());
    stage.began(1).await;
    let (two_run, two) = begin(&engine, "two", cached(alone()), stage.clone());
    until(&two_run, "a0", is_held).await;
    let (three_run, three) = begin(&engine, "three", cached(alone()), never());
    until(&three_run, "a0", is_held).await;
    // Without `serialize` nobody waits.
    let (_, hasty) = begin(&engine, "hasty", cached(policy()), Run(|_| Box::pin(async { broken() }) as Body));
    assert!(matches!(outcome(hasty).await, Outcome::Failed(_)));
    stage.ends("one/a0", broken());
    assert!(matches!(outcome(one).await, Outcome::Failed(_)));
    assert_eq!(stage.began(2).await, ["one/a0#1", "two/a0#1"]);
    assert_eq!(phase(&three_run, "a0"), Phase::WaitingForResources);
    stage.succeeds("two/a0");
    assert_eq!(outcome(two).await, succeeded());
    assert_eq!(outcome(three).await, succeeded());
    let source = Source::Cache { run: "two".to_owned(), scope: None, action: ActionName::ROOT, attempt: AttemptNo(1) };
    assert_eq!(root(&three_run).end(), Some(&End::Reused(source)));
}

#[tokio::test]
async fn s5_who_waits_for_a_computation_can_be_aborted_timed_out_and_dropped() {
    let (engine, stage) = (memory(), Stage::new());
    let (one_run, one) = begin(&engine, "one", cached(alone()), stage.clone());
    stage.began(1).await;
    let (aborted_run, aborted) = begin(&engine, "aborted", cached(alone()), never());
    until(&aborted_run, "a0", is_held).await;
    aborted_run.abort(ActionName::ROOT, "ann", "enough").await.unwrap();
    assert!(matches!(outcome(aborted).await, Outcome::Aborted { .. }));
    let timeouts = Timeouts { max_queued_time: Some(Duration::from_millis(5)), ..Timeouts::default() };
    let (_, late) = begin(&engine, "late", ActionSpec { timeouts, ..cached(alone()) }, never());
    assert!(matches!(outcome(late).await, Outcome::TimedOut(_)));
    let (dropped_run, dropped) = begin(&engine, "dropped", cached(alone()), never());
    until(&dropped_run, "a0", is_held).await;
    dropped.abort();
    assert!(soon(dropped).await.is_err());
    // The one who computes goes without a result: the next driver of the dropped one computes.
    one_run.abort(ActionName::ROOT, "ann", "enough").await.unwrap();
    assert!(matches!(outcome(one).await, Outcome::Aborted { .. }));
    stage.succeeds("dropped/a0");
    assert_eq!(outcome(drive(&dropped_run, "a0", stage.clone())).await, succeeded());
}

#[tokio::test]
async fn s4_a_dropped_call_that_waits_for_a_computation_is_aborted() {
    let (engine, stage) = (memory(), Stage::new());
    let (_one_run, _one) = begin(&engine, "one", cached(alone()), stage.clone());
    stage.began(1).await;
    let caller = Run(|attempt: Attempt| {
        let (run, scope) = (attempt.run.clone(), Arc::clone(&attempt.scope));
        let body = async move {
            let spec = ActionSpec { cache: Some(alone()), ..child() };
            run.enqueue(name("c"), spec, Bytes::new()).unwrap();
            let never = never();
            let call = run.drive(Call { action: name("c"), inputs: None, caller: Some(scope) }, &never);
            tokio::select! {
                _ = call => {}
                () = until(&run, "c", is_held) => {}
            }
            tokio::task::yield_now().await;
            until(&run, "c", Action::is_finished).await;
            ok()
        };
        Box::pin(attempt.scope.run_body(attempt.run, body)) as Body
    });
    let (run, driven) = begin(&engine, "two", main_task(), caller);
    assert_eq!(outcome(driven).await, succeeded());
    assert_eq!(phase(&run, "c"), Phase::Aborted);
}

#[tokio::test]
async fn s5_a_child_with_the_key_of_its_parent_does_not_wait_for_it() {
    let engine = memory();
    let (_, driven) = begin(
        &engine,
        "one",
        cached(alone()),
        Run(|attempt: Attempt| {
            Box::pin(async move {
                let spec = ActionSpec { cache: Some(alone()), ..child() };
                let inner = start(&attempt.run, "c", spec, Run(|_| done("inner")));
                assert_eq!(outcome(inner).await, text("inner"));
                ok()
            }) as Body
        }),
    );
    assert_eq!(outcome(driven).await, succeeded());
}

#[tokio::test]
async fn s5_an_adopted_attempt_keeps_others_from_computing_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let reopen = || {
        let storage = Storage::Directory { path: directory.path().to_owned(), durability: Durability::Process };
        let config = EngineConfig::embedded(storage, Retention::default());
        Engine::open(EngineConfig { attempts_outlive_the_process: true, ..config }).unwrap()
    };
    {
        let (engine, stage) = (reopen(), Stage::new());
        let (run, driven) = begin(&engine, "one", cached(alone()), stage.clone());
        stage.began(1).await;
        run.committed().await.unwrap();
        driven.abort();
        assert!(soon(driven).await.is_err());
    }
    let (engine, stage) = (reopen(), Stage::new());
    let one = drive(&engine.resume(&crate::id("one")).unwrap(), "a0", stage.clone());
    assert_eq!(stage.began(1).await, ["one/a0#1+"]);
    let (two_run, two) = begin(&engine, "two", cached(alone()), never());
    until(&two_run, "a0", is_held).await;
    stage.succeeds("one/a0");
    assert_eq!(outcome(one).await, succeeded());
    assert_eq!(outcome(two).await, succeeded());
}

#[tokio::test]
async fn s5_a_hit_needs_no_place() {
    let config = EngineConfig::embedded(Storage::Memory, Retention::default());
    let engine = Engine::open(EngineConfig { limits: Limits::of_slots(Some(1)), ..config }).unwrap();
    let (_, driven) = begin(&engine, "one", cached(policy()), Run(|_| done("ok")));
    assert_eq!(outcome(driven).await, text("ok"));
    let stage = Stage::new();
    let (_run, _driven) = begin(&engine, "busy", main_task(), stage.clone());
    stage.began(1).await;
    let (_, driven) = begin(&engine, "two", cached(policy()), never());
    assert_eq!(outcome(driven).await, text("ok"));
}

/// An executor that notes in which phase outputs are delivered, and may refuse them.
struct Delivering {
    delivered: Arc<Mutex<Vec<(Phase, Bytes)>>>,
    refuses: bool,
}

impl Executor for Delivering {
    fn execute(&self, _: Attempt) -> Body {
        done("computed")
    }

    fn deliver<'a>(
        &'a self,
        run: &'a RunHandle,
        action: ActionName,
        outputs: &'a Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>> {
        Box::pin(async move {
            let phase = run.action(&action).unwrap().phase();
            self.delivered.lock().unwrap().push((phase, outputs.clone()));
            if self.refuses { Err(Failure::system("IO", "no space")) } else { Ok(()) }
        })
    }
}

#[tokio::test]
async fn s5_a_hit_is_delivered_before_it_is_visible_and_computed_if_it_cannot_be() {
    let engine = memory();
    let delivered = Arc::new(Mutex::new(Vec::new()));
    let executor = |refuses| Delivering { delivered: Arc::clone(&delivered), refuses };
    let (_, driven) = begin(&engine, "one", cached(policy()), executor(true));
    assert_eq!(outcome(driven).await, text("computed"));
    assert_eq!(*delivered.lock().unwrap(), []);
    let (hit, driven) = begin(&engine, "two", cached(policy()), executor(false));
    assert_eq!(outcome(driven).await, text("computed"));
    assert_eq!(root(&hit).attempts, 0);
    let (refused, driven) = begin(&engine, "three", cached(policy()), executor(true));
    assert_eq!(outcome(driven).await, text("computed"));
    assert_eq!(root(&refused).attempts, 1);
    let once = (Phase::Queued, Bytes::from_static(b"computed"));
    assert_eq!(*delivered.lock().unwrap(), [once.clone(), once]);
}

#[tokio::test]
async fn s4_outputs_of_an_earlier_run_are_recovered() {
    let engine = memory();
    let (run, driven) = begin(&engine, "one", main_task(), Stage::new());
    let recovered = run.enqueue(name("c"), child(), Bytes::new());
    assert!(recovered.unwrap());
    let source = Source::Recovery { run: "zero".to_owned(), attempt: AttemptNo(3) };
    let executor = Run(|_| done("computed"));
    run.reuse(name("c"), source.clone(), Bytes::from_static(b"kept"), &executor).await.unwrap();
    assert_eq!(outcome(drive(&run, "c", never())).await, text("kept"));
    assert_eq!(phase(&run, "c"), Phase::Recovered);
    // Too late for one that has begun.
    let late = Stage::new();
    let child = start(&run, "late", child(), late.clone());
    late.began(1).await;
    run.reuse(name("late"), source, Bytes::from_static(b"kept"), &executor).await.unwrap();
    late.succeeds("one/late");
    assert_eq!(outcome(child).await, succeeded());
    drop(driven);
}

#[tokio::test]
async fn s5_a_cache_that_cannot_be_filled_costs_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let journal = directory.path().join("journal.db");
    let (run, driven) = begin(
        &engine,
        "one",
        cached(policy()),
        Run(move |_| {
            rusqlite::Connection::open(&journal).unwrap().execute_batch("DROP TABLE cache").unwrap();
            Box::pin(async { ok() }) as Body
        }),
    );
    assert_eq!(outcome(driven).await, succeeded());
    assert_eq!(phase(&run, "a0"), Phase::Succeeded);
    let (_, driven) = begin(&engine, "two", main_task(), Run(|_| Box::pin(async { ok() }) as Body));
    assert_eq!(outcome(driven).await, succeeded());
}

#[tokio::test]
async fn s5_outputs_are_kept_only_of_an_attempt_that_stands() {
    let (engine, stage) = (memory(), Stage::new());
    let (run, driven) = begin(
        &engine,
        "one",
        cached(policy()),
        Run(|attempt: Attempt| {
            Box::pin(async move {
                attempt.run.abort(ActionName::ROOT, "ann", "enough").await.unwrap();
                Report::Succeeded(Bytes::from_static(b"too late"))
            }) as Body
        }),
    );
    assert!(matches!(outcome(driven).await, Outcome::Aborted { .. }));
    drop(run);
    stage.succeeds("two/a0");
    let (_, driven) = begin(&engine, "two", cached(policy()), stage);
    assert_eq!(outcome(driven).await, succeeded());
}
