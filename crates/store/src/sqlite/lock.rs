//! One process a data directory: an advisory lock that the kernel drops with the process, however it ends.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Error;

/// The file in the data directory.
const FILE: &str = "lock";

/// A process that is just ending, or a child that it has just forked and that has not yet executed its program, holds the
/// lock for a moment longer: worth a fifth of a second before anyone is refused.
const PATIENCE: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Holds the directory until it is dropped.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    directory: PathBuf,
    file: Mutex<File>,
    /// The file whose being there shows that the directory is still the one that was opened.
    guarded: Option<(PathBuf, Id)>,
}

/// Which file it is, whatever its name.
type Id = (u64, u64);

fn id(metadata: &Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

impl DirectoryLock {
    /// Takes the lock and writes who holds it into the lock file.
    pub(super) fn take(directory: &Path) -> Result<DirectoryLock, Error> {
        let mut attempts = 0..PATIENCE;
        loop {
            match lock(directory) {
                Err(Error::InUse { .. }) if attempts.next().is_some() => std::thread::sleep(PAUSE),
                locked => {
                    let file = Mutex::new(locked?);
                    return Ok(DirectoryLock { directory: directory.to_owned(), file, guarded: None });
                }
            }
        }
    }

    /// From now on [`DirectoryLock::check`] looks for this file too.
    pub(super) fn guard(&mut self, file: &Path) -> io::Result<()> {
        self.guarded = Some((file.to_owned(), id(&std::fs::metadata(file)?)));
        Ok(())
    }

    /// Looks whether the directory is still this process's. A lock file that is missing is made anew: without it a second process
    /// would find the directory free.
    pub(super) fn check(&self) -> Result<(), Error> {
        let gone = |what: String| Error::Gone { path: self.directory.clone(), what };
        if let Some((file, opened)) = &self.guarded {
            match std::fs::metadata(file) {
                Ok(metadata) if id(&metadata) == *opened => {}
                Ok(_) => return Err(gone(format!("`{}` was replaced", file.display()))),
                Err(error) => return Err(gone(format!("`{}`: {error}", file.display()))),
            }
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = file.metadata().map(|metadata| id(&metadata)).ok();
        let there = std::fs::metadata(self.directory.join(FILE)).map(|metadata| id(&metadata)).ok();
        if there.is_none() || there != mine {
            *file = lock(&self.directory).map_err(|error| match error {
                Error::InUse { holder, .. } => gone(format!("its lock was deleted, and {holder} has taken it")),
                other => gone(format!("its lock was deleted, and cannot be made anew: {other}")),
            })?;
        }
        Ok(())
    }
}

/// Takes the lock, if nobody has it.
fn lock(directory: &Path) -> Result<File, Error> {
    let open_error = |source| Error::Open { path: directory.to_owned(), source };
    let path = directory.join(FILE);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(open_error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::InUse { path: directory.to_owned(), holder: holder(&mut file) });
        }
        Err(TryLockError::Error(source)) => return Err(open_error(source)),
    }
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    let text = format!("process {} ({program})\n", std::process::id());
    // Who holds it is told on a best effort: a full disk keeps nobody from the lock itself.
    let _ = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
    Ok(file)
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), name) if !name.is_empty() => name.to_owned(),
        _ => "another process".to_owned(),
    }
}
