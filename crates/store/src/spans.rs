//! Spans that a collector has received, in a database of their own beside the journal, which stays small that way.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use spanwise_core::Timestamp;

use crate::sqlite::checkpoint::Checkpointer;
use crate::sqlite::{aside, failed, forget_pages, prepare, prune, sort, synchronous};
use crate::{Durability, Error};

mod first;

pub use first::Wanted;

/// The file in the data directory.
const FILE: &str = "spans.db";

/// Steps from an empty database to today's, in order.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/spans/0001_spans.sql")];

/// How many spans are deleted in one transaction: writers wait for it.
const PRUNED_AT_ONCE: usize = 2048;

/// Free pages are given back to the file system when there are more of them than a quarter of all, and worth the work.
const FEW_PAGES: i64 = 256;

/// Keys of origins that are remembered; a program has a handful.
const REMEMBERED_ORIGINS: usize = 4096;

/// What made a span: its resource and its scope, as bytes that the store does not look into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanOrigin {
    /// A digest of the body; two origins are the same if it is.
    pub digest: [u8; 32],
    /// The body.
    pub body: Bytes,
}

/// A span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSpan {
    /// The trace that it belongs to.
    pub trace_id: [u8; 16],
    /// Its id in the trace.
    pub span_id: [u8; 8],
    /// The span that it hangs under.
    pub parent_id: Option<[u8; 8]>,
    /// Its name.
    pub name: String,
    /// When it began, in nanoseconds since 1970.
    pub start: i64,
    /// When it ended, in nanoseconds since 1970.
    pub end: i64,
    /// What made it.
    pub origin: Arc<SpanOrigin>,
    /// All of it, as bytes that the store does not look into.
    pub body: Bytes,
}

/// What became of the spans of one insertion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// How many were stored.
    pub new: usize,
    /// The places of those whose ids were taken; what was there has stayed.
    pub known: Vec<usize>,
}

/// A store of spans, one for a data directory: who opens it holds the journal's lock.
///
/// Spans are worth less than what runs beside them: a file that is damaged is set aside, and a new one is begun.
#[derive(Debug)]
pub struct SpanStore {
    directory: PathBuf,
    durability: Durability,
    database: RwLock<Database>,
    /// Where damaged files are that nobody was told of yet.
    set_aside: Mutex<Vec<PathBuf>>,
}

#[derive(Debug)]
struct Database {
    writer: Mutex<Writer>,
    reader: Mutex<Connection>,
    // After the writer, whose end ends the thread.
    _checkpointer: Checkpointer,
}

#[derive(Debug)]
struct Writer {
    connection: Connection,
    origins: HashMap<[u8; 32], i64>,
}

impl Database {
    fn open(directory: &Path, durability: Durability) -> Result<Database, Error> {
        let file = directory.join(FILE);
        let open = || {
            let mut connection = Connection::open(&file).map_err(failed)?;
            let synchronous = synchronous(durability);
            prepare(&mut connection, synchronous, &MIGRATIONS)?;
            let checkpointer = Checkpointer::start(&file, synchronous, &mut connection)?;
            let reader = Connection::open(&file).map_err(failed)?;
            reader.pragma_update(None, "query_only", true).map_err(failed)?;
            Ok(Database {
                writer: Mutex::new(Writer { connection, origins: HashMap::new() }),
                reader: Mutex::new(reader),
                _checkpointer: checkpointer,
            })
        };
        open().map_err(|error| sort(error, &file))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic inside a transaction rolls it back, so a poisoned lock guards a sound connection.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanStore {
    /// Opens the store in a data directory, and makes both if they are not there. A file that is no database is set aside.
    ///
    /// # Errors
    /// [`Error::Newer`] if it was written by a newer version; [`Error::Open`] if the directory cannot be made; [`Error::Unusable`] or
    /// [`Error::Full`] if the machine cannot open the file now, which stays as it is.
    pub fn open(directory: &Path, durability: Durability) -> Result<SpanStore, Error> {
        std::fs::create_dir_all(directory).map_err(|source| Error::Open { path: directory.to_owned(), source })?;
        let mut aside = Vec::new();
        let database = match Database::open(directory, durability) {
            // What is there is another thing than a database of ours, or no file at all. One that cannot be used now may be sound.
            Err(error) if is_no_database(&error, &directory.join(FILE)) => {
                aside.push(set_aside(directory)?);
                Database::open(directory, durability)?
            }
            opened => opened?,
        };
        let (database, set_aside) = (RwLock::new(database), Mutex::new(aside));
        Ok(SpanStore { directory: directory.to_owned(), durability, database, set_aside })
    }

    /// Where the files are that were set aside since this was last asked, because they were damaged.
    pub fn set_aside(&self) -> Vec<PathBuf> {
        std::mem::take(&mut *self.set_aside.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn database(&self) -> RwLockReadGuard<'_, Database> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sorted(&self, error: Error) -> Error {
        sort(error, &self.directory.join(FILE))
    }

    fn begin_anew(&self) -> Result<(), Error> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // The file moves under the connections that have it open; they are closed when the new one is there.
        let aside = set_aside(&self.directory)?;
        *database = Database::open(&self.directory, self.durability)?;
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner).push(aside);
        Ok(())
    }

    /// Stores spans that arrive now: all of them or none. Of two with the same ids the first one stays. If the file turns out to be
    /// damaged, they are the first of a new one.
    ///
    /// # Errors
    /// [`Error::Full`] if the disk is full.
    pub fn insert(&self, spans: &[StoredSpan], now: Timestamp) -> Result<Inserted, Error> {
        match self.try_insert(spans, now) {
            Err(Error::Damaged { .. }) => {
                self.begin_anew()?;
                self.try_insert(spans, now)
            }
            done => done,
        }
    }

    fn try_insert(&self, spans: &[StoredSpan], now: Timestamp) -> Result<Inserted, Error> {
        let database = self.database();
        let mut writer = database.writer();
        let Writer { connection, origins } = &mut *writer;
        let done = insert(connection, origins, spans, now);
        if done.is_err() {
            // What was rolled back may be among them.
            origins.clear();
        }
        done.map_err(|error| self.sorted(failed(error)))
    }

    /// The spans of a trace, the first to begin first, at most `limit` of them.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn of_trace(&self, trace_id: [u8; 16], limit: usize) -> Result<Vec<StoredSpan>, Error> {
        let database = self.database();
        let reader = database.reader();
        read_trace(&reader, trace_id, limit).map_err(|error| self.sorted(error))
    }

