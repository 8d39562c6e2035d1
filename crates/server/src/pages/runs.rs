//! The list of runs.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode, Uri};
use spanwise_core::{Phase, Timestamp};
use spanwise_engine::{RunKey, RunQuery, RunRow};
use spanwise_proto::json::length;
use spanwise_wire::{ids, task};

use super::assets::{ASSETS, Assets};
use super::first::FirstRun;
use super::format::{Badge, Span, UNREADABLE, WAITING, When, badge, count, span, when};
use super::notifications::{self, Trouble};
use super::{PageError, Pages, address, render};
use crate::control;
use crate::secrecy::shown_pairs;
use crate::text::read_time;

const PAGE: usize = 50;

/// Runs that wait for somebody's answer are counted up to this number.
const MOST_WAITING: usize = 1000;

/// Labels that a row shows; the page of the run shows all.
const LABELS: usize = 4;

/// The choices of the form for "since", besides any time.
const SINCE: [(&str, &str); 4] =
    [("1h", "last hour"), ("24h", "last 24 h"), ("7d", "last 7 days"), ("30d", "last 30 days")];

/// What the form asks for.
#[derive(Clone, Debug, Default)]
struct Filter {
    project: String,
    domain: String,
    phase: String,
    task: String,
    label: String,
    /// The trigger that has fired them: in addresses only, as people find it on its page.
    trigger: String,
    since: String,
    /// The last run of the page before.
    after: String,
    /// The page is that of one project: it is in the path, not in the query.
    fixed: bool,
}

impl Filter {
    fn of(uri: &Uri) -> Filter {
        let mut filter = Filter::default();
        for (name, value) in address::pairs(uri) {
            let value = value.trim().to_owned();
            match name.as_str() {
                "project" => filter.project = value,
                "domain" => filter.domain = value,
                "phase" => filter.phase = value,
                "task" => filter.task = value,
                "label" => filter.label = value,
                "trigger" => filter.trigger = value,
                "since" => filter.since = value,
                "after" => filter.after = value,
                _ => {}
            }
        }
        filter
    }

    fn address(&self, after: &str) -> String {
        let path = if self.fixed { address::runs(&self.project, &self.domain) } else { "/".to_owned() };
        let of_path = |value: &String| if self.fixed { String::new() } else { value.clone() };
        let query = address::query([
            ("project", of_path(&self.project)),
            ("domain", of_path(&self.domain)),
            ("phase", self.phase.clone()),
            ("task", self.task.clone()),
            ("label", self.label.clone()),
            ("trigger", self.trigger.clone()),
            ("since", self.since.clone()),
            ("after", after.to_owned()),
        ]);
        format!("{path}{query}")
    }

    /// A time that is none of the form's choices.
    fn own_since(&self) -> Option<&str> {
        let is_choice = SINCE.iter().any(|(value, _)| *value == self.since);
        (!self.since.is_empty() && !is_choice).then_some(self.since.as_str())
    }

    /// How many runs wait for an answer, and their list; none if this is it.
    fn waiting(&self, waiting: &BTreeSet<RunKey>) -> Option<(String, String)> {
        let is_it = self.phase.eq_ignore_ascii_case(Phase::Paused.as_str());
        let text = match waiting.len() {
            1 => "One run waits for you".to_owned(),
            MOST_WAITING => format!("{} runs or more wait for you", count(MOST_WAITING)),
            number => format!("{} runs wait for you", count(number)),
        };
        let list = Filter {
            project: self.project.clone(),
            domain: self.domain.clone(),
            phase: Phase::Paused.as_str().to_owned(),
            fixed: self.fixed,
            ..Filter::default()
        };
        (!waiting.is_empty() && !is_it).then(|| (text, list.address("")))
    }

    fn is_narrowed(&self) -> bool {
        let own = [&self.phase, &self.task, &self.label, &self.trigger, &self.since];
        let scope = [&self.project, &self.domain];
        own.iter().any(|field| !field.is_empty()) || (!self.fixed && scope.iter().any(|field| !field.is_empty()))
    }

    fn query(&self, now: Timestamp) -> Result<RunQuery, String> {
        let mut query = RunQuery::newest(PAGE + 1);
        let name = |field: &'static str, value: &str| match value {
            "" => Ok(None),
            value => spanwise_wire::path_name(field, value).map(Some).map_err(|error| error.to_string()),
        };
        query.project = name("project", &self.project)?;
        query.domain = name("domain", &self.domain)?;
        query.phases = phases(&self.phase)?;
        query.task = (!self.task.is_empty()).then(|| self.task.clone());
        query.fired_by = (!self.trigger.is_empty()).then(|| self.trigger.clone());
        if !self.label.is_empty() {
            query.labels.push(match self.label.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (self.label.clone(), None),
            });
        }
        if !self.since.is_empty() {
            query.since = Some(since(&self.since, now)?);
        }
        if !self.after.is_empty() {
            let key = self.after.parse().map_err(|_| format!("`{}` is no page of this list", self.after))?;
            query.after = Some(RunKey(key));
        }
        Ok(query)
    }
}

