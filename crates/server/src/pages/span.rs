//! One span in detail: its attributes, events and links.

use std::time::Duration;

use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use spanwise_collector::Received;
use spanwise_core::lifecycle::{Attribute, Part, Span as LifeSpan, Status, Value};
use spanwise_core::trace::{SpanId, TraceId};
use spanwise_core::{ActionName, End, RunId, Source, Timestamp};
use spanwise_engine::{Relation, RunHandle};

use super::format::{Badge, When, cut, length, result_of, when};
use super::view::View;
use super::{Pages, address};
use crate::trace::text::{self, is_error};
use crate::trace::timeline::{At, Timeline, span_id, time};

/// What of a span is shown: it may come from anybody and be of any size.
const MOST_ATTRIBUTES: usize = 200;
const MOST_EVENTS: usize = 100;
const MOST_LINKS: usize = 50;
const LONGEST: usize = 4096;

/// A span for the panel.
pub(super) struct SpanDetail {
    pub(super) name: String,
    /// What it is, in a few words.
    pub(super) what: String,
    pub(super) note: String,
    pub(super) badge: Option<Badge>,
    pub(super) error: String,
    pub(super) start: When,
    pub(super) offset: String,
    pub(super) length: String,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: Option<LinkRow>,
    pub(super) elsewhere: Option<(String, String)>,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) origin: Vec<(String, String)>,
    pub(super) events: Vec<EventRow>,
    pub(super) links: Vec<LinkRow>,
    pub(super) left_out: usize,
}

pub(super) struct EventRow {
    pub(super) name: String,
    /// After the beginning of the span.
    pub(super) offset: String,
    pub(super) attributes: Vec<(String, String)>,
}

pub(super) struct LinkRow {
    pub(super) why: String,
    pub(super) text: String,
    pub(super) href: Option<String>,
    /// True if it leads to another place of this page.
    pub(super) is_here: bool,
}

/// The link that opens a trace in another tool, with the tool's host; none without the setting.
pub(super) fn elsewhere(
    pages: &Pages,
    run: &RunHandle,
    trace: &str,
    (from, to): (Timestamp, Timestamp),
) -> Option<(String, String)> {
    let template = pages.trace_url.as_deref()?;
    let host = template.split_once("://").map_or(template, |(_, rest)| rest).split(['/', '?', '#']).next()?;
    let url = template
        .replace("{trace_id}", trace)
        .replace("{run_name}", run.id().name.as_str())
        .replace("{start_ms}", &(from.0 / 1000).to_string())
        .replace("{end_ms}", &(to.0 / 1000 + 1).to_string());
    let is_web = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
    is_web.then(|| (host.to_owned(), url))
}

/// A span of the timeline in detail.
pub(super) fn detail(pages: &Pages, run: &RunHandle, timeline: &Timeline, at: At, view: &View) -> SpanDetail {
    let looker = Looker { run, timeline, view };
    let (from, to) = timeline.times(at);
    let (begun, ended) = match at {
        At::Lifecycle(_) => (from, to),
        At::User(user) => timeline.length_of(user),
    };
    let begin = run.accepted_at();
    let mut detail = match at {
        At::Lifecycle(at) => looker.lifecycle(timeline.lifecycle_span(at)),
        At::User(user) => looker.user(timeline.received(user), &timeline.remarks(user)),
    };
    detail.start = when(from, run.now());
    detail.offset = match begin.since(from) {
        Duration::ZERO => format!("{} after the run", length(from.since(begin))),
        before => format!("{} before the run", length(before)),
    };
    detail.length = length(ended.since(begun));
    detail.elsewhere = elsewhere(pages, run, &detail.trace, (from, to));
    detail
}

fn empty(name: &str, trace: String, id: String) -> SpanDetail {
    SpanDetail {
        name: cut(name, LONGEST),
        what: String::new(),
        note: String::new(),
        badge: None,
        error: String::new(),
        start: when(Timestamp(0), Timestamp(0)),
        offset: String::new(),
        length: String::new(),
        trace,
        id,
        parent: None,
        elsewhere: None,
        attributes: Vec::new(),
        origin: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        left_out: 0,
    }
}

/// Makes details in the light of what else is on the page.
struct Looker<'a> {
    run: &'a RunHandle,
    timeline: &'a Timeline,
    view: &'a View,
}

