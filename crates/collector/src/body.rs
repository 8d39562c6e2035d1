//! Bodies of requests, within what may be in memory at one time.

use std::io::Read as _;
use std::sync::Arc;

use axum::body::Body;
use bytes::{Buf as _, Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{MAX_BODY, READ_LIMIT};
use crate::refused::Refusal;

/// What all requests that are under way may take. The answer to one more is "try again".
pub(super) const IN_MEMORY: usize = 48 << 20;

/// Of a body that is refused, this much is read to its end and thrown away, so that its sender gets to the answer.
const READ_FOR_NOTHING: usize = 4 * MAX_BODY;

/// How much a body is unpacked by at one time.
const STEP: usize = 64 << 10;

/// The memory that requests may take together.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<Semaphore>);

/// The part of it that a request has, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Memory,
    permits: Option<OwnedSemaphorePermit>,
}

impl Memory {
    pub(super) fn new() -> Memory {
        Memory(Arc::new(Semaphore::new(IN_MEMORY)))
    }

    pub(super) fn share(&self) -> Share {
        Share { memory: self.clone(), permits: None }
    }
}

impl Share {
    /// Takes more of it.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::TooLarge)?;
        let more = Arc::clone(&self.memory.0).try_acquire_many_owned(bytes).map_err(|_| Refusal::Busy)?;
        match &mut self.permits {
            Some(permits) => permits.merge(more),
            None => self.permits = Some(more),
        }
        Ok(())
    }
}

/// Reads a body to its end.
pub(super) async fn read(body: Body, share: &mut Share) -> Result<Bytes, Refusal> {
    let reading = async {
        let mut stream = body.into_data_stream();
        let mut read = BytesMut::new();
        let mut refused = None;
        let mut size = 0;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| Refusal::Malformed(format!("the request broke off: {error}")))?;
            size += piece.len();
            if refused.is_none() {
                let taken = if size > MAX_BODY { Err(Refusal::TooLarge) } else { share.grow(piece.len()) };
                match taken {
                    Ok(()) => read.extend_from_slice(&piece),
                    Err(refusal) => {
                        refused = Some(refusal);
                        read = BytesMut::new();
                        share.permits = None;
                    }
                }
            }
            if size > READ_FOR_NOTHING {
                break;
            }
        }
        refused.map_or(Ok(read.freeze()), Err)
    };
    tokio::time::timeout(READ_LIMIT, reading).await.unwrap_or(Err(Refusal::Slow))
}

/// Unpacks a body.
pub(super) fn unpack(packed: &Bytes, share: &mut Share) -> Result<Bytes, Refusal> {
    let mut decoder = MultiGzDecoder::new(packed.clone().reader());
    let mut unpacked = Vec::new();
    loop {
        let before = unpacked.len();
        let step = decoder.by_ref().take(STEP as u64).read_to_end(&mut unpacked);
        step.map_err(|error| Refusal::Malformed(format!("the request is not what gzip makes: {error}")))?;
        if unpacked.len() == before {
            return Ok(unpacked.into());
        }
        if unpacked.len() > MAX_BODY {
            return Err(Refusal::TooLarge);
        }
        share.grow(unpacked.len() - before)?;
    }
}
