//! Stored runs that cannot be read, and times that cannot be: what is wrong with one is no matter of the others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionName, AttemptNo, Backoff, Event, Fact, Failure, FailureKind, Phase, RetryPolicy, Timestamp};
use spanwise_engine::{Engine, EngineConfig, Outcome, Retention, RunQuery, Storage};
use spanwise_store::{Append, Durability, RunKey, RunRow, Sqlite, Store};

use crate::stage::*;
use crate::{Run, done, id, main_task, new_run, open, root};

#[tokio::test]
async fn a_run_that_cannot_be_read_is_named_with_its_cause_and_the_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let damages = [
        ("garbled", "UPDATE events SET body = '[[1,{\"type\"' WHERE run = ?1"),
        ("newer", "UPDATE events SET v = 2 WHERE run = ?1"),
        ("settings", "UPDATE runs SET settings = '{\"warnings\":7}' WHERE key = ?1"),
        ("row", "UPDATE runs SET created_at = 'noon' WHERE key = ?1"),
        ("action", "UPDATE events SET action = '' WHERE run = ?1"),
    ];
    let keys = damages.map(|(name, _)| engine.create_run(new_run(name, main_task())).unwrap().key());
    engine.create_run(new_run("sound", main_task())).unwrap();
    drop(engine);
    let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    for ((name, damage), key) in damages.iter().zip(keys) {
        assert_eq!(database.execute(damage, [key.0]).unwrap(), 1, "{name}");
    }

    let engine = open(directory.path());
    // Before anybody has loaded one: what a row alone shows.
    let listed = engine.runs(&RunQuery::newest(10)).unwrap();
    let listed: Vec<_> = listed.iter().filter(|(_, row)| row.unreadable.is_some()).map(|(_, row)| &row.id).collect();
    assert_eq!(listed, [&id("row"), &id("settings")]);
    let mut resumed = Vec::new();
    for id in engine.unfinished().unwrap() {
        match engine.resume(&id) {
            Ok(run) => resumed.push(run),
            Err(error) => assert!(error.is_damage(), "{}: {error:?}", id.name),
        }
    }
    let [sound] = &resumed[..] else { panic!("{resumed:?}") };
    assert_eq!(sound.drive(root(), &Run(|_| done("ok"))).await.unwrap(), Outcome::Succeeded(Bytes::from_static(b"ok")));
    let mut unreadable: Vec<_> =
        engine.unreadable().into_iter().map(|(id, cause)| (id.name.to_string(), cause)).collect();
    unreadable.sort();
    assert_eq!(unreadable.len(), damages.len(), "{unreadable:?}");
    for (row, (name, cause)) in [
        ("action", "action name"),
        ("garbled", "damaged"),
        ("newer", "version 2"),
        ("row", "Text"),
        ("settings", "settings of run"),
    ]
    .iter()
    .enumerate()
    {
        assert!(unreadable[row].0 == *name && unreadable[row].1.contains(cause), "{name}: {unreadable:?}");
    }
    // In the list with the others.
    let listed = engine.runs(&RunQuery::newest(10)).unwrap();
    assert_eq!(listed.iter().filter(|(_, row)| row.unreadable.is_some()).count(), damages.len());
    assert!(listed[0].1.id == id("sound") && listed[0].1.phase == Phase::Succeeded, "{listed:?}");
}

#[tokio::test]
async fn s4_a_backoff_waits_at_most_its_length_after_the_clock_was_set_back() {
    let directory = tempfile::tempdir().unwrap();
    let retry = RetryPolicy { retries: 1, backoff: Some(Backoff::constant(Duration::from_millis(50))) };
    let spec = spanwise_core::ActionSpec { retry, ..main_task() };
    // A year from now by today's clock.
    let year = i64::try_from(Duration::from_hours(365 * 24).as_micros()).unwrap();
    let at = Timestamp(open(directory.path()).now().0 + year);
    let failure = Failure::user("E", "no");
    let attempt = AttemptNo(1);
    let facts = [
        Fact::Enqueued { spec: Arc::new(spec) },
        Fact::Launched { attempt },
        Fact::Started { attempt },
        Fact::AttemptFailed { attempt, failure },
        Fact::BackedOff { until: at.after(Duration::from_millis(50)) },
    ];
    let events = facts.map(|fact| Event { at, action: ActionName::ROOT, fact }).to_vec();
    let row = RunRow {
        id: id("one"),
        task: "env.main".into(),
        phase: Phase::Queued,
        created_at: at,
        ended_at: None,
        labels: Default::default(),
        definition: None,
        task_version: String::new(),
        fired_by: None,
        tracked: false,
        settings: "{}".to_owned(),
        export: None,
        unreadable: None,
    };
    let store = Sqlite::open(directory.path(), Durability::Process).unwrap();
    let first = Append {
        run: RunKey(0),
        first_seq: 0,
        events,
        actions: Vec::new(),
        run_phase: None,
        in_doubt: false,
        definitions: Vec::new(),
        receivers: Vec::new(),
        given: Vec::new(),
        artifacts: Vec::new(),
    };
    store.create_run(&row, first).unwrap();
    drop(store);

    let run = open(directory.path()).resume(&id("one")).unwrap();
    let outcome = soon(run.drive(root(), &Run(|_| done("ok")))).await.unwrap();
    assert_eq!(outcome, Outcome::Succeeded(Bytes::from_static(b"ok")));
}

