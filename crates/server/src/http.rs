//! The one port: Flyte's API, the blob store and the pages, behind a check of whom the browser thinks it is talking to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use spanwise_blobs::Blobs;
use spanwise_collector::Collector;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api};
use crate::apps::{self, Apps};
use crate::attempt::SignsOfLife;
use crate::blobs::s3;
use crate::blobs::signed::{self, Signer};
use crate::calls::{self, Calls};
use crate::control::ControlPlane;
use crate::foreign;
use crate::origin;
use crate::pages::{self, Pages};
use crate::running::{self, Running};
use crate::trace::Traces;

/// What the routes of the server lead to.
pub(crate) struct Rooms<'a> {
    pub(crate) api: Api,
    /// The doors of the blobs: see [`blobs`].
    pub(crate) blobs: Router,
    pub(crate) apps: Apps,
    pub(crate) running: Running,
    /// Cancelled when the server takes no new work any more.
    pub(crate) ending: CancellationToken,
    pub(crate) collector: Option<&'a Collector>,
    pub(crate) calls: Calls,
    /// Where a trace is opened in another tool.
    pub(crate) trace_url: Option<&'a str>,
}

/// Every route of the server.
pub(crate) fn router(rooms: Rooms<'_>) -> Router {
    let Rooms { api, blobs, apps, running, ending, collector, calls, trace_url } = rooms;
    let traces = Traces::new(collector.cloned());
    let pages = Pages::new(api.control.clone(), api.signer.clone(), &api.base_url, traces, trace_url);
    let (alive, ready) = (api.control.clone(), api.control.clone());
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readiness(ending.is_cancelled(), &ready).await }))
        .route(running::PATH, get(move || answer(running, alive)))
        .merge(pages::router(pages))
        .merge(blobs)
        .merge(apps::proxy::by_path(apps.clone()))
        .merge(collector.map(received).unwrap_or_default())
        .fallback_service(
            Router::new()
                .fallback_service(api::service(api))
                .layer(middleware::from_fn_with_state(calls, calls::traced))
                .layer(middleware::from_fn(foreign::sealed)),
        );
    // Names of apps are not the server's own: they are looked at first.
    guarded(router).layer(middleware::from_fn_with_state(apps, apps::proxy::by_host))
}

/// The doors of the blobs: signed URLs for clients, and the store as tasks see it, whose reads are signs of life.
pub(crate) fn blobs(blobs: &Blobs, signer: &Signer, signs: &SignsOfLife) -> Router {
    let noted = middleware::from_fn_with_state(signs.clone(), note_sign_of_life);
    let store = s3::router(blobs.clone(), s3::Access::Anyone).layer(noted);
    signed::router(blobs.clone(), signer.clone(), None).merge(store)
}

/// The routes of the collector: what they answer is made of what others have sent.
pub(crate) fn received(collector: &Collector) -> Router {
    collector.router().layer(middleware::from_fn(foreign::sealed))
}

/// The routes, for those who mean this machine.
pub(crate) fn guarded(router: Router) -> Router {
    router.layer(middleware::from_fn(origin::refuse_foreign)).layer(middleware::from_fn(foreign::inert))
}

/// Who is running, and with which interpreter by now, if that does not answer late.
async fn answer(mut running: Running, control: ControlPlane) -> impl IntoResponse {
    running.python = Some(Box::new(control.interpreter(running::PATIENCE / 2).await));
    running.answer()
}

/// Whoever sends work here is told to send it elsewhere before the port is closed, and while it could not be kept.
async fn readiness(is_ending: bool, control: &ControlPlane) -> (StatusCode, String) {
    if is_ending {
        return (StatusCode::SERVICE_UNAVAILABLE, "ending\n".to_owned());
    }
    match control.is_ready().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(cause) => (StatusCode::SERVICE_UNAVAILABLE, format!("{cause}\n")),
    }
}

/// A task that reads its inputs is alive. The SDK asks for their size first, and for no more if they are empty.
async fn note_sign_of_life(State(signs): State<SignsOfLife>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), http::Method::GET | http::Method::HEAD)
        && let Some(key) = request.uri().path().strip_prefix("/s3/spanwise/")
    {
        signs.seen(key);
    }
    next.run(request).await
}

/// True for the two addresses that `localhost` is.
fn is_localhost(address: IpAddr) -> bool {
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

/// The host by which clients, browsers and tasks reach a server that listens on a loopback address.
pub(crate) fn host(address: IpAddr) -> String {
    match address {
        _ if is_localhost(address) => "localhost".to_owned(),
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// Of so many ports that the system chose one is free on both addresses of `localhost`.
const PORTS_TRIED: usize = 16;

/// An address that cannot be listened on.
pub(crate) type NotListening = (SocketAddr, io::Error);

/// Listens on an address and, where the machine has it, on the same port of its twin: `localhost` is both, and whoever has one of them
/// gets a part of what is meant for the other. Another address has no twin.
///
/// # Errors
/// The address that is taken, which may be the twin.
pub(crate) async fn listen(address: SocketAddr) -> Result<Vec<TcpListener>, NotListening> {
    let mut tried = 0;
    loop {
        let first = TcpListener::bind(address).await.map_err(|error| (address, error))?;
        let port = first.local_addr().map_err(|error| (address, error))?.port();
        let twin: IpAddr = match address.ip() {
            ip if !is_localhost(ip) => return Ok(vec![first]),
            IpAddr::V4(_) => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv4Addr::LOCALHOST.into(),
        };
        let twin = SocketAddr::new(twin, port);
        tried += 1;
        match TcpListener::bind(twin).await {
            Ok(second) => return Ok(vec![first, second]),
            Err(error) if is_absent(&error) => return Ok(vec![first]),
            Err(error) if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse && tried < PORTS_TRIED => {}
            Err(error) => return Err((twin, error)),
        }
    }
}

/// True if the machine does not have such an address, or nothing of its kind.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_twin_that_is_taken_is_said_and_with_a_free_choice_both_are_had() {
        let Ok(taken) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else { return };
        let port = taken.local_addr().unwrap().port();
        let (address, error) = listen((Ipv4Addr::LOCALHOST, port).into()).await.unwrap_err();
        assert_eq!((address.ip(), error.kind()), (Ipv6Addr::LOCALHOST.into(), io::ErrorKind::AddrInUse));
        let ports = listen((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let ports: Vec<u16> = ports.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert!(ports.len() == 2 && ports[0] == ports[1], "{ports:?}");
        drop(taken);
        assert_eq!(listen((Ipv6Addr::LOCALHOST, port).into()).await.unwrap().len(), 2);
        assert!(is_absent(&io::ErrorKind::AddrNotAvailable.into()));
        assert!(is_absent(&io::Error::from(rustix::io::Errno::AFNOSUPPORT)));
    }

    #[test]
    fn a_server_is_reached_where_it_listens() {
        for (address, expected) in
            [("127.0.0.1", "localhost"), ("::1", "localhost"), ("127.0.0.2", "127.0.0.2"), ("127.1.2.3", "127.1.2.3")]
        {
            assert_eq!(host(address.parse().unwrap()), expected);
        }
    }
}
