//! What can go wrong with a store, by what the caller can do about it.

use std::path::PathBuf;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is taken.
    #[error("run `{0}` already exists")]
    AlreadyExists(String),
    /// Somebody else wrote to the run: load it again and decide again.
    #[error("append to run {run}: event {seq} is not the next one")]
    Conflict {
        /// The run's key.
        run: i64,
        /// The number that does not follow.
        seq: u64,
    },
    /// Another process uses the data directory.
    #[error("data directory `{}` is in use by {holder}; give this process another one (SPANWISE_DATA_DIR) or end that process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who holds it, as far as its lock file tells.
        holder: String,
    },
    /// The disk is full. Nothing of the refused batch was kept; everything acknowledged before it was.
    #[error("the disk under `{}` is full", path.display())]
    Full {
        /// The directory.
        path: PathBuf,
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
    /// The directory cannot be made or opened.
    #[error("open data directory `{}`", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database refused.
    #[error("the database failed")]
    Database(#[source] rusqlite::Error),
}
