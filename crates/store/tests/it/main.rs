//! The stores of this crate as stores, and what only a database on disk can show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod lost;
mod on_disk;
mod stored_form;

mod conformance {
    mod memory {
        use spanwise_store::Memory;

        fn open() -> (Memory, ()) {
            (Memory::new(), ())
        }

        spanwise_store::conformance!(open);
    }

    mod sqlite {
        use spanwise_store::{Durability, Sqlite};
        use tempfile::TempDir;

        fn open(durability: Durability) -> (Sqlite, TempDir) {
            let directory = tempfile::tempdir().unwrap();
            (Sqlite::open(directory.path(), durability).unwrap(), directory)
        }

        mod process {
            fn open() -> (super::Sqlite, super::TempDir) {
                super::open(super::Durability::Process)
            }

            spanwise_store::conformance!(open);
        }

        mod disk {
            fn open() -> (super::Sqlite, super::TempDir) {
                super::open(super::Durability::Disk)
            }

            spanwise_store::conformance!(open);
        }
    }
}
