//! `aws-chunked` bodies: clients that sign each chunk, or that send a checksum at the end, wrap their content in chunks of their own.
//!
//! s3s unwraps them only where it checks signatures; where none is asked for, this does. The chunks' signatures and what trails them
//! are left unread.

use std::io;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http::HeaderName;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use s3s::{S3Error, s3_error};

/// The longest head of a chunk: a size and a signature have about a hundred bytes.
const MAX_HEAD: usize = 8 * 1024;

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");

/// Takes the chunks off a request that has them, so that what follows sees the content and its length.
pub(super) fn decode(request: Request) -> Result<Request, S3Error> {
    let (mut parts, body) = request.into_parts();
    let is_chunked = parts.headers.get(CONTENT_SHA256).is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"));
    if !is_chunked {
        return Ok(Request::from_parts(parts, body));
    }
    let Some(length) = parts.headers.remove(DECODED_LENGTH) else {
        return Err(s3_error!(MissingContentLength, "missing header: x-amz-decoded-content-length"));
    };
    parts.headers.insert(CONTENT_LENGTH, length);
    parts.headers.remove(CONTENT_ENCODING);
    parts.headers.remove(CONTENT_SHA256);
    Ok(Request::from_parts(parts, Body::from_stream(content(body.into_data_stream()))))
}

fn content(body: BodyDataStream) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((body, Decoder::default()), |(mut body, mut decoder)| async move {
        loop {
            match decoder.next()? {
                Step::Content(bytes) => return Ok(Some((bytes, (body, decoder)))),
                Step::End => return Ok(None),
                Step::More => match body.next().await {
                    Some(bytes) => decoder.buffer.extend_from_slice(&bytes.map_err(io::Error::other)?),
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
            }
        }
    })
}

#[derive(Default)]
struct Decoder {
    buffer: BytesMut,
    position: Position,
}

#[derive(Default)]
enum Position {
    #[default]
    Head,
    Content(usize),
    Tail,
    Trailers,
}

enum Step {
    Content(Bytes),
    More,
    End,
}

impl Decoder {
    fn next(&mut self) -> io::Result<Step> {
        loop {
            match self.position {
                Position::Head => {
                    let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") else {
                        let too_long = self.buffer.len() > MAX_HEAD;
                        return if too_long { Err(malformed()) } else { Ok(Step::More) };
                    };
                    let size = size(&self.buffer[..end])?;
                    self.buffer.advance(end + 2);
                    self.position = if size == 0 { Position::Trailers } else { Position::Content(size) };
                }
                Position::Content(0) => self.position = Position::Tail,
                Position::Content(_) if self.buffer.is_empty() => return Ok(Step::More),
                Position::Content(left) => {
                    let bytes = self.buffer.split_to(left.min(self.buffer.len()));
                    self.position = Position::Content(left - bytes.len());
                    return Ok(Step::Content(bytes.freeze()));
                }
                Position::Tail if self.buffer.len() < 2 => return Ok(Step::More),
                Position::Tail if self.buffer[..2] != *b"\r\n" => return Err(malformed()),
                Position::Tail => {
                    self.buffer.advance(2);
                    self.position = Position::Head;
                }
                Position::Trailers => return Ok(Step::End),
            }
        }
    }
}

/// `<hexadecimal size>[;chunk-signature=..]`
fn size(head: &[u8]) -> io::Result<usize> {
    let digits = head.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = std::str::from_utf8(digits).map_err(|_| malformed())?;
    usize::from_str_radix(digits, 16).map_err(|_| malformed())
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the aws-chunked body is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
        let mut decoder = Decoder::default();
        let mut pieces = pieces.iter();
        let mut content = Vec::new();
        loop {
            match decoder.next()? {
                Step::Content(bytes) => content.extend_from_slice(&bytes),
                Step::End => return Ok(content),
                Step::More => decoder.buffer.extend_from_slice(pieces.next().ok_or(io::ErrorKind::UnexpectedEof)?),
            }
        }
    }

    const BODY: &[u8] = b"5;chunk-signature=ab12\r\nhello\r\nc\r\n\r\n, w;0\r\nrld\r\n0;chunk-signature=cd\r\nx-amz-checksum-crc32:abc\r\n\r\n";

    #[test]
    fn chunks_come_off_wherever_the_network_cuts() {
        assert_eq!(decoded(&[BODY]).unwrap(), b"hello\r\n, w;0\r\nrld");
        let bytes: Vec<&[u8]> = BODY.chunks(1).collect();
        assert_eq!(decoded(&bytes).unwrap(), b"hello\r\n, w;0\r\nrld");
        assert_eq!(decoded(&[b"0\r\n\r\n"]).unwrap(), b"");
    }

    #[test]
    fn what_is_cut_off_or_malformed_is_an_error() {
        for end in 0..BODY.len() - 30 {
            assert!(decoded(&[&BODY[..end]]).is_err(), "{end}");
        }
        for body in [&b"g\r\nx\r\n0\r\n\r\n"[..], b"\r\n", b"1\r\nabc\r\n", b"-1\r\n", &[b'1'; MAX_HEAD + 1]] {
            assert!(decoded(&[body]).is_err(), "{body:?}");
        }
    }
}
