//! Requests as they should be, as they should not be, and as somebody makes them who wants to do harm.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;

use super::refused::Reason;
use super::*;

mod encodings;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn span(number: u8) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: vec![number; 8],
        parent_span_id: vec![0; 8],
        name: format!("span \u{2603} {number}"),
        start_time_unix_nano: 1_544_712_660_000_000_000 + u64::from(number),
        end_time_unix_nano: u64::MAX,
        attributes: vec![attribute("key", "value")],
        ..Span::default()
    }
}

fn of_resource(service: &str, scopes: &[(&str, &[u8])]) -> ResourceSpans {
    let scope = |(name, spans): &(&str, &[u8])| ScopeSpans {
        scope: Some(InstrumentationScope { name: (*name).to_owned(), ..InstrumentationScope::default() }),
        spans: spans.iter().map(|number| span(*number)).collect(),
        schema_url: "https://example.com/scope".to_owned(),
    };
    ResourceSpans {
        resource: Some(Resource { attributes: vec![attribute("service.name", service)], ..Resource::default() }),
        scope_spans: scopes.iter().map(scope).collect(),
        schema_url: "https://example.com/resource".to_owned(),
    }
}

fn request() -> ExportTraceServiceRequest {
    let resource_spans = vec![of_resource("one", &[("a", &[1, 2]), ("b", &[3])]), of_resource("two", &[("a", &[4])])];
    ExportTraceServiceRequest { resource_spans }
}

/// All spans of a request, and what was refused.
fn spans_of(request: impl Into<Bytes>) -> (Vec<StoredSpan>, Refused) {
    let request = request.into();
    decode::check(&request).unwrap();
    let (mut spans, mut refused, mut all) = (decode::Spans::of(request), Refused::default(), Vec::new());
    loop {
        let mut batch = spans.next_batch(2, usize::MAX, &mut refused);
        if batch.is_empty() {
            return (all, refused);
        }
        all.append(&mut batch);
    }
}

/// One span as the bytes of a request.
fn request_of_span(span: &[u8]) -> Vec<u8> {
    let (mut scope, mut parts, mut request) = (decode::begin_scope(&[], &[]), Vec::new(), Vec::new());
    decode::put_part(&mut scope, span);
    decode::put_part(&mut parts, &scope);
    decode::put_resource_spans(&mut request, &[], &parts, &[]);
    request
}

fn refused_because(reason: Reason, count: u64) -> Refused {
    let mut refused = Refused::default();
    (0..count).for_each(|_| refused.add(reason));
    refused
}

#[test]
fn spans_are_stored_as_they_were_sent_with_what_made_them() {
    let (spans, refused) = spans_of(request().encode_to_vec());
    assert_eq!(refused.answer(), ExportTraceServiceResponse::default());
    let numbers: Vec<u8> = spans.iter().map(|span| span.span_id[0]).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let first = &spans[0];
    assert_eq!((first.trace_id, first.parent_id, first.name.as_str()), ([7; 16], None, "span \u{2603} 1"));
    assert_eq!((first.start, first.end), (1_544_712_660_000_000_001, i64::MAX));
    assert_eq!(first.body, span(1).encode_to_vec());
    assert!(Arc::ptr_eq(&first.origin, &spans[1].origin));
    let digests: std::collections::BTreeSet<_> = spans.iter().map(|span| span.origin.digest).collect();
    assert_eq!(digests.len(), 3, "the same scope of another resource is another origin");
    // And back.
    assert_eq!(ExportTraceServiceRequest::decode(&decode::request_of(spans.iter())[..]).unwrap(), {
        let mut expected = request();
        let mut first = expected.resource_spans.remove(0);
        let second = ResourceSpans { scope_spans: vec![first.scope_spans.remove(1)], ..first.clone() };
        expected.resource_spans.splice(0..0, [first, second]);
        expected
    });
    let read: Vec<Received> = spans.iter().scan(None, received).collect();
    assert_eq!(read[2].span, span(3));
    assert_eq!(
        (read[2].scope.name.as_str(), &read[2].resource.attributes[0]),
        ("b", &attribute("service.name", "one"))
    );
    assert!(Arc::ptr_eq(&read[0].resource, &read[1].resource));
}

