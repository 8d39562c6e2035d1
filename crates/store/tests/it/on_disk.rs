//! Restart, a second process, a newer schema, a full disk and a database that must not grow for ever.

use bytes::Bytes;
use spanwise_core::{ActionKind, ActionName, Failure, Phase, Timestamp};
use spanwise_store::{
    ActionRow, Append, Durability, Error, Payloads, Retention, RunKey, RunQuery, RunRow, Sqlite, Store,
};

use spanwise_store::conformance::examples::{append, append_from, create, enqueued, row, rows, run};

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

/// An empty database as a version of the schema left it; whoever fills it says so in `user_version`.
fn of_version(version: usize, directory: &std::path::Path) -> rusqlite::Connection {
    let migrations = [
        include_str!("../../migrations/sqlite/0001_journal.sql"),
        include_str!("../../migrations/sqlite/0002_control_plane.sql"),
        include_str!("../../migrations/sqlite/0003_lifecycle.sql"),
        include_str!("../../migrations/sqlite/0004_retention.sql"),
        include_str!("../../migrations/sqlite/0005_run_fields.sql"),
        include_str!("../../migrations/sqlite/0006_definitions.sql"),
        include_str!("../../migrations/sqlite/0007_cache_scope.sql"),
        include_str!("../../migrations/sqlite/0008_triggers.sql"),
        include_str!("../../migrations/sqlite/0009_trigger_since.sql"),
        include_str!("../../migrations/sqlite/0010_apps.sql"),
        include_str!("../../migrations/sqlite/0011_notifications.sql"),
        include_str!("../../migrations/sqlite/0012_tracked.sql"),
    ];
    let database = rusqlite_open(directory);
    migrations[..version].iter().for_each(|migration| database.execute_batch(migration).unwrap());
    database
}

/// A new journal is made at once, an old one in steps, and both are the same.
#[test]
fn a_new_journal_is_what_an_old_one_becomes() {
    let schema = |database: &rusqlite::Connection| {
        let mut made =
            database.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").unwrap();
        let rows = made.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
        rows.map(|row| row.unwrap()).filter(|(name, _)| !name.starts_with("sqlite_")).collect::<Vec<_>>()
    };
    let (new, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(open(new.path()).unwrap());
    of_version(1, old.path()).pragma_update(None, "user_version", 1).unwrap();
    drop(open(old.path()).unwrap());
    let (mut new, steps) = (schema(&rusqlite_open(new.path())), schema(&rusqlite_open(old.path())));
    let mut old = steps.clone();
    new.sort();
    old.sort();
    if new != old {
        let head = include_str!("../../migrations/sqlite/schema.sql").split_inclusive('\n').take(2);
        let statements = steps.iter().map(|(_, statement)| format!("\n{statement};\n"));
        let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema.sql");
        std::fs::write(&file, head.map(str::to_owned).chain(statements).collect::<String>()).unwrap();
        panic!("the steps make another schema: {} has it, for migrations/sqlite/schema.sql", file.display());
    }
}

/// What is allowed of a column changes, and no row is copied for it: inputs and outputs may be more than the disk has room for.
#[test]
fn actions_of_a_new_kind_are_taken_by_an_old_journal_which_grows_by_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal.db");
    let insert = |database: &rusqlite::Connection, name: &str, kind: u8| {
        let row = "INSERT INTO actions (run, name, kind, task, phase, attempts, enqueued_at, inputs)
                   VALUES (1, ?1, ?2, 't', 1, 0, 0, zeroblob(1000000))";
        database.execute(row, rusqlite::params![name, kind])
    };
    let database = of_version(12, directory.path());
    for kind in 1..=3 {
        insert(&database, &format!("a{kind}"), kind).unwrap();
    }
    assert!(insert(&database, "timer", 4).is_err());
    database.pragma_update(None, "user_version", 12).unwrap();
    drop(database);
    let before = file.metadata().unwrap().len();
    drop(open(directory.path()).unwrap());
    assert!(file.metadata().unwrap().len() < before + 500_000, "{before}");
    let database = rusqlite_open(directory.path());
    insert(&database, "timer", 4).unwrap();
    assert!(insert(&database, "none", 5).is_err());
    let count: i64 = database.query_row("SELECT count(*) FROM actions", [], |row| row.get(0)).unwrap();
    let integrity: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!((count, integrity.as_str()), (4, "ok"));
}

