//! One table of spans, as JSON and as protobuf have them: both are taken, or both are refused, and a good span beside them is kept.

use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

use super::*;

/// What becomes of a span.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Kept,
    Refused(Reason),
}
use End::{Kept, Refused as No};

/// A span in JSON, in protobuf, and what becomes of both.
struct Case {
    json: String,
    protobuf: Vec<u8>,
    end: End,
}

const ODD: &str = r#""traceId":"07070707070707070707070707070707","spanId":"0909090909090909""#;

fn odd() -> Span {
    Span { trace_id: vec![7; 16], span_id: vec![9; 8], ..Span::default() }
}

/// Fields in JSON beside the ids, and the same in protobuf.
fn case(fields: &str, change: impl FnOnce(&mut Span), end: End) -> Case {
    let mut span = odd();
    change(&mut span);
    let comma = if fields.is_empty() { "" } else { "," };
    Case { json: format!("{{{ODD}{comma}{fields}}}"), protobuf: span.encode_to_vec(), end }
}

/// Fields in JSON that have a wrong type, and bytes of protobuf that have one too.
fn wrong(fields: &str, bytes: &[u8]) -> Case {
    let protobuf = [&odd().encode_to_vec(), bytes].concat();
    Case { json: format!("{{{ODD},{fields}}}"), protobuf, end: No(Reason::Unreadable) }
}

