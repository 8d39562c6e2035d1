//! Feeds of a parent's children, and conditions from creation to signal.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, End, Phase, Rejection, Timeouts};
use spanwise_engine::{Error, Outcome, RunHandle};

use crate::stage::*;
use crate::{Body, Run, id, main_task, memory, open, phase};

fn condition(timeouts: Timeouts) -> ActionSpec {
    ActionSpec { timeouts, ..ActionSpec::condition("approve", ActionName::ROOT) }
}

#[tokio::test]
async fn a_feed_names_each_changed_child_once_however_often_it_changed() {
    let (engine, stage) = (memory(), Stage::new());
    let (run, _root) = begin(&engine, "one", main_task(), stage.clone());
    stage.began(1).await;
    run.enqueue(name("early"), child(), Bytes::new()).unwrap();
    let feed = run.feed(ActionName::ROOT);
    let other = run.feed(name("c"));
    for action in ["c", "b"] {
        run.enqueue(name(action), child(), Bytes::new()).unwrap();
    }
    let grandchild = ActionSpec { parent: Some(name("c")), ..child() };
    run.enqueue(name("g"), grandchild, Bytes::new()).unwrap();
    assert_eq!(soon(feed.changed()).await, [name("b"), name("c")]);
    assert_eq!(soon(other.changed()).await, [name("g")]);
    let driven = start(&run, "b", child(), stage.clone());
    stage.succeeds("one/b");
    assert_eq!(soon(driven).await.unwrap().unwrap(), succeeded());
    // Launched, started and ended since the last answer.
    assert_eq!(soon(feed.changed()).await, [name("b")]);
    run.abort(name("c"), "ann", "enough").await.unwrap();
    assert_eq!(soon(feed.changed()).await, [name("c")]);
    assert_eq!(soon(other.changed()).await, [name("g")]);
    let nothing = tokio::time::timeout(Duration::ZERO, feed.changed()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

/// A client that reads the feed and looks at what it names has seen every end, whatever happens between its looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_feed_loses_no_change() {
    let (engine, stage) = (memory(), Stage::new());
    let (run, _root) = begin(&engine, "one", main_task(), stage.clone());
    stage.began(1).await;
    let feed = run.feed(ActionName::ROOT);
    let mut waiting: BTreeSet<ActionName> = (0..1000).map(|index| name(&format!("c{index}"))).collect();
    for action in &waiting {
        let body = Run(|_| {
            Box::pin(async {
                tokio::task::yield_now().await;
                ok()
            }) as Body
        });
        start(&run, action.as_str(), child(), body);
    }
    soon(async {
        while !waiting.is_empty() {
            for changed in feed.changed().await {
                if run.action(&changed).unwrap().is_finished() {
                    waiting.remove(&changed);
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn s7_a_condition_survives_a_restart_and_gives_the_value_of_its_signal() {
    let directory = tempfile::tempdir().unwrap();
    {
        let engine = open(directory.path());
        let (run, root) = begin(&engine, "one", main_task(), Stage::new());
        run.enqueue(name("ok"), condition(Timeouts::default()), Bytes::from_static(b"prompt")).unwrap();
        run.committed().await.unwrap();
        root.abort();
        assert!(soon(root).await.is_err());
    }
    let engine = open(directory.path());
    let run = engine.resume(&id("one")).unwrap();
    assert_eq!(phase(&run, "ok"), Phase::Paused);
    assert_eq!(run.unfinished(), [ActionName::ROOT, name("ok")]);
    let driven = drive(&run, "ok", Stage::new());
    until_driven(&run, "ok").await;
    run.signal(name("ok"), "ann", None, Bytes::from_static(b"true")).await.unwrap();
    for outcome in [soon(driven).await.unwrap(), soon(run.wait(name("ok"))).await] {
        assert_eq!(outcome.unwrap(), Outcome::Succeeded(Bytes::from_static(b"true")));
    }
    assert!(!run.is_driven(&name("ok")));
    assert_eq!(run.action(&name("ok")).unwrap().end(), Some(&End::Signalled { by: "ann".to_owned() }));
    let second = run.signal(name("ok"), "bob", None, Bytes::from_static(b"false")).await;
    assert!(matches!(second, Err(Error::Rejected(Rejection::WrongState { .. }))), "{second:?}");
    let payloads = run.payloads(&name("ok")).await.unwrap();
    assert_eq!(payloads, (Some(Bytes::from_static(b"prompt")), Some(Bytes::from_static(b"true"))));
}

#[tokio::test]
async fn s7_a_condition_times_out_where_somebody_drives_it() {
    let (engine, stage) = (memory(), Stage::new());
    let (run, _root) = begin(&engine, "one", main_task(), stage.clone());
    stage.began(1).await;
    let timeouts = Timeouts { deadline: Some(Duration::from_millis(5)), ..Timeouts::default() };
    run.enqueue(name("ok"), condition(timeouts), Bytes::new()).unwrap();
    let outcome = soon(drive(&run, "ok", stage.clone())).await.unwrap();
    assert!(matches!(outcome, Ok(Outcome::TimedOut(_))), "{outcome:?}");
    assert_eq!((phase(&run, "ok"), run.action(&name("ok")).unwrap().attempts), (Phase::TimedOut, 0));
    assert!(run.signal(name("ok"), "ann", None, Bytes::new()).await.is_err());
    let unknown = soon(drive(&run, "x", stage)).await.unwrap();
    assert!(matches!(unknown, Err(Error::Rejected(Rejection::NotFound(_)))), "{unknown:?}");
}

#[tokio::test]
async fn s7_a_condition_is_left_as_it_is_by_an_interruption_and_by_a_driver_that_goes_away() {
    let (engine, stage) = (memory(), Stage::new());
    let (run, _root) = begin(&engine, "one", main_task(), stage.clone());
    stage.began(1).await;
    run.enqueue(name("ok"), condition(Timeouts::default()), Bytes::new()).unwrap();
    for is_interrupted in [false, true] {
        let driven = drive(&run, "ok", stage.clone());
        until_driven(&run, "ok").await;
        if is_interrupted {
            engine.interrupt();
        } else {
            driven.abort();
        }
        soon(async {
            while run.is_driven(&name("ok")) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(phase(&run, "ok"), Phase::Paused);
    }
}

async fn until_driven(run: &RunHandle, action: &str) {
    soon(async {
        while !run.is_driven(&name(action)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
