//! The journal in SQLite: one file in the data directory, write-ahead log, one writing connection, a few that read.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use spanwise_core::trigger::TriggerId;
use spanwise_core::{ActionName, Durability, Event, RunId, Timestamp};
use spanwise_sqlite::{Checkpointer, Schema, forget_pages, prepare, set_aside};

use crate::{
    ActionRow, AppRow, Append, CachedOutputs, Definition, Due, DueQuery, Error, ExportState, NotificationRow, Payloads,
    Pruned, Retention, RunKey, RunQuery, RunRow, Scope, Store, StoredRun, TaskQuery, TaskRow, TriggerQuery, TriggerRow,
};

mod apps;
mod artifacts;
mod catalog;
mod columns;
mod exports;
mod failure;
mod identity;
mod lock;
mod notifications;
mod prune;
mod readers;
mod registry;
mod rows;
mod triggers;

use failure::{damaged, failed, sort};

/// A journal in a SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: readers::Readers,
    note: Mutex<identity::Note>,
    // After the writer, whose end ends the thread.
    _checkpointer: Checkpointer,
    lock: Arc<lock::DirectoryLock>,
}

/// The database in the data directory.
const FILE: &str = "journal.db";

/// The database's: what a new one is made by, which is what all steps come to.
const SCHEMA: Schema<'_> = Schema {
    whole: include_str!("../migrations/sqlite/schema.sql"),
    steps: &[
        include_str!("../migrations/sqlite/0001_journal.sql"),
        include_str!("../migrations/sqlite/0002_control_plane.sql"),
        include_str!("../migrations/sqlite/0003_lifecycle.sql"),
        include_str!("../migrations/sqlite/0004_retention.sql"),
        include_str!("../migrations/sqlite/0005_run_fields.sql"),
        include_str!("../migrations/sqlite/0006_definitions.sql"),
        include_str!("../migrations/sqlite/0007_cache_scope.sql"),
        include_str!("../migrations/sqlite/0008_triggers.sql"),
        include_str!("../migrations/sqlite/0009_trigger_since.sql"),
        include_str!("../migrations/sqlite/0010_apps.sql"),
        include_str!("../migrations/sqlite/0011_notifications.sql"),
        include_str!("../migrations/sqlite/0012_tracked.sql"),
        include_str!("../migrations/sqlite/0013_timers.sql"),
        include_str!("../migrations/sqlite/0014_untried_notifications.sql"),
        include_str!("../migrations/sqlite/0015_projects_and_settings.sql"),
        include_str!("../migrations/sqlite/0016_artifacts.sql"),
    ],
};

impl Sqlite {
    /// Opens the journal in a directory, makes both if they are not there, and keeps other processes out.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process has it; [`Error::Newer`] if it was written by a newer version; [`Error::Lost`] if the
    /// directory has had another journal than the one that is there; [`Error::Damaged`].
    pub fn open(directory: &Path, durability: Durability) -> Result<Sqlite, Error> {
        let lock = lock_directory(directory)?;
        identity::check(directory)?;
        let file = directory.join(FILE);
        Sqlite::open_locked(directory, durability, lock).map_err(|error| match sort(error, &file) {
            // It has tables, but not ours.
            Error::Failed(source) => damaged(&file, source),
            other => other,
        })
    }

    fn open_locked(directory: &Path, durability: Durability, mut lock: lock::DirectoryLock) -> Result<Sqlite, Error> {
        let file = directory.join(FILE);
        let mut writer = Connection::open(&file).map_err(failed)?;
        identity::check_length(&writer, directory)?;
        prepare(&mut writer, durability, SCHEMA)?;
        let note = identity::establish(&writer, directory)?;
        let checkpointer = Checkpointer::start(&file, durability, &mut writer)?;
        lock.guard(&file).map_err(|source| Error::Open { path: file.clone(), source })?;
        let lock = Arc::new(lock);
        let readers = readers::Readers::open(&file, Arc::clone(&lock))?;
        Ok(Sqlite {
            path: directory.to_owned(),
            writer: Mutex::new(writer),
            readers,
            note: Mutex::new(note),
            _checkpointer: checkpointer,
            lock,
        })
    }

