//! Attribute values of OTLP as text.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

/// How deep a value is followed: what is sent may be of any depth.
const DEEPEST: usize = 8;

/// A value as JSON, text as it is.
pub(crate) fn json(value: Option<&AnyValue>) -> serde_json::Value {
    json_to(value, DEEPEST)
}

fn json_to(value: Option<&AnyValue>, depth: usize) -> serde_json::Value {
    if depth == 0 {
        return json!("…");
    }
    match value.and_then(|value| value.value.as_ref()) {
        None => serde_json::Value::Null,
        Some(Value::StringValue(text)) => json!(text),
        Some(Value::BoolValue(truth)) => json!(truth),
        Some(Value::IntValue(number)) => json!(number),
        Some(Value::DoubleValue(number)) => json!(number),
        Some(Value::ArrayValue(items)) => items.values.iter().map(|item| json_to(Some(item), depth - 1)).collect(),
        Some(Value::KvlistValue(pairs)) => {
            let pair = |pair: &KeyValue| (pair.key.clone(), json_to(pair.value.as_ref(), depth - 1));
            serde_json::Value::Object(pairs.values.iter().map(pair).collect())
        }
        Some(Value::BytesValue(bytes)) => json!(hex(bytes)),
        Some(_) => serde_json::Value::Null,
    }
}

/// A value as a text.
pub(crate) fn text(value: Option<&AnyValue>) -> String {
    match json(value) {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// An attribute that is a text.
pub(crate) fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|known| known.key == key)?.value.as_ref()?.value.as_ref()?;
    match value {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// An attribute that is a number.
pub(crate) fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match attributes.iter().find(|known| known.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The word for a kind of span.
pub(crate) fn kind(span: &Span) -> &'static str {
    match span.kind() {
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal | SpanKind::Unspecified => "internal",
    }
}
