//! What is written in OTLP's JSON is read by a strict reader of somebody else's making, and is what the same answer in protobuf has.

use std::process::Command;

use opentelemetry_proto::tonic::common::v1::{ArrayValue, InstrumentationScope, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Status, status};

use super::*;
use crate::python;

const TRACE: u128 = 0x57;

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// One of each kind, with what is odd about it.
fn values() -> Vec<KeyValue> {
    let inner = vec![pair("k", Value::BoolValue(false)), pair("k", Value::BytesValue(vec![0, 255]))];
    let elements = [Some(Value::StringValue(String::new())), None].map(|value| AnyValue { value }).to_vec();
    vec![
        pair("text", Value::StringValue("größe \u{1f680} \u{0}\u{7f}\u{2028} \"\\/".to_owned())),
        pair("yes", Value::BoolValue(true)),
        pair("least", Value::IntValue(i64::MIN)),
        pair("most", Value::IntValue(i64::MAX)),
        pair("third", Value::DoubleValue(1.0 / 3.0)),
        pair("minus zero", Value::DoubleValue(-0.0)),
        pair("huge", Value::DoubleValue(f64::MAX)),
        pair("nan", Value::DoubleValue(f64::NAN)),
        pair("endless", Value::DoubleValue(f64::NEG_INFINITY)),
        pair("bytes", Value::BytesValue((0..=255).collect())),
        pair("list", Value::ArrayValue(ArrayValue { values: elements })),
        pair("map", Value::KvlistValue(KeyValueList { values: inner })),
        KeyValue { key: String::new(), ..KeyValue::default() },
    ]
}

/// A span with every field, and one with none but its ids.
fn request() -> ExportTraceServiceRequest {
    let trace_id = TRACE.to_be_bytes().to_vec();
    let link = Link {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        trace_state: "a=b".to_owned(),
        attributes: values(),
        dropped_attributes_count: u32::MAX,
        flags: 0x301,
    };
    let event =
        Event { time_unix_nano: u64::MAX, name: "event".to_owned(), attributes: values(), dropped_attributes_count: 1 };
    let full = Span {
        trace_id: trace_id.clone(),
        span_id: vec![0xab; 8],
        trace_state: "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7".to_owned(),
        parent_span_id: vec![0xcd; 8],
        flags: 0x103,
        name: "full".to_owned(),
        kind: 5,
        start_time_unix_nano: 1_700_000_000_123_456_789,
        end_time_unix_nano: u64::MAX,
        attributes: values(),
        dropped_attributes_count: 3,
        events: vec![event],
        dropped_events_count: 4,
        links: vec![link],
        dropped_links_count: 5,
        status: Some(Status { message: "no".to_owned(), code: status::StatusCode::Error.into() }),
    };
    let empty = Span { trace_id, span_id: vec![3; 8], status: Some(Status::default()), ..Span::default() };
    let scope = InstrumentationScope {
        name: "strict".to_owned(),
        version: "1".to_owned(),
        attributes: values(),
        dropped_attributes_count: 6,
    };
    let scope_spans =
        ScopeSpans { scope: Some(scope), spans: vec![full, empty], schema_url: "https://x.test/1".to_owned() };
    let resource = Resource { attributes: values(), dropped_attributes_count: 7, ..Resource::default() };
    let resource_spans = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scope_spans],
        schema_url: "https://x.test/2".to_owned(),
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

#[test]
fn t10_what_is_written_in_json_is_read_by_a_strict_reader_as_it_was_sent() {
    let server = DevServer::shared();
    assert_eq!(send(&server, &request()).accepted().partial_success, None);
    let folder = tempfile::tempdir().unwrap();
    let files = [("application/json", "json"), (PROTOBUF, "binary")].map(|(kind, name)| {
        let url = format!("http://127.0.0.1:{}/v1/traces/{TRACE:032x}", server.port());
        let answer = answer_of(agent().get(url).header("accept", kind).call().unwrap());
        assert_eq!((answer.status, answer.content_type.as_str()), (200, kind));
        let file = folder.path().join(name);
        std::fs::write(&file, answer.body).unwrap();
        file
    });
    let mut reader = Command::new(python::python());
    python::remove_what_would_mislead(&mut reader);
    let read = reader.arg(python::programs().join("strict_json.py")).args(files).output().unwrap();
    let said = String::from_utf8_lossy(&read.stdout);
    assert!(said.contains(r#"RESULT {"spans": 2}"#), "{said}{}", String::from_utf8_lossy(&read.stderr));
}