/// A database as version 1 of the schema left it, with a run under way.
fn version_1(directory: &std::path::Path) {
    let database = rusqlite_open(directory);
    database.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
    database.pragma_update(None, "journal_mode", "WAL").unwrap();
    database.execute_batch(include_str!("../../migrations/sqlite/0001_journal.sql")).unwrap();
    database
        .execute_batch(
            r#"INSERT INTO runs VALUES (3, '', 'p', 'development', 'one', 'env.main', 4, 1, NULL, '{}'),
                                       (4, '', 'p', 'development', 'done', 'env.main', 10, 2, 9, '{}');
               INSERT INTO events VALUES (3, 0, 1, 'a0', 1, '[[1,{"type":"enqueued","spec":{"kind":"task","task":"env.main"}}]]');
               INSERT INTO actions VALUES
                   (3, 'a0', NULL, 1, 'env.main', NULL, 4, 2, 1, 5, NULL, NULL, x'696e', NULL),
                   (3, 's', 'a0', 2, 'load', 'g', 6, 0, 3, 3, 7,
                    '{"code":"E","message":"broken","kind":"User","recoverable":true}', x'', x'6f7574');
               PRAGMA user_version = 1;"#,
        )
        .unwrap();
}

#[test]
fn a_database_of_version_1_keeps_its_rows_and_takes_the_new_ones() {
    let directory = tempfile::tempdir().unwrap();
    version_1(directory.path());
    let store = open(directory.path()).unwrap();
    let (key, found) = store.find(&run("one").id).unwrap().unwrap();
    assert_eq!((key, found), (RunKey(3), RunRow { phase: Phase::Running, ..run("one") }));
    assert_eq!(store.load(key).unwrap().unwrap().events, [enqueued(1)]);
    let step = ActionName::new("s").unwrap();
    let expected = [
        ActionRow { attempts: 2, started_at: Some(Timestamp(5)), ..row(Phase::Running) },
        ActionRow {
            name: step,
            parent: Some(ActionName::ROOT),
            kind: ActionKind::Step,
            task: "load".into(),
            group: Some("g".to_owned()),
            enqueued_at: Timestamp(3),
            started_at: Some(Timestamp(3)),
            ended_at: Some(Timestamp(7)),
            failure: Some(Failure::user("E", "broken")),
            ..row(Phase::Failed)
        },
    ];
    assert_eq!(rows(&store, key, &[ActionName::ROOT, step]), expected);
    let payloads = Payloads { inputs: Some(Bytes::new()), outputs: Some(Bytes::from_static(b"out")) };
    assert_eq!(store.payloads(key, &step).unwrap(), payloads);
    assert_eq!(store.unfinished().unwrap(), [RunRow { phase: Phase::Running, ..run("one") }]);
    let condition = ActionRow {
        name: ActionName::new("ok").unwrap(),
        parent: Some(ActionName::ROOT),
        kind: ActionKind::Condition,
        ..row(Phase::Paused)
    };
    let timer = ActionRow { name: ActionName::new("nap").unwrap(), kind: ActionKind::Timer, ..condition.clone() };
    let actions = vec![(condition, Payloads::default()), (timer, Payloads::default())];
    store.commit(&[Append { actions, ..append(key, 1, vec![enqueued(2)]) }]).unwrap();
    store.commit(&[append_from(key, 2, vec![enqueued(2)], &[("d", "body")])]).unwrap();
    drop(store);
    let store = open(directory.path()).unwrap();
    let all = [ActionName::ROOT, step, ActionName::new("ok").unwrap(), ActionName::new("nap").unwrap()];
    assert_eq!(rows(&store, key, &all).len(), 4);
}

#[test]
fn a_database_of_version_2_knows_what_its_runs_are_made_from() {
    let directory = tempfile::tempdir().unwrap();
    let database = of_version(2, directory.path());
    database
        .execute_batch(
            r#"INSERT INTO runs VALUES (7, '', 'p', 'development', 'one', 'env.main', 4, 1, NULL, '{"definition":"s"}');
               INSERT INTO events VALUES
                   (7, 0, 2, 'a0', 1, '[[1,{"type":"enqueued","spec":{"kind":"task","task":"m","definition":"a"}}],[2,{"type":"held"}]]');
               INSERT INTO definitions VALUES ('s', x'01'), ('a', x'02'), ('of-nothing', x'03');
               PRAGMA user_version = 2;"#,
        )
        .unwrap();
    drop(database);
    let store = Sqlite::open(directory.path(), Durability::Process).unwrap();
    let is_left = |digest| store.definition(digest).unwrap().is_some();
    assert_eq!([is_left("s"), is_left("a"), is_left("of-nothing")], [true, true, false]);
    assert_eq!(create(&store, &run("two")).unwrap(), RunKey(8));
    assert_eq!(store.unfinished().unwrap().len(), 2);
}

