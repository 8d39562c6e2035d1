//! Apps: the list of a project's, and one with its state, its addresses, its log and its revisions.

use askama::Template;
use axum::Form;
use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use spanwise_core::app::{Desired, Phase};
use spanwise_wire::apps::{AppId, Link};
use spanwise_wire::ids;

use super::assets::{ASSETS, Assets};
use super::escape::without_directions;
use super::format::{Badge, When, when};
use super::log::followed;
use super::{PageError, Pages, address, guard, render};
use crate::control::AppView;
use crate::foreign;
use crate::secrecy::shown_pairs;

/// An app in an address.
#[derive(Deserialize)]
pub(super) struct AppRoute {
    domain: String,
    project: String,
    app: String,
}

impl AppRoute {
    fn id(&self, uri: &Uri) -> Result<AppId, PageError> {
        let org = address::pairs(uri).into_iter().find(|(name, _)| name == "org").map(|(_, org)| org);
        let scope = ids::scope(&org.unwrap_or_default(), &self.project, &self.domain);
        let id = scope.and_then(|scope| AppId::new(scope, &self.app));
        id.map_err(|error| PageError::not_found(error.to_string()))
    }
}

/// A project in an address.
#[derive(Deserialize)]
pub(super) struct ScopeRoute {
    domain: String,
    project: String,
}

fn badge(phase: Phase) -> Badge {
    let (word, class) = match phase {
        Phase::Stopped => ("Stopped", "aborted"),
        Phase::Stopping => ("Stopping", "queued"),
        Phase::Deploying => ("Deploying", "starting"),
        Phase::Active => ("Active", "running"),
        Phase::ScaledToZero => ("Scaled to zero", "succeeded"),
        Phase::Waking => ("Waking", "starting"),
        Phase::Restarting => ("Restarting", "paused"),
        Phase::Failed => ("Failed", "failed"),
    };
    Badge { class, word }
}

struct Row {
    name: String,
    scope: String,
    address: String,
    url: String,
    badge: Badge,
    revision: u64,
    since: When,
    kind: String,
}

#[derive(Template)]
#[template(path = "apps.html")]
struct ListPage {
    assets: &'static Assets,
    scope: String,
    rows: Vec<Row>,
}

fn row(pages: &Pages, view: AppView) -> Row {
    let id = &view.definition.id;
    Row {
        name: id.name.clone(),
        scope: format!("{} / {}", id.project, id.domain),
        address: address::app(id),
        badge: badge(view.state.phase),
        revision: view.state.revision,
        since: when(view.state.since, pages.control.now()),
        kind: view.definition.kind.clone(),
        url: view.state.host_url,
    }
}

/// Every app.
pub(super) async fn all(State(pages): State<Pages>) -> Response {
    let rows = pages.control.apps().into_iter().map(|view| row(&pages, view)).collect();
    render(&ListPage { assets: &ASSETS, scope: String::new(), rows })
}

/// The apps of a project.
pub(super) async fn of_project(State(pages): State<Pages>, Path(route): Path<ScopeRoute>) -> Response {
    let ScopeRoute { project, domain } = route;
    let is_in = |view: &AppView| view.definition.id.project == project && view.definition.id.domain == domain;
    let rows = pages.control.apps().into_iter().filter(is_in).map(|view| row(&pages, view)).collect();
    render(&ListPage { assets: &ASSETS, scope: format!("{project} / {domain}"), rows })
}

struct Revised {
    number: u64,
    at: When,
    reason: String,
    desired: &'static str,
}

#[derive(Template)]
#[template(path = "app.html")]
struct AppPage {
    assets: &'static Assets,
    row: Row,
    path: String,
    list: String,
    endpoint: String,
    message: String,
    description: String,
    links: Vec<Link>,
    parameters: Vec<(String, String)>,
    env: Vec<(String, String)>,
    command: String,
    image: String,
    warnings: Vec<String>,
    revisions: Vec<Revised>,
    log: String,
    log_next: u64,
    is_cut: bool,
    token: String,
    is_stopped: bool,
    is_running: bool,
}

/// One app.
pub(super) async fn page(
    State(pages): State<Pages>,
    Path(route): Path<AppRoute>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let shown = route.id(&uri).and_then(|id| show(&pages, &id, &headers));
    shown.unwrap_or_else(IntoResponse::into_response)
}

