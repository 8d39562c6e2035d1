//! What is read, what is refused, and what is written.

use serde_json::json;

use super::*;

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn value_of(text: &str) -> Result<Option<Value>, String> {
    read::<AnyValue>(text).map(|value| value.and_then(|value| value.value)).map_err(|error| error.to_string())
}

#[test]
fn values_are_read_in_every_form_that_proto3_has_for_them() {
    let array = |values| Some(Value::ArrayValue(ArrayValue { values }));
    let bytes = Some(Value::BytesValue(vec![0xfb, 0xff]));
    let cases = [
        ("null", None),
        ("{}", None),
        (r#"{"stringValue":null}"#, None),
        (r#"{"later":{"a":[1]}}"#, None),
        (r#"{"stringValue":""}"#, Some(Value::StringValue(String::new()))),
        (r#"{"string_value":"\u2603"}"#, Some(Value::StringValue("\u{2603}".to_owned()))),
        (r#"{"boolValue":false}"#, Some(Value::BoolValue(false))),
        (r#"{"intValue":"-9223372036854775808"}"#, Some(Value::IntValue(i64::MIN))),
        (r#"{"intValue":9223372036854775807}"#, Some(Value::IntValue(i64::MAX))),
        (r#"{"int_value":1.0e3}"#, Some(Value::IntValue(1000))),
        (r#"{"doubleValue":1}"#, Some(Value::DoubleValue(1.0))),
        (r#"{"doubleValue":"2.5e-1"}"#, Some(Value::DoubleValue(0.25))),
        (r#"{"doubleValue":"Infinity"}"#, Some(Value::DoubleValue(f64::INFINITY))),
        (r#"{"doubleValue":"-Infinity"}"#, Some(Value::DoubleValue(f64::NEG_INFINITY))),
        (r#"{"arrayValue":{}}"#, array(Vec::new())),
        (r#"{"arrayValue":{"values":null}}"#, array(Vec::new())),
        (r#"{"array_value":{"values":[null,{},{"intValue":1}]}}"#, {
            array(vec![AnyValue::default(), AnyValue::default(), any(Value::IntValue(1))])
        }),
        (r#"{"kvlistValue":{}}"#, Some(Value::KvlistValue(KeyValueList::default()))),
        (r#"{"kvlistValue":{"values":[null]}}"#, Some(Value::KvlistValue(KeyValueList::default()))),
        (r#"{"bytesValue":"+/8="}"#, bytes.clone()),
        (r#"{"bytes_value":"-_8"}"#, bytes),
        // The last one counts, and nothing is no value.
        (r#"{"intValue":1,"boolValue":true}"#, Some(Value::BoolValue(true))),
        (r#"{"boolValue":true,"intValue":null}"#, Some(Value::BoolValue(true))),
    ];
    for (text, expected) in cases {
        assert_eq!(value_of(text), Ok(expected), "{text}");
    }
    assert!(matches!(value_of(r#"{"doubleValue":"NaN"}"#), Ok(Some(Value::DoubleValue(nan))) if nan.is_nan()));
}

#[test]
fn values_of_another_type_are_refused_with_their_reason() {
    let cases = [
        (r#"{"stringValue":7}"#, "a number, expected a text"),
        (r#"{"stringValue":[]}"#, "expected a value without parts"),
        (r#"{"boolValue":"true"}"#, "a text, expected true or false"),
        (r#"{"intValue":"soon"}"#, "a text, expected a whole number"),
        (r#"{"intValue":1.5}"#, "a number, expected a whole number"),
        (r#"{"intValue":"9223372036854775808"}"#, "out of range"),
        (r#"{"doubleValue":"nan"}"#, "NaN or an Infinity"),
        (r#"{"doubleValue":"inf"}"#, "NaN or an Infinity"),
        (r#"{"doubleValue":"1e999"}"#, "NaN or an Infinity"),
        (r#"{"doubleValue":1e999}"#, "out of range"),
        (r#"{"bytesValue":"*"}"#, "base64"),
        (r#"{"arrayValue":[]}"#, "sequence, expected an object"),
        (r#"{"arrayValue":{"values":{}}}"#, "map, expected a list"),
        (r#"{"kvlistValue":{"values":[7]}}"#, "expected an object"),
        (r#"{"stringValue":"\ud800"}"#, "hex escape"),
        ("7", "expected an object"),
        ("{} {}", "trailing"),
    ];
    for (text, expected) in cases {
        let error = value_of(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    for (text, expected) in [
        (r#"{"traceId":"xyz"}"#, NOT_HEXADECIMAL),
        (r#"{"traceId":"W47/95gDgQPSabYzgT/GDA=="}"#, NOT_HEXADECIMAL),
        (r#"{"spanId":"abc"}"#, NOT_HEXADECIMAL),
        (r#"{"kind":"SERVER"}"#, "a name of the enumeration"),
        (r#"{"kind":4294967296}"#, "out of range"),
        (r#"{"flags":-1}"#, "out of range"),
        (r#"{"startTimeUnixNano":-1}"#, "out of range"),
    ] {
        let error = read::<Span>(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn spans_are_read_by_either_name_and_by_names_of_enumerations() {
    let text = r#"{"trace_id":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","parent_span_id":null,"kind":"SPAN_KIND_SERVER",
        "start_time_unix_nano":"18446744073709551615","name":"one","name":"two","status":{"code":"STATUS_CODE_ERROR"},"flags":"257",
        "events":[null,{"time_unix_nano":1,"attributes":null}],"links":null,"attributes":[null,{"key":"k"}]}"#;
    let read = read::<Span>(text).unwrap().unwrap();
    assert_eq!((read.trace_id[0], read.span_id[7], read.parent_span_id.len()), (0x5b, 0x74, 0));
    assert_eq!((read.kind, read.start_time_unix_nano, read.name.as_str(), read.flags), (2, u64::MAX, "two", 257));
    assert_eq!((read.status.unwrap().code, read.events.len(), read.attributes.len()), (2, 1, 1));
    // Numbers of a later version are kept.
    assert_eq!(super::read::<Span>(r#"{"kind":77}"#).unwrap().unwrap().kind, 77);
}

#[test]
fn what_is_written_is_strict_and_read_as_it_was() {
    let pair = |key: &str, value| KeyValue { key: key.to_owned(), value, ..KeyValue::default() };
    let deep =
        any(Value::KvlistValue(KeyValueList { values: vec![pair("d", Some(any(Value::DoubleValue(f64::NAN))))] }));
    let attributes = vec![
        pair("nothing", None),
        pair("empty", Some(AnyValue::default())),
        pair("int", Some(any(Value::IntValue(1 << 60)))),
        pair("inf", Some(any(Value::DoubleValue(f64::INFINITY)))),
        pair("-inf", Some(any(Value::DoubleValue(f64::NEG_INFINITY)))),
        pair("bytes", Some(any(Value::BytesValue(vec![0xfb, 0xff])))),
        pair("list", Some(any(Value::ArrayValue(ArrayValue { values: vec![AnyValue::default(), deep] })))),
    ];
    let span = Span { trace_id: vec![0xab; 16], span_id: vec![1; 8], attributes, kind: 3, ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let written = write(&vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }]).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
    let expected = json!({
        "traceId": "ab".repeat(16), "spanId": "01".repeat(8), "name": "", "kind": 3, "startTimeUnixNano": "0", "endTimeUnixNano": "0",
        "attributes": [
            {"key": "nothing"},
            {"key": "empty", "value": {}},
            {"key": "int", "value": {"intValue": "1152921504606846976"}},
            {"key": "inf", "value": {"doubleValue": "Infinity"}},
            {"key": "-inf", "value": {"doubleValue": "-Infinity"}},
            {"key": "bytes", "value": {"bytesValue": "+/8="}},
            {"key": "list", "value": {"arrayValue": {"values": [
                {}, {"kvlistValue": {"values": [{"key": "d", "value": {"doubleValue": "NaN"}}]}},
            ]}}},
        ],
    });
    assert_eq!(written, json!({"resourceSpans": [{"scopeSpans": [{"spans": [expected]}]}]}));
    let again = read::<ResourceSpans>(&written["resourceSpans"][0].to_string()).unwrap().unwrap();
    let again: serde_json::Value = serde_json::from_slice(&write(&vec![again]).unwrap()).unwrap();
    assert_eq!(again, written);
}
