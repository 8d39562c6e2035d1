//! A journal that is missing, empty, cut, damaged or another one: it is refused by its name, nothing is touched, and a repair leads on.
//! A directory that goes while it is used is noticed.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use spanwise_core::{Phase, Timestamp};
use spanwise_store::{Durability, Error, RunKey, RunQuery, Sqlite, Store};

use spanwise_store::conformance::examples::{append, create, enqueued, run};

fn open(path: &Path) -> Result<Sqlite, Error> {
    Sqlite::open(path, Durability::Process)
}

/// A journal with some runs, closed.
fn used() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    for index in 0..40 {
        let key = create(&store, &run(&format!("run-{index}"))).unwrap();
        store.commit(&[append(key, 0, vec![enqueued(index)])]).unwrap();
    }
    close(store, directory.path());
    directory
}

/// Closes a journal, which folds its log.
fn close(store: Sqlite, directory: &Path) {
    drop(store);
    assert!(!directory.join("journal.db-wal").exists(), "the journal is one file when it is closed");
}

/// Every file with its content, but for the lock.
fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let files = entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()));
    files.filter(|(name, _)| name != "lock").collect()
}

fn count(store: &Sqlite) -> usize {
    store.runs(&RunQuery::newest(100)).unwrap().len()
}

fn cut(file: &Path, length: u64) {
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap();
}

#[test]
fn a_journal_that_is_not_what_it_was_is_refused_and_nothing_is_touched() {
    type Damage = fn(&Path);
    const LOST: bool = true;
    let damages: [(&str, bool, Damage); 8] = [
        ("missing", LOST, |journal| std::fs::remove_file(journal).unwrap()),
        ("empty", LOST, |journal| cut(journal, 0)),
        ("empty, with a log", LOST, |journal| {
            cut(journal, 0);
            std::fs::write(journal.with_extension("db-wal"), [7; 5_000]).unwrap();
        }),
        ("of another directory", LOST, |journal| {
            std::fs::copy(used().path().join("journal.db"), journal).unwrap();
        }),
        ("of no directory", LOST, |journal| {
            std::fs::remove_file(journal).unwrap();
            let other = rusqlite::Connection::open(journal).unwrap();
            other.execute_batch("CREATE TABLE t (x); PRAGMA user_version = 1").unwrap();
        }),
        ("cut", false, |journal| cut(journal, 9_000)),
        ("noise", false, |journal| std::fs::write(journal, [0x5a; 20_000]).unwrap()),
        ("without its first page", false, |journal| {
            let file = std::fs::OpenOptions::new().write(true).open(journal).unwrap();
            file.write_all_at(&[0; 4096], 0).unwrap();
        }),
    ];
    for (what, is_lost, damage) in damages {
        let directory = used();
        damage(&directory.path().join("journal.db"));
        let before = content(directory.path());
        for _ in 0..2 {
            let Err(error) = open(directory.path()) else { panic!("{what}: it is opened") };
            let expected = matches!(&error, Error::Lost { .. }) == is_lost && (is_lost || error.is_damage());
            assert!(expected, "{what}: {error:?}");
            let message = error.to_string();
            let names = format!("{}/journal.db", directory.path().display());
            assert!(message.contains(&names) && message.contains("--repair"), "{what}: {message}");
            assert!(content(directory.path()) == before, "{what}: something was changed");
        }
        let done = Sqlite::repair(directory.path(), Timestamp(99)).unwrap();
        assert_eq!(done.len(), 1, "{what}: {done:?}");
        let store = open(directory.path()).unwrap();
        assert_eq!(store.kept_before(), Some(Timestamp(99)), "{what}");
        assert_eq!(count(&store), if what == "of another directory" { 40 } else { 0 }, "{what}");
        create(&store, &run("new")).unwrap();
        close(store, directory.path());
        let set_aside = directory.path().join("journal.db.damaged-1").exists();
        assert_eq!(set_aside, !["missing", "of another directory"].contains(&what), "{what}");
        assert_eq!(Sqlite::repair(directory.path(), Timestamp(100)).unwrap(), <[String; 0]>::default(), "{what}");
    }
}

