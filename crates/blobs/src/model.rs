//! What is asked of a store, and what it answers.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, TryStreamExt};

use crate::{BlobUri, Source};

/// A content on its way into a store.
pub type Body<'a> = BoxStream<'a, Result<Bytes, Source>>;

/// A content on its way out of a store, in chunks that fit in memory.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send + Sync>>;

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

/// A blob that is being read: it stays as it is, whatever becomes of its name.
pub struct Content {
    /// What is known of the whole blob.
    pub object: Object,
    /// Which of its bytes come; none if the range that was asked for cannot be satisfied.
    pub range: Option<Range<u64>>,
    /// The bytes, read as they are asked for.
    pub bytes: ByteStream,
}

impl Content {
    /// All of it in memory.
    ///
    /// # Errors
    /// If it cannot be read to its end.
    pub async fn read(mut self) -> io::Result<Bytes> {
        let Some(first) = self.bytes.try_next().await? else { return Ok(Bytes::new()) };
        let length = self.range.map_or(0, |range| usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        if first.len() >= length {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(length);
        whole.extend_from_slice(&first);
        while let Some(chunk) = self.bytes.try_next().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("object", &self.object).field("range", &self.range).finish_non_exhaustive()
    }
}

/// Which bytes of a blob are asked for, as in HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From this byte on, up to and with the last one if it is named.
    From {
        /// The first byte, counted from 0.
        first: u64,
        /// The last one.
        last: Option<u64>,
    },
    /// So many at the end.
    Last(u64),
}

impl ByteRange {
    /// The bytes of a content of this size that it asks for; none if it cannot be satisfied, as no range of nothing can.
    #[must_use]
    pub fn of(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            ByteRange::From { first, last } => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
            ByteRange::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// What a client has said of a content that it sends. A content that differs is not stored.
#[derive(Debug, Clone, Default)]
pub struct Announced {
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Its MD5 digest.
    pub md5: Option<[u8; 16]>,
    /// The most bytes that it may have.
    pub limit: Option<u64>,
}

/// What to do about a blob that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The new content takes its place.
    Replace,
    /// It stays, and the write is [`crate::Error::Exists`].
    Create,
}

/// A part as the client names it to complete an upload.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its number; parts are joined in the order in which they are named.
    pub number: u32,
    /// The tag that it must have.
    pub etag: Option<String>,
}

/// A blob in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub uri: BlobUri,
    /// What is known of it.
    pub object: Object,
}

/// Which blobs to list.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// What the keys begin with; any text.
    pub prefix: String,
    /// Only keys after this one; or a [`Page::next`] of the same store.
    pub after: String,
    /// Whether keys with a `/` behind the prefix are folded into what they have in common up to that `/`.
    pub fold: bool,
    /// How many blobs and folded prefixes at most.
    pub limit: usize,
}

impl Query {
    /// A place to go on from that is after every key with this prefix.
    #[must_use]
    pub fn after_all_of(prefix: &str) -> String {
        // The last code point of Unicode stands for no character.
        format!("{prefix}\u{10FFFF}")
    }
}

/// A part of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// Blobs in order.
    pub blobs: Vec<Listed>,
    /// Folded prefixes in order, each with its `/`.
    pub prefixes: Vec<String>,
    /// Where the next page begins ([`Query::after`]), if there is more.
    pub next: Option<String>,
}

/// What the holder of a signed URL may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// `GET` and `HEAD`.
    Read,
    /// `PUT`, of a content that is as it was announced.
    Write(Bound),
}

/// What a content must be that is stored by a URL: whoever has the URL stores what was meant, or nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bound {
    /// Its MD5 digest.
    pub md5: Option<[u8; 16]>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::ByteRange;

    #[test]
    fn a_range_of_nothing_cannot_be_satisfied() {
        let from = |first, last| ByteRange::From { first, last };
        let cases = [
            (ByteRange::Last(5), 0, None),
            (from(0, None), 0, None),
            (from(0, Some(0)), 0, None),
            (ByteRange::Last(0), 5, None),
            (from(5, None), 5, None),
            (from(3, Some(2)), 5, None),
            (ByteRange::Last(5), 3, Some(0..3)),
            (ByteRange::Last(2), 3, Some(1..3)),
            (from(1, Some(9)), 3, Some(1..3)),
            (from(1, Some(u64::MAX)), 3, Some(1..3)),
        ];
        for (wanted, size, expected) in cases {
            assert_eq!(wanted.of(size), expected, "{wanted:?} of {size}");
        }
    }
}