    /// The spans of a trace, the first to begin first; if there are more than `limit`, the wanted ones rather than others. And how
    /// many there are.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn of_trace_wanted(
        &self,
        trace_id: [u8; 16],
        limit: usize,
        wanted: impl FnOnce() -> Wanted,
    ) -> Result<(Vec<StoredSpan>, u64), Error> {
        let database = self.database();
        let reader = database.reader();
        let read = || {
            // One state of the database for all: a batch may be committed meanwhile.
            let state = reader.unchecked_transaction().map_err(failed)?;
            let count = count(&state, trace_id)?;
            if count <= limit as u64 {
                return Ok((read_trace(&state, trace_id, limit)?, count));
            }
            let keys = first::keys(&state, trace_id, limit, &wanted())?;
            Ok((read_keys(&state, trace_id, &keys)?, count))
        };
        read().map_err(|error| self.sorted(error))
    }

    /// The spans of a trace, the first to begin first, at most `limit` of them; and how many there are.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn of_trace_counted(&self, trace_id: [u8; 16], limit: usize) -> Result<(Vec<StoredSpan>, u64), Error> {
        let database = self.database();
        let reader = database.reader();
        let read = || {
            let state = reader.unchecked_transaction().map_err(failed)?;
            Ok((read_trace(&state, trace_id, limit)?, count(&state, trace_id)?))
        };
        read().map_err(|error| self.sorted(error))
    }

    /// How many spans of a trace there are.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn count_of_trace(&self, trace_id: [u8; 16]) -> Result<u64, Error> {
        let database = self.database();
        count(&database.reader(), trace_id).map_err(|error| self.sorted(error))
    }

    /// Deletes spans that arrived too long ago, and the oldest ones while the store is too large; says how many.
    ///
    /// What counts is when a span arrived: what it says about its own time may be anything. Age is counted from the arrival of the newest
    /// span at the latest, so that a clock that jumped makes nothing old.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn prune(&self, max_age: Option<Duration>, max_bytes: Option<u64>, now: Timestamp) -> Result<u64, Error> {
        let database = self.database();
        let failed = |error| self.sorted(failed(error));
        let now = database.writer().newest().map_err(failed)?.map_or(now, |newest| now.min(newest));
        let oldest = max_age.map_or(i64::MIN, |age| now.before(age).0);
        let mut pruned = 0;
        loop {
            // One step at a time: between two of them others may write.
            let mut writer = database.writer();
            let used = prune::used_bytes(&writer.connection)?;
            let deleted = match max_bytes.filter(|most| used > *most) {
                Some(most) => {
                    let count = writer.share(1.0 - most as f64 / used as f64).map_err(failed)?;
                    writer.delete_oldest(count, i64::MAX)
                }
                None => writer.delete_oldest(PRUNED_AT_ONCE, oldest),
            };
            match deleted.map_err(failed)? {
                0 => {
                    if pruned > 0 {
                        give_back(&writer.connection)?;
                    }
                    return Ok(pruned);
                }
                deleted => pruned += deleted,
            }
        }
    }

    /// Gives memory back that only makes it quicker to read again what was stored: for when nothing more arrives for now.
    pub fn free_memory(&self) {
        let database = self.database();
        forget_pages(&database.writer().connection);
        forget_pages(&database.reader());
    }

    /// How many bytes the store takes, without what is free in it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn size(&self) -> Result<u64, Error> {
        prune::used_bytes(&self.database().reader())
    }

    /// Lets the database grow to this many pages (4 KiB each) and no further; an insertion that needs more is [`Error::Full`].
    ///
    /// # Errors
    /// If the database refuses the setting.
    pub fn limit_pages(&self, pages: u32) -> Result<(), Error> {
        self.database().writer().connection.pragma_update(None, "max_page_count", pages).map_err(failed)
    }
}

