//! The connection to a server: its services, its blob store, and how long to go on when it does not answer.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connectrpc::client::{ClientConfig, ClientTransport, HttpClient, full_body};
use connectrpc::{ConnectError, ErrorCode};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use spanwise_core::{ActionName, Failure, FailureKind, RunId};
use spanwise_proto::flyteidl2::actions::ActionsServiceClient;
use spanwise_proto::flyteidl2::dataproxy::DataProxyServiceClient;
use spanwise_proto::flyteidl2::task::TaskServiceClient;
use spanwise_proto::flyteidl2::workflow::RunServiceClient;

use crate::error::{Error, ErrorKind, Result};

/// A call that is no stream has this long; then it is tried again.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The largest answer: inputs and outputs of 10 MiB each, with what is around them.
const MAX_MESSAGE: usize = 64 << 20;

/// How long a task that runs, or a driver that waits, goes on without its server. A server that is restarted, or moved to
/// another machine, comes back within this time; for one that does not, nobody should find the process the next day.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// How long a program that starts something waits for a server that does not answer: its user sits in front of it.
pub(crate) const SHORT: Duration = Duration::from_secs(3);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Characters of a key that an address has as they are: RFC 3986's unreserved characters and `/`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A server, and the store of its blobs. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Inner>);

struct Inner {
    transport: HttpClient,
    unary: ClientConfig,
    streams: ClientConfig,
    address: String,
    /// Where the store is, path style.
    blobs: String,
}

/// The address of a server's pages.
///
/// # Errors
/// See [`Connection::new`].
pub(crate) fn address_of(endpoint: &str) -> Result<String> {
    Ok(Connection::new(endpoint, None)?.address().to_owned())
}

impl Connection {
    /// A connection, made when it is used first. `endpoint` is `host:port`, with `http://` or `dns:///` in front of it if one
    /// likes; `blobs` is the address of the store, if it is known, else the server's own.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the endpoint is none, or speaks TLS.
    pub(crate) fn new(endpoint: &str, blobs: Option<String>) -> Result<Connection> {
        let refused = |why: &str| Error::usage(format!("endpoint `{endpoint}`: {why}"));
        let host = endpoint.trim_start_matches("dns:///").trim_start_matches("http://").trim_end_matches('/');
        if host.starts_with("https://") {
            return Err(refused("this version speaks plain HTTP only; put a tunnel in front of it"));
        }
        if host.is_empty() || host.contains('/') {
            return Err(refused("expected `host:port`"));
        }
        let address = format!("http://{host}");
        let uri = address.parse().map_err(|error: http::uri::InvalidUri| refused(&error.to_string()))?;
        let streams = ClientConfig::new(uri).with_default_max_message_size(MAX_MESSAGE);
        let streams = streams.with_default_element_memory_limit(spanwise_proto::VALUES_IN_MEMORY);
        Ok(Connection(Arc::new(Inner {
            transport: HttpClient::plaintext(),
            unary: streams.clone().with_default_timeout(CALL_LIMIT),
            streams,
            blobs: blobs.unwrap_or_else(|| format!("{address}/s3")),
            address,
        })))
    }

    /// The same connection as one of an attempt, whose requests say so: the server knows by that who waits for a run.
    pub(super) fn of_attempt(self, run: &RunId, action: &ActionName) -> Connection {
        let id = format!("{}-{}-{}-{action}-rust", run.project, run.domain, run.name);
        let of = |config: &ClientConfig| config.clone().with_default_header("x-request-id", &*id);
        let Inner { transport, unary, streams, address, blobs } = &*self.0;
        Connection(Arc::new(Inner {
            transport: transport.clone(),
            unary: of(unary),
            streams: of(streams),
            address: address.clone(),
            blobs: blobs.clone(),
        }))
    }

