//! One process a data directory: an advisory lock that the kernel drops with the process, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use crate::Error;

/// A process that is just ending, or a child that it has just forked and that has not yet executed its program, holds the
/// lock for a moment longer: worth a fifth of a second before anyone is refused.
const PATIENCE: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Holds the directory until it is dropped.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock and writes who holds it into the lock file.
    pub(super) fn take(directory: &Path) -> Result<DirectoryLock, Error> {
        let open_error = |source| Error::Open { path: directory.to_owned(), source };
        let path = directory.join("lock");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(open_error)?;
        let mut attempts = 0..PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempts.next().is_some() => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::InUse { path: directory.to_owned(), holder: holder(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(open_error(source)),
            }
        }
        let program = std::env::current_exe().unwrap_or_default();
        let program = program.file_name().unwrap_or_default().to_string_lossy();
        let text = format!("process {} ({program})\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(open_error)?;
        Ok(DirectoryLock { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), name) if !name.is_empty() => name.to_owned(),
        _ => "another process".to_owned(),
    }
}
