//! A store as the rest of the program uses it.

use std::future::ready;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};
use spanwise_core::Durability;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    Announced, BlobStore, BlobUri, Body, ByteRange, Content, Directory, Error, Listed, Mode, Object, Page, Part, Query,
    Reader, Right, Source,
};

/// Blobs that are read in part at one time. Each has a thread of its own: what it waits for is brought by the runtime's threads for the disk,
/// and if all of these waited like that, nothing would ever come.
static SKIMS: Semaphore = Semaphore::const_new(4);

/// The blobs of a control plane, wherever they are kept. A clone is the same store.
#[derive(Debug, Clone)]
pub struct Blobs {
    store: Arc<dyn BlobStore>,
}

impl Blobs {
    /// The blobs of a store.
    pub fn new(store: impl BlobStore) -> Blobs {
        Blobs { store: Arc::new(store) }
    }

    /// The blobs of a [`Directory`].
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn open(directory: &Path, durability: Durability) -> Result<Blobs, Error> {
        Directory::open(directory, durability).map(Blobs::new)
    }

    /// Where a person finds what is below a name, for messages.
    pub fn location(&self, uri: &BlobUri) -> String {
        format!("{uri} (in {})", self.store.location())
    }

    /// The content of a blob, or none if there is no such blob.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it has more than `limit` bytes; [`Error::Storage`] if it cannot be read.
    pub async fn get(&self, uri: &BlobUri, limit: u64) -> Result<Option<Bytes>, Error> {
        let Some(content) = self.store.get(uri, None).await? else { return Ok(None) };
        let size = content.object.size;
        if size > limit {
            return Err(Error::TooLarge { uri: uri.clone(), size, limit });
        }
        content.read().await.map(Some).map_err(|error| self.failed("read", uri, error))
    }

    /// A blob as a stream, or a part of it; see [`BlobStore::get`].
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn content(&self, uri: &BlobUri, range: Option<ByteRange>) -> Result<Option<Content>, Error> {
        self.store.get(uri, range).await
    }

    /// Stores a blob, in place of one that has this name.
    ///
    /// # Errors
    /// As [`BlobStore::put`].
    pub async fn put(&self, uri: &BlobUri, content: Bytes) -> Result<Object, Error> {
        let body = stream::once(ready(Ok::<_, Source>(content))).boxed();
        self.store.put(uri, body, &Announced::default(), Mode::Replace).await
    }

    /// Stores what a stream brings.
    ///
    /// Cancellation: safe, nothing is stored then.
    ///
    /// # Errors
    /// As [`BlobStore::put`].
    pub async fn put_stream<E: Into<Source>>(
        &self,
        uri: &BlobUri,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
        announced: &Announced,
        mode: Mode,
    ) -> Result<Object, Error> {
        self.store.put(uri, boxed(body), announced, mode).await
    }