fn is_no_database(error: &Error, file: &Path) -> bool {
    match error {
        Error::Damaged { .. } | Error::Failed(_) => true,
        Error::Unusable { .. } => file.metadata().is_ok_and(|found| !found.is_file()),
        _ => false,
    }
}

fn set_aside(directory: &Path) -> Result<PathBuf, Error> {
    let file = directory.join(FILE);
    aside::set_aside(&file).map_err(|source| Error::Open { path: file, source })
}

const INSERT: &str =
    "INSERT INTO spans (trace_id, span_id, parent_id, name, started_at, ended_at, received_at, origin, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (trace_id, span_id) DO NOTHING";

fn insert(
    connection: &mut Connection,
    origins: &mut HashMap<[u8; 32], i64>,
    spans: &[StoredSpan],
    now: Timestamp,
) -> rusqlite::Result<Inserted> {
    if origins.len() > REMEMBERED_ORIGINS {
        origins.clear();
    }
    let mut inserted = Inserted::default();
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare_cached(INSERT)?;
        let mut touched = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            let origin = match touched.get(&span.origin.digest) {
                Some(key) => *key,
                None => {
                    let key = origin_key(&transaction, origins, &span.origin)?;
                    touched.insert(span.origin.digest, key);
                    key
                }
            };
            let parent = span.parent_id.as_ref().map(|id| &id[..]);
            let changed = statement.execute(params![
                &span.trace_id[..],
                &span.span_id[..],
                parent,
                span.name,
                span.start,
                span.end,
                now.0,
                origin,
                &span.body[..],
            ])?;
            match changed {
                0 => inserted.known.push(index),
                _ => inserted.new += 1,
            }
        }
        let mut touch = transaction
            .prepare_cached("UPDATE origins SET last = (SELECT ifnull(max(key), 0) FROM spans) WHERE key = ?1")?;
        for key in touched.into_values() {
            touch.execute([key])?;
        }
    }
    transaction.commit()?;
    Ok(inserted)
}

/// The key of an origin, which is stored if it is not there.
fn origin_key(
    transaction: &Transaction<'_>,
    origins: &mut HashMap<[u8; 32], i64>,
    origin: &SpanOrigin,
) -> rusqlite::Result<i64> {
    if let Some(key) = origins.get(&origin.digest) {
        return Ok(*key);
    }
    let known = transaction
        .prepare_cached("SELECT key FROM origins WHERE digest = ?1")?
        .query_row([&origin.digest[..]], |row| row.get(0))
        .optional()?;
    let key = match known {
        Some(key) => key,
        None => {
            transaction
                .prepare_cached("INSERT INTO origins (digest, last, body) VALUES (?1, 0, ?2)")?
                .execute(params![&origin.digest[..], &origin.body[..]])?;
            transaction.last_insert_rowid()
        }
    };
    origins.insert(origin.digest, key);
    Ok(key)
}

impl Writer {
    /// When the newest span arrived.
    fn newest(&self) -> rusqlite::Result<Option<Timestamp>> {
        let mut select = self.connection.prepare_cached("SELECT received_at FROM spans ORDER BY key DESC LIMIT 1")?;
        select.query_row([], |row| row.get(0).map(Timestamp)).optional()
    }

    /// How many spans a share of all is, and a few more, so that the next insertion does not ask again.
    fn share(&self, share: f64) -> rusqlite::Result<usize> {
        // Every key between the first and the last one is a span's, but for those whose id was known.
        let mut select = self.connection.prepare_cached("SELECT max(key) - min(key) + 1 FROM spans")?;
        let all = select.query_row([], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0) as f64;
        Ok(((all * (share + 1.0 / 32.0)) as usize + 1).min(PRUNED_AT_ONCE))
    }

