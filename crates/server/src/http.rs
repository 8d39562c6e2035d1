//! The one port: Flyte's API, the blob store and the pages, behind a check of whom the browser thinks it is talking to.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{HOST, ORIGIN};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api};
use crate::blobs::{s3, signed};
use crate::calls::{self, Calls};
use crate::collector::Collector;
use crate::environments::Environments;
use crate::executor::SignsOfLife;
use crate::pages::{self, Pages};
use crate::readiness::Readiness;
use crate::running::{self, Interpreter, Running};
use crate::trace::Traces;
use crate::wire::shown;

/// Every route of the server.
///
/// `ending` is cancelled when the server takes no new work any more.
pub(crate) fn router(
    api: Api,
    signs: SignsOfLife,
    running: Running,
    ending: CancellationToken,
    collector: Option<&Collector>,
    calls: Calls,
    trace_url: Option<&str>,
) -> Router {
    let traces = Traces::new(collector.cloned());
    let pages = Pages::new(api.control.clone(), api.signer.clone(), &api.base_url, traces, trace_url);
    let blobs = api.control.blobs().clone();
    let environments = api.control.executor().environments().clone();
    let store =
        s3::router(blobs.clone(), s3::Access::Anyone).layer(middleware::from_fn_with_state(signs, note_sign_of_life));
    let ready = api.control.readiness().clone();
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readiness(ending.is_cancelled(), &ready).await }))
        .route(running::PATH, get(move || answer(running, environments)))
        .merge(pages::router(pages))
        .merge(signed::router(blobs, api.signer.clone(), None))
        .merge(store)
        .merge(collector.map(Collector::router).unwrap_or_default())
        .fallback_service(
            Router::new()
                .fallback_service(api::service(api))
                .layer(middleware::from_fn_with_state(calls, calls::traced)),
        );
    guarded(router)
}

/// The routes, for those who mean this machine.
pub(crate) fn guarded(router: Router) -> Router {
    router.layer(middleware::from_fn(refuse_foreign_hosts))
}

/// Who is running, and with which interpreter by now, if that does not answer late.
async fn answer(mut running: Running, environments: Environments) -> impl IntoResponse {
    let now = tokio::time::timeout(running::PATIENCE / 2, environments.current()).await;
    let now = now.unwrap_or_else(|_| environments.base());
    running.python = Some(Box::new(Interpreter::from(&*now)));
    running.answer()
}

/// Whoever sends work here is told to send it elsewhere before the port is closed, and while it could not be kept.
async fn readiness(is_ending: bool, ready: &Readiness) -> (StatusCode, String) {
    if is_ending {
        return (StatusCode::SERVICE_UNAVAILABLE, "ending\n".to_owned());
    }
    match ready.check().await {
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

/// A page of another site that has made its name point to this machine must not talk to the server: without a login, the name in
/// the request is all that tells it from ourselves.
async fn refuse_foreign_hosts(request: Request, next: Next) -> Response {
    let host = match request.headers().get(HOST) {
        Some(host) => String::from_utf8_lossy(host.as_bytes()),
        None => request.uri().authority().map_or("", |authority| authority.as_str()).into(),
    };
    if !is_own(&host) {
        let text = format!("this server answers to localhost and 127.0.0.1, not to `{}`\n", shown(&host));
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    // A page of another site can send what needs no permission first: a form is enough.
    let origin = request.headers().get(ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()));
    match origin.filter(|origin| !request.method().is_safe() && !is_own_origin(origin)) {
        Some(origin) => {
            let text = format!("this server takes nothing from pages of `{}`\n", shown(&origin));
            (StatusCode::FORBIDDEN, text).into_response()
        }
        None => next.run(request).await,
    }
}

fn is_own_origin(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, host)| is_own(host))
}

fn is_own(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Listens on an address and, where the machine has it, on the same port of its twin: `localhost` is both.
pub(crate) async fn listen(address: SocketAddr) -> std::io::Result<Vec<TcpListener>> {
    let first = TcpListener::bind(address).await?;
    let port = first.local_addr()?.port();
    let twin = match address {
        SocketAddr::V4(_) => TcpListener::bind((std::net::Ipv6Addr::LOCALHOST, port)).await,
        SocketAddr::V6(_) => TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).await,
    };
    Ok(std::iter::once(first).chain(twin.ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_machine_may_write() {
        assert!(is_own_origin("http://localhost:8585"));
        for foreign in ["null", "https://example.com", "localhost", "http://localhost.example.com", ""] {
            assert!(!is_own_origin(foreign), "{foreign}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_answered_to() {
        for own in ["localhost", "LOCALHOST:8585", "127.0.0.1:1", "127.0.0.9", "[::1]:8585", "[::1]"] {
            assert!(is_own(own), "{own}");
        }
        for foreign in ["example.com", "localhost.example.com:8585", "10.0.0.1", "0.0.0.0:80", "", "[::2]:1"] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }
}
