//! A connection that tells whether something waits to be written to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::Requests;

/// Notes with a connection's requests that its reader is behind: what hyper holds of an answer is nobody's request any more.
#[derive(Debug)]
pub(super) struct Written<T> {
    io: T,
    requests: Arc<Requests>,
}

impl<T> Written<T> {
    pub(super) fn new(io: T, requests: Arc<Requests>) -> Written<T> {
        Written { io, requests }
    }

    fn noted<R>(&self, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        self.requests.is_unwritten.store(poll.is_pending(), Ordering::Relaxed);
        poll
    }
}

impl<T: Read + Unpin> Read for Written<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Written<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.noted(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