    /// Deletes the oldest spans, `count` at most, if they arrived before a time, and the origins that nobody needs any more.
    fn delete_oldest(&mut self, count: usize, before: i64) -> rusqlite::Result<u64> {
        let transaction = Transaction::new(&mut self.connection, TransactionBehavior::Immediate)?;
        let mut last = None;
        {
            let mut select = transaction.prepare_cached("SELECT key, received_at FROM spans ORDER BY key LIMIT ?1")?;
            let rows = select.query_map([count as i64], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
            for row in rows {
                let (key, received_at) = row?;
                if received_at >= before {
                    break;
                }
                last = Some(key);
            }
        }
        let Some(last) = last else { return Ok(0) };
        let deleted = transaction.prepare_cached("DELETE FROM spans WHERE key <= ?1")?.execute([last])?;
        let origins = transaction.prepare_cached("DELETE FROM origins WHERE last <= ?1")?.execute([last])?;
        transaction.commit()?;
        if origins > 0 {
            self.origins.clear();
        }
        Ok(deleted as u64)
    }
}

/// Gives free pages back to the file system, if there are many: those that are soon used again are best left where they are.
fn give_back(connection: &Connection) -> Result<(), Error> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, all) = (pragma("freelist_count").map_err(failed)?, pragma("page_count").map_err(failed)?);
    if free > FEW_PAGES.max(all / 4) {
        connection.execute_batch("PRAGMA incremental_vacuum").map_err(failed)?;
    }
    Ok(())
}

fn count(connection: &Connection, trace_id: [u8; 16]) -> Result<u64, Error> {
    let count = connection
        .prepare_cached("SELECT count(*) FROM spans WHERE trace_id = ?1")
        .and_then(|mut select| select.query_row([&trace_id[..]], |row| row.get::<_, i64>(0)));
    count.map(|count| u64::try_from(count).unwrap_or(0)).map_err(failed)
}

fn read_trace(connection: &Connection, trace_id: [u8; 16], limit: usize) -> Result<Vec<StoredSpan>, Error> {
    let mut statement = connection
        .prepare_cached(
            "SELECT span_id, parent_id, name, started_at, ended_at, origin, body FROM spans
             WHERE trace_id = ?1 ORDER BY started_at, key LIMIT ?2",
        )
        .map_err(failed)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![&trace_id[..], limit]).map_err(failed)?;
    let (mut origins, mut spans) = (HashMap::new(), Vec::new());
    while let Some(row) = rows.next().map_err(failed)? {
        spans.push(read_row(connection, trace_id, row, &mut origins)?);
    }
    Ok(spans)
}

/// The spans with these keys, in their order.
fn read_keys(connection: &Connection, trace_id: [u8; 16], keys: &[i64]) -> Result<Vec<StoredSpan>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT span_id, parent_id, name, started_at, ended_at, origin, body FROM spans WHERE key = ?1")
        .map_err(failed)?;
    let (mut origins, mut spans) = (HashMap::new(), Vec::with_capacity(keys.len()));
    for key in keys {
        let mut rows = statement.query([key]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            spans.push(read_row(connection, trace_id, row, &mut origins)?);
        }
    }
    Ok(spans)
}

fn read_row(
    connection: &Connection,
    trace_id: [u8; 16],
    row: &rusqlite::Row<'_>,
    origins: &mut HashMap<i64, Arc<SpanOrigin>>,
) -> Result<StoredSpan, Error> {
    let key: i64 = row.get(5).map_err(failed)?;
    let origin = match origins.get(&key) {
        Some(origin) => Arc::clone(origin),
        None => {
            let origin = Arc::new(read_origin(connection, key)?);
            origins.insert(key, Arc::clone(&origin));
            origin
        }
    };
    let columns = (|| {
        Ok(StoredSpan {
            trace_id,
            span_id: row.get(0)?,
            parent_id: row.get(1)?,
            name: row.get(2)?,
            start: row.get(3)?,
            end: row.get(4)?,
            origin,
            body: row.get::<_, Vec<u8>>(6)?.into(),
        })
    })();
    columns.map_err(failed)
}

fn read_origin(connection: &Connection, key: i64) -> Result<SpanOrigin, Error> {
    let found = connection
        .prepare_cached("SELECT digest, body FROM origins WHERE key = ?1")
        .and_then(|mut select| {
            let origin = |row: &rusqlite::Row<'_>| {
                Ok(SpanOrigin { digest: row.get(0)?, body: row.get::<_, Vec<u8>>(1)?.into() })
            };
            select.query_row([key], origin).optional()
        })
        .map_err(failed)?;
    found.ok_or_else(|| Error::Corrupt { what: format!("{FILE}: there is no origin {key}") })
}