    /// Size, tag and time of a blob, or none if there is no such blob.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn head(&self, uri: &BlobUri) -> Result<Option<Object>, Error> {
        self.store.head(uri).await
    }

    /// Whether there is a blob of this name.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn exists(&self, uri: &BlobUri) -> Result<bool, Error> {
        Ok(self.head(uri).await?.is_some())
    }

    /// Stores the content of one blob under another name too.
    ///
    /// # Errors
    /// As [`BlobStore::copy`].
    pub async fn copy(&self, from: &BlobUri, to: &BlobUri) -> Result<Object, Error> {
        self.store.copy(from, to).await
    }

    /// Removes a blob; one that is not there is no error.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn delete(&self, uri: &BlobUri) -> Result<(), Error> {
        self.store.delete(uri).await
    }

    /// Removes the blob of this name and all blobs below it.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn delete_prefix(&self, uri: &BlobUri) -> Result<(), Error> {
        self.store.delete_prefix(uri).await
    }

    /// One page of a list.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn page(&self, query: Query) -> Result<Page, Error> {
        self.store.list(query).await
    }

    /// All blobs below a name, sorted by their keys; the blob of that very name is not among them.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn list(&self, prefix: &BlobUri) -> Result<Vec<Listed>, Error> {
        let query = Query { prefix: format!("{}/", prefix.key()), limit: usize::MAX, ..Query::default() };
        let mut blobs = Vec::new();
        self.each_page(query, |page| blobs.extend(page.blobs)).await?;
        Ok(blobs)
    }

    /// What the blobs under a name have in common down to so many levels below it, as names: `a/b` and `a/c` for the blobs `a/b/1`,
    /// `a/b/2/3` and `a/c/1`, one level below `a`.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn groups(&self, top: &str, levels: usize) -> Result<Vec<BlobUri>, Error> {
        let mut level = vec![format!("{top}/")];
        for _ in 0..levels {
            let mut below = Vec::new();
            for prefix in level {
                let query = Query { prefix, fold: true, limit: usize::MAX, ..Query::default() };
                self.each_page(query, |page| below.extend(page.prefixes)).await?;
            }
            level = below;
        }
        Ok(level.iter().filter_map(|prefix| BlobUri::from_key(prefix.trim_end_matches('/')).ok()).collect())
    }

    async fn each_page(&self, mut query: Query, mut take: impl FnMut(Page)) -> Result<(), Error> {
        loop {
            let mut page = self.store.list(query.clone()).await?;
            let next = page.next.take();
            take(page);
            let Some(next) = next else { return Ok(()) };
            query.after = next;
        }
    }

    /// Removes what lies below a name without being a blob; see [`BlobStore::tidy`].
    ///
    /// # Errors
    /// As [`BlobStore::tidy`].
    pub async fn tidy(&self, below: &BlobUri, before: SystemTime) -> Result<(), Error> {
        self.store.tidy(below, before).await
    }

    /// A URL of the store's own for a blob, if it has any; see [`BlobStore::presign`].
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn presign(&self, right: Right, uri: &BlobUri, expires_at: SystemTime) -> Result<Option<String>, Error> {
        self.store.presign(right, uri, expires_at).await
    }

    /// Writes a little and removes it again: a blob could be stored now.
    ///
    /// # Errors
    /// What [`Blobs::put`] would be refused with.
    pub async fn probe(&self) -> Result<(), Error> {
        self.store.probe().await
    }

    /// Writes a blob to a file outside the store and returns its MD5 digest; none if it is not there.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn export(&self, uri: &BlobUri, to: &Path) -> Result<Option<[u8; 16]>, Error> {
        let Some(content) = self.store.get(uri, None).await? else { return Ok(None) };
        let digest = write(content, to).await;
        digest.map(Some).map_err(|error| self.failed("copy", uri, error))
    }

    /// Has a blob read in part, by whoever knows what matters in it; none if it is not there. `read` may block.
    ///
    /// # Errors
    /// What `read` answers, as [`Error::Storage`].
    pub async fn skim<T: Send + 'static>(
        &self,
        uri: &BlobUri,
        read: impl FnOnce(&mut Reader) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let Some(object) = self.store.head(uri).await? else { return Ok(None) };
        let runtime = tokio::runtime::Handle::current();
        let mut reader = Reader::new(Arc::clone(&self.store), uri.clone(), object, runtime);
        let _permit = SKIMS.acquire().await;
        let (done, skimmed) = oneshot::channel();
        let skim = move || drop(done.send(read(&mut reader)));
        let thread = std::thread::Builder::new().name("skim".to_owned()).spawn(skim);
        let skimmed = match thread {
            Ok(_) => skimmed.await.unwrap_or_else(|_| Err(io::Error::other("whoever read it has panicked"))),
            Err(error) => Err(error),
        };
        skimmed.map(Some).map_err(|error| self.failed("read", uri, error))
    }

    /// Begins an upload in parts; see [`Uploads::begin_upload`].
    ///
    /// # Errors
    /// As there.
    pub async fn begin_upload(&self, uri: &BlobUri) -> Result<String, Error> {
        self.store.begin_upload(uri).await
    }

    /// Stores a part of an upload; see [`Uploads::put_part`].
    ///
    /// # Errors
    /// As there.
    pub async fn put_part<E: Into<Source>>(
        &self,
        uri: &BlobUri,
        id: &str,
        number: u32,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
        announced: &Announced,
    ) -> Result<String, Error> {
        self.store.put_part(uri, id, number, boxed(body), announced).await
    }

    /// Makes a blob of the parts of an upload; see [`Uploads::complete_upload`].
    ///
    /// # Errors
    /// As there.
    pub async fn complete_upload(
        &self,
        uri: &BlobUri,
        id: &str,
        parts: Vec<Part>,
        mode: Mode,
    ) -> Result<Object, Error> {
        self.store.complete_upload(uri, id, parts, mode).await
    }

    /// Ends an upload and forgets its parts.
    ///
    /// # Errors
    /// As [`Uploads::abort_upload`].
    pub async fn abort_upload(&self, uri: &BlobUri, id: &str) -> Result<(), Error> {
        self.store.abort_upload(uri, id).await
    }

    fn failed(&self, action: &'static str, uri: &BlobUri, source: io::Error) -> Error {
        Error::Storage { action, name: uri.to_string(), store: self.store.location(), source: source.into() }
    }
}

fn boxed<'a, E: Into<Source> + 'a>(body: impl Stream<Item = Result<Bytes, E>> + Send + 'a) -> Body<'a> {
    body.map_err(Into::into).boxed()
}

async fn write(mut content: Content, to: &Path) -> io::Result<[u8; 16]> {
    let (mut file, mut digest) = (tokio::fs::File::create(to).await?, Md5::new());
    while let Some(chunk) = content.bytes.try_next().await? {
        digest.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    Ok(digest.finalize().into())
}
