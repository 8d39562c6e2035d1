//! Connections for reading: as many as read at one time, up to a bound, so that hardly any read waits for another.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use spanwise_core::text::seconds;
use spanwise_sqlite::forget_pages;

use super::failed;
use super::lock::DirectoryLock;
use crate::Error;

/// So many are kept open while nobody reads; more than that read at one time only in a burst.
const MOST_IDLE: usize = 8;

/// What one keeps of the pages that it has read, in KiB: a read begins in few of them, and the system has the others.
const CACHE_KIB: i64 = 256;

/// So many read at one time: each has descriptors and memory of its own. Whoever comes on top waits until one of them has
/// ended, unless it reads inside of a read of its own: then the others might be waiting for it.
const MOST: usize = 32;

/// A read that has waited for so long while no other has ended is refused and says why.
const PATIENCE: Duration = Duration::from_secs(10);

thread_local! {
    /// How many reads this thread is inside of.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// The reading connections of a journal.
#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    lock: Arc<DirectoryLock>,
    patience: Duration,
    state: Mutex<State>,
    /// Told when a read has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    /// Reads that are under way.
    under_way: usize,
    /// Reads that have ended.
    ended: u64,
}

impl Readers {
    /// Opens the first one.
    pub(super) fn open(file: &Path, lock: Arc<DirectoryLock>) -> Result<Readers, Error> {
        let (state, ended) = (Mutex::default(), Condvar::new());
        let readers = Readers { file: file.to_owned(), lock, patience: PATIENCE, state, ended };
        let first = readers.open_one()?;
        readers.state().idle.push(first);
        Ok(readers)
    }

