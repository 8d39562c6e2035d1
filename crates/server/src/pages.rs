//! The console: pages for people, at the addresses that the stock SDK prints. They work without JavaScript; with it they follow
//! what happens.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use spanwise_core::RunId;
use spanwise_engine::RunHandle;

use crate::blobs::signed::Signer;
use crate::control::{self, ControlPlane};
use crate::foreign;
use crate::readiness::in_one_line;
use crate::trace::Traces;

mod address;
mod apps;
mod artifacts;
mod assets;
mod data;
pub(crate) mod escape;
mod explained;
mod first;
mod format;
mod forms;
mod guard;
mod header;
mod live;
mod log;
mod notifications;
mod panel;
mod question;
mod run;
mod runs;
mod span;
#[cfg(test)]
mod tests;
mod tree;
mod triggers;
mod value;
mod view;

/// Nothing but our own files is loaded, nothing inline is run, nobody frames the pages.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the pages need. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pages {
    control: ControlPlane,
    signer: Signer,
    /// `localhost:8585`, for commands to copy.
    endpoint: String,
    traces: Traces,
    /// Where a trace is opened in another tool.
    trace_url: Option<Arc<str>>,
}

impl Pages {
    pub(crate) fn new(
        control: ControlPlane,
        signer: Signer,
        base_url: &str,
        traces: Traces,
        trace_url: Option<&str>,
    ) -> Pages {
        let endpoint = base_url.split_once("://").map_or(base_url, |(_, rest)| rest).to_owned();
        Pages { control, signer, endpoint, traces, trace_url: trace_url.map(Arc::from) }
    }

    /// A run by its name.
    fn run(&self, id: &RunId) -> Result<RunHandle, PageError> {
        Ok(self.control.run(id)?)
    }
}

/// The address of a run's page on its server.
pub(crate) fn run_address(id: &RunId) -> String {
    address::run(id, None)
}

/// The routes of the console.
pub(crate) fn router(pages: Pages) -> Router {
    const RUN: &str = "/v2/domain/{domain}/project/{project}/runs/{run}";
    const APP: &str = "/v2/domain/{domain}/project/{project}/apps/{app}";
    const LOG: &str = "/v2/domain/{domain}/project/{project}/runs/{run}/actions/{action}/attempts/{attempt}/log";
    Router::new()
        .route("/", get(runs::all))
        .route("/triggers", get(triggers::all))
        .route("/v2/domain/{domain}/project/{project}/triggers", get(triggers::of_project))
        .route("/v2/domain/{domain}/project/{project}/triggers/{task}/{trigger}", get(triggers::one))
        .route("/v2/domain/{domain}/project/{project}/runs", get(runs::of_project))
        .route("/artifacts", get(artifacts::all))
        .route("/v2/domain/{domain}/project/{project}/artifacts", get(artifacts::of_project))
        .route("/v2/domain/{domain}/project/{project}/artifacts/{artifact}", get(artifacts::one))
        .route("/apps", get(apps::all))
        .route("/v2/domain/{domain}/project/{project}/apps", get(apps::of_project))
        .route(APP, get(apps::page))
        .route(&format!("{APP}/start"), post(apps::start))
        .route(&format!("{APP}/stop"), post(apps::stop))
        .route(&format!("{APP}/log"), get(apps::log))
        .route(&format!("{APP}/log/events"), get(apps::log_events))
        .route(RUN, get(run::page))
        .route("/v2/domain/{domain}/project/{project}/tracked-runs/{run}", get(run::tracked))
        .route(&format!("{RUN}/events"), get(live::events))
        .route(&format!("{RUN}/abort"), post(forms::abort))
        .route(&format!("{RUN}/rerun"), post(forms::rerun))
        .route(&format!("{RUN}/signal"), post(forms::signal))
        .route(LOG, get(log::download))
        .route(&format!("{LOG}/events"), get(log::events))
        .layer(middleware::from_fn(guarded))
        .merge(files(RUN))
        .route("/assets/{name}", get(assets::serve))
        .with_state(pages)
}

/// What programs read: no pages, whatever the answer is.
fn files(run: &str) -> Router<Pages> {
    Router::new()
        .route(&format!("{run}/trace.json"), get(data::trace))
        .route(&format!("{run}/explain.json"), get(data::explanation))
        .route(&format!("{run}/notifications.json"), get(notifications::of_command_line))
        .layer(middleware::from_fn(foreign::sealed))
        .layer(middleware::from_fn(guarded))
}

/// Puts the headers on that every page has, and whatever is sealed already keeps its own.
async fn guarded(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Why a page cannot be shown.
#[derive(Debug)]
struct PageError {
    status: StatusCode,
    text: String,
}

impl PageError {
    fn new(status: StatusCode, text: impl Into<String>) -> PageError {
        PageError { status, text: text.into() }
    }

    fn not_found(text: impl Into<String>) -> PageError {
        PageError::new(StatusCode::NOT_FOUND, text)
    }
}

impl From<control::Error> for PageError {
    fn from(error: control::Error) -> PageError {
        let status = match &error {
            control::Error::NotFound(_) => StatusCode::NOT_FOUND,
            control::Error::Invalid(_) | control::Error::Uri(_) => StatusCode::BAD_REQUEST,
            control::Error::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            control::Error::Engine(error) if error.may_pass() => StatusCode::SERVICE_UNAVAILABLE,
            control::Error::Unmet(_)
            | control::Error::Changed(_)
            | control::Error::AlreadyExists(_)
            | control::Error::Engine(spanwise_engine::Error::Rejected(_)) => StatusCode::CONFLICT,
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "a page cannot be shown");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        PageError::new(status, in_one_line(&error))
    }
}

impl From<spanwise_engine::Error> for PageError {
    fn from(error: spanwise_engine::Error) -> PageError {
        control::Error::from(error).into()
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    assets: &'static assets::Assets,
    title: &'a str,
    text: &'a str,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let title = match self.status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Refused",
            StatusCode::BAD_REQUEST => "Not understood",
            StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => "Not possible now",
            _ => "Something failed",
        };
        let mut response = render(&ErrorPage { assets: &assets::ASSETS, title, text: &self.text });
        if response.status().is_success() {
            *response.status_mut() = self.status;
        }
        response
    }
}

fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "render a page");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered\n").into_response()
        }
    }
}
