//! What a store of blobs does.

use std::fmt::Debug;
use std::time::SystemTime;

use async_trait::async_trait;

use crate::{Announced, BlobUri, Body, ByteRange, Content, Error, Mode, Object, Page, Part, Query, Right};

/// A store of blobs: one bucket of bytes under keys.
///
/// Guarantees: a blob becomes visible whole or not at all, also to readers that have its predecessor open. After `Ok` of a write, every
/// reader sees it, and it survives what the store was set up to survive. After `Err`, and if a call is dropped, what had the name before
/// is still there.
#[async_trait]
pub trait BlobStore: Uploads {
    /// Where the store is, for messages to people.
    fn location(&self) -> String;

    /// Size, tag and time of a blob; none if there is no such blob.
    ///
    /// # Errors
    /// [`Error::Storage`].
    async fn head(&self, uri: &BlobUri) -> Result<Option<Object>, Error>;

    /// A blob, or the part of it that a range asks for; none if there is no such blob. A range that cannot be satisfied is no error: then
    /// [`Content::range`] is none, and no byte comes.
    ///
    /// # Errors
    /// [`Error::Storage`]; what goes wrong later is an error of the stream.
    async fn get(&self, uri: &BlobUri, range: Option<ByteRange>) -> Result<Option<Content>, Error>;

    /// Stores what a stream brings, of which never more than a small part is in memory. With [`Mode::Create`] exactly one of several that
    /// create a name succeeds.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Body`] if the content is not what was announced or ends early, [`Error::Exists`] if it was to be
    /// created and is there, [`Error::DiskFull`], [`Error::Gone`], [`Error::Conflict`], [`Error::Storage`].
    async fn put(&self, uri: &BlobUri, body: Body<'_>, announced: &Announced, mode: Mode) -> Result<Object, Error>;

    /// Stores the content of one blob under another name too, in place of what has it.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no blob `from`, else as [`BlobStore::put`].
    async fn copy(&self, from: &BlobUri, to: &BlobUri) -> Result<Object, Error>;

    /// Removes a blob; one that is not there is no error.
    ///
    /// # Errors
    /// [`Error::Storage`].
    async fn delete(&self, uri: &BlobUri) -> Result<(), Error>;

    /// Removes the blob of this name and all blobs below it (`{name}/..`).
    ///
    /// # Errors
    /// [`Error::Storage`]; some may be removed then.
    async fn delete_prefix(&self, uri: &BlobUri) -> Result<(), Error>;

    /// One page of the blobs that a query asks for, by the bytes of their keys.
    ///
    /// # Errors
    /// [`Error::Storage`].
    async fn list(&self, query: Query) -> Result<Page, Error>;

    /// A URL of the store's own that lets its holder read or write one blob before `expires_at`. None if the store has no address of its
    /// own: then the server signs one of its own and serves it.
    ///
    /// # Errors
    /// [`Error::Storage`] if none can be signed now.
    async fn presign(&self, right: Right, uri: &BlobUri, expires_at: SystemTime) -> Result<Option<String>, Error>;

    /// Removes what lies below a name without being a blob or leading to one, if that was last changed before a time: what a write or a deletion
    /// that was cut off has left. A bucket has nothing like it.
    ///
    /// # Errors
    /// [`Error::Storage`].
    async fn tidy(&self, below: &BlobUri, before: SystemTime) -> Result<(), Error> {
        let _ = (below, before);
        Ok(())
    }

    /// Writes a little and removes it again: a blob could be stored now.
    ///
    /// # Errors
    /// What [`BlobStore::put`] would be refused with.
    async fn probe(&self) -> Result<(), Error>;
}

/// Blobs that come in parts: what a bucket calls a multipart upload. The guarantees are those of [`BlobStore`].
#[async_trait]
pub trait Uploads: Debug + Send + Sync + 'static {
    /// Begins an upload in parts; gives its id, which nobody can guess. It outlives a restart of the program, and is given up after a week.
    ///
    /// # Errors
    /// As [`BlobStore::put`].
    async fn begin_upload(&self, uri: &BlobUri) -> Result<String, Error>;

    /// Stores a part of an upload, in place of one with this number; gives its tag.
    ///
    /// # Errors
    /// [`Error::NoUpload`], else as [`BlobStore::put`].
    async fn put_part(
        &self,
        uri: &BlobUri,
        id: &str,
        number: u32,
        body: Body<'_>,
        announced: &Announced,
    ) -> Result<String, Error>;

    /// Makes a blob of the parts of an upload, one after the other, and ends the upload.
    ///
    /// # Errors
    /// [`Error::NoUpload`], [`Error::BadPart`], else as [`BlobStore::put`].
    async fn complete_upload(&self, uri: &BlobUri, id: &str, parts: Vec<Part>, mode: Mode) -> Result<Object, Error>;

    /// Ends an upload and forgets its parts.
    ///
    /// # Errors
    /// [`Error::NoUpload`] or [`Error::Storage`].
    async fn abort_upload(&self, uri: &BlobUri, id: &str) -> Result<(), Error>;
}
