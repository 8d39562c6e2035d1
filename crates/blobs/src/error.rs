//! What can go wrong with blobs, by what a caller can do about it.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use crate::{BadUri, BlobUri};

/// Any error under an operation of a store.
pub type Source = Box<dyn StdError + Send + Sync>;

/// Why an operation on the blob store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory of a store cannot be used.
    #[error("open the blob store in `{}`", directory.display())]
    Open {
        /// The store's directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A text is not the name of a blob.
    #[error(transparent)]
    BadUri(#[from] BadUri),
    /// No space is left. What was stored before is untouched, and of this blob nothing is kept.
    #[error("store `{name}`: the disk of the blob store `{}` is full", directory.display())]
    DiskFull {
        /// What was to be stored.
        name: String,
        /// The store's directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: Source,
    },
    /// The directory of the store was deleted or moved while it was in use.
    #[error("the directory of the blob store `{}` is gone", directory.display())]
    Gone {
        /// The store's directory.
        directory: PathBuf,
    },
    /// In a directory a blob is a file and what its name has in front of a `/` is a directory, so a name cannot be both.
    #[error("store `{uri}`: a blob is stored under a part of this name, or this name is a part of another blob's")]
    Conflict {
        /// The name that was refused.
        uri: BlobUri,
        /// What the system said.
        #[source]
        source: Source,
    },
    /// The blob was to be created, but it is there.
    #[error("create `{uri}`: it exists")]
    Exists {
        /// The name that was refused.
        uri: BlobUri,
    },
    /// There is no blob of this name.
    #[error("`{uri}` does not exist")]
    Missing {
        /// The name that was asked for.
        uri: BlobUri,
    },
    /// The blob is larger than the reader can take.
    #[error("read `{uri}`: it has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// The blob.
        uri: BlobUri,
        /// Its size in bytes.
        size: u64,
        /// The reader's limit in bytes.
        limit: u64,
    },
    /// The body is not what was announced; nothing of it is kept.
    #[error("store `{name}`: {reason}")]
    Refused {
        /// What was to be stored.
        name: String,
        /// In which way it differs.
        reason: Refusal,
    },
    /// The body ended early; nothing of it is kept.
    #[error("receive the content of `{name}`")]
    Body {
        /// What was to be stored.
        name: String,
        /// What the connection said.
        #[source]
        source: Source,
    },
    /// There is no such multipart upload of this blob: it was completed, aborted, or never begun.
    #[error("multipart upload `{id}` of `{uri}` does not exist")]
    NoUpload {
        /// The blob.
        uri: BlobUri,
        /// The upload's id.
        id: String,
    },
    /// A part that was named to complete an upload was never stored, or is another one by now.
    #[error("part {number} of multipart upload `{id}` is not the one that was stored")]
    BadPart {
        /// The upload's id.
        id: String,
        /// The part's number.
        number: u32,
    },
    /// What the blobs are kept in has failed: the file system, the bucket or the way to it.
    #[error("{action} `{name}` in the blob store `{store}`")]
    Storage {
        /// What was attempted.
        action: &'static str,
        /// On what.
        name: String,
        /// Where the store is.
        store: String,
        /// What it said.
        #[source]
        source: Source,
    },
}

/// In which way a body is not what was announced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fewer or more bytes.
    #[error("its content has {actual} bytes, {announced} were announced")]
    Length {
        /// What the client said.
        announced: u64,
        /// What arrived.
        actual: u64,
    },
    /// Other bytes.
    #[error("its content has the MD5 digest {actual}, {announced} was announced (both in base64)")]
    Digest {
        /// What the client said.
        announced: String,
        /// What arrived.
        actual: String,
    },
    /// More bytes than are allowed.
    #[error("its content has more than the {limit} bytes that are allowed")]
    Limit {
        /// How many may be.
        limit: u64,
    },
}
