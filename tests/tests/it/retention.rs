//! What pruned runs leave beside the journal goes too; if the server died between the two, a day later.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::dev_server::DevServer;
use crate::python;

/// Longer than a sweep takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything on the disk that belongs to runs, as paths below the data directory.
fn belongings(data: &Path) -> BTreeSet<String> {
    let places = [
        "logs",
        "work",
        "blobs/spanwise/runs/local/flytesnacks/development",
        "blobs/spanwise/data/local/flytesnacks/development",
    ];
    let mut found = BTreeSet::new();
    for place in places {
        let Ok(entries) = std::fs::read_dir(data.join(place)) else { continue };
        found.extend(entries.map(|entry| format!("{place}/{}", entry.unwrap().file_name().into_string().unwrap())));
    }
    found
}

fn wait_until_gone(data: &Path, gone: &[String], server: &DevServer) {
    let since = Instant::now();
    while gone.iter().any(|path| data.join(path).exists()) {
        assert!(since.elapsed() < PATIENCE, "{gone:?} of {:?}\n{}", belongings(data), server.said());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes everything below look as if it was written more than a day ago.
fn age(path: &Path) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            age(&entry.unwrap().path());
        }
    }
    let yesterday = std::time::SystemTime::now() - Duration::from_hours(25);
    std::fs::File::open(path).unwrap().set_modified(yesterday).unwrap();
}

/// The directories of a run: its log, its actions, its own files.
fn directories(journal: &Connection, run: &str) -> [String; 3] {
    let key: i64 = journal.query_row("SELECT key FROM runs WHERE name = ?1", [run], |row| row.get(0)).unwrap();
    let scope = "local/flytesnacks/development";
    [format!("logs/{key}"), format!("blobs/spanwise/runs/{scope}/{run}"), format!("blobs/spanwise/data/{scope}/{run}")]
}

#[test]
fn what_pruned_runs_left_goes_with_them_unless_it_was_passed_on() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let found = python::run_case(&server, "retention.py", "four_runs");
    let runs: Vec<String> = serde_json::from_value(found["runs"].clone()).unwrap();
    let [passed_on, forgotten, kept, reader] = &runs[..] else { panic!("{found}") };
    server.kill();

    let journal = Connection::open(data.path().join("journal.db")).unwrap();
    let of = |run: &str| directories(&journal, run);
    let [of_passed_on, of_forgotten, of_kept, of_reader] = [passed_on, forgotten, kept, reader].map(|run| of(run));
    let before = belongings(data.path());
    for path in of_passed_on.iter().chain(&of_forgotten).chain(&of_kept).chain(&of_reader[..2]) {
        assert!(before.contains(path), "{path} of {before:?}");
    }
    // One is old enough to be pruned; of the other, the journal was pruned when the server died.
    let old = "UPDATE runs SET created_at = 1, ended_at = 2 WHERE name = ?1";
    assert_eq!(journal.execute(old, [passed_on]).unwrap(), 1);
    for sql in
        ["DELETE FROM events WHERE run = ?1", "DELETE FROM actions WHERE run = ?1", "DELETE FROM runs WHERE key = ?1"]
    {
        let key: i64 = of_forgotten[0].strip_prefix("logs/").unwrap().parse().unwrap();
        assert!(journal.execute(sql, params![key]).unwrap() > 0, "{sql}");
    }
    // What the journal does not know is left alone for a day.
    server.restart();
    let [log, actions, files] = of_passed_on.clone();
    wait_until_gone(data.path(), &[log.clone(), actions.clone()], &server);
    // It is said when all has been looked through.
    let since = Instant::now();
    while !server.said().contains("that the journal does not know") {
        assert!(since.elapsed() < PATIENCE, "{}", server.said());
        std::thread::sleep(Duration::from_millis(5));
    }
    server.kill();
    let after = belongings(data.path());
    assert!(of_forgotten.iter().all(|path| after.contains(path)), "{after:?}");
    of_forgotten.iter().for_each(|path| age(&data.path().join(path)));
    server.restart();
    wait_until_gone(data.path(), &[&of_forgotten[..], &[log, actions]].concat(), &server);
    let after = belongings(data.path());
    assert!(after.contains(&files), "the reader's inputs name it: {after:?}");
    assert!(of_kept.iter().chain(&of_reader[..2]).all(|path| after.contains(path)), "{after:?}");

    // The last run that names the file goes, and the file with it.
    server.kill();
    assert_eq!(journal.execute(old, [reader]).unwrap(), 1);
    age(&data.path().join(&files));
    server.restart();
    wait_until_gone(data.path(), &[&of_reader[..2], &[files]].concat(), &server);
    let after = belongings(data.path());
    assert!(of_kept.iter().all(|path| after.contains(path)), "{after:?}");
    server.stop();
}
