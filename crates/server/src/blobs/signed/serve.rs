//! What a signed URL answers over HTTP.

use std::error::Error as StdError;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, ETAG, RANGE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use s3s::dto::Range;
use spanwise_blobs::{Announced, BlobUri, Blobs, Error, Mode, Object, Refusal};

use super::{Bound, Denied, Right, Signer};
use crate::blobs::byte_range;
use crate::foreign;
use crate::serve::is_too_slow;

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// The only name that a browser may show: what the SDK writes for people to read.
const REPORT: &str = "report.html";

#[derive(Clone)]
struct Server {
    blobs: Blobs,
    signer: Signer,
    upload_limit: Option<u64>,
}

/// The routes of signed URLs, to be merged into the server's router. Bodies are streams; `upload_limit` is the most bytes that one
/// upload may have.
pub fn router(blobs: Blobs, signer: Signer, upload_limit: Option<u64>) -> Router {
    Router::new().route("/blob/{token}/{*key}", any(serve)).layer(DefaultBodyLimit::disable()).with_state(Server {
        blobs,
        signer,
        upload_limit,
    })
}

async fn serve(State(server): State<Server>, Path((token, key)): Path<(String, String)>, request: Request) -> Response {
    let mut response = answer(server, &token, &key, request).await;
    let is_shown = response.status().is_success() && key.rsplit('/').next() == Some(REPORT);
    let show = if is_shown { foreign::show_as_report } else { foreign::seal };
    show(response.headers_mut());
    response
}

async fn answer(server: Server, token: &str, key: &str, request: Request) -> Response {
    let (right, uri) = match server.signer.check(token, key, SystemTime::now()) {
        Ok(checked) => checked,
        Err(denied @ (Denied::Forged | Denied::Expired)) => return refuse(StatusCode::FORBIDDEN, denied),
    };
    let (parts, body) = request.into_parts();
    let done = match (right, &parts.method) {
        (Right::Write(bound), &Method::PUT) => put(&server, &uri, bound, &parts.headers, body).await,
        (Right::Read, &Method::GET | &Method::HEAD) => {
            get(&server, &uri, &parts.headers, parts.method == Method::HEAD).await
        }
        (Right::Write(_), _) => return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "PUT")]).into_response(),
        (Right::Read, _) => return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response(),
    };
    done.unwrap_or_else(|error| refuse(status(&error), chain(&error)))
}

async fn put(server: &Server, uri: &BlobUri, bound: Bound, headers: &HeaderMap, body: Body) -> Result<Response, Error> {
    let size = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok());
    let md5 = match headers.get(CONTENT_MD5) {
        None => None,
        Some(value) => match STANDARD.decode(value).ok().and_then(|digest| digest.try_into().ok()) {
            None => return Ok(refuse(StatusCode::BAD_REQUEST, "content-md5 is not an MD5 digest in base64")),
            digest => digest,
        },
    };
    let refused = |reason| Err(Error::Refused { name: uri.to_string(), reason });
    if let (Some(announced), Some(actual)) = (bound.size, size)
        && announced != actual
    {
        return refused(Refusal::Length { announced, actual });
    }
    if let (Some(announced), Some(actual)) = (bound.md5, md5)
        && announced != actual
    {
        let (announced, actual) = (STANDARD.encode(announced), STANDARD.encode(actual));
        return refused(Refusal::Digest { announced, actual });
    }
    let limit = server.upload_limit;
    if let (Some(limit), Some(size)) = (limit, size)
        && size > limit
    {
        // Told before the body is sent, if the client waits for it.
        return refused(Refusal::Limit { limit });
    }
    let announced = Announced { size: bound.size.or(size), md5: bound.md5.or(md5), limit };
    let object = server.blobs.put_stream(uri, body.into_data_stream(), &announced, Mode::Replace).await?;
    Ok((StatusCode::OK, [(ETAG, quoted(&object))]).into_response())
}

async fn get(server: &Server, uri: &BlobUri, headers: &HeaderMap, is_head: bool) -> Result<Response, Error> {
    let missing = || Error::Missing { uri: uri.clone() };
    // A range that makes no sense is to be ignored (RFC 9110, 14.2), and so is one in a HEAD.
    let wanted = headers.get(RANGE).and_then(|value| value.to_str().ok()).and_then(|value| Range::parse(value).ok());
    let wanted = wanted.filter(|_| !is_head).map(byte_range);
    let (object, range, body) = if is_head {
        let object = server.blobs.head(uri).await?.ok_or_else(missing)?;
        let whole = 0..object.size;
        (object, Some(whole), Body::empty())
    } else {
        let content = server.blobs.content(uri, wanted).await?.ok_or_else(missing)?;
        (content.object, content.range, Body::from_stream(content.bytes))
    };
    let size = object.size;
    let Some(range) = range else {
        let text = format!("bytes */{size}");
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, text)]).into_response());
    };
    let mut response = Response::builder().header(ACCEPT_RANGES, "bytes").header(ETAG, quoted(&object));
    if wanted.is_some() {
        let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        response = response.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, text);
    }
    response = response.header(CONTENT_LENGTH, range.end - range.start);
    Ok(response.body(body).unwrap_or_else(|error| refuse(StatusCode::INTERNAL_SERVER_ERROR, error)))
}

fn quoted(object: &Object) -> String {
    format!("\"{}\"", object.etag)
}

fn refuse(status: StatusCode, reason: impl ToString) -> Response {
    (status, format!("{}\n", reason.to_string())).into_response()
}

/// The SDK sends an upload again after a 5xx and a 408, so only what may pass has one.
fn status(error: &Error) -> StatusCode {
    match error {
        Error::Refused { reason: Refusal::Limit { .. }, .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Body { source, .. } if is_too_slow(&**source) => StatusCode::REQUEST_TIMEOUT,
        Error::Refused { .. } | Error::Body { .. } | Error::BadUri(_) => StatusCode::BAD_REQUEST,
        Error::Missing { .. } => StatusCode::NOT_FOUND,
        Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::DiskFull { .. } => StatusCode::INSUFFICIENT_STORAGE,
        Error::Gone { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => {
            tracing::error!(error = error as &dyn StdError, "the blob store failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