#[test]
fn fields_of_a_later_version_are_kept() {
    let mut later = span(1).encode_to_vec();
    // Field 900, a text, and field 901, a number.
    later.extend([0xa2, 0x38, 3, b'n', b'e', b'w', 0xa8, 0x38, 5]);
    let (spans, _) = spans_of(request_of_span(&later));
    assert_eq!(spans[0].body, later);
    let again = decode::request_of(spans.iter());
    assert!(again.windows(later.len()).any(|part| part == later));
}

#[test]
fn a_request_may_have_its_fields_in_any_order() {
    // The resource behind the spans, as nobody writes it and everybody may.
    let ResourceSpans { resource, scope_spans, .. } = of_resource("late", &[("a", &[1])]);
    let mut inner = ResourceSpans { scope_spans, ..ResourceSpans::default() }.encode_to_vec();
    inner.extend(ResourceSpans { resource, ..ResourceSpans::default() }.encode_to_vec());
    let mut request = vec![0x0a, u8::try_from(inner.len()).map_or(0, |length| length | 0x80), 1];
    request.truncate(if inner.len() < 128 { 2 } else { 3 });
    request.extend(inner);
    let expected = ExportTraceServiceRequest::decode(&request[..]).unwrap();
    let (spans, _) = spans_of(request);
    let again = ExportTraceServiceRequest::decode(&decode::request_of(spans.iter())[..]).unwrap();
    assert_eq!(again, expected);
}

#[test]
fn spans_that_cannot_be_kept_are_counted_with_their_reason() {
    let with = |change: fn(&mut Span)| {
        let mut span = span(1);
        change(&mut span);
        span.encode_to_vec()
    };
    let cases = [
        (with(|span| span.trace_id = Vec::new()), Reason::Ids),
        (with(|span| span.trace_id = vec![0; 16]), Reason::Ids),
        (with(|span| span.trace_id = vec![1; 15]), Reason::Ids),
        (with(|span| span.span_id = vec![0; 8]), Reason::Ids),
        (with(|span| span.span_id = vec![1; 16]), Reason::Ids),
        (with(|span| span.parent_span_id = vec![1; 3]), Reason::Ids),
        (with(|span| span.name = "x".repeat(1 << 20)), Reason::Large),
        // A name that is no text, a trace id that is a number, a list that ends too early.
        (vec![0x2a, 1, 0xff], Reason::Unreadable),
        (vec![0x08, 1], Reason::Unreadable),
        (vec![0x4a, 5, 1], Reason::Unreadable),
        (Vec::new(), Reason::Ids),
    ];
    for (span, reason) in cases {
        let (spans, refused) = spans_of(request_of_span(&span));
        assert_eq!((spans, refused), (Vec::new(), refused_because(reason, 1)), "{:.40?}", span);
    }
    let partial = refused_because(Reason::Ids, 3).answer().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 3);
    assert_eq!(partial.error_message, "spans refused: 3 with an id of zeros or of a wrong length");
}

#[test]
fn a_resource_without_end_is_refused_and_so_are_a_thousand_large_ones() {
    let large = |size: usize, count: usize| {
        let mut resource_spans = of_resource(&"x".repeat(size), &[]);
        resource_spans.scope_spans =
            (0..count).map(|_| of_resource("", &[("a", &[1])]).scope_spans.remove(0)).collect();
        ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec()
    };
    let (spans, refused) = spans_of(large(limits::MAX_ORIGIN, 3));
    assert_eq!((spans.len(), refused), (0, refused_because(Reason::Origin, 3)));
    let (spans, refused) = spans_of(large(limits::MAX_ORIGIN / 2, 1_000));
    assert!((100..200).contains(&spans.len()), "{}", spans.len());
    assert_eq!(refused, refused_because(Reason::Origin, 1_000 - spans.len() as u64));
}

