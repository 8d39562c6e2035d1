//! Where requests for apps come in: by the host name of an app, which is an origin of its own for browsers, and by a path of the server,
//! for programs, which need not find a name below `localhost`.
//!
//! What an app answers is never a document of the console's origin: a browser that comes by the path is led to the host name, its other
//! requests are refused there, and what a program gets by the path is sealed all the same.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use http::header::{ORIGIN, RETRY_AFTER};
use http::{HeaderName, Method, StatusCode};
use serde::Deserialize;
use spanwise_core::DEFAULT_ORG;
use spanwise_core::app::Admission;
use spanwise_wire::apps::{AppDefinition, AppId};
use spanwise_wire::shown;
use tokio::sync::OwnedSemaphorePermit;

use super::Apps;
use super::address;
use super::cell::{Cell, Entry, Open};
use crate::origin::{self, Asker};

mod forward;
mod headers;

pub(super) use forward::Unreached;
pub(super) use headers::Way;

/// So many requests of an app wait for its process; more are refused.
const MOST_HELD: usize = 1000;

/// How long a request waits for an answer to begin, unless the app says it: as long as Flyte's platform does.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often a request is tried again that has met a process which was about to end.
const TRIES: usize = 5;

/// How long is waited for the news that a process has ended which does not take connections any more.
const NEWS: Duration = Duration::from_millis(500);

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The paths below which apps answer to programs.
pub(crate) fn by_path(apps: Apps) -> Router {
    Router::new()
        .route("/apps/{project}/{domain}/{name}", any(at_path))
        .route("/apps/{project}/{domain}/{name}/{*rest}", any(at_path))
        .route("/apps/{project}/{domain}/{name}/", any(at_path))
        .with_state(apps)
}