#[tokio::test]
async fn an_action_whose_inputs_cannot_be_read_fails_alone_under_a_live_parent() {
    for outlive in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::Directory { path: directory.path().to_owned(), durability: Durability::Process };
        let config = EngineConfig::embedded(storage, Retention::default());
        let engine = Engine::open(EngineConfig { attempts_outlive_the_process: outlive, ..config }).unwrap();
        let stage = Stage::new();
        let (run, root) = begin(&engine, "one", main_task(), stage.clone());
        stage.began(1).await;
        for action in ["damaged", "sound"] {
            run.enqueue(name(action), child(), Bytes::from_static(b"in")).unwrap();
        }
        run.committed().await.unwrap();
        let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
        let damage = "UPDATE actions SET inputs = 7.5 WHERE run = ?1 AND name = 'damaged'";
        assert_eq!(database.execute(damage, [run.key().0]).unwrap(), 1);

        let outcome = soon(drive(&run, "damaged", stage.clone())).await.unwrap().unwrap();
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!((failure.kind, failure.recoverable), (FailureKind::System, false));
        assert!(failure.message.starts_with("read the stored inputs: "), "{failure:?}");
        assert_eq!(run.action(&name("damaged")).unwrap().attempts, 1);
        // The others and the parent go on.
        assert!(!run.is_broken());
        stage.succeeds("one/sound");
        assert_eq!(soon(drive(&run, "sound", stage.clone())).await.unwrap().unwrap(), succeeded());
        stage.succeeds("one/a0");
        assert_eq!(soon(root).await.unwrap().unwrap(), succeeded());
        assert_eq!(stage.began(2).await, ["one/a0#1", "one/sound#1"]);
    }
}

#[tokio::test]
async fn outputs_of_an_ended_child_that_cannot_be_read_do_not_break_its_run_off() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, stage) = (open(directory.path()), Stage::new());
    let (run, root) = begin(&engine, "one", main_task(), stage.clone());
    stage.began(1).await;
    stage.succeed(&["one/c"]);
    assert_eq!(soon(start(&run, "c", child(), stage.clone())).await.unwrap().unwrap(), succeeded());
    let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    let damage = "UPDATE actions SET outputs = 7.5 WHERE run = ?1 AND name = 'c'";
    assert_eq!(database.execute(damage, [run.key().0]).unwrap(), 1);
    let error = soon(drive(&run, "c", stage.clone())).await.unwrap().unwrap_err();
    assert!(error.is_damage() && !run.is_broken(), "{error:?}");
    stage.succeeds("one/a0");
    assert_eq!(soon(root).await.unwrap().unwrap(), succeeded());
}

/// Both ways in which a run that could not be read is there again: it was mended, or its name belongs to another one.
#[tokio::test]
async fn a_run_that_can_be_read_again_is_no_longer_among_those_that_cannot() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let keys = ["mended", "another"].map(|name| engine.create_run(new_run(name, main_task())).unwrap().key());
    drop(engine);
    let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    assert_eq!(database.execute("UPDATE events SET v = v + 1", []).unwrap(), 2);
    let engine = open(directory.path());
    for name in ["mended", "another"] {
        assert!(engine.resume(&id(name)).unwrap_err().is_damage(), "{name}");
    }
    assert_eq!(engine.unreadable().len(), 2);

    assert_eq!(database.execute("UPDATE events SET v = v - 1 WHERE run = ?1", [keys[0].0]).unwrap(), 1);
    engine.resume(&id("mended")).unwrap();
    assert_eq!(engine.unreadable().into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [id("another")]);
    assert_eq!(database.execute("DELETE FROM runs WHERE key = ?1", [keys[1].0]).unwrap(), 1);
    engine.create_run(new_run("another", main_task())).unwrap();
    assert_eq!(engine.unreadable(), []);
    let listed = engine.runs(&RunQuery::newest(10)).unwrap();
    assert!(listed.len() == 2 && listed.iter().all(|(_, row)| row.unreadable.is_none()), "{listed:?}");
}