#[test]
fn a_request_that_is_cut_off_anywhere_is_refused_or_has_the_spans_before() {
    let whole = request().encode_to_vec();
    let first = decode::request_of(spans_of(whole.clone()).0[..3].iter()).len();
    for length in 0..whole.len() {
        let cut = Bytes::copy_from_slice(&whole[..length]);
        if decode::check(&cut).is_ok() {
            let (spans, refused) = spans_of(cut);
            assert_eq!(refused, Refused::default());
            assert!(spans.is_empty() || (spans.len() == 3 && length < first), "{length}: {}", spans.len());
        }
    }
    for request in [&[0x08, 1][..], &[0x0a, 2, 0x08, 1], &[0x0a, 2, 0x12, 1], &[0x0b], &[0xff; 20], &[0x0a, 0xff, 0xff]]
    {
        assert!(decode::check(&Bytes::copy_from_slice(request)).is_err(), "{request:?}");
    }
    for request in [&[][..], &[0x0a, 0], &[0x0a, 2, 0x12, 0], &[0x20, 1]] {
        assert_eq!(spans_of(request.to_vec()).0, []);
    }
}

#[test]
fn a_million_of_nothing_is_counted_and_takes_no_memory() {
    let mut scope = decode::begin_scope(&[], &[]);
    (0..1_000_000).for_each(|_| decode::put_part(&mut scope, &[]));
    let (mut parts, mut request) = (Vec::new(), Vec::new());
    decode::put_part(&mut parts, &scope);
    decode::put_resource_spans(&mut request, &[], &parts, &[]);
    assert_eq!(spans_of(request), (Vec::new(), refused_because(Reason::Ids, 1_000_000)));
    let text = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}{{}}]}}]}}]}}"#, "{},".repeat(99_999));
    let mut refused = Refused::default();
    let message = json::to_protobuf(text.as_bytes(), &mut refused).unwrap();
    assert_eq!((spans_of(message), refused), ((Vec::new(), refused_because(Reason::Ids, 100_000)), Refused::default()));
}

#[test]
fn json_stands_for_the_same_protobuf() {
    let mut refused = Refused::default();
    let text = crate::otlp_json::write(&request().resource_spans).unwrap();
    let message = json::to_protobuf(&text, &mut refused).unwrap();
    assert_eq!(ExportTraceServiceRequest::decode(&message[..]).unwrap(), request());
    // What other languages write: numbers as numbers or texts, no field that is empty, fields of a later version, nothing at all.
    let text = r#"{"resourceSpans":[{"scopeSpans":null},{"later":[1],"resource":null,"scopeSpans":[{"scope":{"name":"s\u0041"},"spans":[
        {"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","name":"n","kind":2,"later":{"a":[{}]},
         "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661000000000,
         "attributes":[{"key":"i","value":{"intValue":"9007199254740993"}},{"key":"j","value":{"intValue":-1}}],
         "status":{"code":2,"message":"no"}}]}]}],"later":1}"#;
    let (spans, nothing) = spans_of(json::to_protobuf(text.as_bytes(), &mut refused).unwrap());
    assert_eq!((spans.len(), nothing, refused.clone()), (1, Refused::default(), Refused::default()));
    let read = received(&mut None, &spans[0]).unwrap();
    assert_eq!((read.scope.name.as_str(), read.span.kind, read.span.status.unwrap().code), ("sA", 2, 2));
    assert_eq!((spans[0].start, spans[0].end), (1_544_712_660_000_000_000, 1_544_712_661_000_000_000));
    let numbers = read.span.attributes.into_iter().map(|attribute| attribute.value.unwrap().value.unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), [Value::IntValue(9_007_199_254_740_993), Value::IntValue(-1)]);
    for text in ["{}", r#"{"resourceSpans":[]}"#, r#"{"resourceSpans":null}"#] {
        assert_eq!(json::to_protobuf(text.as_bytes(), &mut refused).as_deref(), Ok(&[][..]), "{text}");
    }
}

