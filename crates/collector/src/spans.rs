//! Spans that a collector has received, in a database of their own beside the journal, which stays small that way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{Durability, Timestamp};
use spanwise_sqlite::{forget_pages, used_bytes};

mod database;
mod first;
mod insert;
mod prune;
mod read;

use database::{Database, FILE, Writer};
pub use first::Wanted;
pub use spanwise_sqlite::Error;

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
    pub repeated: Vec<usize>,
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
            Err(error) if database::is_no_database(&error, &directory.join(FILE)) => {
                aside.push(database::set_aside(directory)?);
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

    fn sorted(&self, error: impl Into<Error>) -> Error {
        error.into().sorted(&self.directory.join(FILE))
    }

    fn begin_anew(&self) -> Result<(), Error> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // The file moves under the connections that have it open; they are closed when the new one is there.
        let aside = database::set_aside(&self.directory)?;
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
        let done = insert::insert(connection, origins, spans, now);
        if done.is_err() {
            // What was rolled back may be among them.
            origins.clear();
        }
        done.map_err(|error| self.sorted(error))
    }

    /// The spans of a trace, the first to begin first, at most `limit` of them.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn of_trace(&self, trace_id: [u8; 16], limit: usize) -> Result<Vec<StoredSpan>, Error> {
        let database = self.database();
        let reader = database.reader();
        read::trace(&reader, trace_id, limit).map_err(|error| self.sorted(error))
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
            let state = reader.unchecked_transaction()?;
            let count = read::count(&state, trace_id)?;
            if count <= limit as u64 {
                return Ok((read::trace(&state, trace_id, limit)?, count));
            }
            let keys = first::keys(&state, trace_id, limit, &wanted())?;
            Ok((read::of_keys(&state, trace_id, &keys)?, count))
        };
        read().map_err(|error: Error| self.sorted(error))
    }

    /// The spans of a trace, the first to begin first, at most `limit` of them; and how many there are.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn of_trace_counted(&self, trace_id: [u8; 16], limit: usize) -> Result<(Vec<StoredSpan>, u64), Error> {
        let database = self.database();
        let reader = database.reader();
        let read = || {
            let state = reader.unchecked_transaction()?;
            Ok((read::trace(&state, trace_id, limit)?, read::count(&state, trace_id)?))
        };
        read().map_err(|error: Error| self.sorted(error))
    }

    /// How many spans of a trace there are.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn count_of_trace(&self, trace_id: [u8; 16]) -> Result<u64, Error> {
        let database = self.database();
        read::count(&database.reader(), trace_id).map_err(|error| self.sorted(error))
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
        let failed = |error| self.sorted(error);
        let now = database.writer().newest().map_err(failed)?.map_or(now, |newest| now.min(newest));
        let oldest = max_age.map_or(i64::MIN, |age| now.before(age).0);
        let mut pruned = 0;
        loop {
            // One step at a time: between two of them others may write.
            let mut writer = database.writer();
            let used = used_bytes(&writer.connection).map_err(failed)?;
            let deleted = match max_bytes.filter(|most| used > *most) {
                Some(most) => {
                    let count = writer.share(1.0 - most as f64 / used as f64).map_err(failed)?;
                    writer.delete_oldest(count, i64::MAX)
                }
                None => writer.delete_oldest(prune::PRUNED_AT_ONCE, oldest),
            };
            match deleted.map_err(failed)? {
                0 => {
                    if pruned > 0 {
                        prune::give_back(&writer.connection).map_err(failed)?;
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
        Ok(used_bytes(&self.database().reader())?)
    }

    /// Lets the database grow to this many pages (4 KiB each) and no further; an insertion that needs more is [`Error::Full`].
    ///
    /// # Errors
    /// If the database refuses the setting.
    pub fn limit_pages(&self, pages: u32) -> Result<(), Error> {
        self.database().writer().connection.pragma_update(None, "max_page_count", pages)?;
        Ok(())
    }
}