    /// Reads with a connection that nobody else has meanwhile.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let _under_way = self.begin()?;
        let idle = self.state().idle.pop();
        let connection = idle.map_or_else(|| self.open_one(), Ok)?;
        let done = work(&connection);
        let mut state = self.state();
        if state.idle.len() < MOST_IDLE {
            state.idle.push(connection);
        }
        done
    }

    /// Gives back the pages that the idle ones have kept of what they read.
    pub(super) fn forget_pages(&self) {
        self.state().idle.iter().for_each(forget_pages);
    }

    /// Counts a read, when there is room for it.
    fn begin(&self) -> Result<UnderWay<'_>, Error> {
        let mut state = self.state();
        if INSIDE.get() == 0 {
            state = self.wait_for_room(state)?;
        }
        state.under_way += 1;
        INSIDE.set(INSIDE.get() + 1);
        Ok(UnderWay(self))
    }

    /// Waits until fewer than the bound are under way, as long as reads end: others may be faster than this one.
    fn wait_for_room<'a>(&self, mut state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>, Error> {
        while state.under_way >= MOST {
            let ended = state.ended;
            let stands_still = |state: &mut State| state.under_way >= MOST && state.ended == ended;
            let waited = self.ended.wait_timeout_while(state, self.patience, stands_still);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                let source =
                    format!("{MOST} reads are under way, and none has ended for {}", seconds(self.patience)).into();
                return Err(Error::Unusable { file: self.file.clone(), source });
            }
            state = after;
        }
        Ok(state)
    }

    /// A file that is gone is not made anew, and one that is not this journal any more is not read.
    fn open_one(&self) -> Result<Connection, Error> {
        self.lock.check()?;
        let flags = OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE;
        let connection = Connection::open_with_flags(&self.file, flags).map_err(failed)?;
        connection.pragma_update(None, "query_only", true).map_err(failed)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(failed)?;
        // Whatever was there before, this is what was opened.
        self.lock.check()?;
        Ok(connection)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One read, until it ends.
struct UnderWay<'a>(&'a Readers);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
        let mut state = self.0.state();
        state.under_way -= 1;
        state.ended += 1;
        drop(state);
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn answer(connection: &Connection) -> Result<i64, Error> {
        connection.query_row("SELECT value FROM answer", [], |row| row.get(0)).map_err(failed)
    }

    /// A journal with an answer, its readers, and the connection that keeps its log.
    fn journal(directory: &Path) -> (Readers, PathBuf, Connection) {
        let mut lock = DirectoryLock::take(directory).unwrap();
        let file = directory.join("a.db");
        let writer = Connection::open(&file).unwrap();
        writer.execute_batch("CREATE TABLE answer (value); INSERT INTO answer VALUES (42)").unwrap();
        lock.guard(&file).unwrap();
        (Readers::open(&file, Arc::new(lock)).unwrap(), file, writer)
    }

    fn nested(readers: &Readers, depth: usize) -> i64 {
        let read = |connection: &Connection| {
            let deeper = if depth > 0 { nested(readers, depth - 1) } else { 0 };
            Ok(answer(connection)? + deeper)
        };
        readers.with(read).unwrap()
    }

    #[test]
    fn a_read_waits_for_no_other_and_a_few_connections_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (readers, file, writer) = journal(directory.path());
        assert_eq!(nested(&readers, 9), 420);
        assert_eq!(readers.state().idle.len(), MOST_IDLE);
        assert!(readers.with(|connection| connection.execute("DELETE FROM answer", []).map_err(failed)).is_err());
        readers.forget_pages();

        readers.state().idle.clear();
        drop(writer);
        std::fs::remove_file(&file).unwrap();
        assert!(readers.with(answer).is_err() && !file.exists(), "a file that is gone is not made anew");
    }

    #[test]
    fn more_than_the_bound_wait_and_those_that_read_inside_of_a_read_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let (mut readers, _, _writer) = journal(directory.path());
        readers.patience = Duration::from_millis(50);
        let (readers, all_read, all_may_end) = (&readers, Barrier::new(MOST + 1), Barrier::new(MOST + 1));
        std::thread::scope(|threads| {
            for _ in 0..MOST {
                threads.spawn(|| {
                    let read = |connection: &Connection| {
                        all_read.wait();
                        all_may_end.wait();
                        Ok(answer(connection)? + nested(readers, 1))
                    };
                    assert_eq!(readers.with(read).unwrap(), 126);
                });
            }
            all_read.wait();
            let refused = readers.with(answer).unwrap_err();
            let source = std::error::Error::source(&refused).unwrap().to_string();
            assert!(refused.may_pass() && source.starts_with("32 reads are under way"), "{refused}: {source}");
            all_may_end.wait();
        });
        assert_eq!((readers.with(answer).unwrap(), readers.state().under_way), (42, 0));
        let panicking = || readers.with(|_| -> Result<(), Error> { panic!("a read that panics") });
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).is_err());
        assert_eq!((INSIDE.get(), readers.state().under_way), (0, 0));
    }

    /// The room of what ends is taken by others at once, for longer than a read is patient.
    #[test]
    fn a_read_that_others_overtake_is_not_refused_as_long_as_reads_end() {
        let directory = tempfile::tempdir().unwrap();
        let (mut readers, _, _writer) = journal(directory.path());
        readers.patience = Duration::from_secs(1);
        let (readers, all_read, all_may_end) = (&readers, Barrier::new(MOST), Barrier::new(MOST));
        std::thread::scope(|threads| {
            for _ in 1..MOST {
                threads.spawn(|| {
                    let read = |connection: &Connection| {
                        all_read.wait();
                        all_may_end.wait();
                        answer(connection)
                    };
                    readers.with(read).unwrap();
                });
            }
            let read = |_: &Connection| {
                all_read.wait();
                let overtaken = threads.spawn(|| readers.with(answer));
                let begun = std::time::Instant::now();
                while begun.elapsed() < 2 * readers.patience + readers.patience / 2 {
                    assert_eq!(nested(readers, 0), 42);
                    std::thread::sleep(readers.patience / 20);
                }
                let is_waiting = !overtaken.is_finished();
                all_may_end.wait();
                Ok((is_waiting, overtaken))
            };
            let (is_waiting, overtaken) = readers.with(read).unwrap();
            assert_eq!((is_waiting, overtaken.join().unwrap().unwrap()), (true, 42));
        });
    }

    /// Both ways in which a path stops to lead to the journal, for a connection that is there and for a new one.
    #[test]
    fn a_new_reader_does_not_trust_a_path_that_leads_elsewhere() {
        let replace: fn(&Path) = |file| {
            let other = file.with_extension("other");
            let database = Connection::open(&other).unwrap();
            database.execute_batch("CREATE TABLE answer (value); INSERT INTO answer VALUES (43)").unwrap();
            drop(database);
            std::fs::rename(other, file).unwrap();
        };
        let delete: fn(&Path) = |file| std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
        for lead_elsewhere in [replace, delete] {
            let directory = tempfile::tempdir().unwrap();
            let directory = directory.path().join("d");
            std::fs::create_dir(&directory).unwrap();
            let (readers, file, _writer) = journal(&directory);
            lead_elsewhere(&file);
            assert_eq!(readers.with(answer).unwrap(), 42, "what is open is what it was");
            readers.state().idle.clear();
            let refused = readers.with(answer);
            assert!(matches!(refused, Err(Error::Gone { .. })), "{refused:?}");
        }
    }
}