    /// Makes a directory usable again whose journal is missing, empty, damaged or another one: a damaged journal is set aside, one that
    /// can be read is taken as the directory's own. Says what was done; nothing for a journal that is fine. No other file is touched.
    ///
    /// # Errors
    /// [`Error::InUse`] if a process has the directory; [`Error::Newer`]; [`Error::Open`] if a file cannot be renamed.
    pub fn repair(directory: &Path, now: Timestamp) -> Result<Vec<String>, Error> {
        let lock = lock_directory(directory)?;
        let file = directory.join(FILE);
        let open_error = |source| Error::Open { path: file.clone(), source };
        let mut done = Vec::new();
        let checked = identity::check(directory);
        let was_known = checked.is_ok();
        let is_there = std::fs::metadata(&file).is_ok_and(|metadata| metadata.len() > 0);
        let examined = match checked {
            Err(damaged @ Error::Damaged { .. }) => Err(damaged),
            _ => is_there.then(|| examine(directory)).transpose(),
        };
        match examined {
            Ok(Some(())) if was_known => return Ok(done),
            Ok(Some(())) => done.push(format!("`{}` is the journal of this directory from now on", file.display())),
            Ok(None) if was_known => return Ok(done),
            // A newer version can read it; what the disk refuses may pass.
            Err(error) if error.may_pass() || matches!(error, Error::Newer { .. }) => return Err(error),
            // Missing, empty or damaged: a log that is left of it goes with it.
            Ok(None) | Err(_) => {
                let aside = set_aside(&file).map_err(open_error)?;
                done.push(match is_there {
                    true => format!("the damaged journal is `{}` now, and a new one was begun", aside.display()),
                    false => format!("a new journal was begun as `{}`", file.display()),
                });
            }
        }
        identity::remove(directory).map_err(open_error)?;
        drop(lock);
        Sqlite::open(directory, Durability::Disk)?.keep_what_is_older(now)?;
        Ok(done)
    }

    /// Lets the database grow to this many pages (4 KiB each) and no further; a commit that needs more is [`Error::Full`].
    ///
    /// # Errors
    /// If the database refuses the setting.
    pub fn limit_pages(&self, pages: u32) -> Result<(), Error> {
        self.writer().pragma_update(None, "max_page_count", pages).map_err(|error| self.database(error))
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolls it back, so a poisoned lock guards a sound connection.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it or none of it; dropping the transaction on an error rolls it back.
    fn transact<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut connection = self.writer();
        self.lock.check()?;
        let transaction = Transaction::new(&mut connection, rusqlite::TransactionBehavior::Immediate)
            .map_err(|error| self.database(error))?;
        let done = work(&transaction).map_err(|error| sort(error, &self.file()))?;
        transaction.commit().map_err(|error| self.database(error))?;
        Ok(done)
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        self.readers.with(work).map_err(|error| sort(error, &self.file()))
    }

    fn database(&self, error: rusqlite::Error) -> Error {
        sort(failed(error), &self.file())
    }

    fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    fn note(&self) -> MutexGuard<'_, identity::Note> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock_directory(directory: &Path) -> Result<lock::DirectoryLock, Error> {
    let open_error = |source| Error::Open { path: directory.to_owned(), source };
    if !directory.exists() {
        directory.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(open_error)?;
        // Inputs and outputs are for the eyes of their user.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(open_error)?;
        // As cargo does for `target`: a journal is nothing to commit.
        std::fs::write(directory.join(".gitignore"), "*\n").map_err(open_error)?;
    }
    lock::DirectoryLock::take(directory)
}

