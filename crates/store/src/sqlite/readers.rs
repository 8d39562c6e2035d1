//! Connections for reading: as many as read at one time, so that no read waits for another.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};
use spanwise_sqlite::forget_pages;

use super::failed;
use crate::Error;

/// So many are kept open while nobody reads; more than that read at one time only in a burst.
const KEPT: usize = 4;

/// The reading connections of a journal.
#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens the first one.
    pub(super) fn open(file: &Path) -> Result<Readers, Error> {
        let readers = Readers { file: file.to_owned(), idle: Mutex::default() };
        let first = readers.open_one()?;
        readers.idle().push(first);
        Ok(readers)
    }

    /// Reads with a connection that nobody else has meanwhile.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let idle = self.idle().pop();
        let connection = idle.map_or_else(|| self.open_one(), Ok)?;
        let done = work(&connection);
        let mut idle = self.idle();
        if idle.len() < KEPT {
            idle.push(connection);
        }
        done
    }

    /// Gives back the pages that the idle ones have kept of what they read.
    pub(super) fn forget_pages(&self) {
        self.idle().iter().for_each(forget_pages);
    }

    /// A file that is gone is not made anew.
    fn open_one(&self) -> Result<Connection, Error> {
        let flags = OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE;
        let connection = Connection::open_with_flags(&self.file, flags).map_err(failed)?;
        connection.pragma_update(None, "query_only", true).map_err(failed)?;
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing that panics runs under this lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(connection: &Connection) -> Result<i64, Error> {
        connection.query_row("SELECT value FROM answer", [], |row| row.get(0)).map_err(failed)
    }

    #[test]
    fn a_read_waits_for_no_other_and_a_few_connections_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.db");
        let writer = Connection::open(&file).unwrap();
        writer.execute_batch("CREATE TABLE answer (value); INSERT INTO answer VALUES (42)").unwrap();
        let readers = Readers::open(&file).unwrap();
        fn nested(readers: &Readers, depth: usize) -> i64 {
            let read = |connection: &Connection| {
                let deeper = if depth > 0 { nested(readers, depth - 1) } else { 0 };
                Ok(answer(connection)? + deeper)
            };
            readers.with(read).unwrap()
        }
        assert_eq!(nested(&readers, 9), 420);
        assert_eq!(readers.idle().len(), KEPT);
        assert!(readers.with(|connection| connection.execute("DELETE FROM answer", []).map_err(failed)).is_err());
        readers.forget_pages();

        readers.idle().clear();
        drop(writer);
        std::fs::remove_file(&file).unwrap();
        assert!(readers.with(answer).is_err() && !file.exists(), "a file that is gone is not made anew");
    }
}
