//! Writing blobs: the content goes to a file aside, is compared with what was announced, and gets its name at the very end.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use md5::{Digest, Md5};
use object_store::path::Path as StorePath;
use object_store::{MultipartUpload, ObjectStoreExt};

use super::{Directory, STAGING, failed, read};
use crate::{Announced, BlobUri, Error, Mode, Object, Refusal, Source};

/// How much is gathered for one write to the disk, and so held in memory for each writer.
const CHUNK: usize = 1024 * 1024;

/// A file in [`STAGING`], removed when it is dropped unless it was moved to its place.
pub(super) struct Staged {
    pub(super) path: StorePath,
    file: PathBuf,
}

impl Staged {
    pub(super) fn name(&self) -> String {
        self.path.filename().unwrap_or_default().to_owned()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Usually the file has moved; else the next opening of the store removes what cannot be removed here.
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Directory {
    pub(super) fn new_staged(&self) -> Staged {
        let name = self.inner.next_staged.fetch_add(1, Ordering::Relaxed).to_string();
        let file = self.inner.directory.join(STAGING).join(&name);
        Staged { path: StorePath::from_iter([STAGING, &name]), file }
    }

    /// Writes a body to a file of its own, synced to the disk.
    pub(super) async fn stage<E: Into<Source>>(
        &self,
        name: &str,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
        announced: &Announced,
    ) -> Result<Staged, Error> {
        let mut body = pin!(body);
        let mut writer = self.writer(name, announced).await?;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| Error::Body { name: name.to_owned(), source: error.into() })?;
            writer.write(&bytes).await?;
        }
        writer.finish().await
    }

    /// Gives a staged file its name.
    pub(super) async fn publish(&self, staged: &Staged, uri: &BlobUri, mode: Mode) -> Result<Object, Error> {
        let metadata = tokio::fs::metadata(&staged.file).await;
        let object = metadata.and_then(|metadata| read::object(&metadata));
        let object = object.map_err(|error| self.failed("store", uri, error))?;
        let to = self.path(uri)?;
        let done = match mode {
            Mode::Replace => self.inner.store.rename(&staged.path, &to).await,
            // A second name of the file; the first goes when `staged` is dropped.
            Mode::Create => self.inner.store.copy_if_not_exists(&staged.path, &to).await,
        };
        done.map_err(|error| failed::sort_publish(uri, &self.inner.directory, error))?;
        Ok(object)
    }

    async fn writer<'a>(&'a self, name: &'a str, announced: &'a Announced) -> Result<Writer<'a>, Error> {
        self.check_root()?;
        let staged = self.new_staged();
        let upload = self.inner.store.put_multipart(&staged.path).await;
        let upload = upload.map_err(|error| self.failed("store", name, error))?;
        let md5 = announced.md5.map(|_| Md5::new());
        Ok(Writer { directory: self, name, announced, staged, upload, gathered: BytesMut::new(), size: 0, md5 })
    }
}

struct Writer<'a> {
    directory: &'a Directory,
    name: &'a str,
    announced: &'a Announced,
    staged: Staged,
    upload: Box<dyn MultipartUpload>,
    gathered: BytesMut,
    size: u64,
    md5: Option<Md5>,
}

impl Writer<'_> {
    async fn write(&mut self, bytes: &Bytes) -> Result<(), Error> {
        self.size += bytes.len() as u64;
        if let Some(limit) = self.announced.limit.filter(|limit| self.size > *limit) {
            return Err(self.refused(Refusal::Limit { limit }));
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= CHUNK {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let chunk = self.gathered.split().freeze();
        self.upload.put_part(chunk.into()).await.map_err(|error| self.directory.failed("store", self.name, error))
    }

    async fn finish(mut self) -> Result<Staged, Error> {
        self.flush().await?;
        self.compare()?;
        self.upload.complete().await.map_err(|error| self.directory.failed("store", self.name, error))?;
        Ok(self.staged)
    }

    fn compare(&mut self) -> Result<(), Error> {
        if let Some(announced) = self.announced.size.filter(|size| *size != self.size) {
            return Err(self.refused(Refusal::Length { announced, actual: self.size }));
        }
        if let (Some(announced), Some(md5)) = (self.announced.md5, self.md5.take()) {
            let actual: [u8; 16] = md5.finalize().into();
            if actual != announced {
                let (announced, actual) = (STANDARD.encode(announced), STANDARD.encode(actual));
                return Err(self.refused(Refusal::Digest { announced, actual }));
            }
        }
        Ok(())
    }

    fn refused(&self, reason: Refusal) -> Error {
        Error::Refused { name: self.name.to_owned(), reason }
    }
}
