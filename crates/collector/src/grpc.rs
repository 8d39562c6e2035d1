//! OTLP over gRPC: the service of traces, and those of metrics and logs, which are not kept.
//!
//! The codec hands on the bytes of a message, so that all protocols share one decoder.

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderValue, StatusCode};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::future::BoxFuture;
use prost::Message as _;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};

use crate::Collector;
use crate::body::{self, Share};
use crate::http;
use crate::limits::MAX_BODY;
use crate::refused::Refusal;

pub(super) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
pub(super) const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
pub(super) const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// The header that says how messages are packed.
const ENCODING: &str = "grpc-encoding";

pub(super) async fn traces(State(collector): State<Collector>, request: Request) -> Response {
    answer(collector, true, request).await
}

/// Takes what is not kept: an error would be in the log of the program again and again.
pub(super) async fn ignored(State(collector): State<Collector>, request: Request) -> Response {
    collector.note_ignored(request.uri().path());
    answer(collector, false, request).await
}

async fn answer(collector: Collector, is_kept: bool, request: Request) -> Response {
    let content_type = request.headers().get(CONTENT_TYPE).map(http::media_type).unwrap_or_default();
    if !matches!(content_type.as_str(), "application/grpc" | "application/grpc+proto") {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "this is a method of gRPC (application/grpc)\n").into_response();
    }
    let (mut parts, body) = request.into_parts();
    // Codings mean the same in any case, and are known here in lower case.
    if let Some(coding) = parts.headers.get_mut(ENCODING) {
        *coding = HeaderValue::from_bytes(&coding.as_bytes().to_ascii_lowercase()).unwrap_or(coding.clone());
    }
    let mut share = collector.inner.memory.share();
    // All of it first: unpacking must not wait for the network.
    let body = match body::read(body, &mut share).await {
        Ok(body) => body,
        Err(refusal) => return refusal.status().into_http::<Body>(),
    };
    let permit = collector.inner.unpacking.clone().acquire_owned().await.ok();
    let method = Export { collector, share: Some(share), permit, is_kept };
    let mut grpc = Grpc::new(Raw)
        .accept_compressed(CompressionEncoding::Gzip)
        // With the bytes in front of the message.
        .max_decoding_message_size(MAX_BODY);
    grpc.unary(method, Request::from_parts(parts, Body::from(body))).await.map(Body::new)
}

struct Export {
    collector: Collector,
    share: Option<Share>,
    /// Given back when the message is unpacked.
    permit: Option<OwnedSemaphorePermit>,
    is_kept: bool,
}

impl UnaryService<Bytes> for Export {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        drop(self.permit.take());
        let (collector, share, is_kept) = (self.collector.clone(), self.share.take(), self.is_kept);
        let message = request.into_inner();
        Box::pin(async move {
            let answer = match share {
                Some(share) if is_kept => collector.take(message, share, Default::default()).await,
                _ => return Ok(tonic::Response::new(Bytes::new())),
            };
            let answer = answer.map_err(|refusal: Refusal| refusal.status())?;
            Ok(tonic::Response::new(answer.encode_to_vec().into()))
        })
    }
}

/// Messages as bytes.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