fn value(json: &str, value: Option<Value>, end: End) -> Case {
    let pair = KeyValue { key: "k".to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() };
    case(&format!(r#""attributes":[{{"key":"k","value":{json}}}]"#), |span| span.attributes = vec![pair], end)
}

/// A list in a list, so many of them, in JSON and as a value.
fn nested(depth: usize, open: &str, close: &str, wrap: impl Fn(AnyValue) -> Value) -> (String, Option<Value>) {
    let mut value = AnyValue { value: Some(Value::BoolValue(true)) };
    for _ in 0..depth {
        value = AnyValue { value: Some(wrap(value)) };
    }
    (format!("{}{{\"boolValue\":true}}{}", open.repeat(depth), close.repeat(depth)), value.value)
}

fn lists(depth: usize) -> (String, Option<Value>) {
    nested(depth, r#"{"arrayValue":{"values":["#, "]}}", |value| Value::ArrayValue(ArrayValue { values: vec![value] }))
}

fn maps(depth: usize) -> (String, Option<Value>) {
    nested(depth, r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}", |value| {
        let pair = KeyValue { key: "k".to_owned(), value: Some(value), ..KeyValue::default() };
        Value::KvlistValue(KeyValueList { values: vec![pair] })
    })
}

fn nothing(_: &mut Span) {}

fn absent() -> Vec<Case> {
    let nulls = [
        "attributes",
        "events",
        "links",
        "parentSpanId",
        "traceState",
        "kind",
        "status",
        "name",
        "flags",
        "startTimeUnixNano",
    ];
    let mut cases: Vec<Case> = nulls.iter().map(|name| case(&format!("\"{name}\":null"), nothing, Kept)).collect();
    cases.push(case("", nothing, Kept));
    cases.push(case(r#""later":{"a":[null,1e999]},"attributes":[],"parentSpanId":"""#, nothing, Kept));
    let event = Event { name: "e".to_owned(), ..Event::default() };
    cases.push(case(r#""events":[{"name":"e","attributes":null}]"#, |span| span.events = vec![event], Kept));
    cases.push(case(r#""links":[{}]"#, |span| span.links = vec![Link::default()], Kept));
    let keyless = KeyValue::default();
    cases.push(case(r#""attributes":[{"value":null}]"#, |span| span.attributes = vec![keyless], Kept));
    cases
}

fn values() -> Vec<Case> {
    let list = |values| Some(Value::ArrayValue(ArrayValue { values }));
    vec![
        value("{}", None, Kept),
        value(r#"{"arrayValue":{}}"#, list(Vec::new()), Kept),
        value(r#"{"arrayValue":{"values":null}}"#, list(Vec::new()), Kept),
        value(r#"{"arrayValue":{"values":[{}]}}"#, list(vec![AnyValue::default()]), Kept),
        value(r#"{"kvlistValue":{}}"#, Some(Value::KvlistValue(KeyValueList::default())), Kept),
        value(r#"{"doubleValue":"NaN"}"#, Some(Value::DoubleValue(f64::NAN)), Kept),
        value(r#"{"doubleValue":"Infinity"}"#, Some(Value::DoubleValue(f64::INFINITY)), Kept),
        value(r#"{"doubleValue":"-Infinity"}"#, Some(Value::DoubleValue(f64::NEG_INFINITY)), Kept),
        value(r#"{"intValue":"-1"}"#, Some(Value::IntValue(-1)), Kept),
        value(r#"{"intValue":-1}"#, Some(Value::IntValue(-1)), Kept),
        value(r#"{"bytesValue":"AQI="}"#, Some(Value::BytesValue(vec![1, 2])), Kept),
    ]
}

fn depths() -> Vec<Case> {
    let mut cases = Vec::new();
    // Beyond the limit, and beyond what the decoders can follow.
    for (depth, end) in [(limits::MAX_DEPTH, Kept), (limits::MAX_DEPTH + 1, No(Reason::Deep)), (300, No(Reason::Deep))]
    {
        for make in [lists, maps] {
            let (json, nested) = make(depth);
            cases.push(value(&json, nested.clone(), end));
            let pair = KeyValue { key: "k".to_owned(), value: Some(AnyValue { value: nested }), ..KeyValue::default() };
            let event = Event { attributes: vec![pair], ..Event::default() };
            let text = format!(r#""events":[{{"attributes":[{{"key":"k","value":{json}}}]}}]"#);
            cases.push(case(&text, |span| span.events = vec![event], end));
        }
    }
    cases
}

fn ids() -> Vec<Case> {
    let ids = No(Reason::Ids);
    let with = |json: &str, change: fn(&mut Span), end| {
        let mut span = odd();
        change(&mut span);
        Case { json: json.to_owned(), protobuf: span.encode_to_vec(), end }
    };
    vec![
        with("{}", |span| *span = Span::default(), ids),
        with(r#"{"traceId":"","spanId":"0909090909090909"}"#, |span| span.trace_id.clear(), ids),
        with(r#"{"traceId":"0707","spanId":"0909090909090909"}"#, |span| span.trace_id = vec![7; 2], ids),
        with(&format!(r#"{{{ODD},"spanId":"0000000000000000"}}"#), |span| span.span_id = vec![0; 8], ids),
        // What proto3's JSON has for bytes, and OTLP's has not.
        with(&format!(r#"{{{ODD},"traceId":"BwcHBwcHBwcHBwcHBwcHBw=="}}"#), |span| span.trace_id = vec![7; 24], ids),
        case(r#""parentSpanId":"0a0b""#, |span| span.parent_span_id = vec![10, 11], ids),
        case(r#""parentSpanId":"0000000000000000""#, |span| span.parent_span_id = vec![0; 8], Kept),
        case(
            r#""parentSpanId":"ABCDEFABCDEFABCD""#,
            |span| {
                span.parent_span_id = vec![0xab, 0xcd, 0xef, 0xab, 0xcd, 0xef, 0xab, 0xcd];
            },
            Kept,
        ),
    ]
}

fn types() -> Vec<Case> {
    vec![
        // Numbers in the place of a text, a text in the place of a message, a message in the place of a number, a list that breaks off.
        wrong(r#""name":7"#, &[0x28, 7]),
        wrong(r#""attributes":"all""#, &[0x4a, 3, b'a', b'l', b'l']),
        wrong(r#""attributes":{"k":1}"#, &[0x48, 1]),
        wrong(r#""attributes":[{"key":7}]"#, &[0x4a, 2, 0x08, 7]),
        wrong(r#""attributes":[{"key":"k","value":{"intValue":"soon"}}]"#, &[0x4a, 4, 0x12, 2, 0x1a, 0]),
        wrong(r#""attributes":[{"key":"k","value":{"stringValue":7}}]"#, &[0x4a, 4, 0x12, 2, 0x08, 7]),
        wrong(r#""startTimeUnixNano":"soon""#, &[0x3a, 4, b's', b'o', b'o', b'n']),
        wrong(r#""kind":"SERVER""#, &[0x32, 0]),
        wrong(r#""status":7"#, &[0x78, 7]),
        wrong(r#""events":[7]"#, &[0x58, 7]),
        wrong(r#""name":"\ud800""#, &[0x2a, 3, 0xed, 0xa0, 0x80]),
    ]
}

fn others() -> Vec<Case> {
    let long = "x".repeat(limits::MAX_SPAN);
    vec![
        case(&format!("\"name\":\"{long}\""), |span| span.name = long.clone(), No(Reason::Large)),
        case(
            r#""kind":"SPAN_KIND_CLIENT","status":{"code":"STATUS_CODE_OK"}"#,
            |span| {
                span.kind = 3;
                span.status = Some(opentelemetry_proto::tonic::trace::v1::Status { code: 1, message: String::new() });
            },
            Kept,
        ),
        case(
            r#""kind":77,"flags":769,"dropped_events_count":3"#,
            |span| {
                (span.kind, span.flags, span.dropped_events_count) = (77, 769, 3);
            },
            Kept,
        ),
        case(r#""name":"first","name":"last""#, |span| span.name = "last".to_owned(), Kept),
        case(
            r#""startTimeUnixNano":"18446744073709551615","endTimeUnixNano":0"#,
            |span| {
                span.start_time_unix_nano = u64::MAX;
            },
            Kept,
        ),
    ]
}

/// What of a good span and the odd one of a request is kept, and what is refused.
fn taken(request: Vec<u8>, mut refused: Refused) -> (Vec<StoredSpan>, Refused) {
    let (spans, more) = spans_of(request);
    if more != Refused::default() {
        refused = more;
    }
    (spans, refused)
}

#[test]
fn t10_json_and_protobuf_obey_one_rule_and_a_bad_span_costs_no_other_one() {
    let good_json = r#"{"traceId":"07070707070707070707070707070707","spanId":"0101010101010101","name":"good"}"#;
    let good = Span { span_id: vec![1; 8], name: "good".to_owned(), ..odd() };
    for Case { json, protobuf, end } in [absent(), values(), depths(), ids(), types(), others()].into_iter().flatten() {
        let text = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{json},{good_json}]}}]}}]}}"#);
        let mut refused = Refused::default();
        let request =
            json::to_protobuf(text.as_bytes(), &mut refused).unwrap_or_else(|error| panic!("{json:.200}: {error}"));
        let by_json = taken(request, refused);

        let (mut scope, mut parts, mut request) = (decode::begin_scope(&[], &[]), Vec::new(), Vec::new());
        decode::put_part(&mut scope, &protobuf);
        decode::put_part(&mut scope, &good.encode_to_vec());
        decode::put_part(&mut parts, &scope);
        decode::put_resource_spans(&mut request, &[], &parts, &[]);
        let by_protobuf = taken(request, Refused::default());

        for (how, (spans, refused)) in [("JSON", &by_json), ("protobuf", &by_protobuf)] {
            let expected = match end {
                Kept => Refused::default(),
                No(reason) => refused_because(reason, 1),
            };
            assert_eq!(refused, &expected, "{how}: {json:.300}");
            let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
            assert_eq!(names.last(), Some(&"good"), "{how}: {json:.300}");
            assert_eq!(names.len(), if end == Kept { 2 } else { 1 }, "{how}: {json:.300}");
        }
        // NaN is not equal to itself: texts are.
        let read = |spans: &[StoredSpan]| {
            format!("{:?}", spans.iter().scan(None, received).map(|read| read.span).collect::<Vec<_>>())
        };
        assert_eq!(read(&by_json.0), read(&by_protobuf.0), "{json:.300}");
    }
}

#[test]
fn a_bad_resource_or_scope_costs_the_spans_that_have_it_and_no_other() {
    let span = |number: u8| format!(r#"{{"traceId":"{}","spanId":"{:016x}"}}"#, "07".repeat(16), number);
    let of = |resource: &str, scope: &str, number: u8| {
        let spans = format!("{},{},null", span(number), span(number + 1));
        format!(r#"{{"resource":{resource},"scopeSpans":[{{"scope":{scope},"spans":[{spans}]}},null]}}"#)
    };
    let deep = format!(r#"{{"attributes":[{{"key":"k","value":{}}}]}}"#, lists(limits::MAX_DEPTH + 1).0);
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(limits::MAX_ORIGIN));
    let cases = [
        (of("7", "{}", 1), Reason::Unreadable),
        (of(r#"{"attributes":7}"#, "{}", 1), Reason::Unreadable),
        (of("{}", r#"{"name":7}"#, 1), Reason::Unreadable),
        (of(&deep, "{}", 1), Reason::Deep),
        (of("{}", &deep, 1), Reason::Deep),
        (of("{}", &large, 1), Reason::Origin),
    ];
    for (bad, reason) in cases {
        let text = format!(r#"{{"resourceSpans":[{bad},{},null]}}"#, of("null", "null", 3));
        let mut refused = Refused::default();
        let (spans, refused) = taken(json::to_protobuf(text.as_bytes(), &mut refused).unwrap(), refused);
        assert_eq!((spans.len(), &refused), (2, &refused_because(reason, 2)), "{bad:.200}");
    }
}

#[test]
fn what_is_no_text_costs_the_span_that_has_it_and_the_answer_says_where() {
    let span = |number: u8, name: &[u8]| {
        let ids = format!(r#"{{"traceId":"{}","spanId":"{number:016x}","name":""#, "07".repeat(16));
        [ids.as_bytes(), name, b"\"}"].concat()
    };
    let request = |spans: &[Vec<u8>]| {
        [br#"{"resourceSpans":[{"scopeSpans":[{"spans":["#.as_slice(), &spans.join(&b","[..]), b"]}]}]}"].concat()
    };
    let mut refused = Refused::default();
    let text = request(&[span(1, b"one"), span(2, b"\xff\xfe"), span(3, "\u{2603}".as_bytes())]);
    let (spans, refused) = taken(json::to_protobuf(&text, &mut refused).unwrap(), refused);
    assert_eq!((spans.len(), &refused), (2, &refused_because(Reason::Unreadable, 1)));
    let said = refused.answer().partial_success.unwrap().error_message;
    assert!(said.contains("1 that cannot be decoded; resourceSpans[0]: scopeSpans[0]: spans[1]: "), "{said}");
    assert!(json::to_protobuf(&request(&[span(1, &b"\xff".repeat(100_000))]), &mut Refused::default()).is_err());
}
