//! Reading blobs: what is known of one, and its content as a stream of chunks.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use md5::{Digest, Md5};
use object_store::path::Path as StorePath;
use object_store::{GetOptions, GetResultPayload, ObjectStore};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{BlobUri, Blobs, Error, error};

/// How much of a blob is in memory for each reader: large enough that the jump to a blocking thread for each chunk does not count.
const CHUNK: usize = 256 * 1024;

/// The bytes of a content of this size that a range asks for; none if it cannot be satisfied, as no range of nothing can.
pub(crate) fn satisfied(asked: s3s::dto::Range, size: u64) -> Option<Range<u64>> {
    asked.check(size).ok().filter(|range| !range.is_empty())
}

/// What is known of a blob without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its size in bytes.
    pub size: u64,
    /// A text that differs as soon as another content may be there; without the quotes of HTTP.
    pub etag: String,
    /// When it was stored.
    pub modified: SystemTime,
}

impl Object {
    /// The tag is made of what changes when a file is replaced; a digest would have to be stored beside the file. The dash tells
    /// clients, as the tags of S3's multipart uploads do, that it is not an MD5 digest.
    pub(super) fn of(metadata: &Metadata) -> io::Result<Object> {
        let etag =
            format!("{:x}-{:x}-{:x}-{:x}", metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.size());
        Ok(Object { size: metadata.size(), etag, modified: metadata.modified()? })
    }
}

/// A blob that is open: it stays readable as it is, whatever becomes of its name.
pub(super) struct OpenBlob {
    pub(super) object: Object,
    file: File,
}

impl OpenBlob {
    pub(super) async fn read_all(mut self) -> io::Result<Bytes> {
        let read = move || {
            // The size passed the caller's limit, so it fits in memory.
            let mut content = Vec::with_capacity(usize::try_from(self.object.size).unwrap_or_default());
            self.file.read_to_end(&mut content).map(|_| content.into())
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn write_to(mut self, path: &Path) -> io::Result<[u8; 16]> {
        let (mut file, mut digest, mut chunk) = (File::create(path)?, Md5::new(), vec![0; CHUNK]);
        loop {
            let length = self.file.read(&mut chunk)?;
            if length == 0 {
                return Ok(digest.finalize().into());
            }
            digest.update(&chunk[..length]);
            file.write_all(&chunk[..length])?;
        }
    }

    /// The bytes of a range that lies within the blob, read as they are asked for.
    pub(super) fn read(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
        let chunks = async move {
            let mut file = tokio::fs::File::from_std(self.file);
            file.seek(SeekFrom::Start(range.start)).await?;
            Ok::<_, io::Error>(ReaderStream::with_capacity(file.take(range.end - range.start), CHUNK))
        };
        stream::once(chunks).try_flatten()
    }
}

impl Blobs {
    /// Writes a blob to a file outside the store and returns its MD5 digest; none if it is not there.
    pub(crate) async fn export(&self, uri: &BlobUri, to: &Path) -> Result<Option<[u8; 16]>, Error> {
        let Some(blob) = self.open_blob(uri).await? else { return Ok(None) };
        let to = to.to_owned();
        let copied = self.blocking("copy", uri.to_string(), move || blob.write_to(&to)).await?;
        Ok(Some(copied))
    }

    /// Has a blob read in part, by whoever knows what matters in it; none if it is not there.
    pub(crate) async fn skim<T: Send + 'static>(
        &self,
        uri: &BlobUri,
        read: impl FnOnce(&mut BufReader<File>) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let Some(blob) = self.open_blob(uri).await? else { return Ok(None) };
        let skimmed = self.blocking("read", uri.to_string(), move || read(&mut BufReader::new(blob.file)));
        skimmed.await.map(Some)
    }

    pub(super) async fn open_blob(&self, uri: &BlobUri) -> Result<Option<OpenBlob>, Error> {
        self.open_path(&self.path(uri)?).await
    }

    pub(super) async fn open_path(&self, path: &StorePath) -> Result<Option<OpenBlob>, Error> {
        let found = match self.inner.store.get_opts(path, GetOptions::default()).await {
            Ok(found) => found,
            Err(error) if error::is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.failed("open", path, error)),
        };
        let GetResultPayload::File(file, _) = found.payload else {
            return Err(self.failed("open", path, io::Error::other("it is not a file")));
        };
        let object = file.metadata().and_then(|metadata| Object::of(&metadata));
        let object = object.map_err(|error| self.failed("open", path, error))?;
        Ok(Some(OpenBlob { object, file }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_nothing_cannot_be_satisfied() {
        let cases = [
            ("bytes=-5", 0, None),
            ("bytes=0-", 0, None),
            ("bytes=0-0", 0, None),
            ("bytes=-0", 5, None),
            ("bytes=5-", 5, None),
            ("bytes=-5", 3, Some(0..3)),
            ("bytes=-2", 3, Some(1..3)),
            ("bytes=1-9", 3, Some(1..3)),
        ];
        for (asked, size, expected) in cases {
            assert_eq!(satisfied(s3s::dto::Range::parse(asked).unwrap(), size), expected, "{asked} of {size}");
        }
    }
}