/// Takes what is sent to the host name of an app, before anybody asks whether the name is the server's own.
pub(crate) async fn by_host(State(apps): State<Apps>, request: Request, next: Next) -> Response {
    let authority = origin::authority(request.uri(), request.headers()).unwrap_or_default();
    let Some(host) = address::host(&authority) else { return next.run(request).await };
    let Some(cell) = apps.at_host(&host) else {
        if address::is_below_localhost(&host) {
            let text = format!("no app of this server answers to `{}`\n", shown(&host));
            return (StatusCode::NOT_FOUND, text).into_response();
        }
        return next.run(request).await;
    };
    let asker = Asker::of(request.method(), request.uri(), request.headers());
    if asker == Asker::Foreign && !cell.definition().is_public {
        let name = &cell.id.name;
        let text =
            format!("app `{name}` takes nothing from pages of other sites: it does not say `requires_auth=False`\n");
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    apps.serve(&cell, request, &Way::ByHost { authority }).await
}

/// An app in an address.
#[derive(Deserialize)]
struct AppRoute {
    project: String,
    domain: String,
    name: String,
}

async fn at_path(State(apps): State<Apps>, Path(route): Path<AppRoute>, request: Request) -> Response {
    let AppRoute { project, domain, name } = route;
    let id = AppId { org: DEFAULT_ORG.to_owned(), project, domain, name };
    let Some(cell) = apps.get(&id) else {
        let (name, project, domain) = (shown(&id.name), shown(&id.project), shown(&id.domain));
        let text = format!("there is no app `{name}` in project `{project}`, domain `{domain}`\n");
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let prefix = address::path(&id);
    let rest = request.uri().path_and_query().map_or("/", |whole| whole.as_str());
    let rest = rest.strip_prefix(&prefix).unwrap_or(rest).to_owned();
    if let Some(answer) = apps.to_browser(&cell, &request, &rest) {
        return answer;
    }
    let authority = origin::authority(request.uri(), request.headers()).unwrap_or_default();
    let mut answer = apps.serve(&cell, request, &Way::ByPath { authority, prefix, rest }).await;
    headers::seal(answer.headers_mut());
    answer
}

impl Apps {
    fn at_host(&self, host: &str) -> Option<Arc<Cell>> {
        self.all().into_iter().find(|cell| cell.address().hosts().iter().any(|name| name == host))
    }

    /// What a browser gets that asks by the path: the way to the app's own origin, or nothing.
    fn to_browser(&self, cell: &Cell, request: &Request, rest: &str) -> Option<Response> {
        let headers = request.headers();
        let own = self.inner.shared.addresses.by_host(&cell.address());
        let is_navigation = headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate");
        if is_navigation && matches!(*request.method(), Method::GET | Method::HEAD) {
            let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
            return Some(Redirect::temporary(&format!("{own}{rest}")).into_response());
        }
        let is_browser = headers.contains_key(SEC_FETCH_SITE) || headers.contains_key(ORIGIN);
        is_browser.then(|| {
            let text = format!("in a browser, app `{}` answers at {own}\n", cell.id.name);
            (StatusCode::FORBIDDEN, text).into_response()
        })
    }

    /// Brings a request to the process of an app, which is started for it if it has to be.
    async fn serve(&self, cell: &Arc<Cell>, request: Request, way: &Way) -> Response {
        let patience = cell.definition().request_timeout.unwrap_or(PATIENCE);
        let deadline = tokio::time::Instant::now() + patience;
        let mut request = Some(request);
        for _ in 0..TRIES {
            let admitted = match tokio::time::timeout_at(deadline, self.admit(cell)).await {
                Ok(Ok(admitted)) => admitted,
                Ok(Err(refused)) => return refused,
                Err(_) => return late(cell, "was not started", patience),
            };
            let Ok(room) = tokio::time::timeout_at(deadline, self.room()).await else { return crowded(cell) };
            let Some(taken) = request.take() else { break };
            let upstream = admitted.upstream;
            let sent = forward::send(self, (admitted, room), taken, way, deadline).await;
            match sent {
                Ok(answer) => return answer,
                // Nothing of it was sent: it may be sent to the next process.
                Err(Unreached::NobodyListens(back)) => {
                    request = Some(*back);
                    let _ = tokio::time::timeout(NEWS, cell.leaves(upstream)).await;
                }
                Err(Unreached::Late) => return late(cell, "has not answered", patience),
                Err(Unreached::Broken(why)) => {
                    // Whoever asks again after this answer must not meet the process that is about to be gone.
                    let _ = tokio::time::timeout(NEWS, cell.leaves(upstream)).await;
                    let text = format!("app `{}` gave no answer: {why}\n", cell.id.name);
                    return (StatusCode::BAD_GATEWAY, text).into_response();
                }
            }
        }
        let text = format!("app `{}` takes no connections\n{}", cell.id.name, see(&cell.id));
        (StatusCode::BAD_GATEWAY, text).into_response()
    }

    /// Waits until the process of an app answers.
    async fn admit(&self, cell: &Arc<Cell>) -> Result<Admitted, Response> {
        let mut changes = cell.passages();
        let mut waiting = None;
        loop {
            changes.borrow_and_update();
            let entered = cell.enter(self.now());
            match entered {
                (Entry::Forward(upstream, definition), Some(open)) => {
                    return Ok(Admitted { upstream, definition, open });
                }
                (Entry::Refused(admission), _) => return Err(self.refused(cell, admission)),
                _ => {}
            }
            if waiting.is_none() {
                waiting = cell.hold(MOST_HELD);
                if waiting.is_none() {
                    let text =
                        format!("app `{}` is being started, and {MOST_HELD} requests wait for it\n", cell.id.name);
                    return Err((StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response());
                }
                continue;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = self.inner.ending.cancelled() => {
                    let text = format!("app `{}` is not started: the server is about to end\n", cell.id.name);
                    return Err((StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response());
                }
            }
        }
    }

    /// Waits until one more connection to an app may be open.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.inner.connections).acquire_owned().await.ok()
    }

    fn refused(&self, cell: &Cell, admission: Admission) -> Response {
        let name = &cell.id.name;
        let (again, text) = match admission {
            Admission::Failed { until } => {
                let again = until.since(self.now()).as_secs() + 1;
                let why = cell.shown().message;
                (again, format!("app `{name}` has failed and is tried again in {again} s: {why}\n{}", see(&cell.id)))
            }
            _ => (60, format!("app `{name}` is stopped: `flyte update app {name} --activate` starts it\n")),
        };
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, again.to_string())], text).into_response()
    }
}

/// A request that goes to the process.
pub(super) struct Admitted {
    upstream: std::net::SocketAddr,
    definition: Arc<AppDefinition>,
    open: Open,
}

fn crowded(cell: &Cell) -> Response {
    let text = format!(
        "app `{}` is not asked: this server has as many connections to apps open as it may (see `ulimit -n`)\n",
        cell.id.name
    );
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response()
}

fn late(cell: &Cell, what: &str, patience: Duration) -> Response {
    let text = format!("app `{}` {what} within {} s\n{}", cell.id.name, patience.as_secs(), see(&cell.id));
    (StatusCode::GATEWAY_TIMEOUT, text).into_response()
}

/// Where to look on.
fn see(id: &AppId) -> String {
    format!("its log: spanwise apps logs {} --project {} --domain {}\n", id.name, id.project, id.domain)
}
