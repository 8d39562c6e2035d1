//! A trace in the form that Jaeger's user interface loads from a file.

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, TracesData};
use serde_json::{Value, json};

use super::text::{self, hex};

/// The file: one trace.
pub(crate) fn file(trace_id: &str, data: &TracesData) -> Value {
    let (mut spans, mut processes) = (Vec::new(), serde_json::Map::new());
    for (number, resource) in data.resource_spans.iter().enumerate() {
        let process = format!("p{}", number + 1);
        processes.insert(process.clone(), process_of(resource));
        for scope in &resource.scope_spans {
            spans.extend(scope.spans.iter().map(|span| span_of(span, scope.scope.as_ref(), &process)));
        }
    }
    json!({ "data": [{ "traceID": trace_id, "spans": spans, "processes": processes, "warnings": null }] })
}

fn process_of(resource: &ResourceSpans) -> Value {
    let attributes = resource.resource.as_ref().map(|resource| resource.attributes.as_slice()).unwrap_or_default();
    let service = text::attribute(attributes, "service.name").unwrap_or("unknown_service");
    json!({ "serviceName": service, "tags": tags(attributes) })
}

fn span_of(span: &Span, scope: Option<&InstrumentationScope>, process: &str) -> Value {
    let reference =
        |kind: &str, trace: &[u8], id: &[u8]| json!({ "refType": kind, "traceID": hex(trace), "spanID": hex(id) });
    let parent = (!span.parent_span_id.is_empty()).then(|| reference("CHILD_OF", &span.trace_id, &span.parent_span_id));
    let links = span.links.iter().map(|link| reference("FOLLOWS_FROM", &link.trace_id, &link.span_id));
    let references: Vec<Value> = parent.into_iter().chain(links).collect();
    let logs: Vec<Value> = span
        .events
        .iter()
        .map(|event| {
            let mut fields = vec![tag("event", json!(event.name))];
            fields.extend(tags(&event.attributes));
            json!({ "timestamp": event.time_unix_nano / 1000, "fields": fields })
        })
        .collect();
    json!({
        "traceID": hex(&span.trace_id),
        "spanID": hex(&span.span_id),
        "operationName": span.name,
        "references": references,
        "startTime": span.start_time_unix_nano / 1000,
        "duration": span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1000,
        "tags": span_tags(span, scope),
        "logs": logs,
        "processID": process,
        "warnings": null,
    })
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
