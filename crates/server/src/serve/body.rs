//! Bodies that come in time, and bodies that hold on to their request.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body as AnyBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use spanwise_core::text::seconds;
use tokio::time::{Instant, Sleep};

use super::{Patience, UnderWay};

/// A body comes too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body comes too slowly: {bytes} bytes in {}", seconds(*elapsed))]
struct TooSlow {
    bytes: u64,
    elapsed: Duration,
}

/// True if a body failed because it came too slowly, whatever has been put around that on its way.
pub(crate) fn is_too_slow(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // What an `io::Error` holds is not its source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<TooSlow>() || inner.is_some_and(|inner| is_too_slow(inner)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The body of a request. While it is waited for, it has a limit of time, which grows with what has come: a large body may take long,
/// one that trickles may not.
#[derive(Debug)]
pub(super) struct Paced {
    body: Incoming,
    patience: Patience,
    begun: Instant,
    bytes: u64,
    limit: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    pub(super) fn new(body: Incoming, patience: Patience) -> Paced {
        Paced { body, patience, begun: Instant::now(), bytes: 0, limit: None }
    }

    fn deadline(&self) -> Instant {
        self.begun + self.patience.body + Duration::from_secs(self.bytes / self.patience.rate)
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame {
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = self.deadline();
        let limit = self.limit.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if limit.deadline() != deadline {
            limit.as_mut().reset(deadline);
        }
        ready!(limit.as_mut().poll(cx));
        let slow = TooSlow { bytes: self.bytes, elapsed: self.begun.elapsed() };
        Poll::Ready(Some(Err(slow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, with the request that it belongs to.
#[derive(Debug)]
pub(super) struct AnswerBody {
    body: AnyBody,
    _under_way: UnderWay,
}

impl AnswerBody {
    pub(super) fn new(body: AnyBody, under_way: UnderWay) -> AnswerBody {
        AnswerBody { body, _under_way: under_way }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_came_too_slowly_is_known_under_what_wraps_it() {
        let slow = || TooSlow { bytes: 3, elapsed: Duration::from_secs(60) };
        assert!(is_too_slow(&slow()));
        assert!(is_too_slow(&axum::Error::new(slow())));
        assert!(is_too_slow(&io::Error::other(axum::Error::new(slow()))));
        assert!(!is_too_slow(&io::Error::other("away")) && !is_too_slow(&axum::Error::new(io::Error::other("x"))));
    }
}
