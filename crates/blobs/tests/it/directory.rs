//! A store in a directory, for the tests of this crate and of the server.

use spanwise_blobs::Blobs;
use spanwise_core::Durability;
use tempfile::TempDir;

/// A store in a directory of its own.
pub(crate) struct Store {
    pub(crate) blobs: Blobs,
    pub(crate) directory: TempDir,
}

impl Store {
    pub(crate) fn new() -> Store {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&directory.path().join("blobs"), Durability::Disk).unwrap();
        Store { blobs, directory }
    }

    /// How many unfinished writes lie about.
    pub(crate) fn staged(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("blobs/staging")).unwrap().count()
    }
}
