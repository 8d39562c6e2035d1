//! What is undone if a build does not come to its end.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::{Process, remove_tree};

/// What a build has begun; dropped, it is undone.
pub(crate) struct Unfinished {
    pub(crate) directory: PathBuf,
    /// The program that is at work.
    pub(crate) process: Option<Process>,
    grace: Duration,
    stopping: TaskTracker,
    is_over: bool,
}

impl Unfinished {
    pub(crate) fn new(directory: PathBuf, grace: Duration, stopping: TaskTracker) -> Unfinished {
        Unfinished { directory, process: None, grace, stopping, is_over: false }
    }

    pub(crate) fn keep(&mut self) {
        self.is_over = true;
    }

    pub(crate) async fn remove(&mut self) {
        self.is_over = true;
        remove(self.directory.clone()).await;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (directory, process, grace) = (self.directory.clone(), self.process.take(), self.grace);
        self.stopping.spawn(async move {
            if let Some(process) = process {
                process.stop(grace).await;
            }
            remove(directory).await;
        });
    }
}

async fn remove(directory: PathBuf) {
    let removed = tokio::task::spawn_blocking(move || {
        let removed = remove_tree(&directory);
        // The record's first form, if it could not be written.
        let _ = fs::remove_file(directory.with_extension("new"));
        removed.map_err(|error| (directory, error))
    });
    if let Ok(Err((directory, error))) = removed.await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(directory = %directory.display(), %error, "remove what was not finished: it goes with the next start");
    }
}
