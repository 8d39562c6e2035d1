//! What can go wrong with a store, by what the caller can do about it.

use std::path::PathBuf;

/// What a store is made on has said.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

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
    /// The journal cannot be written or read now: the disk refuses. Nothing of what was refused was kept.
    #[error("`{}` cannot be used now", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What the database said.
        #[source]
        source: Cause,
    },
    /// The data directory of this process was deleted, moved or taken by another process while it was in use. What this process still
    /// writes would be nowhere.
    #[error("the data directory `{}` is not this process's any more: {what}", path.display())]
    Gone {
        /// The directory.
        path: PathBuf,
        /// What has become of it.
        what: String,
    },
    /// The journal that the data directory had is not there. Nothing was changed.
    #[error(
        "{what}. Nothing was changed or deleted. Put the file back, or start once with `spanwise dev --repair --data-dir {}`",
        directory.display()
    )]
    Lost {
        /// The directory.
        directory: PathBuf,
        /// What is there instead.
        what: String,
    },
    /// A file is no database any more, or a damaged one.
    #[error("`{}` is damaged{way_out}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What its owner can do about it, as the end of a sentence; empty if there is nothing.
        way_out: String,
        /// In which way.
        #[source]
        source: Cause,
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
    /// What the store is made on has refused, in a way that nobody foresaw.
    #[error("the store failed")]
    Failed(#[source] Cause),
}

impl Error {
    /// True for what passes by itself, or when somebody makes room: the same may succeed later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Full { .. } | Error::Unusable { .. } | Error::Gone { .. })
    }

    /// True if what was stored cannot be understood, now and later.
    pub fn is_damage(&self) -> bool {
        matches!(self, Error::Newer { .. } | Error::Corrupt { .. } | Error::Damaged { .. } | Error::Failed(_))
    }
}
