//! The tree of a run for the terminal: every span with where it is, what it is called, when it is drawn and what is to be said of it.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use spanwise_core::Timestamp;
use spanwise_core::lifecycle::{Part, Span, Status};

use super::text;
use super::timeline::{At, Row, Timeline};

/// The document: an axis, the spans from the top, and what is left out of them.
pub(crate) fn document(timeline: &Timeline) -> Value {
    let (from, to) = timeline.axis();
    let result = timeline.explained().spans.iter().find(|span| span.part == Part::Run);
    let result = result.and_then(|run| detail(run, "cicd.pipeline.result"));
    let spans: Vec<Value> = timeline.rows().iter().map(|row| span(timeline, row)).collect();
    json!({
        "running": result == Some("running"),
        "failed": result != Some("success"),
        "from_us": from.0,
        "to_us": to.0,
        "left_out": timeline.left_out().of_tree(),
        "all": timeline.left_out().address(),
        "spans": spans,
    })
}

fn span(timeline: &Timeline, row: &Row) -> Value {
    let (from, to) = timeline.drawn(row.at);
    let mut span = match row.at {
        At::Lifecycle(at) => lifecycle(timeline.lifecycle_span(at)),
        At::User(at) => user(timeline, at),
    };
    span["id"] = json!(id(timeline, row.at));
    span["above"] = json!(row.above.map(|above| id(timeline, above)));
    span["from_us"] = json!(from.0);
    span["to_us"] = json!(to.0);
    span
}

pub(super) fn id(timeline: &Timeline, at: At) -> String {
    match at {
        At::Lifecycle(at) => timeline.lifecycle_span(at).context.span.to_string(),
        At::User(at) => HEXLOWER.encode(&timeline.received(at).span.span_id),
    }
}

fn lifecycle(span: &Span) -> Value {
    let error = match &span.status {
        Status::Error(reason) => Some(first_line(reason)),
        _ => None,
    };
    json!({ "part": span.part.as_str(), "name": &*span.name, "length_us": length(span.start, span.end), "error": error, "notes": notes(span) })
}

fn notes(span: &Span) -> Vec<&'static str> {
    let is = |key: &str, value: &str| detail(span, key) == Some(value);
    let is_running = is("cicd.pipeline.task.run.result", "running") || is("spanwise.attempt.result", "running");
    let notes = [
        (is("spanwise.cache.status", "hit"), "cached"),
        (is("spanwise.queued.reason", "concurrency"), "too much was running"),
        (is_running, "running"),
    ];
    notes.into_iter().filter(|(is_so, _)| *is_so).map(|(_, note)| note).collect()
}

fn user(timeline: &Timeline, at: usize) -> Value {
    let received = timeline.received(at);
    let span = &received.span;
    let (from, to) = timeline.length_of(at);
    let error = text::is_error(span).then(|| span.status.as_ref().map_or("", |status| first_line(&status.message)));
    let status = text::number(&span.attributes, "http.response.status_code");
    json!({
        "service": text::attribute(&received.resource.attributes, "service.name").unwrap_or("unknown_service"),
        "kind": text::kind(span),
        "name": if span.name.is_empty() { text::NO_NAME } else { &span.name },
        "length_us": length(from, to),
        "error": error,
        "notes": status.map(|status| format!("HTTP {status}")).into_iter().collect::<Vec<_>>(),
        "remarks": timeline.remarks(at),
    })
}

fn length(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX)
}

fn detail<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    span.details.iter().find(|(name, _)| *name == key)?.1.as_text()
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default()
}
