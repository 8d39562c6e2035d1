//! A blob as something to read and to move about in, for a parser that leaves most of it out.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use tokio::runtime::Handle;

use crate::{BlobStore, BlobUri, ByteRange, Object};

/// How much is asked for at one time.
const CHUNK: u64 = 256 << 10;

/// A blob that is read where somebody looks. It blocks, so it belongs on a thread that may.
#[derive(Debug)]
pub struct Reader {
    store: Arc<dyn BlobStore>,
    uri: BlobUri,
    object: Object,
    runtime: Handle,
    position: u64,
    /// What stands at the position, as far as it is here.
    ahead: Bytes,
}

impl Reader {
    pub(crate) fn new(store: Arc<dyn BlobStore>, uri: BlobUri, object: Object, runtime: Handle) -> Reader {
        Reader { store, uri, object, runtime, position: 0, ahead: Bytes::new() }
    }

    /// The bytes at the position.
    fn fetch(&self) -> io::Result<Bytes> {
        let range = ByteRange::From { first: self.position, last: Some(self.position + CHUNK - 1) };
        self.runtime.block_on(async {
            let content = self.store.get(&self.uri, Some(range)).await.map_err(io::Error::other)?;
            match content {
                Some(content) if content.object.etag == self.object.etag => content.read().await,
                _ => Err(io::Error::other("the blob was replaced while it was read")),
            }
        })
    }
}

impl Read for Reader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() && self.position < self.object.size && !to.is_empty() {
            self.ahead = self.fetch()?;
        }
        let count = to.len().min(self.ahead.len());
        self.ahead.copy_to_slice(&mut to[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.object.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let position = position.ok_or(io::ErrorKind::InvalidInput)?;
        match position.checked_sub(self.position).and_then(|ahead| usize::try_from(ahead).ok()) {
            Some(ahead) if ahead <= self.ahead.len() => self.ahead.advance(ahead),
            _ => self.ahead = Bytes::new(),
        }
        self.position = position;
        Ok(position)
    }
}