/// What a step was made from was stored beside its run then, and not noted with it.
#[test]
fn a_database_of_version_5_keeps_what_its_steps_were_made_from() {
    let directory = tempfile::tempdir().unwrap();
    let database = of_version(5, directory.path());
    database
        .execute_batch(
            r#"INSERT INTO runs (key, org, project, domain, name, task, phase, created_at, settings)
                   VALUES (7, '', 'p', 'development', 'one', 'env.main', 4, 1, '{}');
               INSERT INTO events VALUES
                   (7, 0, 1, 's1', 1, '[[1,{"type":"step_recorded","spec":{"parent":"a0","kind":"step","task":"load","definition":"step"},"started":1,"ended":2,"outcome":"succeeded"}]]'),
                   (7, 1, 1, 's2', 1, '{no JSON');
               INSERT INTO definitions (digest, body) VALUES ('step', x'01'), ('of-nothing', x'03');
               PRAGMA user_version = 5;"#,
        )
        .unwrap();
    drop(database);
    let store = Sqlite::open(directory.path(), Durability::Process).unwrap();
    assert_eq!(["step", "of-nothing"].map(|digest| store.definition(digest).unwrap().is_some()), [true, false]);
}

/// Labels, definition and version of a run stood in its settings then.
#[test]
fn a_database_of_version_4_keeps_what_its_runs_are_found_by() {
    let directory = tempfile::tempdir().unwrap();
    let database = of_version(4, directory.path());
    let settings = r#"{"max_action_concurrency":3,"labels":{"team":"data","a.b/c \"q\" ж":"it's"},"definition":"d","task_version":"v1"}"#;
    let insert = "INSERT INTO runs (key, org, project, domain, name, task, phase, created_at, settings)
                  VALUES (?1, '', 'p', 'development', ?2, 'env.main', 1, 1, ?3)";
    // One odd row keeps no other from being read.
    let twice = r#"{"labels":{"a":"1","a":"2"}}"#;
    let rows = [
        (1, "labelled", settings),
        (2, "bare", "{}"),
        (3, "damaged", "{no JSON"),
        (4, "text", r#"{"labels":"x"}"#),
        (5, "list", r#"{"labels":["x"]}"#),
        (6, "twice", twice),
    ];
    for (key, name, settings) in rows {
        database.execute(insert, rusqlite::params![key, name, settings]).unwrap();
    }
    database.pragma_update(None, "user_version", 4).unwrap();
    drop(database);

    let store = open(directory.path()).unwrap();
    let labels =
        [("team", "data"), ("a.b/c \"q\" ж", "it's")].map(|(label, value)| (label.to_owned(), value.to_owned()));
    let labelled = RunRow {
        labels: labels.into(),
        definition: Some("d".to_owned()),
        task_version: "v1".to_owned(),
        settings: r#"{"max_action_concurrency":3}"#.to_owned(),
        ..run("labelled")
    };
    assert_eq!(store.find(&run("labelled").id).unwrap().unwrap().1, labelled);
    assert_eq!(store.find(&run("bare").id).unwrap().unwrap().1, run("bare"));
    let damaged = RunRow { settings: "{no JSON".to_owned(), ..run("damaged") };
    assert_eq!(store.find(&run("damaged").id).unwrap().unwrap().1, damaged);
    let found = |query: RunQuery| store.runs(&query).unwrap().into_iter().map(|(key, _)| key.0).collect::<Vec<_>>();
    let with = |label: &str, value: Option<&str>| {
        found(RunQuery { labels: vec![(label.to_owned(), value.map(str::to_owned))], ..RunQuery::newest(9) })
    };
    assert_eq!((with("team", Some("data")), with("team", None), with("team", Some("x"))), (vec![1], vec![1], vec![]));
    assert_eq!(with("a.b/c \"q\" ж", Some("it's")), [1]);
    let of_version = |version: &str| RunQuery { task_version: Some(version.to_owned()), ..RunQuery::newest(9) };
    assert_eq!((found(of_version("v1")), found(of_version(""))), (vec![1], vec![6, 5, 4, 3, 2]));
    for name in ["text", "list"] {
        assert_eq!(store.find(&run(name).id).unwrap().unwrap().1, run(name));
    }
    assert_eq!(with("a", None), [6]);
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

#[test]
fn a_new_directory_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("deep/data");
    drop(Sqlite::open(&data, Durability::Process).unwrap());
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
}
