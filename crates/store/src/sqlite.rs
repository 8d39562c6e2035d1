//! The journal in SQLite: one file in the data directory, write-ahead log, one writing connection.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use spanwise_core::{ActionName, Event, RunId, Timestamp};

use crate::{
    ActionRow, Append, CachedOutputs, Error, ExportState, Payloads, Pruned, Retention, RunKey, RunQuery, RunRow, Scope,
    Store, StoredRun, TaskQuery, TaskRow,
};

mod catalog;
pub(crate) mod checkpoint;
mod exports;
mod lock;
pub(crate) mod rows;

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process (`kill -9`); a power cut may take the last commits, never the order.
    #[default]
    Process,
    /// A power cut too: each commit waits for the disk.
    Disk,
}

impl Durability {
    /// The value of SQLite's setting of that name.
    pub(crate) fn synchronous(self) -> &'static str {
        match self {
            Durability::Process => "NORMAL",
            Durability::Disk => "FULL",
        }
    }
}

/// A journal in a SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    // After the writer, whose end ends the thread.
    _checkpointer: checkpoint::Checkpointer,
    _lock: lock::DirectoryLock,
}

/// Steps from an empty database to today's, in order. The number of those applied stands in `user_version`.
const MIGRATIONS: [&str; 3] = [
    include_str!("../migrations/sqlite/0001_journal.sql"),
    include_str!("../migrations/sqlite/0002_control_plane.sql"),
    include_str!("../migrations/sqlite/0003_lifecycle.sql"),
];

/// Room for the actions of a run of some ten thousand: names come in no order, and a page that does not fit is read again
/// for the next one.
const CACHE_KIB: u32 = 16 * 1024;

impl Sqlite {
    /// Opens the journal in a directory, makes both if they are not there, and keeps other processes out.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process has it; [`Error::Newer`] if it was written by a newer version.
    pub fn open(directory: &Path, durability: Durability) -> Result<Sqlite, Error> {
        let open_error = |source| Error::Open { path: directory.to_owned(), source };
        if !directory.exists() {
            std::fs::create_dir_all(directory).map_err(open_error)?;
            // As cargo does for `target`: a journal is nothing to commit.
            std::fs::write(directory.join(".gitignore"), "*\n").map_err(open_error)?;
        }
        let lock = lock::DirectoryLock::take(directory)?;
        let file = directory.join("journal.db");
        let mut writer = Connection::open(&file).map_err(Error::Database)?;
        let synchronous = durability.synchronous();
        prepare(&mut writer, synchronous, &MIGRATIONS).map_err(|error| name_full(error, directory))?;
        let checkpointer = checkpoint::Checkpointer::start(&file, synchronous, &mut writer)?;
        let reader = Connection::open(&file).map_err(Error::Database)?;
        reader.pragma_update(None, "query_only", true).map_err(Error::Database)?;
        Ok(Sqlite {
            path: directory.to_owned(),
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            _checkpointer: checkpointer,
            _lock: lock,
        })
    }

    /// Lets the database grow to this many pages (4 KiB each) and no further; a commit that needs more is [`Error::Full`].
    ///
    /// # Errors
    /// If the database refuses the setting.
    pub fn limit_pages(&self, pages: u32) -> Result<(), Error> {
        self.writer().pragma_update(None, "max_page_count", pages).map_err(Error::Database)
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolls it back, so a poisoned lock guards a sound connection.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it or none of it; dropping the transaction on an error rolls it back.
    fn transact<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut connection = self.writer();
        let transaction = Transaction::new(&mut connection, rusqlite::TransactionBehavior::Immediate)
            .map_err(|error| self.database(error))?;
        let done = work(&transaction).map_err(|error| name_full(error, &self.path))?;
        transaction.commit().map_err(|error| self.database(error))?;
        Ok(done)
    }

    fn database(&self, error: rusqlite::Error) -> Error {
        name_full(Error::Database(error), &self.path)
    }
}

/// Settings of the connection, then the migrations that are missing.
pub(crate) fn prepare(connection: &mut Connection, synchronous: &str, migrations: &[&str]) -> Result<(), Error> {
    let settings = format!(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
         PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{CACHE_KIB};"
    );
    connection.execute_batch(&settings).map_err(Error::Database)?;
    connection.set_prepared_statement_cache_capacity(32);
    migrate(connection, migrations)
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), Error> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let applied = usize::try_from(version.map_err(Error::Database)?).unwrap_or(usize::MAX);
    if applied > migrations.len() {
        return Err(Error::Newer { what: format!("schema {applied}, this version knows {}", migrations.len()) });
    }
    for (index, migration) in migrations.iter().enumerate().skip(applied) {
        let transaction = connection.transaction().map_err(Error::Database)?;
        transaction.execute_batch(migration).map_err(Error::Database)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1).map_err(Error::Database)?;
        transaction.commit().map_err(Error::Database)?;
    }
    Ok(())
}

