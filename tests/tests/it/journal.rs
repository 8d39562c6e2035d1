//! A journal as a dead process left it: looked at in a copy, so that the next start finds what the kill left.

use std::path::Path;

use rusqlite::Connection;
use spanwise::Phase;
use spanwise_core::{Run, RunLimits};
use spanwise_store::{ActionRow, Durability, Sqlite, Store, StoredRun};

/// The run in a data directory, if it was created before the process died.
///
/// # Panics
/// If the database is damaged, an event is missing, or the rows are not what the events say.
pub(crate) fn inspect(data: &Path) -> Option<Journal> {
    if !data.join("journal.db").exists() {
        return None;
    }
    let copy = tempfile::tempdir().unwrap();
    // The shared-memory file is left out: it is rebuilt from the log.
    for name in ["journal.db", "journal.db-wal"] {
        if data.join(name).exists() {
            std::fs::copy(data.join(name), copy.path().join(name)).unwrap();
        }
    }
    check_database(&copy.path().join("journal.db"));
    let store = Sqlite::open(copy.path(), Durability::Process).unwrap();
    let (key, _) = store.runs(&spanwise_store::RunQuery::newest(1)).unwrap().pop()?;
    let run = store.load(key).unwrap().unwrap();
    let mut folded = Run::new(RunLimits::default());
    run.events.iter().for_each(|event| folded.apply(event));
    let rows = folded.actions().map(|(name, _)| store.action(key, name).unwrap().expect("an action has a row"));
    let journal = Journal { actions: rows.collect(), run };
    drop(store);
    journal.check_rows(&folded);
    let connection = Connection::open(copy.path().join("journal.db")).unwrap();
    let count = "SELECT count(*) FROM actions WHERE run = ?1";
    let rows: i64 = connection.query_row(count, [key.0], |row| row.get(0)).unwrap();
    assert_eq!(rows, journal.actions.len() as i64, "a row has its events");
    Some(journal)
}

fn check_database(file: &Path) {
    let connection = Connection::open(file).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let has_events = "SELECT count(*) FROM sqlite_master WHERE name = 'events'";
    if connection.query_row(has_events, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
        return;
    }
    let gap: Option<i64> = connection.query_row(FIRST_GAP, [], |row| row.get(0)).unwrap();
    assert_eq!(gap, None, "events are missing");
}

/// A row has the events from `seq` on; the next row goes on where it ends.
const FIRST_GAP: &str = "
    SELECT min(seq) FROM (
        SELECT seq, coalesce(lag(seq + json_array_length(body)) OVER (ORDER BY seq), 0) AS expected FROM events
    ) WHERE seq != expected";

/// What a journal says about its newest run.
pub(crate) struct Journal {
    run: StoredRun,
    pub(crate) actions: Vec<ActionRow>,
}

impl Journal {
    /// The rows of the actions are the fold of the events.
    fn check_rows(&self, folded: &Run) {
        for row in &self.actions {
            let action = folded.action(&row.name).expect("a row has its events");
            assert_eq!((row.phase, row.attempts), (action.phase(), action.attempts), "{row:?}");
        }
        assert_eq!(self.run.row.phase, folded.root().unwrap().phase());
    }

    /// How many actions have delivered outputs.
    pub(crate) fn succeeded(&self) -> usize {
        self.actions.iter().filter(|action| action.phase == Phase::Succeeded).count()
    }

    /// The events as they are stored, for messages and for words to be looked for.
    pub(crate) fn facts(&self) -> Vec<String> {
        self.run.events.iter().map(|event| format!("{} {:?}", event.action, event.fact)).collect()
    }
}