/// One phase, or `active` for all that are not at their end.
fn phases(text: &str) -> Result<Vec<Phase>, String> {
    match text {
        "" => Ok(Vec::new()),
        "active" => Ok(Phase::ALL.into_iter().filter(|phase| !phase.is_terminal()).collect()),
        name => {
            let phase = Phase::ALL.into_iter().find(|phase| phase.as_str().eq_ignore_ascii_case(name));
            phase.map(|phase| vec![phase]).ok_or_else(|| format!("`{name}` is no phase"))
        }
    }
}

/// A length of time before now, or a point in time.
fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(length) = length(text) {
        let micros = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        return Ok(Timestamp(now.0.saturating_sub(micros)));
    }
    read_time(text)
        .ok_or_else(|| format!("`{text}` is neither a length of time (`36h`) nor a time (`2026-01-31 12:00:00`)"))
}

struct Row {
    name: String,
    address: String,
    task: String,
    scope: String,
    scope_address: String,
    badge: Badge,
    created: When,
    took: Span,
    labels: Vec<String>,
    more_labels: usize,
    /// Why it cannot be read.
    unreadable: String,
}

impl Row {
    fn of(row: &RunRow, waits: bool, now: Timestamp) -> Row {
        Row {
            name: row.id.name.to_string(),
            address: address::run(&row.id, None),
            task: row.task.to_string(),
            scope: format!("{} / {}", row.id.project, row.id.domain),
            scope_address: address::runs(&row.id.project, &row.id.domain),
            badge: match row.unreadable {
                Some(_) => UNREADABLE,
                None if waits => WAITING,
                None => badge(row.phase),
            },
            created: when(row.created_at, now),
            took: span(row.created_at, row.ended_at, now),
            labels: labels(&row.labels),
            more_labels: row.labels.len().saturating_sub(LABELS),
            unreadable: row.unreadable.clone().unwrap_or_default(),
        }
    }
}

/// The first of a run's labels, as the list has them.
fn labels(labels: &BTreeMap<String, String>) -> Vec<String> {
    let shown = shown_pairs(labels.iter().take(LABELS));
    shown.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

#[derive(Template)]
#[template(path = "runs.html")]
struct ListPage<'a> {
    assets: &'static Assets,
    filter: &'a Filter,
    problem: Option<String>,
    rows: Vec<Row>,
    action: String,
    first: Option<String>,
    next: Option<String>,
    phases: Vec<(&'static str, &'static str)>,
    since: [(&'static str, &'static str); 4],
    /// How many runs wait for somebody's answer, and where they are listed.
    waiting: Option<(String, String)>,
    /// Who does not take notifications.
    troubles: Vec<Trouble>,
    first_run: FirstRun,
}

/// Every run.
pub(super) async fn all(State(pages): State<Pages>, uri: Uri, headers: HeaderMap) -> Response {
    show(&pages, Filter::of(&uri), &headers)
}

