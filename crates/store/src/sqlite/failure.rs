//! What SQLite says, in the words of [`Error`].

use std::path::Path;

use super::FILE;
use crate::Error;
use crate::error::Cause;

/// What the database said, before it is sorted.
pub(super) fn failed(source: rusqlite::Error) -> Error {
    Error::Failed(Box::new(source))
}

/// Sorts what the database said about a file by what can be done about it.
pub(super) fn sort(error: Error, file: &Path) -> Error {
    let Error::Failed(source) = error else { return error };
    match source.downcast::<rusqlite::Error>() {
        Ok(source) => spanwise_sqlite::Error::Failed(*source).sorted(file).into(),
        Err(source) => Error::Failed(source),
    }
}

impl From<spanwise_sqlite::Error> for Error {
    fn from(error: spanwise_sqlite::Error) -> Error {
        use spanwise_sqlite::Error as Of;
        match error {
            Of::Full { path } => Error::Full { path },
            Of::Unusable { file, source } => Error::Unusable { file, source: source.into() },
            Of::Damaged { file, source } => damaged(&file, source),
            Of::Newer { what } => Error::Newer { what },
            Of::Corrupt { what } => Error::Corrupt { what },
            Of::Open { path, source } => Error::Open { path, source },
            Of::Failed(source) => failed(source),
        }
    }
}

/// A file that is no database any more, or a damaged one.
pub(super) fn damaged(file: &Path, source: impl Into<Cause>) -> Error {
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
