//! Attribute values of OTLP as text.

use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;

use crate::secrecy::{HIDDEN, is_secret, without_secrets};

/// How deep a value is followed: what is sent may be of any depth.
const DEEPEST: usize = 8;

/// A value as JSON, text as it is.
pub(crate) fn json(value: Option<&AnyValue>) -> serde_json::Value {
    json_to(value, DEEPEST, false)
}

fn json_to(value: Option<&AnyValue>, depth: usize, hides: bool) -> serde_json::Value {
    if depth == 0 {
        return json!("…");
    }
    match value.and_then(|value| value.value.as_ref()) {
        None => serde_json::Value::Null,
        Some(Value::StringValue(text)) if hides => json!(without_secrets(text)),
        Some(Value::StringValue(text)) => json!(text),
        Some(Value::BoolValue(truth)) => json!(truth),
        Some(Value::IntValue(number)) => json!(number),
        Some(Value::DoubleValue(number)) if number.is_nan() => json!("NaN"),
        Some(Value::DoubleValue(number)) if number.is_infinite() => {
            json!(if *number > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Some(Value::DoubleValue(number)) => json!(number),
        Some(Value::ArrayValue(items)) => {
            items.values.iter().map(|item| json_to(Some(item), depth - 1, hides)).collect()
        }
        Some(Value::KvlistValue(pairs)) => {
            let value = |pair: &KeyValue| match pair.value.as_ref() {
                Some(value) if hides && hides_all_of(&pair.key, value) => json!(HIDDEN),
                value => json_to(value, depth - 1, hides),
            };
            let pair = |pair: &KeyValue| (pair.key.clone(), value(pair));
            serde_json::Value::Object(pairs.values.iter().map(pair).collect())
        }
        Some(Value::BytesValue(bytes)) => json!(HEXLOWER.encode(bytes)),
        Some(_) => serde_json::Value::Null,
    }
}

/// A value as a text, for people: without secrets.
pub(crate) fn shown(key: &str, value: Option<&AnyValue>) -> String {
    match value {
        Some(value) if hides_all_of(key, value) => HIDDEN.to_owned(),
        value => match json_to(value, DEEPEST, true) {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        },
    }
}

/// Numbers are no secrets, whatever their names.
fn hides_all_of(key: &str, value: &AnyValue) -> bool {
    is_secret(key) && !is_number(value)
}

fn is_number(value: &AnyValue) -> bool {
    match &value.value {
        None | Some(Value::BoolValue(_) | Value::IntValue(_) | Value::DoubleValue(_)) => true,
        // A list in a list is looked into no further.
        Some(Value::ArrayValue(items)) => {
            let is_plain = |item: &AnyValue| !matches!(item.value, Some(Value::ArrayValue(_)));
            items.values.iter().all(|item| is_plain(item) && is_number(item))
        }
        _ => false,
    }
}

/// An attribute that is a text.
pub(crate) fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    match value {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// An attribute that is a number.
pub(crate) fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

/// What stands for the name of a span that has none.
pub(crate) const NO_NAME: &str = "(no name)";

/// True if a span of the user's has failed.
pub(crate) fn is_error(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
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

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

    use super::*;

    #[test]
    fn t9_secrets_are_hidden_wherever_they_are_and_numbers_never() {
        let any = |value| AnyValue { value: Some(value) };
        let text = |text: &str| any(Value::StringValue(text.to_owned()));
        let list = |values: Vec<AnyValue>| any(Value::ArrayValue(ArrayValue { values }));
        let map = |key: &str, value| {
            let pair = KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() };
            any(Value::KvlistValue(KeyValueList { values: vec![pair] }))
        };
        let cases = [
            ("gen_ai.usage.input_tokens", any(Value::IntValue(7)), "7"),
            ("llm.token_count.total", any(Value::IntValue(7)), "7"),
            ("llm.token_count.total", text("7"), "7"),
            ("token", any(Value::IntValue(7)), "7"),
            ("tokens.of.secret", list(vec![any(Value::IntValue(1)), any(Value::DoubleValue(f64::NAN))]), "[1,\"NaN\"]"),
            ("user.token", text("hush"), "(hidden)"),
            ("apiKey", text("7"), "(hidden)"),
            ("http.request.header.authorization", list(vec![text("hush")]), "(hidden)"),
            ("password", list(vec![list(vec![text("hush")])]), "(hidden)"),
            ("cookie", map("a", text("hush")), "(hidden)"),
            ("secret", any(Value::BytesValue(vec![1])), "(hidden)"),
            ("headers", map("Authorization", text("hush")), "{\"Authorization\":\"(hidden)\"}"),
            ("headers", map("content-length", any(Value::IntValue(1))), "{\"content-length\":1}"),
            (
                "headers",
                list(vec![text("Authorization: hush"), text("accept: a")]),
                "[\"Authorization: (hidden)\",\"accept: a\"]",
            ),
            ("note", text("Bearer abcdefghijklmnop"), "Bearer (hidden)"),
            ("note", text("plain"), "plain"),
        ];
        for (key, value, expected) in cases {
            assert_eq!(shown(key, Some(&value)), expected, "{key}");
        }
        assert_eq!(json(Some(&map("token", text("as sent")))), json!({"token": "as sent"}), "files have all of it");
    }
}