/// Looks at every page of the journal.
fn examine(directory: &Path) -> Result<(), Error> {
    let file = directory.join(FILE);
    let look = || {
        let mut connection = Connection::open(&file).map_err(failed)?;
        identity::check_length(&connection, directory)?;
        prepare(&mut connection, Durability::Disk, SCHEMA)?;
        let found = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
        match found.map_err(failed)?.as_str() {
            "ok" => Ok(()),
            what => Err(Error::Corrupt { what: what.to_owned() }),
        }
    };
    look().map_err(|error| sort(error, &file))
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
            rows::insert_labels(transaction, key, run).map_err(failed)?;
            rows::append(transaction, &[Append { run: key, ..first }])?;
            Ok(key)
        })
    }

    fn commit(&self, batch: &[Append]) -> Result<(), Error> {
        self.transact(|transaction| rows::append(transaction, batch))
    }

    fn probe(&self) -> Result<(), Error> {
        // What it writes is what is there: one page in the log.
        self.transact(|transaction| {
            let version = transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
            let rewritten = version.and_then(|version| transaction.pragma_update(None, "user_version", version));
            rewritten.map_err(failed)
        })
    }

    fn newest_fact(&self) -> Result<Option<Timestamp>, Error> {
        self.read(prune::newest_fact)
    }

    fn last_key(&self) -> Result<RunKey, Error> {
        self.read(rows::last_key)
    }

    fn skip_keys(&self, last: RunKey) -> Result<(), Error> {
        self.transact(|transaction| rows::skip_keys(transaction, last))
    }

    fn kept_before(&self) -> Option<Timestamp> {
        self.note().kept_before
    }

    fn keep_what_is_older(&self, than: Timestamp) -> Result<(), Error> {
        let mut note = self.note();
        let changed = identity::Note { kept_before: note.kept_before.max(Some(than)), ..*note };
        identity::write(&self.path, changed)?;
        *note = changed;
        Ok(())
    }

    fn find(&self, id: &RunId) -> Result<Option<(RunKey, RunRow)>, Error> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&rows::select_run(rows::BY_NAME)).map_err(failed)?;
            let key = params![id.org, id.project, id.domain, id.name.as_str()];
            let found = statement.query_row(key, |row| Ok(rows::read_run(row))).optional();
            found.map_err(failed)?.transpose()
        })
    }

    fn load(&self, run: RunKey) -> Result<Option<StoredRun>, Error> {
        self.read(|connection| {
            let Some(row) = rows::read_run_by_key(connection, run)? else { return Ok(None) };
            Ok(Some(StoredRun { row, events: rows::read_events(connection, run)? }))
        })
    }

    fn payloads(&self, run: RunKey, action: &ActionName) -> Result<Payloads, Error> {
        self.read(|connection| rows::read_payloads(connection, run, action))
    }

    fn action(&self, run: RunKey, action: &ActionName) -> Result<Option<ActionRow>, Error> {
        self.read(|connection| rows::read_one_action(connection, run, action))
    }

    fn action_of_each(&self, runs: &[RunKey], action: &ActionName) -> Result<Vec<(RunKey, ActionRow)>, Error> {
        self.read(|connection| rows::read_action_of_each(connection, runs, action))
    }

    fn events_of(&self, run: RunKey, action: &ActionName) -> Result<Vec<Event>, Error> {
        self.read(|connection| rows::read_events_of(connection, run, action))
    }

    fn runs(&self, query: &RunQuery) -> Result<Vec<(RunKey, RunRow)>, Error> {
        self.read(|connection| rows::read_runs(connection, query))
    }

    fn unfinished(&self) -> Result<Vec<RunRow>, Error> {
        self.read(rows::read_unfinished)
    }

    fn definition(&self, digest: &str) -> Result<Option<Bytes>, Error> {
        self.read(|connection| catalog::definition(connection, digest))
    }

    fn deploy_task(&self, task: &TaskRow, definition: &Bytes) -> Result<(), Error> {
        self.transact(|transaction| {
            catalog::insert_task(transaction, task)?;
            catalog::insert_definition(transaction, &task.definition, definition)
        })
    }

    fn projects(&self) -> Result<Vec<String>, Error> {
        self.read(catalog::read_projects)
    }

    fn tasks(&self, query: &TaskQuery) -> Result<Vec<TaskRow>, Error> {
        self.read(|connection| catalog::read_tasks(connection, query))
    }

    fn task(&self, scope: &Scope, name: &str, version: &str) -> Result<Option<TaskRow>, Error> {
        self.read(|connection| catalog::read_task(connection, scope, name, version))
    }

    fn put_trigger(&self, trigger: &TriggerRow, definition: Option<&Definition>) -> Result<(), Error> {
        self.transact(|transaction| triggers::insert(transaction, trigger, definition))
    }

    fn triggers(&self, query: &TriggerQuery) -> Result<Vec<TriggerRow>, Error> {
        self.read(|connection| triggers::read(connection, query))
    }

    fn trigger_revisions(&self, id: &TriggerId, offset: usize, limit: usize) -> Result<Vec<TriggerRow>, Error> {
        self.read(|connection| triggers::read_revisions(connection, id, offset, limit))
    }

    fn settle_trigger(&self, id: &TriggerId, slot: Timestamp) -> Result<(), Error> {
        self.transact(|transaction| triggers::settle(transaction, id, slot))
    }

    fn put_app(&self, app: &AppRow) -> Result<(), Error> {
        self.transact(|transaction| apps::insert(transaction, app))
    }

    fn apps(&self) -> Result<Vec<AppRow>, Error> {
        self.read(apps::read_newest)
    }

    fn app_revisions(&self, scope: &Scope, name: &str) -> Result<Vec<AppRow>, Error> {
        self.read(|connection| apps::read_revisions(connection, scope, name))
    }

    fn delete_app(&self, scope: &Scope, name: &str) -> Result<bool, Error> {
        self.transact(|transaction| apps::delete(transaction, scope, name))
    }

    fn cached(&self, key: &str) -> Result<Option<CachedOutputs>, Error> {
        self.read(|connection| catalog::cached(connection, key))
    }

    fn cache(&self, key: &str, outputs: &CachedOutputs) -> Result<(), Error> {
        self.transact(|transaction| catalog::cache(transaction, key, outputs))
    }

    fn visit_values(&self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.read(|connection| catalog::visit_values(connection, visit))
    }

    fn events_from(&self, run: RunKey, seq: u64, limit: usize) -> Result<Vec<Event>, Error> {
        self.read(|connection| rows::read_events_from(connection, run, seq, limit))
    }

    fn put_exports(&self, states: &[(RunKey, ExportState)]) -> Result<(), Error> {
        self.transact(|transaction| states.iter().try_for_each(|(run, state)| exports::put(transaction, *run, *state)))
    }

    fn unexported(&self) -> Result<Vec<RunKey>, Error> {
        self.read(exports::pending)
    }

    fn due_notifications(&self, query: &DueQuery) -> Result<Due, Error> {
        self.read(|connection| notifications::due(connection, query))
    }

    fn put_notifications(&self, rows: &[NotificationRow]) -> Result<(), Error> {
        self.transact(|transaction| rows.iter().try_for_each(|row| notifications::put(transaction, row)))
    }

    fn give_up_notifications(
        &self,
        receiver: &str,
        before: Timestamp,
        now: Timestamp,
        why: &str,
    ) -> Result<u64, Error> {
        self.transact(|transaction| notifications::give_up(transaction, receiver, (before, now), why))
    }

    fn notifications(&self, run: RunKey) -> Result<Vec<NotificationRow>, Error> {
        self.read(|connection| notifications::of_run(connection, run))
    }

    fn troubled_notifications(
        &self,
        project: &str,
        domain: &str,
        limit: usize,
    ) -> Result<Vec<(NotificationRow, u64)>, Error> {
        self.read(|connection| notifications::troubled(connection, (project, domain), limit))
    }

    fn run(&self, run: RunKey) -> Result<Option<RunRow>, Error> {
        self.read(|connection| rows::read_run_by_key(connection, run))
    }

    fn prune(&self, keep: &Retention, now: Timestamp) -> Result<Pruned, Error> {
        let mut connection = self.writer();
        self.lock.check()?;
        let pruned = prune::prune(&mut connection, keep, now).map_err(|error| sort(error, &self.file()));
        drop(connection);
        self.free_memory();
        pruned
    }

    fn free_memory(&self) {
        forget_pages(&self.writer());
        self.readers.forget_pages();
    }
}
