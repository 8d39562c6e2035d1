//! What SQLite says, in the words of [`Error`].

use std::path::Path;

use rusqlite::ErrorCode;

use super::FILE;
use crate::Error;

/// What the database said, before it is sorted.
pub(crate) fn failed(source: rusqlite::Error) -> Error {
    Error::Failed(Box::new(source))
}

/// Sorts what the database said about a file by what can be done about it.
pub(crate) fn sort(error: Error, file: &Path) -> Error {
    let Error::Failed(source) = error else { return error };
    let directory = || file.parent().unwrap_or(file).to_owned();
    match source.downcast_ref().and_then(rusqlite::Error::sqlite_error_code) {
        Some(ErrorCode::DiskFull) => Error::Full { path: directory() },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(file, source),
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked,
        ) => Error::Unusable { file: file.to_owned(), source },
        _ => Error::Failed(source),
    }
}

/// A file that is no database any more, or a damaged one.
pub(crate) fn damaged(file: &Path, source: impl Into<crate::error::Cause>) -> Error {
    Error::Damaged { file: file.to_owned(), way_out: way_out(file), source: source.into() }
}

fn way_out(file: &Path) -> String {
    let directory = file.parent().unwrap_or(file).display();
    match file.file_name().is_some_and(|name| name == FILE) {
        true => format!(
            ". Nothing was changed or deleted. Put a backup in its place, or start once with \
             `spanwise dev --repair --data-dir {directory}`, which sets it aside"
        ),
        false => String::new(),
    }
}