/// A full disk gets its own error: the caller can do something about it.
pub(crate) fn name_full(error: Error, path: &Path) -> Error {
    match &error {
        Error::Database(cause) if cause.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            Error::Full { path: path.to_owned() }
        }
        _ => error,
    }
}

impl Store for Sqlite {
    fn create_run(&self, run: &RunRow, first: Append) -> Result<RunKey, Error> {
        let taken = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Error::AlreadyExists(run.id.name.to_string()),
            _ => self.database(error),
        };
        self.transact(|transaction| {
            rows::insert_run(transaction, run).map_err(taken)?;
            let key = RunKey(transaction.last_insert_rowid());
            rows::append(transaction, &[Append { run: key, ..first }])?;
            Ok(key)
        })
    }

    fn commit(&self, batch: &[Append]) -> Result<(), Error> {
        self.transact(|transaction| rows::append(transaction, batch))
    }

    fn find(&self, id: &RunId) -> Result<Option<(RunKey, RunRow)>, Error> {
        let connection = self.reader();
        let mut statement =
            connection.prepare_cached(rows::SELECT_RUN_BY_NAME).map_err(|error| self.database(error))?;
        let key = params![id.org, id.project, id.domain, id.name.as_str()];
        let found = statement.query_row(key, |row| Ok(rows::read_run(row))).optional();
        found.map_err(|error| self.database(error))?.transpose()
    }

    fn load(&self, run: RunKey) -> Result<Option<StoredRun>, Error> {
        let connection = self.reader();
        let found = connection.query_row(rows::SELECT_RUN_BY_KEY, [run.0], |row| Ok(rows::read_run(row))).optional();
        let Some((_, row)) = found.map_err(|error| self.database(error))?.transpose()? else { return Ok(None) };
        Ok(Some(StoredRun { row, events: rows::read_events(&connection, run)? }))
    }

    fn payloads(&self, run: RunKey, action: &ActionName) -> Result<Payloads, Error> {
        let connection = self.reader();
        rows::read_payloads(&connection, run, action)
    }

    fn actions(&self, run: RunKey) -> Result<Vec<ActionRow>, Error> {
        let connection = self.reader();
        rows::read_actions(&connection, run)
    }

    fn action(&self, run: RunKey, action: &ActionName) -> Result<Option<ActionRow>, Error> {
        let connection = self.reader();
        rows::read_one_action(&connection, run, action)
    }

    fn events_of(&self, run: RunKey, action: &ActionName) -> Result<Vec<Event>, Error> {
        let connection = self.reader();
        rows::read_events_of(&connection, run, action)
    }

    fn runs(&self, query: &RunQuery) -> Result<Vec<(RunKey, RunRow)>, Error> {
        let connection = self.reader();
        rows::read_runs(&connection, query)
    }

    fn unfinished(&self) -> Result<Vec<RunId>, Error> {
        let connection = self.reader();
        rows::read_unfinished(&connection)
    }

    fn put_definition(&self, digest: &str, body: &Bytes) -> Result<(), Error> {
        self.transact(|transaction| catalog::put_definition(transaction, digest, body))
    }

    fn definition(&self, digest: &str) -> Result<Option<Bytes>, Error> {
        catalog::definition(&self.reader(), digest)
    }

    fn deploy_task(&self, task: &TaskRow) -> Result<(), Error> {
        self.transact(|transaction| catalog::insert_task(transaction, task))
    }

    fn tasks(&self, query: &TaskQuery) -> Result<Vec<TaskRow>, Error> {
        catalog::read_tasks(&self.reader(), query)
    }

    fn task(&self, scope: &Scope, name: &str, version: &str) -> Result<Option<TaskRow>, Error> {
        catalog::read_task(&self.reader(), scope, name, version)
    }

    fn cached(&self, key: &str) -> Result<Option<CachedOutputs>, Error> {
        catalog::cached(&self.reader(), key)
    }

    fn cache(&self, key: &str, outputs: &CachedOutputs) -> Result<(), Error> {
        self.transact(|transaction| catalog::cache(transaction, key, outputs))
    }

    fn events_from(&self, run: RunKey, seq: u64, limit: usize) -> Result<Vec<Event>, Error> {
        rows::read_events_from(&self.reader(), run, seq, limit)
    }

    fn put_exports(&self, states: &[(RunKey, ExportState)]) -> Result<(), Error> {
        self.transact(|transaction| states.iter().try_for_each(|(run, state)| exports::put(transaction, *run, *state)))
    }

    fn unexported(&self) -> Result<Vec<RunKey>, Error> {
        exports::pending(&self.reader())
    }

    fn run(&self, run: RunKey) -> Result<Option<RunRow>, Error> {
        rows::read_run_by_key(&self.reader(), run)
    }

    fn prune(&self, keep: &Retention, now: Timestamp) -> Result<Pruned, Error> {
        let mut connection = self.writer();
        rows::prune(&mut connection, keep, now)
    }
}
