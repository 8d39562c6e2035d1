//! The page of a run: where it is, its actions, and one of them in detail.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Uri};
use spanwise_core::ActionName;
use spanwise_engine::{ActionView, RunHandle};

use super::assets::{ASSETS, Assets};
use super::explained::Explained;
use super::format::{Badge, Span, count};
use super::guard::Token;
use super::header::Header;
use super::panel::Panel;
use super::question::{self, Question};
use super::span::{self, SpanDetail};
use super::tree::{self, Row, Tree};
use super::view::{RunRoute, View};
use super::{PageError, Pages, address, render};
use crate::trace::Trace;
use crate::trace::timeline::{At, Timeline};

/// Failures that are named at the top of the page.
const NAMED_FAILURES: usize = 4;

/// What the colours of bars mean, beside those of phases.
const KEYS: [(&str, &str); 5] = [
    ("w", "queued"),
    ("f-start", "starting"),
    ("f-cache", "cache lookup"),
    ("f-backoff", "backoff"),
    ("f-user", "span of your code"),
];

/// A failure that the top of the page leads to.
struct Failure {
    name: String,
    href: String,
    text: String,
}

/// A state with the number of actions in it, as a filter.
struct Chip {
    badge: Badge,
    count: String,
    href: String,
    on: bool,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    assets: &'static Assets,
    token: String,
    header: Header,
    events: String,
    abort: String,
    rerun: String,
    signal: String,
    questions: Vec<Question>,
    more_questions: Option<(String, String)>,
    /// The trace as a file: OTLP, and for Jaeger.
    files: [String; 2],
    view: View,
    /// The view without what is looked for, to get back.
    whole: String,
    chips: Vec<Chip>,
    failures: Vec<Failure>,
    more_failures: Option<(String, String)>,
    axis: Span,
    rows: Vec<Row>,
    explained: Explained,
    /// What of the trace is not among the rows, a sentence each.
    left_out: Vec<String>,
    /// Where all of it is.
    all_spans: String,
    panel: Option<Panel>,
    /// The span that is chosen, else that of the chosen action.
    span: Option<SpanDetail>,
}

impl RunPage {
    /// What the panel is about.
    fn chosen(&self) -> &str {
        match (&self.panel, &self.span) {
            (Some(panel), _) => &panel.short,
            (None, Some(span)) => &span.name,
            (None, None) => "",
        }
    }
}