/// The runs of one project.
pub(super) async fn of_project(
    State(pages): State<Pages>,
    Path((domain, project)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Err(error) = ids::scope("", &project, &domain) {
        return PageError::not_found(error.to_string()).into_response();
    }
    show(&pages, Filter { project, domain, fixed: true, ..Filter::of(&uri) }, &headers)
}

fn show(pages: &Pages, filter: Filter, headers: &HeaderMap) -> Response {
    let now = pages.control.now();
    let (query, problem) = match filter.query(now) {
        Ok(query) => (Some(query), None),
        Err(problem) => (None, Some(problem)),
    };
    let found = query.map(|query| {
        let waiting = RunQuery {
            project: query.project.clone(),
            domain: query.domain.clone(),
            phases: vec![Phase::Paused],
            ..RunQuery::newest(MOST_WAITING)
        };
        Ok::<_, control::Error>((pages.control.runs(&query)?, pages.control.runs(&waiting)?))
    });
    let (rows, waiting) = match found.transpose() {
        Ok(found) => found.unwrap_or_default(),
        Err(error) => return PageError::from(error).into_response(),
    };
    let troubles = match notifications::troubles(pages, &filter.project, &filter.domain) {
        Ok(troubles) => troubles,
        Err(error) => return error.into_response(),
    };
    let waiting: BTreeSet<RunKey> = waiting.into_iter().map(|(key, _)| key).collect();
    // The page is the same as long as its rows are: what only gets older is not sent again.
    let said = troubles.iter().map(|trouble| trouble.text.as_str()).chain(problem.as_deref());
    let etag = etag(&rows, &waiting, &said.collect::<Vec<_>>());
    if headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response();
    }
    let next = rows.get(PAGE - 1).filter(|_| rows.len() > PAGE).map(|(key, _)| filter.address(&key.0.to_string()));
    let page = ListPage {
        assets: &ASSETS,
        problem,
        rows: rows.iter().take(PAGE).map(|(key, row)| Row::of(row, waiting.contains(key), now)).collect(),
        waiting: filter.waiting(&waiting),
        troubles,
        first_run: FirstRun::new(&pages.endpoint, &filter.project, &filter.domain),
        action: if filter.fixed { address::runs(&filter.project, &filter.domain) } else { "/".to_owned() },
        first: (!filter.after.is_empty()).then(|| filter.address("")),
        next,
        phases: choices(),
        since: SINCE,
        filter: &filter,
    };
    let mut response = ([(ETAG, etag), (CACHE_CONTROL, "no-cache".to_owned())], render(&page)).into_response();
    if page.problem.is_some() {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

/// The choices of the form for a phase. No run is paused itself: one of its conditions is, and the run waits for somebody.
fn choices() -> Vec<(&'static str, &'static str)> {
    let of_runs = Phase::ALL.into_iter().filter(|phase| *phase != Phase::Paused);
    let first = [("active", "Not ended"), (Phase::Paused.as_str(), WAITING.word)];
    first.into_iter().chain(of_runs.map(|phase| (phase.as_str(), badge(phase).word))).collect()
}

fn etag(rows: &[(RunKey, RunRow)], waiting: &BTreeSet<RunKey>, said: &[&str]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{}{said:?}{waiting:?}", ASSETS.css);
    for (key, row) in rows {
        let _ = write!(text, " {} {} {:?} {}", key.0, row.phase.number(), row.ended_at, row.unreadable.is_some());
    }
    format!("\"{}\"", &task::digest(text.as_bytes())[..22])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_what_makes_no_sense_is_named() {
        let now = Timestamp(1_700_000_000_000_000);
        let uri: Uri = "/?phase=failed&task=env.main&label=team%3Da&since=1h&after=7".parse().unwrap();
        let query = Filter::of(&uri).query(now).unwrap();
        assert_eq!(query.phases, [Phase::Failed]);
        assert_eq!(query.task.as_deref(), Some("env.main"));
        assert_eq!(query.labels, [("team".to_owned(), Some("a".to_owned()))]);
        assert_eq!(query.since, Some(Timestamp(now.0 - 3_600_000_000)));
        assert_eq!(query.after, Some(RunKey(7)));
        assert_eq!(since("2023-11-14 22:13:20", now).unwrap(), now);
        assert_eq!(since("2023-11-14", now).unwrap(), Timestamp(1_699_920_000_000_000));
        let scope = |address: &str| {
            let filter = Filter::of(&address.parse().unwrap());
            let query = filter.query(now).unwrap();
            (query.project, query.domain, filter.is_narrowed())
        };
        let (billing, production) = (Some("billing".to_owned()), Some("production".to_owned()));
        assert_eq!(scope("/?project=billing&domain="), (billing.clone(), None, true), "in any domain");
        assert_eq!(scope("/?domain=production"), (None, production.clone(), true), "in any project");
        assert_eq!(scope("/?project=billing&domain=production"), (billing, production, true));
        assert_eq!(scope("/?project=&domain="), (None, None, false));
        for (wrong, named) in [
            ("/?domain=a%20b", "domain"),
            ("/?phase=red", "`red`"),
            ("/?since=x", "`x`"),
            ("/?after=x", "`x`"),
            ("/?project=%2F", "project"),
        ] {
            let problem = Filter::of(&wrong.parse().unwrap()).query(now).unwrap_err();
            assert!(problem.contains(named), "{problem}");
        }
    }

    #[test]
    fn an_address_says_what_the_form_said() {
        let filter = Filter { phase: "FAILED".into(), label: "a=b c".into(), ..Filter::default() };
        assert_eq!(filter.address("5"), "/?phase=FAILED&label=a%3Db+c&after=5");
        let fixed = Filter { project: "p".into(), domain: "d".into(), fixed: true, ..Filter::default() };
        assert_eq!(fixed.address(""), "/v2/domain/d/project/p/runs");
    }
}
