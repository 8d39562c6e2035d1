//! What can go wrong with a SQLite file, by what its owner can do about it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A failure of a SQLite file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk is full. Nothing of what was refused was kept; everything acknowledged before it was.
    #[error("the disk under `{}` is full", path.display())]
    Full {
        /// The directory.
        path: PathBuf,
    },
    /// The file cannot be written or read now: the disk refuses. Nothing of what was refused was kept.
    #[error("`{}` cannot be used now", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What the database said.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is no database any more, or a damaged one.
    #[error("`{}` is damaged", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// In which way.
        #[source]
        source: rusqlite::Error,
    },
    /// It was written by a newer version of Spanwise.
    #[error("the data was written by a newer version: {what}")]
    Newer {
        /// What was not understood.
        what: String,
    },
    /// What was read makes no sense.
    #[error("the data is damaged: {what}")]
    Corrupt {
        /// What was read.
        what: String,
    },
    /// The file, its directory or the thread that folds its log cannot be made.
    #[error("open `{}`", path.display())]
    Open {
        /// The file or the directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database has refused, and nobody has sorted it by what can be done about it, or nothing can.
    #[error("the database failed")]
    Failed(#[from] rusqlite::Error),
}

impl Error {
    /// True for what passes by itself, or when somebody makes room: the same may succeed later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Full { .. } | Error::Unusable { .. })
    }

    /// Sorts what the database said about a file by what can be done about it.
    #[must_use]
    pub fn sorted(self, file: &Path) -> Error {
        let Error::Failed(source) = self else { return self };
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::Full { path: file.parent().unwrap_or(file).to_owned() },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Error::Damaged { file: file.to_owned(), source }
            }
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
}
