//! One request to the process of an app, and its answer back, each as a stream.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{StatusCode, Uri, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::upgrade::{OnUpgrade, on};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::headers::{self, Way};
use super::{Admitted, Apps, Open};

/// Why there is no answer.
pub(in crate::apps) enum Unreached {
    /// The process takes no connection; the request is as it was.
    NobodyListens(Box<Request>),
    /// The answer has not begun in time.
    Late,
    /// The connection broke off before an answer.
    Broken(String),
}

/// Sends a request, and gives the answer as soon as its head is there. Every request has a connection of its own: on this machine that
/// costs less than to know which of those that are open is still good.
pub(super) async fn send(
    apps: &Apps,
    (admitted, room): (Admitted, Option<OwnedSemaphorePermit>),
    mut request: Request,
    way: &Way,
    deadline: Instant,
) -> Result<Response, Unreached> {
    let Admitted { upstream, definition, open } = admitted;
    let open = Counted { apps: apps.clone(), open: Some(open), _room: room };
    let Ok(stream) = TcpStream::connect(upstream).await else {
        return Err(Unreached::NobodyListens(Box::new(request)));
    };
    // Small answers do not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let wants_upgrade = headers::upgrade(request.headers()).is_some() && request.version() == Version::HTTP_11;
    let client = wants_upgrade.then(|| on(&mut request));
    let request = addressed(request, way, upstream, definition.speaks_http2);
    let answered = async {
        let io = TokioIo::new(stream);
        if definition.speaks_http2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await
        } else {
            let (mut sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection.with_upgrades());
            sender.send_request(request).await
        }
    };
    let answer = match tokio::time::timeout_at(deadline, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(Unreached::Broken(spanwise_wire::with_causes(&error))),
        Err(_) => return Err(Unreached::Late),
    };
    Ok(returned(answer, way, client, open))
}

/// The request as the process gets it.
fn addressed(request: Request, way: &Way, upstream: SocketAddr, speaks_http2: bool) -> Request {
    let (mut head, body) = request.into_parts();
    let target = way.target(&head.uri);
    headers::of_request(&mut head.headers, way);
    head.uri = match speaks_http2 {
        // There it is part of the head.
        true => format!("http://{upstream}{target}").parse().unwrap_or(head.uri),
        false => target.parse::<Uri>().unwrap_or(head.uri),
    };
    head.version = if speaks_http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    Request::from_parts(head, body)
}

fn returned(mut answer: http::Response<Incoming>, way: &Way, client: Option<OnUpgrade>, open: Counted) -> Response {
    let is_upgrade = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    let process = is_upgrade.then(|| on(&mut answer));
    let (mut head, body) = answer.into_parts();
    headers::of_answer(&mut head.headers, way, is_upgrade);
    head.version = Version::HTTP_11;
    match (client, process) {
        (Some(client), Some(process)) => {
            tokio::spawn(join(client, process, open));
            Response::from_parts(head, Body::empty())
        }
        _ => Response::from_parts(head, Body::new(Answer { body, _open: open })),
    }
}

/// Brings what either side says to the other one, until both have ended.
async fn join(client: OnUpgrade, process: OnUpgrade, open: Counted) {
    if let (Ok(client), Ok(process)) = tokio::join!(client, process) {
        let (mut client, mut process) = (TokioIo::new(client), TokioIo::new(process));
        let ending = open.apps.inner.ending.clone();
        // How it ends is the business of the two.
        let _ = ending.run_until_cancelled(tokio::io::copy_bidirectional(&mut client, &mut process)).await;
    }
    drop(open);
}

/// Counts as asked for, and as a connection, until it is dropped.
struct Counted {
    apps: Apps,
    open: Option<Open>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.close(self.apps.now());
        }
    }
}

/// The body of an answer, as it comes.
struct Answer {
    body: Incoming,
    _open: Counted,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
