//! Blobs: bytes under a key, which the control plane and the tasks exchange as files.
//!
//! [`BlobStore`] says what a store keeps; [`Directory`] keeps it in a directory of this machine. [`Blobs`] is a store as the rest of the
//! program uses it, whichever it is. How blobs come and go over HTTP is the server's.
//!
//! # A store in a bucket
//!
//! Every method of the trait has its counterpart in S3's API and in the crate `object_store`; what such a store has to see to itself:
//!
//! - *Put if absent* ([`Mode::Create`]) is a conditional put (`If-None-Match: *`, `PutMode::Create`), never a look before a put; a
//!   multipart upload needs the condition on its completion.
//! - *What was announced* ([`Announced`]) is compared before the blob is visible: the length and the digest go along as headers, and a
//!   multipart upload is aborted if they differ in the end. What was there before stays there.
//! - *Order and pages*: [`BlobStore::list`] goes by the bytes of the keys and folds at `/`, as a bucket does; [`Page::next`] may be any
//!   text that the same store understands, such as its continuation token.
//! - *Reading while it is replaced*: one [`Content`] is one version; a read of several requests has `If-Match` with the tag of the first.
//! - *Deleting below a prefix* takes many requests: it is repeated until nothing is listed, and half of it may be seen meanwhile. Callers
//!   count on no more than that.
//! - *Signed URLs* are the bucket's own ([`BlobStore::presign`]), so that the bytes do not go through the server; they bind the size and the
//!   digest that were announced.
//! - *Errors*: what passes by itself (throttling, a connection) is [`Error::Storage`] and is tried again by the caller; a client of the
//!   bucket tries for a few seconds, no longer. [`Error::Conflict`] and [`Error::DiskFull`] it has none of.
//!
//! The cases of `conformance` (a feature) are what the callers rely on: a new store passes them.

mod blobs;
#[cfg(feature = "conformance")]
pub mod conformance;
mod directory;
mod error;
mod model;
mod reader;
mod store;
mod uri;

pub use blobs::Blobs;
pub use directory::Directory;
pub use error::{Error, Refusal, Source};
pub use model::{
    Announced, Body, Bound, ByteRange, ByteStream, Content, Listed, Mode, Object, Page, Part, Query, Right,
};
pub use reader::Reader;
pub use store::{BlobStore, Uploads};
pub use uri::{BUCKET, BadUri, BlobUri};
