//! Spans of the tree from OTLP in JSON, as a server writes a trace.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use serde_json::Value;

use super::Span;

/// The service whose name is not written: the engine.
pub(crate) const ENGINE: &str = "spanwise";

/// A trace with what its run's span says.
pub(crate) struct Trace {
    pub(crate) spans: Vec<Span>,
    pub(crate) is_running: bool,
    pub(crate) has_failed: bool,
}

/// Reads what can be read: a span without ids or times is left out.
pub(crate) fn trace(document: &Value) -> Trace {
    let (mut spans, mut result): (Vec<Span>, _) = (Vec::new(), None);
    for resource in list(&document["resourceSpans"]) {
        let service = attribute(&resource["resource"], "service.name").unwrap_or_else(|| "unknown_service".to_owned());
        for scope in list(&resource["scopeSpans"]) {
            let is_engine = scope["scope"]["name"] == "spanwise.engine";
            for span in list(&scope["spans"]) {
                if is_engine {
                    result = result.or_else(|| attribute(span, "cicd.pipeline.result"));
                }
                let service = if is_engine { ENGINE.to_owned() } else { service.clone() };
                spans.extend(self::span(span, service));
            }
        }
    }
    // A caller's span is the caller's business: that it is not here is no fault of the run's.
    let known: HashSet<SpanId> = spans.iter().map(|span| span.id).collect();
    let is_run = |span: &&mut Span| span.service == ENGINE && span.name.starts_with("RUN ");
    for run in spans.iter_mut().filter(is_run) {
        run.parent = run.parent.filter(|parent| known.contains(parent));
    }
    Trace { spans, is_running: result.as_deref() == Some("running"), has_failed: result.as_deref() != Some("success") }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn span(span: &Value, service: String) -> Option<Span> {
    let error = (span["status"]["code"] == 2)
        .then(|| first_line(span["status"]["message"].as_str().unwrap_or_default()).to_owned());
    Some(Span {
        trace: TraceId::from_hex(span["traceId"].as_str()?).ok()?,
        id: SpanId::from_hex(span["spanId"].as_str()?).ok()?,
        parent: span["parentSpanId"]
            .as_str()
            .and_then(|id| SpanId::from_hex(id).ok())
            .filter(|id| *id != SpanId::INVALID),
        name: span["name"].as_str().unwrap_or_default().to_owned(),
        // The kinds of lifecycle spans are the same for every run: not worth a word.
        kind: if service == ENGINE { SpanKind::Internal } else { kind(span["kind"].as_i64()) },
        start: time(&span["startTimeUnixNano"])?,
        end: time(&span["endTimeUnixNano"])?,
        notes: notes(span, &service),
        service: Cow::Owned(service),
        error,
    })
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default()
}

fn kind(number: Option<i64>) -> SpanKind {
    match number {
        Some(2) => SpanKind::Server,
        Some(3) => SpanKind::Client,
        Some(4) => SpanKind::Producer,
        Some(5) => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

/// A number of 64 bits is a text in this form of OTLP.
fn time(value: &Value) -> Option<SystemTime> {
    let nanos = value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_u64())?;
    Some(UNIX_EPOCH + Duration::from_nanos(nanos))
}

fn attribute(of: &Value, key: &str) -> Option<String> {
    let value = &list(&of["attributes"]).iter().find(|pair| pair["key"] == key)?["value"];
    let value =
        ["stringValue", "intValue", "boolValue"].iter().map(|kind| &value[*kind]).find(|value| !value.is_null())?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn notes(span: &Value, service: &str) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(attribute(span, "http.response.status_code").map(|status| format!("HTTP {status}")));
    if service == ENGINE {
        notes.extend(
            attribute(span, "spanwise.cache.status").filter(|status| status == "hit").map(|_| "cached".to_owned()),
        );
        let reason = attribute(span, "spanwise.queued.reason").filter(|reason| reason == "concurrency");
        notes.extend(reason.map(|_| "too much was running".to_owned()));
        let running = ["cicd.pipeline.task.run.result", "spanwise.attempt.result"];
        notes.extend(
            running.iter().find(|key| attribute(span, key).as_deref() == Some("running")).map(|_| "running".to_owned()),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_and_what_is_no_span_is_left_out() {
        let engine = json!({
            "traceId": "00000000000000000000000000000001", "spanId": "0000000000000002", "name": "RUN env.main",
            "kind": 2, "startTimeUnixNano": "1000", "endTimeUnixNano": "5000", "status": {"code": 2, "message": "\nno\nmore"},
            "attributes": [{"key": "cicd.pipeline.result", "value": {"stringValue": "failure"}}],
        });
        let document = json!({"resourceSpans": [
            {"resource": {}, "scopeSpans": [{"scope": {"name": "spanwise.engine"}, "spans": [engine, {"name": "no ids"}]}]},
        ]});
        let trace = trace(&document);
        assert_eq!(trace.spans.len(), 1);
        assert!(trace.has_failed && !trace.is_running);
        assert_eq!((trace.spans[0].name.as_str(), trace.spans[0].error.as_deref()), ("RUN env.main", Some("no")));
        assert!(super::trace(&json!({"resourceSpans": 1})).spans.is_empty());
    }
}