    /// `http://host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.0.address
    }

    pub(crate) fn actions(&self) -> ActionsServiceClient<HttpClient> {
        ActionsServiceClient::new(self.0.transport.clone(), self.0.unary.clone())
    }

    /// The same for streams, which may be silent for long.
    pub(crate) fn actions_watched(&self) -> ActionsServiceClient<HttpClient> {
        ActionsServiceClient::new(self.0.transport.clone(), self.0.streams.clone())
    }

    pub(crate) fn runs(&self) -> RunServiceClient<HttpClient> {
        RunServiceClient::new(self.0.transport.clone(), self.0.unary.clone())
    }

    /// The same for streams, which may be silent for long.
    pub(crate) fn runs_watched(&self) -> RunServiceClient<HttpClient> {
        RunServiceClient::new(self.0.transport.clone(), self.0.streams.clone())
    }

    pub(crate) fn data(&self) -> DataProxyServiceClient<HttpClient> {
        DataProxyServiceClient::new(self.0.transport.clone(), self.0.unary.clone())
    }

    pub(crate) fn tasks(&self) -> TaskServiceClient<HttpClient> {
        TaskServiceClient::new(self.0.transport.clone(), self.0.unary.clone())
    }

    /// Reads a blob; none if it is not there.
    pub(crate) async fn get(&self, uri: &str) -> Result<Option<Bytes>, ConnectError> {
        self.get_signed(&self.location(uri)?).await
    }

    /// Reads from an address that the server has given; none if nothing is there.
    pub(crate) async fn get_signed(&self, uri: &str) -> Result<Option<Bytes>, ConnectError> {
        let (status, body) = self.send(Method::GET, uri, Bytes::new(), &[]).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(body)),
            status => Err(refused("read", uri, status, &body)),
        }
    }

    /// The size of a blob; none if it is not there.
    pub(crate) async fn size(&self, uri: &str) -> Result<Option<u64>, ConnectError> {
        let request = Request::builder().method(Method::HEAD).uri(self.location(uri)?);
        let answer = self.answer(request, Bytes::new()).await?;
        let length = answer.headers().get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        Ok(length.filter(|_| answer.status().is_success()).and_then(|length| length.parse().ok()))
    }

    /// Writes a blob.
    pub(crate) async fn put(&self, uri: &str, content: Bytes) -> Result<(), ConnectError> {
        self.put_signed(&self.location(uri)?, content, &[]).await
    }

    /// Writes to an address that the server has given, with the headers that it asks for.
    pub(crate) async fn put_signed(
        &self,
        url: &str,
        content: Bytes,
        headers: &[(String, String)],
    ) -> Result<(), ConnectError> {
        let (status, body) = self.send(Method::PUT, url, content, headers).await?;
        if status.is_success() { Ok(()) } else { Err(refused("write", url, status, &body)) }
    }

    /// `s3://bucket/key` as the store's own address of it.
    fn location(&self, uri: &str) -> Result<String, ConnectError> {
        let key = uri.strip_prefix("s3://");
        let key = key.ok_or_else(|| ConnectError::invalid_argument(format!("blob `{uri}`: expected `s3://..`")))?;
        Ok(format!("{}/{}", self.0.blobs, utf8_percent_encode(key, ENCODED)))
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        content: Bytes,
        headers: &[(String, String)],
    ) -> Result<(StatusCode, Bytes), ConnectError> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = self.answer(request, content).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| ConnectError::unavailable(format!("{url}: the answer broke off: {error}")))?;
        Ok((status, body.to_bytes()))
    }

    async fn answer(
        &self,
        request: http::request::Builder,
        content: Bytes,
    ) -> Result<Response<<HttpClient as ClientTransport>::ResponseBody>, ConnectError> {
        let request = request.body(full_body(content));
        let request = request.map_err(|error| ConnectError::invalid_argument(format!("blob: {error}")))?;
        self.0.transport.send(request).await
    }
}

fn refused(doing: &str, what: &str, status: StatusCode, body: &[u8]) -> ConnectError {
    let said = String::from_utf8_lossy(&body[..body.len().min(512)]).into_owned();
    let message = format!("{doing} `{what}`: HTTP {status}: {said}");
    match status.as_u16() {
        408 | 429 | 500.. => ConnectError::unavailable(message),
        _ => ConnectError::invalid_argument(message),
    }
}

/// True if the same request may be answered later. What cannot be known is tried again: every request can be repeated.
fn is_passing(error: &ConnectError) -> bool {
    use ErrorCode::{
        Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, PermissionDenied,
        Unauthenticated, Unimplemented,
    };
    let final_codes = [
        Aborted,
        AlreadyExists,
        FailedPrecondition,
        InvalidArgument,
        NotFound,
        OutOfRange,
        PermissionDenied,
        Unauthenticated,
        Unimplemented,
    ];
    !final_codes.contains(&error.code)
}

/// Does something that can be repeated until the server answers, or for as long as there is patience.
pub(crate) async fn persist<T, F>(patience: Duration, mut ask: impl FnMut() -> F) -> Result<T, ConnectError>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        match ask().await {
            Err(error) if is_passing(&error) && began.elapsed() + pause < patience => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => return answer,
        }
    }
}

/// An answer of the server as an error of this crate; `doing` says what was attempted.
pub(crate) fn error(doing: &str, source: &ConnectError) -> Error {
    let kind = match source.code {
        ErrorCode::NotFound => ErrorKind::NotFound,
        ErrorCode::AlreadyExists => ErrorKind::AlreadyExists,
        ErrorCode::InvalidArgument | ErrorCode::FailedPrecondition | ErrorCode::Unimplemented => ErrorKind::Usage,
        ErrorCode::Aborted => ErrorKind::Aborted,
        _ => ErrorKind::System,
    };
    let code = match kind {
        ErrorKind::NotFound => "NotFound",
        ErrorKind::AlreadyExists => "RunAlreadyExists",
        ErrorKind::Usage => "InvalidArgument",
        ErrorKind::Aborted => spanwise_core::code::ABORTED,
        _ => "ServerUnavailable",
    };
    let said = source.message.as_deref().unwrap_or_else(|| source.code.as_str());
    let mut failure = Failure::user(code, format!("{doing}: {said}"));
    if kind == ErrorKind::System {
        failure.kind = FailureKind::System;
    }
    let mut cause = std::error::Error::source(source);
    while let Some(error) = cause {
        failure.causes.push(error.to_string());
        cause = error.source();
    }
    Error::from_failure(kind, failure)
}
