//! The file of spans, and the connections that have it open.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use spanwise_core::Durability;
use spanwise_sqlite::{Checkpointer, Error, Schema, prepare};

/// The file in the data directory.
pub(super) const FILE: &str = "spans.db";

const SPANS: &str = include_str!("../../migrations/0001_spans.sql");

/// The database's: there has been one version.
const SCHEMA: Schema<'_> = Schema { whole: SPANS, steps: &[SPANS] };

/// The open database: one connection writes, one reads.
#[derive(Debug)]
pub(super) struct Database {
    writer: Mutex<Writer>,
    reader: Mutex<Connection>,
    // After the writer, whose end ends the thread.
    _checkpointer: Checkpointer,
}

/// The connection that writes, and the origins that it has seen.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: Connection,
    /// Their keys, by digest.
    pub(super) origins: HashMap<[u8; 32], i64>,
}

impl Database {
    pub(super) fn open(directory: &Path, durability: Durability) -> Result<Database, Error> {
        let file = directory.join(FILE);
        let open = || {
            let mut connection = Connection::open(&file)?;
            prepare(&mut connection, durability, SCHEMA)?;
            let checkpointer = Checkpointer::start(&file, durability, &mut connection)?;
            let reader = Connection::open(&file)?;
            reader.pragma_update(None, "query_only", true)?;
            Ok(Database {
                writer: Mutex::new(Writer { connection, origins: HashMap::new() }),
                reader: Mutex::new(reader),
                _checkpointer: checkpointer,
            })
        };
        open().map_err(|error: Error| error.sorted(&file))
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic inside a transaction rolls it back, so a poisoned lock guards a sound connection.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is there is another thing than a database of ours, or no file at all. One that cannot be used now may be sound.
pub(super) fn is_no_database(error: &Error, file: &Path) -> bool {
    match error {
        Error::Damaged { .. } | Error::Failed(_) => true,
        Error::Unusable { .. } => file.metadata().is_ok_and(|found| !found.is_file()),
        _ => false,
    }
}

/// Gives the file another name, and says which.
pub(super) fn set_aside(directory: &Path) -> Result<PathBuf, Error> {
    let file = directory.join(FILE);
    spanwise_sqlite::set_aside(&file).map_err(|source| Error::Open { path: file, source })
}
