//! A trace in the form that Jaeger's user interface loads from a file.
//!
//! That has no axis and no rule of its own: it takes the first and the last time there is, and shows nothing of a ring. So each span is
//! where the run's tree has it and when that draws it, and what was sent otherwise is a warning or a tag.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use serde_json::{Value, json};
use spanwise_core::Timestamp;

use super::text;
use super::timeline::{At, Timeline, time};
use super::{otlp, tree};

/// The file: one trace.
pub(crate) fn file(trace_id: &str, timeline: &Timeline) -> Value {
    let drawn = drawn(timeline);
    let (mut spans, mut processes) = (Vec::new(), serde_json::Map::new());
    for (number, resource) in otlp::resource_spans(timeline).iter().enumerate() {
        let process = format!("p{}", number + 1);
        processes.insert(process.clone(), process_of(resource));
        for scope in &resource.scope_spans {
            let of_scope =
                |span: &Span| span_of(span, scope.scope.as_ref(), &process, drawn.get(&HEXLOWER.encode(&span.span_id)));
            spans.extend(scope.spans.iter().map(of_scope));
        }
    }
    let warnings = timeline.left_out().of_files().into_iter().map(|said| format!("not in this file: {said}"));
    let warnings: Vec<String> = warnings.collect();
    json!({ "data": [{ "traceID": trace_id, "spans": spans, "processes": processes, "warnings": warnings }] })
}

/// Where and when a span is in the tree.
struct Drawn {
    parent: Option<String>,
    times: (Timestamp, Timestamp),
    remarks: Vec<&'static str>,
}

fn drawn(timeline: &Timeline) -> HashMap<String, Drawn> {
    let id = |at: At| tree::id(timeline, at);
    let mut all = HashMap::new();
    for row in timeline.rows() {
        let remarks = match row.at {
            At::User(at) => timeline.remarks(at),
            At::Lifecycle(_) => Vec::new(),
        };
        all.insert(id(row.at), Drawn { parent: row.above.map(id), times: timeline.drawn(row.at), remarks });
    }
    for at in (0..timeline.count()).filter(|at| !timeline.position_of(*at).is_here()) {
        let (parent, times) = (timeline.above(at).map(id), timeline.drawn(At::User(at)));
        all.insert(id(At::User(at)), Drawn { parent, times, remarks: timeline.remarks(at) });
    }
    all
}

fn process_of(resource: &ResourceSpans) -> Value {
    let attributes = resource.resource.as_ref().map(|resource| resource.attributes.as_slice()).unwrap_or_default();
    let service = text::attribute(attributes, "service.name").unwrap_or("unknown_service");
    json!({ "serviceName": service, "tags": tags(attributes) })
}

fn span_of(span: &Span, scope: Option<&InstrumentationScope>, process: &str, drawn: Option<&Drawn>) -> Value {
    let reference = |kind: &str, trace: &[u8], id: String| json!({ "refType": kind, "traceID": HEXLOWER.encode(trace), "spanID": id });
    let sent = (!span.parent_span_id.is_empty()).then(|| HEXLOWER.encode(&span.parent_span_id));
    let parent = drawn.map_or(sent.clone(), |drawn| drawn.parent.clone());
    let (from, to) = (time(span.start_time_unix_nano), time(span.end_time_unix_nano.max(span.start_time_unix_nano)));
    let (begin, end) = drawn.map_or((from, to), |drawn| drawn.times);
    let mut warnings: Vec<String> =
        drawn.iter().flat_map(|drawn| &drawn.remarks).map(|said| (*said).to_owned()).collect();
    if (begin, end) != (from, to) {
        let (from, to) = (span.start_time_unix_nano, span.end_time_unix_nano);
        warnings.push(format!("drawn at the edge: sent with the times {from} to {to}"));
    }
    let mut tags = span_tags(span, scope);
    tags.extend(sent.filter(|sent| parent.as_ref() != Some(sent)).map(|sent| tag("spanwise.sent_parent", json!(sent))));
    let child_of = parent.map(|parent| reference("CHILD_OF", &span.trace_id, parent));
    let links = span.links.iter().map(|link| reference("FOLLOWS_FROM", &link.trace_id, HEXLOWER.encode(&link.span_id)));
    json!({
        "traceID": HEXLOWER.encode(&span.trace_id),
        "spanID": HEXLOWER.encode(&span.span_id),
        "operationName": if span.name.is_empty() { text::NO_NAME } else { &span.name },
        "references": child_of.into_iter().chain(links).collect::<Vec<_>>(),
        "startTime": begin.0,
        "duration": end.since(begin).as_micros(),
        "tags": tags,
        "logs": logs(span),
        "processID": process,
        "warnings": warnings,
    })
}

fn logs(span: &Span) -> Vec<Value> {
    let log = |event: &opentelemetry_proto::tonic::trace::v1::span::Event| {
        let mut fields = vec![tag("event", json!(event.name))];
        fields.extend(tags(&event.attributes));
        json!({ "timestamp": event.time_unix_nano / 1000, "fields": fields })
    };
    span.events.iter().map(log).collect()
}

fn span_tags(span: &Span, scope: Option<&InstrumentationScope>) -> Vec<Value> {
    let mut all = tags(&span.attributes);
    all.push(tag("span.kind", json!(text::kind(span))));
    all.extend(scope.filter(|scope| !scope.name.is_empty()).map(|scope| tag("otel.scope.name", json!(scope.name))));
    match span.status.as_ref().map(|status| (status.code(), &status.message)) {
        Some((StatusCode::Error, message)) => {
            all.push(tag("error", json!(true)));
            all.push(tag("otel.status_code", json!("ERROR")));
            all.push(tag("otel.status_description", json!(message)));
        }
        Some((StatusCode::Ok, _)) => all.push(tag("otel.status_code", json!("OK"))),
        _ => {}
    }
    all
}

fn tags(attributes: &[KeyValue]) -> Vec<Value> {
    attributes.iter().map(|pair| tag(&pair.key, text::json(pair.value.as_ref()))).collect()
}

fn tag(key: &str, value: Value) -> Value {
    let (kind, value) = match value {
        Value::String(_) => ("string", value),
        Value::Bool(_) => ("bool", value),
        Value::Number(ref number) if number.is_f64() => ("float64", value),
        Value::Number(_) => ("int64", value),
        other => ("string", json!(other.to_string())),
    };
    json!({ "key": key, "type": kind, "value": value })
}
