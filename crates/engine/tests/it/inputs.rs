//! What comes with a run or an action: its definitions, stored with it, and its inputs, which a driver may have in hand.

use std::future::Future;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, RetryPolicy, Timestamp};
use spanwise_engine::{
    Attempt, Call, Definition, Durability, Engine, EngineConfig, Executor, Limits, NewAction, NewRun, NewStep,
    Retention, RunHandle, RunSettings, Scope, Storage, TaskRow,
};

use crate::cache::{alone, cached, is_held as is_waiting};
use crate::stage::*;
use crate::{Body, Error, id, main_task, memory, new_run, open};

fn definition(digest: &str) -> Definition {
    Definition { digest: digest.to_owned(), body: Bytes::from(format!("body of {digest}")) }
}

fn made_from(digest: &str, spec: ActionSpec) -> ActionSpec {
    ActionSpec { definition: Some(digest.into()), ..spec }
}

/// Each way on which a definition comes: it is found at once, and after a restart.
#[tokio::test]
async fn a_definition_is_found_from_when_it_was_accepted_on() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let all = ["of-settings", "of-root", "of-child", "of-step", "of-task"];
    let assert_there = |engine: &Engine, digests: &[&str]| {
        let is_there = |digest: &&&str| engine.definition(digest).unwrap() == Some(definition(digest).body);
        assert_eq!(all.iter().filter(is_there).copied().collect::<Vec<_>>(), digests);
    };
    let settings = RunSettings { definition: Some("of-settings".to_owned()), ..RunSettings::default() };
    let definitions = vec![definition("of-settings"), definition("of-root")];
    let new = NewRun { settings, definitions, ..new_run("one", made_from("of-root", main_task())) };
    let run = engine.create_run(new.clone()).unwrap();
    assert_there(&engine, &all[..2]);

    let child = NewAction { spec: made_from("of-child", child()), definition: Some(definition("of-child")) };
    assert!(run.enqueue(name("c"), child.clone(), Bytes::new()).unwrap());
    assert_there(&engine, &all[..3]);

    let spec = made_from("of-step", ActionSpec::step("load", ActionName::ROOT));
    let (started, inputs, outcome) = (run.now(), Bytes::new(), Ok(Bytes::new()));
    let definition_of_step = Some(definition("of-step"));
    let step = NewStep { spec, started, inputs, outcome, observed: false, definition: definition_of_step };
    run.record_step(name("s"), step).await.unwrap();
    assert_there(&engine, &all[..4]);

    let scope = Scope { org: String::new(), project: "p".to_owned(), domain: "d".to_owned() };
    let (task, version, digest) = ("env.t".to_owned(), "1".to_owned(), "of-task".to_owned());
    let row = TaskRow { scope, name: task, version, definition: digest, deployed_at: Timestamp(1) };
    assert!(engine.deploy_task(&row, &definition("of-task").body).unwrap());
    assert_there(&engine, &all);

    // What is refused, or there already, brings nothing.
    let other = || Some(definition("of-nothing"));
    let taken = NewRun { definitions: other().into_iter().collect(), ..new };
    assert!(matches!(engine.create_run(taken), Err(Error::AlreadyExists(_))));
    assert!(!run.enqueue(name("c"), NewAction { definition: other(), ..child }, Bytes::new()).unwrap());
    assert!(!engine.deploy_task(&row, &definition("of-nothing").body).unwrap());
    run.committed().await.unwrap();
    drop((run, engine));
    let engine = open(directory.path());
    assert_there(&engine, &all);
    assert_eq!(engine.definition("of-nothing").unwrap(), None);
}

/// Notes the inputs of each attempt.
#[derive(Clone)]
struct Noting(Arc<Mutex<Vec<Bytes>>>, Stage);

impl Executor for Noting {
    fn execute(&self, attempt: Attempt) -> Body {
        self.0.lock().unwrap().push(attempt.inputs.clone());
        self.1.execute(attempt)
    }
}

/// A driver that does not wait is given what is in hand; one that waits keeps small inputs only. What is handed over is told from what
/// is stored by being something else.
#[tokio::test]
async fn inputs_in_hand_are_not_read_from_the_journal_unless_they_are_large_and_had_to_wait() {
    let config = EngineConfig::embedded(Storage::Memory, Retention::default());
    let engine = Engine::open(EngineConfig { limits: Limits::of_slots(Some(1)), ..config }).unwrap();
    let (small, large) = (Bytes::from_static(b"in hand"), Bytes::from(vec![7; 100_000]));
    let stored = Bytes::from_static(b"in");
    let cases = [
        ("small", false, Some(&small), &small),
        ("large", false, Some(&large), &large),
        ("none", false, None, &stored),
        ("small-held", true, Some(&small), &small),
        ("large-held", true, Some(&large), &stored),
        ("none-held", true, None, &stored),
    ];
    for (case, is_held, in_hand, expected) in cases {
        let (stage, noted) = (Stage::new(), Arc::new(Mutex::default()));
        let before = is_held.then(|| begin(&engine, &format!("before-{case}"), main_task(), stage.clone()));
        if is_held {
            stage.began(1).await;
        }
        let run = engine.create_run(new_run(case, main_task())).unwrap();
        let call = Call { action: ActionName::ROOT, inputs: in_hand.cloned(), caller: None };
        let (driven, executor) = (run.clone(), Noting(Arc::clone(&noted), stage.clone()));
        let driven = tokio::spawn(async move { driven.drive(call, &executor).await });
        if let Some((before, before_driven)) = before {
            until(&run, "a0", |root| root.phase() == spanwise_core::Phase::WaitingForResources).await;
            stage.succeeds(&format!("{}/a0", before.id().name));
            soon(before_driven).await.unwrap().unwrap();
        }
        stage.succeeds(&format!("{case}/a0"));
        assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
        assert_eq!(noted.lock().unwrap().iter().collect::<Vec<_>>(), [expected], "{case}");
    }
}

