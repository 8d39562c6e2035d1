//! Restart, a second process, a newer schema, a full disk and a database that must not grow for ever.

use bytes::Bytes;
use spanwise_core::{Phase, Timestamp};
use spanwise_store::{Append, Durability, Error, Payloads, Retention, Sqlite, Store};

use crate::conformance::{append, create, enqueued, row, run};

fn open(path: &std::path::Path) -> Result<Sqlite, Error> {
    Sqlite::open(path, Durability::Process)
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let key = {
        let store = open(directory.path()).unwrap();
        let key = create(&store, &run("one")).unwrap();
        store.commit(&[append(key, 0, vec![enqueued(1)])]).unwrap();
        key
    };
    assert_eq!(open(directory.path()).unwrap().load(key).unwrap().unwrap().events, [enqueued(1)]);
}

#[test]
fn a_second_owner_of_the_directory_is_refused_and_told_who_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let message = open(directory.path()).unwrap_err().to_string();
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    assert!(message.contains("SPANWISE_DATA_DIR"), "{message}");
    drop(first);
    open(directory.path()).unwrap();
}

#[test]
fn a_schema_from_the_future_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let database = rusqlite_open(directory.path());
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    assert!(matches!(open(directory.path()), Err(Error::Newer { .. })));
}

#[test]
fn an_event_from_the_future_is_refused_and_not_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let key = create(&store, &run("one")).unwrap();
    let sql = "INSERT INTO events (run, seq, count, action, v, body) VALUES (?1, 0, 1, 'a0', ?2, ?3)";
    rusqlite_open(directory.path())
        .execute(sql, rusqlite::params![key.0, 1, r#"[[1,{"type":"teleported"}]]"#])
        .unwrap();
    let message = store.load(key).unwrap_err().to_string();
    assert!(message.contains("teleported"), "{message}");
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let key = create(&store, &run("one")).unwrap();
    store.commit(&[append(key, 0, vec![enqueued(1)])]).unwrap();
    store.limit_pages(40).unwrap();
    let large = Payloads { inputs: Some(Bytes::from(vec![7; 1 << 20])), outputs: None };
    let refused =
        store.commit(&[Append { actions: vec![(row(Phase::Queued), large)], ..append(key, 1, vec![enqueued(2)]) }]);
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    assert_eq!(store.load(key).unwrap().unwrap().events, [enqueued(1)]);
    store.commit(&[append(key, 1, vec![enqueued(2)])]).unwrap();
}

#[test]
fn pruning_by_size_gives_the_space_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let keep = Retention { max_age: None, max_bytes: Some(2 << 20) };
    let database = directory.path().join("journal.db");
    for index in 0..60i64 {
        let key = create(&store, &run(&format!("run-{index}"))).unwrap();
        let value = Payloads { inputs: Some(Bytes::from(vec![7; 100_000])), outputs: None };
        let run_phase = Some((Phase::Succeeded, Some(Timestamp(index))));
        let append = append(key, 0, vec![enqueued(index)]);
        store.commit(&[Append { actions: vec![(row(Phase::Succeeded), value)], run_phase, ..append }]).unwrap();
        store.prune(&keep, Timestamp(index)).unwrap();
    }
    let names: Vec<String> = store
        .runs(&spanwise_store::RunQuery::newest(100))
        .unwrap()
        .iter()
        .map(|(_, run)| run.id.name.to_string())
        .collect();
    assert_eq!(names.first().map(String::as_str), Some("run-59"), "the newest stays");
    assert!(!names.contains(&"run-0".to_owned()) && names.len() < 30, "{names:?}");
    drop(store);
    let size = std::fs::metadata(database).unwrap().len();
    assert!(size < 6 << 20, "{size} bytes after pruning to 2 MiB");
}

fn rusqlite_open(directory: &std::path::Path) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.join("journal.db")).unwrap()
}
