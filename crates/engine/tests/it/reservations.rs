//! One computation of a key at a time, together with limits and in a crowd.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, End};
use spanwise_engine::{Attempt, Engine, NewRun, RunHandle, RunOptions, RunSettings};

use crate::cache::{alone, cached, is_held, never, outcome, root};
use crate::stage::*;
use crate::{Body, Run, main_task, memory, new_run};

/// A run that may do two things at one time, with two children under way.
async fn full_run_after(engine: &Engine, stage: &Stage, begun: usize) -> (RunHandle, Driven, Vec<Driven>) {
    let settings = RunSettings {
        options: RunOptions { max_action_concurrency: Some(2), ..RunOptions::default() },
        ..RunSettings::default()
    };
    let (run, driven) = begin_with(engine, NewRun { settings, ..new_run("full", main_task()) }, stage.clone());
    stage.began(begun + 1).await;
    let children = ["p", "q"].map(|action| start(&run, action, child(), stage.clone()));
    stage.began(begun + 3).await;
    (run, driven, children.into())
}

#[tokio::test]
async fn s7_who_waits_for_a_computation_lets_others_of_its_run_go_first() {
    let (engine, stage) = (memory(), Stage::new());
    let (_, elsewhere) = begin(&engine, "one", cached(alone()), stage.clone());
    stage.began(1).await;
    let (run, _root, mut children) = full_run_after(&engine, &stage, 1).await;
    let waiting = ["first", "second"].map(|action| {
        let spec = ActionSpec { cache: Some(alone()), ..child() };
        start(&run, action, spec, never())
    });
    until(&run, "second", is_held).await;
    children.push(start(&run, "last", child(), stage.clone()));
    until(&run, "last", is_held).await;
    stage.succeed(&["full/p", "full/q", "full/last"]);
    for driven in children {
        assert_eq!(outcome(driven).await, succeeded());
    }
    stage.succeeds("one/a0");
    assert_eq!(outcome(elsewhere).await, succeeded());
    for driven in waiting {
        assert_eq!(outcome(driven).await, succeeded());
    }
}

#[tokio::test]
async fn s7_who_may_compute_a_key_is_not_behind_those_who_wait_for_it() {
    let (engine, stage) = (memory(), Stage::new());
    let (run, _root, mut children) = full_run_after(&engine, &stage, 0).await;
    for action in ["first", "second", "third"] {
        run.enqueue(name(action), ActionSpec { cache: Some(alone()), ..child() }, Bytes::new()).unwrap();
    }
    // The third one is driven first: it may compute, and waits for its run.
    children.push(drive(&run, "third", stage.clone()));
    until(&run, "third", is_held).await;
    tokio::task::yield_now().await;
    children.extend(["first", "second"].map(|action| drive(&run, action, never())));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    stage.succeed(&["full/p", "full/q", "full/third"]);
    for driven in children {
        assert_eq!(outcome(driven).await, succeeded());
    }
}

/// Of five hundred who want one key, some of whom are aborted or dropped, one computes at a time until one succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s5_a_crowd_computes_a_key_one_by_one_until_it_is_there() {
    let engine = memory();
    let computing: Arc<Mutex<Vec<RunHandle>>> = Arc::default();
    let begun = Arc::new(AtomicUsize::new(0));
    let executor = |index: usize| {
        let (computing, begun) = (Arc::clone(&computing), Arc::clone(&begun));
        Run(move |attempt: Attempt| {
            let (computing, begun) = (Arc::clone(&computing), Arc::clone(&begun));
            Box::pin(async move {
                {
                    let mut all = computing.lock().unwrap();
                    all.push(attempt.run);
                    all.retain(|run| root(run).attempt().is_some());
                    assert!(all.len() <= 1, "{all:?}");
                }
                begun.fetch_add(1, Ordering::SeqCst);
                for _ in 0..index % 5 {
                    tokio::task::yield_now().await;
                }
                if index < 400 { broken() } else { ok() }
            }) as Body
        })
    };
    let all: Vec<_> =
        (0..500).map(|index| begin(&engine, &format!("run-{index}"), cached(alone()), executor(index))).collect();
    for (index, (run, driven)) in all.iter().enumerate() {
        match index % 7 {
            2 => {
                run.abort(ActionName::ROOT, "ann", "enough").await.unwrap();
            }
            5 => driven.abort(),
            _ => {}
        }
    }
    let (mut dropped, mut hits) = (0, 0);
    for (index, (run, driven)) in all.into_iter().enumerate() {
        match soon(driven).await {
            Err(_) => dropped += 1,
            Ok(outcome) => {
                assert!(root(&run).is_finished(), "{index}: {outcome:?}");
                hits += usize::from(matches!(root(&run).end(), Some(End::Reused(_))));
            }
        }
    }
    let begun = begun.load(Ordering::SeqCst);
    assert!(hits > 50 && begun + hits + dropped <= 500, "{begun} computed, {hits} hits, {dropped} dropped");
}