fn show(pages: &Pages, id: &AppId, headers: &HeaderMap) -> Result<Response, PageError> {
    let view = pages.control.app(id)?;
    let now = pages.control.now();
    let token = guard::Token::of(headers);
    let revisions = pages.control.app_revisions(id)?.into_iter().map(|(definition, revision)| Revised {
        number: revision.number,
        at: when(revision.changed_at, now),
        reason: revision.reason,
        desired: if definition.desired == Desired::Stopped { "stopped" } else { "started" },
    });
    let log = pages.control.app_log(id, None).ok().and_then(|log| log.end(view.state.is_running)).unwrap_or_default();
    let definition = &view.definition;
    let page = AppPage {
        assets: &ASSETS,
        path: address::app_path(id),
        list: address::apps(&id.project, &id.domain),
        endpoint: view.state.url.clone(),
        message: without_directions(&view.state.message),
        description: definition.description.clone(),
        links: definition.links.iter().map(|link| absolute(link, &view.state.host_url)).collect(),
        parameters: shown_pairs(definition.parameters.iter().map(|(name, value)| (name, value))),
        env: shown_pairs(definition.program.env.iter().map(|(name, value)| (name, value))),
        command: definition.program.argv.join(" "),
        image: definition.program.image.clone(),
        warnings: definition.not_honoured(),
        revisions: revisions.collect(),
        log: without_directions(&log.text),
        log_next: log.next,
        is_cut: log.is_cut,
        token: token.value.clone(),
        is_stopped: definition.desired == Desired::Stopped,
        is_running: view.state.is_running,
        row: row(pages, view.clone()),
    };
    let mut response = render(&page);
    if let Some(cookie) = token.set_cookie().and_then(|cookie| cookie.parse().ok()) {
        response.headers_mut().append(http::header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A link leads somewhere in the web, or nowhere.
fn absolute(link: &Link, host_url: &str) -> Link {
    let path = match link.is_relative {
        true => format!("{host_url}/{}", link.path.trim_start_matches('/')),
        false if link.path.starts_with("http://") || link.path.starts_with("https://") => link.path.clone(),
        false => String::new(),
    };
    Link { path, ..link.clone() }
}

/// What the buttons send.
#[derive(Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    token: String,
}

type Sent = Result<Form<Fields>, FormRejection>;

/// Starts an app.
pub(super) async fn start(
    State(pages): State<Pages>,
    Path(route): Path<AppRoute>,
    uri: Uri,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    desire(&pages, &route, &uri, &headers, sent, Desired::Started).await
}

/// Stops an app.
pub(super) async fn stop(
    State(pages): State<Pages>,
    Path(route): Path<AppRoute>,
    uri: Uri,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    desire(&pages, &route, &uri, &headers, sent, Desired::Stopped).await
}

async fn desire(
    pages: &Pages,
    route: &AppRoute,
    uri: &Uri,
    headers: &HeaderMap,
    sent: Sent,
    desired: Desired,
) -> Response {
    let done = async {
        let refused = |text: String| PageError::new(StatusCode::FORBIDDEN, text);
        let Form(fields) = sent.map_err(|error| refused(error.body_text()))?;
        guard::check(uri, headers, &fields.token).map_err(|error| refused(error.to_string()))?;
        let id = route.id(uri)?;
        pages.control.desire_app(&id, desired, "from the console").await?;
        Ok(address::app(&id))
    };
    let done: Result<String, PageError> = done.await;
    done.map_or_else(IntoResponse::into_response, |address| Redirect::to(&address).into_response())
}

/// The whole log of the last start, as plain text.
pub(super) async fn log(State(pages): State<Pages>, Path(route): Path<AppRoute>, uri: Uri) -> Response {
    let sent = async {
        let log = pages.control.app_log(&route.id(&uri)?, None)?;
        let failed = |error: std::io::Error| PageError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
        let size = log.length().await.map_err(failed)?;
        let name = format!("attachment; filename=\"{}-{}.log\"", route.app, log.number);
        let body = Body::from_stream(log.bytes(0..size).await.map_err(failed)?);
        let headers = [
            (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
            (CONTENT_DISPOSITION, name),
            (CONTENT_LENGTH, size.to_string()),
        ];
        let mut response = (headers, body).into_response();
        foreign::seal(response.headers_mut());
        Ok::<_, PageError>(response)
    };
    sent.await.unwrap_or_else(IntoResponse::into_response)
}

/// Lines of the log as they come, as those of an attempt.
pub(super) async fn log_events(
    State(pages): State<Pages>,
    Path(route): Path<AppRoute>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let log = match route.id(&uri).and_then(|id| Ok(pages.control.app_log(&id, None)?)) {
        Ok(log) => log,
        Err(error) => return error.into_response(),
    };
    followed(&pages, &uri, &headers, |from| log.follow(from))
}
