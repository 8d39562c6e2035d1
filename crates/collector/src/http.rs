//! OTLP over HTTP, in protobuf and in JSON, and reading a trace back.

use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message as _;
use serde::Deserialize;
use spanwise_core::text::shown;

use crate::body::{self, Share};
use crate::refused::{Encoding, Refusal, Refused};
use crate::spans::SpanStore;
use crate::{Collector, decode, json, otlp_json};

/// How many spans of a trace are read unless a number is given.
const SPANS: usize = 10_000;

/// How many spans the whole trace has.
const SPAN_COUNT: HeaderName = HeaderName::from_static("spanwise-span-count");

pub(super) async fn traces(State(collector): State<Collector>, request: Request) -> Response {
    let Some(encoding) = encoding(request.headers()) else { return unknown_kind(request.headers()) };
    match receive(&collector, encoding, request).await {
        Ok(answer) => answered(encoding, &answer),
        Err(refusal) => refusal.response(encoding),
    }
}

/// Takes what is not kept: an error would be in the log of the program again and again.
pub(super) async fn ignored(State(collector): State<Collector>, request: Request) -> Response {
    let Some(encoding) = encoding(request.headers()) else { return unknown_kind(request.headers()) };
    collector.note_ignored(request.uri().path());
    match body::read(request.into_body(), &mut collector.inner.memory.share()).await {
        // The answers of all signals look the same if there is nothing to say.
        Ok(_) => answered(encoding, &ExportTraceServiceResponse::default()),
        Err(refusal) => refusal.response(encoding),
    }
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    match media_type(headers.get(CONTENT_TYPE)?).as_str() {
        "application/x-protobuf" => Some(Encoding::Protobuf),
        "application/json" => Some(Encoding::Json),
        _ => None,
    }
}

/// The type without its parameters, in lower case as it means the same in any.
pub(super) fn media_type(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn unknown_kind(headers: &HeaderMap) -> Response {
    let given = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let given = given.map_or_else(|| "no content-type".to_owned(), |given| format!("content-type `{}`", shown(&given)));
    let text = format!("{given} is not understood: application/x-protobuf and application/json are\n");
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response()
}

fn answered(encoding: Encoding, answer: &ExportTraceServiceResponse) -> Response {
    let body = match encoding {
        Encoding::Protobuf => answer.encode_to_vec(),
        Encoding::Json => match &answer.partial_success {
            None => b"{}".to_vec(),
            // The 64-bit numbers of JSON are texts.
            Some(partial) => serde_json::json!({
                "partialSuccess": {
                    "rejectedSpans": partial.rejected_spans.to_string(),
                    "errorMessage": partial.error_message,
                }
            })
            .to_string()
            .into_bytes(),
        },
    };
    ([(CONTENT_TYPE, encoding.content_type())], body).into_response()
}

async fn receive(
    collector: &Collector,
    encoding: Encoding,
    request: Request,
) -> Result<ExportTraceServiceResponse, Refusal> {
    let packed = is_packed(request.headers())?;
    let mut share = collector.inner.memory.share();
    let mut message = body::read(request.into_body(), &mut share).await?;
    let mut refused = Refused::default();
    if packed || encoding == Encoding::Json {
        let permit = collector.inner.unpacking.clone().acquire_owned().await;
        let work = move || {
            let _permit = permit;
            if packed {
                message = body::unpack(&message, &mut share)?;
            }
            if encoding == Encoding::Json {
                share.grow(message.len())?;
                message = json::to_protobuf(&message, &mut refused).map_err(Refusal::Malformed)?.into();
            }
            Ok::<_, Refusal>((message, share, refused))
        };
        let done: Result<(_, Share, Refused), Refusal> = tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(Refusal::NotStored("the server is ending".to_owned())));
        (message, share, refused) = done?;
    }
    collector.take(message, share, refused).await
}

/// Codings are listed in the order in which they were applied, over one header or several; `identity` is none.
fn is_packed(headers: &HeaderMap) -> Result<bool, Refusal> {
    let given: Vec<_> =
        headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let given = given.join(",");
    let codings = given.split(',').map(str::trim).filter(|coding| !coding.is_empty());
    let codings: Vec<&str> = codings.filter(|coding| !coding.eq_ignore_ascii_case("identity")).collect();
    match codings[..] {
        [] => Ok(false),
        [coding] if ["gzip", "x-gzip"].iter().any(|name| coding.eq_ignore_ascii_case(name)) => Ok(true),
        _ => Err(Refusal::Unsupported(format!("content-encoding `{}` is not understood: gzip is", shown(&given)))),
    }
}

#[derive(Deserialize)]
pub(super) struct Part {
    limit: Option<usize>,
}

/// The stored spans of a trace as OTLP (`TracesData`): JSON, or protobuf for those who accept nothing else.
pub(super) async fn trace(
    State(collector): State<Collector>,
    Path(trace_id): Path<String>,
    Query(part): Query<Part>,
    headers: HeaderMap,
) -> Response {
    let Some(trace_id) = super::trace_id(&trace_id) else {
        let text = format!("`{}` is not a trace id: 32 hexadecimal digits, not all zero\n", shown(&trace_id));
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let wants_protobuf = headers.get(ACCEPT).is_some_and(|value| media_type(value) == "application/x-protobuf");
    let read = move |store: &SpanStore| {
        let (spans, count) = store.of_trace_counted(trace_id, part.limit.unwrap_or(SPANS))?;
        let message = decode::request_of(spans.iter());
        if wants_protobuf {
            return Ok((Encoding::Protobuf, message, count));
        }
        // What was stored has been decoded before.
        let data = ExportTraceServiceRequest::decode(&message[..]).unwrap_or_default();
        Ok((Encoding::Json, otlp_json::write(&data.resource_spans).unwrap_or_default(), count))
    };
    match collector.read(read).await {
        Ok((_, _, 0)) => (StatusCode::NOT_FOUND, "no span of this trace is here\n").into_response(),
        Ok((encoding, body, count)) => {
            let headers = [(CONTENT_TYPE, encoding.content_type()), (SPAN_COUNT, count.into())];
            (headers, body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