/// Each wait for somebody else's computation, and each attempt after the first. The key is free, or the one before fails to compute it.
#[tokio::test]
async fn large_inputs_are_kept_neither_while_somebody_else_computes_nor_for_a_second_attempt() {
    let (small, large) = (Bytes::from_static(b"in hand"), Bytes::from(vec![7; 100_000]));
    let stored = Bytes::from_static(b"in");
    let retry = RetryPolicy { retries: 1, backoff: None };
    let (of_key, again) = (cached(alone()), ActionSpec { retry, ..main_task() });
    let cases = [
        ("large-of-free-key", false, &of_key, &large, vec![&large]),
        ("small-of-key", true, &of_key, &small, vec![&small]),
        ("large-of-key", true, &of_key, &large, vec![&stored]),
        ("small-again", false, &again, &small, vec![&small, &small]),
        ("large-again", false, &again, &large, vec![&large, &stored]),
    ];
    for (case, is_held, spec, in_hand, expected) in cases {
        let (engine, stage, noted) = (memory(), Stage::new(), Arc::new(Mutex::default()));
        let before = is_held.then(|| begin(&engine, "before", of_key.clone(), stage.clone()));
        if is_held {
            stage.began(1).await;
        }
        let run = engine.create_run(new_run(case, spec.clone())).unwrap();
        let call = Call { action: ActionName::ROOT, inputs: Some(in_hand.clone()), caller: None };
        let (driven, executor) = (run.clone(), Noting(Arc::clone(&noted), stage.clone()));
        let driven = tokio::spawn(async move { driven.drive(call, &executor).await });
        if let Some((_, before)) = before {
            until(&run, "a0", is_waiting).await;
            stage.ends("before/a0", broken());
            soon(before).await.unwrap().unwrap();
        }
        stage.ends(&format!("{case}/a0"), broken());
        soon(driven).await.unwrap().unwrap();
        assert_eq!(noted.lock().unwrap().iter().collect::<Vec<_>>(), expected, "{case}");
    }
}

/// What comes of it at the first look.
async fn at_once<T>(what: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = what => Some(done),
        () = std::future::ready(()) => None,
    }
}

/// On a server, whose attempts outlive it, requests want the thread although at most one action is doing something.
#[tokio::test]
async fn what_is_asked_of_the_store_stays_on_its_callers_thread_only_if_nobody_else_may_want_it() {
    for (attempts_outlive_the_process, stays) in [(false, true), (true, false)] {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::Directory { path: directory.path().to_owned(), durability: Durability::Process };
        let config = EngineConfig::embedded(storage, Retention::default());
        let engine = Engine::open(EngineConfig { attempts_outlive_the_process, ..config }).unwrap();
        let run = engine.create_run(new_run("one", main_task())).unwrap();
        let read = at_once(run.payloads(&ActionName::ROOT)).await;
        let accepted = at_once(engine.accept_run(new_run("two", main_task()), |_| {})).await;
        assert_eq!((read.is_some(), accepted.is_some()), (stays, stays), "{attempts_outlive_the_process}");
    }
}

/// On the caller's thread and on another one, the second with a caller that goes away.
#[tokio::test]
async fn a_run_that_is_accepted_is_begun_also_if_its_caller_has_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, stage) = (open(directory.path()), Stage::new());
    let (begins, begun) = std::sync::mpsc::channel();
    let begin = || {
        let begins = begins.clone();
        move |run: &RunHandle| begins.send(run.id().name.to_string()).unwrap()
    };
    let alone = engine.accept_run(new_run("alone", main_task()), begin()).await.unwrap();
    assert_eq!((alone.id(), begun.try_recv().unwrap().as_str()), (&id("alone"), "alone"));
    let _others = ["a", "b"].map(|run| crate::stage::begin(&engine, run, main_task(), stage.clone()));
    stage.began(2).await;
    let taken = engine.accept_run(new_run("alone", main_task()), begin()).await;
    assert!(matches!(taken, Err(Error::AlreadyExists(_))), "{taken:?}");
    let dropped = tokio::select! {
        biased;
        accepted = engine.accept_run(new_run("dropped", main_task()), begin()) => panic!("{accepted:?}"),
        () = std::future::ready(()) => true,
    };
    assert!(dropped);
    let begun = tokio::task::spawn_blocking(move || begun.recv_timeout(std::time::Duration::from_secs(30)));
    assert_eq!(begun.await.unwrap().unwrap(), "dropped");
    assert!(engine.resume(&id("dropped")).is_ok());
}