#[test]
fn a_journal_that_is_whole_is_opened_and_not_repaired() {
    let directory = used();
    assert_eq!(Sqlite::repair(directory.path(), Timestamp(99)).unwrap(), <[String; 0]>::default());
    let store = open(directory.path()).unwrap();
    assert_eq!((count(&store), store.kept_before()), (40, None));
    // Another process's copy of it, made while it was in use, is the same journal.
    let copy = tempfile::tempdir().unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    assert_eq!(count(&open(copy.path()).unwrap()), 40);
    assert!(matches!(Sqlite::repair(directory.path(), Timestamp(1)), Err(Error::InUse { .. })));
}

#[test]
fn a_directory_of_an_earlier_version_gets_its_number() {
    let directory = used();
    std::fs::remove_file(directory.path().join("journal.id")).unwrap();
    let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    database.pragma_update(None, "application_id", 0).unwrap();
    drop(database);
    assert_eq!(count(&open(directory.path()).unwrap()), 40);
    cut(&directory.path().join("journal.db"), 0);
    assert!(matches!(open(directory.path()), Err(Error::Lost { .. })));
}

#[test]
fn a_log_that_is_lost_leaves_the_journal_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    create(&store, &run("one")).unwrap();
    // As a killed process leaves the files, without the log.
    let killed = tempfile::tempdir().unwrap();
    for name in ["journal.db", "journal.id"] {
        std::fs::copy(directory.path().join(name), killed.path().join(name)).unwrap();
    }
    let store = open(killed.path()).unwrap();
    assert_eq!((count(&store), store.last_key().unwrap()), (0, RunKey(0)));
}

#[test]
fn a_directory_that_was_deleted_or_replaced_is_noticed_by_the_next_write() {
    for replaced in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let store = open(&path).unwrap();
        create(&store, &run("one")).unwrap();
        store.probe().unwrap();
        std::fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        let _other = replaced.then(|| open(&path).unwrap());
        for refused in [store.probe().unwrap_err(), create(&store, &run("two")).unwrap_err()] {
            assert!(matches!(refused, Error::Gone { .. }) && refused.may_pass(), "{refused:?}");
            assert!(refused.to_string().contains("journal.db"), "{refused}");
        }
        // Whoever puts it back where it was gets on.
        drop(_other);
        if replaced {
            std::fs::remove_dir_all(&path).unwrap();
        }
        std::fs::rename(directory.path().join("elsewhere"), &path).unwrap();
        create(&store, &run("two")).unwrap();
    }
}

#[test]
fn a_lock_that_was_deleted_is_made_anew_before_anybody_else_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    std::fs::remove_file(directory.path().join("lock")).unwrap();
    store.probe().unwrap();
    assert!(matches!(open(directory.path()), Err(Error::InUse { .. })));

    std::fs::remove_file(directory.path().join("lock")).unwrap();
    let second = open(directory.path()).unwrap();
    let refused = store.probe().unwrap_err();
    let told = refused.to_string();
    assert!(
        matches!(refused, Error::Gone { .. }) && told.contains(&format!("process {}", std::process::id())),
        "{told}"
    );
    second.probe().unwrap();
    drop(second);
    store.probe().unwrap();
}

/// A row that makes no sense is shown as such, and keeps no other from being shown.
#[test]
fn a_row_that_cannot_be_read_is_listed_with_its_cause() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    for name in ["one", "two", "three", "four"] {
        create(&store, &run(name)).unwrap();
    }
    let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    for damage in [
        "UPDATE runs SET name = 'No Name' WHERE name = 'one'",
        "UPDATE runs SET created_at = 'noon' WHERE name = 'two'",
        "UPDATE runs SET settings = '{' WHERE name = 'four'",
    ] {
        assert_eq!(database.execute(damage, []).unwrap(), 1);
    }
    let labels = vec![("team".to_owned(), None)];
    let labelled = RunQuery { labels, ..RunQuery::newest(10) };
    assert_eq!(store.runs(&labelled).unwrap(), []);
    let listed = store.runs(&RunQuery { oldest_first: true, ..RunQuery::newest(10) }).unwrap();
    let unfinished = store.unfinished().unwrap();
    for rows in [listed.iter().map(|(_, row)| row).collect::<Vec<_>>(), unfinished.iter().collect()] {
        let shown: Vec<_> = rows.iter().map(|row| (row.id.name.as_str(), row.unreadable.is_some())).collect();
        assert_eq!(shown, [("unreadable-1", true), ("two", true), ("three", false), ("four", false)]);
        assert!(rows[0].unreadable.as_ref().unwrap().contains("run name"), "{rows:?}");
        assert!(rows.iter().all(|row| row.phase == Phase::Queued));
    }
}
