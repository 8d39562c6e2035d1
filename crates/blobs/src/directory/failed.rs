//! What the file system says, by what a caller can do about it.

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use crate::{BlobUri, Error, Source};

/// The system's error at the end of a chain of sources.
fn system<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        next = error.source();
    }
    None
}

/// Whether a read failed because nothing is there: a path that goes through a file is absent too.
pub(super) fn is_absent(error: &(dyn StdError + 'static)) -> bool {
    system(error).is_some_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

/// Sorts an error of the file system by what its reader can do about it.
pub(super) fn sort(action: &'static str, name: String, directory: &Path, source: impl Into<Source>) -> Error {
    let source = source.into();
    match system(&*source).map(io::Error::kind) {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            Error::DiskFull { name, directory: directory.to_owned(), source }
        }
        _ => Error::Storage { action, name, store: directory.display().to_string(), source },
    }
}

/// Sorts an error of putting a finished file at its place.
pub(super) fn sort_publish(uri: &BlobUri, directory: &Path, source: object_store::Error) -> Error {
    use io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory};
    if let object_store::Error::AlreadyExists { .. } = source {
        return Error::Exists { uri: uri.clone() };
    }
    match system(&source).map(io::Error::kind) {
        Some(NotADirectory | IsADirectory | AlreadyExists) => {
            Error::Conflict { uri: uri.clone(), source: source.into() }
        }
        _ => sort("store", uri.to_string(), directory, source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_under_what_wraps_it() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let wrapped = object_store::Error::Generic { store: "local", source: Box::new(full) };
        let error = sort("store", "s3://spanwise/a".to_owned(), Path::new("/data/blobs"), wrapped);
        assert!(matches!(error, Error::DiskFull { .. }));
        assert_eq!(error.to_string(), "store `s3://spanwise/a`: the disk of the blob store `/data/blobs` is full");
    }
}