impl Looker<'_> {
    fn lifecycle(&self, span: &LifeSpan) -> SpanDetail {
        let mut detail = empty(&span.name, span.context.trace.to_string(), span.context.span.to_string());
        detail.what = format!("{} of {}", span.part.as_str(), span.task);
        detail.badge = result_of(span).filter(|_| span.part == Part::Attempt);
        if let Status::Error(reason) = &span.status {
            detail.error = cut(reason, LONGEST);
        }
        detail.parent = span.parent.map(|parent| self.link("parent", (span.context.trace, parent), None));
        detail.attributes = span.attributes().map(|attribute| pair(&attribute)).collect();
        detail.events = span
            .moments
            .iter()
            .take(MOST_EVENTS)
            .map(|moment| EventRow {
                name: moment.name.to_owned(),
                offset: length(moment.at.since(span.start)),
                attributes: moment.attributes.iter().map(pair).collect(),
            })
            .collect();
        detail.left_out = span.moments.len().saturating_sub(MOST_EVENTS);
        let links = span.links.iter().take(MOST_LINKS);
        detail.links = links.map(|link| self.link(link.why, (link.to.trace, link.to.span), Some(span))).collect();
        detail
    }

    fn user(&self, received: &Received, remarks: &[&str]) -> SpanDetail {
        let span = &received.span;
        let mut detail = empty(&span.name, HEXLOWER.encode(&span.trace_id), HEXLOWER.encode(&span.span_id));
        let service = text::attribute(&received.resource.attributes, "service.name").unwrap_or("unknown service");
        detail.what = format!("{} span of {}", text::kind(span), cut(service, 200));
        detail.note = remarks.join(", ");
        detail.badge = is_error(span).then_some(Badge { class: "failed", word: "Error" });
        if is_error(span) {
            detail.error = span.status.as_ref().map(|status| cut(&status.message, LONGEST)).unwrap_or_default();
        }
        let trace = <[u8; 16]>::try_from(&span.trace_id[..]).map(TraceId).unwrap_or(TraceId([0; 16]));
        detail.parent = span_id(&span.parent_span_id).map(|parent| self.link("parent", (trace, parent), None));
        detail.attributes = pairs(&span.attributes);
        detail.origin = pairs(&received.resource.attributes);
        if !received.scope.name.is_empty() {
            let scope = format!("{} {}", received.scope.name, received.scope.version);
            detail.origin.push(("scope".to_owned(), cut(scope.trim(), LONGEST)));
        }
        detail.events = span
            .events
            .iter()
            .take(MOST_EVENTS)
            .map(|event| EventRow {
                name: cut(&event.name, LONGEST),
                offset: length(time(event.time_unix_nano).since(time(span.start_time_unix_nano))),
                attributes: pairs(&event.attributes),
            })
            .collect();
        let links = span.links.iter().take(MOST_LINKS).filter_map(|link| {
            let trace = TraceId(<[u8; 16]>::try_from(&link.trace_id[..]).ok()?);
            let why = text::attribute(&link.attributes, "spanwise.link").unwrap_or("link");
            Some(self.link(why, (trace, span_id(&link.span_id)?), None))
        });
        detail.links = links.collect();
        let more = |all: usize, most: usize| all.saturating_sub(most);
        detail.left_out = more(span.attributes.len(), MOST_ATTRIBUTES)
            + more(span.events.len(), MOST_EVENTS)
            + more(span.links.len(), MOST_LINKS);
        detail
    }

    /// A way to another span: on this page, on the page of another run, or none.
    fn link(&self, why: &str, (trace, id): (TraceId, SpanId), of: Option<&LifeSpan>) -> LinkRow {
        let row =
            |text: String, href: Option<String>, is_here: bool| LinkRow { why: cut(why, 60), text, href, is_here };
        if let Some(at) = self.timeline.find(id) {
            let (name, action) = match at {
                At::Lifecycle(at) => {
                    let span = self.timeline.lifecycle_span(at);
                    let action = matches!(span.part, Part::Action | Part::Run | Part::Wait | Part::Step);
                    (span.name.to_string(), action.then_some(span.action))
                }
                At::User(at) => (cut(&self.timeline.received(at).span.name, 200), None),
            };
            let href = self.view.with(|view| {
                view.span = Some(id).filter(|_| action.is_none());
                view.selected = action;
                view.attempt = None;
            });
            return row(name, Some(href), true);
        }
        if let Some((run, action)) = of.and_then(|span| self.elsewhere(why, span)) {
            return row(format!("run {}", run.name), Some(address::run(&run, action.as_ref())), false);
        }
        row(format!("{trace} · {id}"), None, false)
    }

    /// The run, and its action, that a link of the engine's leads to.
    fn elsewhere(&self, why: &str, span: &LifeSpan) -> Option<(RunId, Option<ActionName>)> {
        match why {
            "producer" | "waited for" => {
                let action = self.run.action(&span.action)?;
                match action.end()? {
                    End::Reused(source @ Source::Cache { action, .. }) => {
                        Some((source.run_id(self.run.id())?, Some(*action)))
                    }
                    _ => None,
                }
            }
            "source run" => match self.run.settings().relation.as_ref()? {
                Relation::Spawn { run } | Relation::Rerun { run } | Relation::Recover { run } => {
                    Some((self.run.id().scope().run(run.clone()), None))
                }
            },
            _ => None,
        }
    }
}

fn pair((key, value): &Attribute) -> (String, String) {
    let text = match value {
        Value::Text(text) => cut(text, LONGEST),
        Value::Word(word) => (*word).to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
    };
    ((*key).to_owned(), text)
}

fn pairs(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let pair = |pair: &KeyValue| (cut(&pair.key, 200), cut(&text::shown(&pair.key, pair.value.as_ref()), LONGEST));
    attributes.iter().take(MOST_ATTRIBUTES).map(pair).collect()
}
