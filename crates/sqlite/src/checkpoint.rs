//! Folding the write-ahead log into the database beside the commits, not inside them: it waits for the disk twice.

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;
use spanwise_core::Durability;

use crate::{Error, synchronous};

/// The log is folded when it has this many pages (16 MiB): rarely enough not to be felt, early enough to keep it small.
const PAGES: i32 = 4096;

/// A writer who outruns the folding waits for it here (64 MiB): the log must not grow without end.
const MOST_PAGES: i32 = 4 * PAGES;

/// The thread that folds, while there is something to fold. It is dropped after the writer, whose end ends it.
#[derive(Debug)]
pub struct Checkpointer {
    thread: Option<JoinHandle<Connection>>,
}

impl Checkpointer {
    /// Starts the thread with a connection of its own and makes `writer` tell it when the log is long.
    ///
    /// # Errors
    /// [`Error::Open`] if the system refuses a thread; [`Error::Failed`], not sorted yet.
    pub fn start(file: &Path, durability: Durability, writer: &mut Connection) -> Result<Checkpointer, Error> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "synchronous", synchronous(durability))?;
        // One request may wait while one is served; more would say nothing new.
        let (requests, received) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("spanwise-fold".to_owned())
            .spawn(move || {
                fold_until_closed(&connection, &received);
                connection
            })
            .map_err(|source| Error::Open { path: file.to_owned(), source })?;
        let hook = move |wal: &mut rusqlite::hooks::Wal, pages: i32| {
            if pages >= MOST_PAGES {
                // Busy means that the thread is at it; an error here would be taken for one of the commit.
                let _ = wal.checkpoint();
            } else if pages >= PAGES {
                let _ = requests.try_send(());
            }
            Ok(())
        };
        writer.wal_hook(Some(hook))?;
        Ok(Checkpointer { thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    /// Waits for the thread, which ends with the writer: its connection holds the only sender. Its own is closed here, after all
    /// others: the last one folds the log and deletes it, and of two that close at one time none is the last.
    fn drop(&mut self) {
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn fold_until_closed(connection: &Connection, requests: &Receiver<()>) {
    while requests.recv().is_ok() {
        // A fold that fails loses nothing: the log stays, and the next request tries again.
        let _ = connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE);
    }
}
