//! Reading blobs: what is known of one, and its content as a stream of chunks.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path as StorePath;
use object_store::{GetOptions, GetResultPayload, ObjectStore};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::{Directory, failed};
use crate::{BlobUri, ByteRange, Content, Error, Object};

/// How much of a blob is in memory for each reader: large enough that the jump to a blocking thread for each chunk does not count.
const CHUNK: usize = 256 * 1024;

/// What is known of a file.
///
/// The tag is made of what changes when a file is replaced; a digest would have to be stored beside the file. The dash tells clients, as
/// the tags of S3's multipart uploads do, that it is not an MD5 digest.
pub(super) fn object(metadata: &Metadata) -> io::Result<Object> {
    let etag = format!("{:x}-{:x}-{:x}-{:x}", metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.size());
    Ok(Object { size: metadata.size(), etag, modified: metadata.modified()? })
}

/// A blob that is open: it stays readable as it is, whatever becomes of its name.
pub(super) struct OpenBlob {
    pub(super) object: Object,
    file: File,
}

impl OpenBlob {
    /// What a range asks for, or all of it.
    pub(super) fn content(self, wanted: Option<ByteRange>) -> Content {
        let object = self.object.clone();
        let range = wanted.map_or(Some(0..object.size), |wanted| wanted.of(object.size));
        let bytes = Box::pin(self.read(range.clone().unwrap_or(0..0)));
        Content { object, range, bytes }
    }

    /// The bytes of a range that lies within the blob, read as they are asked for; a small range at one go.
    pub(super) fn read(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
        let chunks = async move {
            let length = range.end - range.start;
            if length <= CHUNK as u64 {
                let chunk = if length == 0 { None } else { Some(self.read_small(range).await) };
                return Ok(stream::iter(chunk).left_stream());
            }
            let mut file = tokio::fs::File::from_std(self.file);
            file.seek(SeekFrom::Start(range.start)).await?;
            Ok::<_, io::Error>(ReaderStream::with_capacity(file.take(length), CHUNK).right_stream())
        };
        stream::once(chunks).try_flatten()
    }

    async fn read_small(mut self, range: Range<u64>) -> io::Result<Bytes> {
        let read = move || {
            let length = range.end - range.start;
            let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
            self.file.seek(SeekFrom::Start(range.start))?;
            self.file.take(length).read_to_end(&mut content).map(|_| content.into())
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Directory {
    pub(super) async fn open_blob(&self, uri: &BlobUri) -> Result<Option<OpenBlob>, Error> {
        self.open_path(&self.path(uri)?).await
    }

    pub(super) async fn open_path(&self, path: &StorePath) -> Result<Option<OpenBlob>, Error> {
        let found = match self.inner.store.get_opts(path, GetOptions::default()).await {
            Ok(found) => found,
            Err(error) if failed::is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.failed("open", path, error)),
        };
        let GetResultPayload::File(file, _) = found.payload else {
            return Err(self.failed("open", path, io::Error::other("it is not a file")));
        };
        let object = file.metadata().and_then(|metadata| object(&metadata));
        let object = object.map_err(|error| self.failed("open", path, error))?;
        Ok(Some(OpenBlob { object, file }))
    }
}
