//! The directory as a store, and what the handle adds to any store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod handle;
mod store;

use spanwise_blobs::Blobs;
use spanwise_core::Durability;
use tempfile::TempDir;

/// A store in a directory of its own.
struct Store {
    blobs: Blobs,
    directory: TempDir,
}

impl Store {
    fn new() -> Store {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&directory.path().join("blobs"), Durability::Disk).unwrap();
        Store { blobs, directory }
    }

    /// How many unfinished writes lie about.
    fn staged(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("blobs/staging")).unwrap().count()
    }
}

mod conformance {
    use super::*;

    fn open() -> (Blobs, TempDir) {
        let Store { blobs, directory } = Store::new();
        (blobs, directory)
    }

    spanwise_blobs::conformance!(open);
}
