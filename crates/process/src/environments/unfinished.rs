//! What is undone if a build does not come to its end.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::Inner;
use crate::Process;

/// What a build has begun; dropped, it is undone.
pub(super) struct Unfinished {
    pub(super) directory: PathBuf,
    /// The program that is at work.
    pub(super) process: Option<Process>,
    grace: Duration,
    stopping: TaskTracker,
    is_over: bool,
}

impl Unfinished {
    pub(super) fn new(inner: &Inner, name: &str) -> Unfinished {
        let (directory, stopping) = (inner.directory.join(name), inner.stopping.clone());
        Unfinished { directory, process: None, grace: inner.grace, stopping, is_over: false }
    }

    pub(super) fn keep(&mut self) {
        self.is_over = true;
    }

    pub(super) async fn remove(&mut self) {
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
        let removed = fs::remove_dir_all(&directory);
        // The record's first form, if it could not be written.
        let _ = fs::remove_file(directory.with_extension("new"));
        removed.map_err(|error| (directory, error))
    });
    if let Ok(Err((directory, error))) = removed.await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(directory = %directory.display(), %error, "remove an unfinished environment: it goes with the next start");
    }
}