#[test]
fn what_is_wrong_around_the_spans_is_said_with_its_place() {
    let cases = [
        ("".to_owned(), "EOF"),
        ("[]".to_owned(), "invalid type: sequence"),
        (" [{}]".to_owned(), "invalid type: sequence"),
        ("nonsense".to_owned(), "expected"),
        ("\u{0}".to_owned(), "expected"),
        (r#"{"resourceSpans":{}}"#.to_owned(), "resourceSpans: invalid type: map, expected a list"),
        (r#"{"resourceSpans":[{},7]}"#.to_owned(), "resourceSpans[1]: invalid type: integer `7`, expected an object"),
        (r#"{"resourceSpans":[{"scopeSpans":7}]}"#.to_owned(), "resourceSpans[0]: scopeSpans: invalid type"),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}"#.to_owned(), "scopeSpans[0]: spans: invalid type: map"),
        (format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}"#, "[".repeat(100_000)), "line 1 column"),
    ];
    for (text, expected) in cases {
        let error = json::to_protobuf(text.as_bytes(), &mut Refused::default()).unwrap_err();
        assert!(error.contains(expected) && error.len() < 300, "{text:.80}: {error}");
    }
}

fn packed(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

#[test]
fn what_is_unpacked_has_a_limit_and_a_share_of_the_memory() {
    let memory = Memory::new();
    let text = vec![7; 1 << 20];
    let mut share = memory.share();
    assert_eq!(body::unpack(&packed(&text), &mut share).unwrap(), text);
    // In two members, as `cat a.gz b.gz` makes them.
    let two = [packed(&text), packed(&text)].concat();
    assert_eq!(body::unpack(&two.into(), &mut memory.share()).unwrap().len(), 2 << 20);
    let bomb = packed(&vec![0; limits::MAX_BODY + 1]);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(body::unpack(&bomb, &mut memory.share()), Err(Refusal::TooLarge));
    for broken in [&b"plain"[..], &packed(&text)[..100], &[]] {
        let refused = body::unpack(&Bytes::copy_from_slice(broken), &mut memory.share());
        assert!(matches!(refused, Err(Refusal::Malformed(_))), "{broken:?}");
    }
    // One request has almost all of it: the next one has to come again, and may when the first one has gone.
    drop(share);
    let mut large = memory.share();
    large.grow(body::IN_MEMORY - (1 << 20)).unwrap();
    assert_eq!(body::unpack(&packed(&vec![0; 2 << 20]), &mut memory.share()), Err(Refusal::Busy));
    drop(large);
    assert!(body::unpack(&packed(&vec![0; 2 << 20]), &mut memory.share()).is_ok());
}

#[test]
fn a_trace_id_is_32_hexadecimal_digits() {
    assert_eq!(trace_id("0000000000000000000000000000000A"), Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]));
    for text in ["", "1", &"0".repeat(32), &"a".repeat(33), "+000000000000000000000000000000a", &"g".repeat(32)] {
        assert_eq!(trace_id(text), None, "{text}");
    }
}

#[tokio::test]
async fn what_is_stored_is_read_with_what_made_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config::default();
    let collector = Collector::open(directory.path(), Durability::Process, &config, || Timestamp(1)).unwrap();
    let message = Bytes::from(request().encode_to_vec());
    for _ in 0..2 {
        let answer = collector.take(message.clone(), collector.inner.memory.share(), Refused::default()).await;
        assert_eq!(answer, Ok(ExportTraceServiceResponse::default()));
    }
    let (read, count) = collector.spans_of([7; 16], 3, Default::default).await.unwrap();
    assert_eq!(count, 4);
    let names: Vec<_> = read.iter().map(|read| (read.span.span_id[0], read.scope.name.as_str())).collect();
    assert_eq!(names, [(1, "a"), (2, "a"), (3, "b")]);
    collector.close().await;
    let refused = collector.take(message, collector.inner.memory.share(), Refused::default()).await;
    assert_eq!(refused, Err(Refusal::NotStored("the server is ending".to_owned())));
}
