//! The directory as a store, and what the handle adds to any store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod directory;
mod handle;
mod store;

mod conformance {
    use spanwise_blobs::Blobs;
    use tempfile::TempDir;

    use super::directory::Store;

    fn open() -> (Blobs, TempDir) {
        let Store { blobs, directory } = Store::new();
        (blobs, directory)
    }

    spanwise_blobs::conformance!(open);
}