pub(super) async fn page(
    State(pages): State<Pages>,
    Path(route): Path<RunRoute>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let token = Token::of(&headers);
    let page = match Box::pin(build(&pages, &route, &uri, &token)).await {
        Ok(page) => page,
        Err(error) => return error.into_response(),
    };
    let mut response = render(&page);
    if let Some(cookie) = token.set_cookie().and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// The address that the stock SDK prints for a tracked run leads to its page.
pub(super) async fn tracked(State(pages): State<Pages>, Path(route): Path<RunRoute>, uri: Uri) -> Response {
    match route.run(&pages, &uri) {
        Ok(run) => Redirect::temporary(&address::run(run.id(), None)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn build(pages: &Pages, route: &RunRoute, uri: &Uri, token: &Token) -> Result<RunPage, PageError> {
    let run = route.run(pages, uri)?;
    let view = View::of(uri);
    let unknown = |name: &ActionName| PageError::not_found(format!("run `{}` has no action `{name}`", run.id().name));
    let selected = address::pairs(uri).into_iter().find(|(name, value)| name == "i" && !value.is_empty());
    if let (Some((_, selected)), None) = (&selected, view.selected) {
        return Err(PageError::not_found(format!("run `{}` has no action `{selected}`", run.id().name)));
    }
    let trace = pages.traces.of(&run).await?;
    let trace_id = trace.id.to_string();
    let timeline = timeline(&run, trace).await;
    let mut view = view;
    // A span that is not here any more leaves the action.
    let chosen_span = view.span.and_then(|span| timeline.find(span));
    view.span = view.span.filter(|_| chosen_span.is_some());
    let chosen = view.chosen();
    let action = run.action(&chosen).ok_or_else(|| unknown(&chosen))?;
    let views = run.actions();
    let tree = Tree::new(&views, &timeline, run.now());
    let root = views.iter().find(|view| view.name.is_root()).ok_or_else(|| unknown(&ActionName::ROOT))?;
    let at = chosen_span.or_else(|| timeline.action(&chosen).map(At::Lifecycle));
    let panel = match view.span {
        Some(_) => None,
        None => Some(Box::pin(Panel::of(pages, &run, chosen, &action, &view)).await?),
    };
    let (questions, more_questions) = question::of_run(pages, &run, &views, &view);
    Ok(RunPage {
        assets: &ASSETS,
        token: token.value.clone(),
        header: Header::of(pages, &run, root, (views.len(), !questions.is_empty()), &trace_id).await?,
        events: address::of_run(run.id(), "events"),
        abort: address::of_run(run.id(), "abort"),
        rerun: address::of_run(run.id(), "rerun"),
        signal: address::of_run(run.id(), "signal"),
        questions,
        more_questions,
        files: ["", "jaeger"].map(|format| address::trace_file(run.id(), format)),
        whole: view.with(|view| {
            view.show.clear();
            view.find.clear();
            view.from = 0;
        }),
        chips: chips(&views, &view),
        failures: failures(&tree, &view),
        more_failures: more_failures(&tree, &view),
        axis: tree.axis(),
        rows: tree.rows(&view),
        explained: Explained::of(&run, &timeline, &view),
        left_out: timeline.left_out().of_tree(),
        all_spans: timeline.left_out().address(),
        panel,
        span: at.map(|at| span::detail(pages, &run, &timeline, at, &view)),
        view,
    })
}

/// The spans of a run, put in order beside the requests of others.
async fn timeline(run: &RunHandle, trace: Trace) -> Timeline {
    let id = run.id().clone();
    tokio::task::spawn_blocking(move || Timeline::new(&id, trace)).await.unwrap_or_default()
}

fn chips(views: &[ActionView], view: &View) -> Vec<Chip> {
    let chip = |(badge, number): (Badge, usize)| {
        let on = view.show == badge.class;
        let href = view.with(|view| {
            view.from = 0;
            view.show = if on { String::new() } else { badge.class.to_owned() };
        });
        Chip { badge, count: count(number), href, on }
    };
    tree::counts(views).into_iter().map(chip).collect()
}

fn failures(tree: &Tree<'_>, view: &View) -> Vec<Failure> {
    let failure = |action: &ActionView| Failure {
        name: action.task.short().to_owned(),
        href: view.with(|view| {
            view.selected = Some(action.name);
            view.span = None;
            view.attempt = None;
            view.show.clear();
            view.find.clear();
            // The chosen action decides which of its siblings are shown.
            view.at.clear();
            view.shut.clear();
        }),
        text: action.failure.as_ref().map(|failure| summary(&failure.code, &failure.message)).unwrap_or_default(),
    };
    let first = tree.first_failures(NAMED_FAILURES);
    first.into_iter().filter(|action| !action.name.is_root()).map(failure).collect()
}

fn more_failures(tree: &Tree<'_>, view: &View) -> Option<(String, String)> {
    let all = tree.failures();
    let href = view.with(|view| {
        view.show = "failed".to_owned();
        view.from = 0;
    });
    (all > NAMED_FAILURES).then(|| (count(all), href))
}

/// An error in one line: its code, and the last line that it says, which is what Python puts at the end.
fn summary(code: &str, message: &str) -> String {
    const LONGEST: usize = 160;
    let line = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let line = line.strip_prefix(code).map_or(line, |rest| rest.trim_start_matches([':', ' ']));
    let end = line.floor_char_boundary(LONGEST);
    let dots = if end < line.len() { "…" } else { "" };
    if line.is_empty() { code.to_owned() } else { format!("{code}: {}{dots}", &line[..end]) }
}
