//! One rule for all who send: the same spans over http/protobuf, http/json and gRPC are kept, refused and read back alike.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
use serde_json::json;

use super::*;

fn of_value(number: u8, value: Option<Value>) -> Span {
    let pair = KeyValue { key: "k".to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() };
    Span {
        span_id: vec![number; 8],
        name: format!("span {number}"),
        kind: 1,
        attributes: vec![pair],
        ..Span::default()
    }
}

/// Spans as protobuf, the same as JSON without their ids, and whether they are kept.
fn cases() -> Vec<(Span, Json, bool)> {
    let double = |number: f64| Some(Value::DoubleValue(number));
    let nested = |depth: usize| {
        let mut value = AnyValue::default();
        let mut text = json!({});
        for _ in 0..depth {
            value = AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: vec![value] })) };
            text = json!({"arrayValue": {"values": [text]}});
        }
        (value.value, text)
    };
    let (fits, fits_text) = nested(24);
    let (deep, deep_text) = nested(25);
    let attribute = |value: Json| json!({"attributes": [{"key": "k", "value": value}]});
    vec![
        (of_value(1, None), attribute(json!({})), true),
        (
            Span { attributes: Vec::new(), ..of_value(12, None) },
            json!({"attributes": null, "events": null, "status": null}),
            true,
        ),
        (of_value(2, Some(Value::ArrayValue(ArrayValue::default()))), attribute(json!({"arrayValue": {}})), true),
        (
            of_value(3, Some(Value::KvlistValue(KeyValueList::default()))),
            attribute(json!({"kvlistValue": {"values": null}})),
            true,
        ),
        (of_value(4, double(f64::NAN)), attribute(json!({"doubleValue": "NaN"})), true),
        (of_value(5, double(f64::INFINITY)), attribute(json!({"doubleValue": "Infinity"})), true),
        (of_value(6, double(f64::NEG_INFINITY)), attribute(json!({"doubleValue": "-Infinity"})), true),
        (of_value(7, fits), attribute(fits_text), true),
        (of_value(8, deep), attribute(deep_text), false),
        (Span { parent_span_id: vec![1; 3], ..of_value(9, None) }, json!({"parentSpanId": "010101"}), false),
        (Span { span_id: vec![0; 8], ..of_value(10, None) }, json!({"spanId": "0000000000000000"}), false),
        (
            of_value(11, Some(Value::IntValue(i64::MIN))),
            attribute(json!({"int_value": i64::MIN.to_string(), "later": [1]})),
            true,
        ),
    ]
}

fn in_trace(trace: u128, spans: impl IntoIterator<Item = Span>) -> ExportTraceServiceRequest {
    let of_trace = |span| Span { trace_id: trace.to_be_bytes().to_vec(), ..span };
    let mut request = request_of(trace, []);
    request.resource_spans[0].scope_spans[0].spans = spans.into_iter().map(of_trace).collect();
    request
}

/// The request in JSON, with the odd form of each span over the plain one.
fn as_json(trace: u128) -> String {
    let span = |(span, odd, _): (Span, Json, bool)| {
        let mut text = json!({"traceId": format!("{trace:032X}"), "name": span.name, "kind": "SPAN_KIND_INTERNAL", "links": null,
            "spanId": span.span_id.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), "attributes": [{"key": "k", "value": {}}]});
        odd.as_object().unwrap().iter().for_each(|(key, value)| text[key] = value.clone());
        text
    };
    let spans: Vec<Json> = cases().into_iter().map(span).collect();
    json!({"resourceSpans": [{"resource": null, "scopeSpans": [{"spans": spans}]}]}).to_string()
}

#[test]
fn t10_the_same_spans_over_three_protocols_end_alike() {
    let server = DevServer::shared();
    let kept = cases().iter().filter(|(.., is_kept)| *is_kept).count();
    let refused = i64::try_from(cases().len() - kept).unwrap();
    let spans = || cases().into_iter().map(|(span, ..)| span);

    let partial = send(&server, &in_trace(0x51, spans())).accepted().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, refused, "{partial:?}");

    let answer = post(
        server.port(),
        "/v1/traces/",
        &[("content-type", "Application/JSON; charset=utf-8")],
        as_json(0x52).as_bytes(),
    );
    let said: Json = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &said["partialSuccess"]["rejectedSpans"]), (200, &refused.to_string().into()), "{said}");
    assert_eq!(said["partialSuccess"]["errorMessage"], partial.error_message);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answered = runtime.block_on(async {
        let mut client = TraceServiceClient::connect(format!("http://127.0.0.1:{}", server.port())).await.unwrap();
        client.export(in_trace(0x53, spans())).await.unwrap().into_inner()
    });
    assert_eq!(answered.partial_success.unwrap(), partial);

    let read = [0x51_u128, 0x52, 0x53].map(|trace| stored(server.port(), &format!("{trace:032x}")));
    for (span, _, is_kept) in cases() {
        let [by_protobuf, by_json, by_grpc] =
            read.each_ref().map(|spans| spans.get(&span.name).map(|span| span["attributes"].clone()));
        assert_eq!(by_protobuf.is_some(), is_kept, "{}", span.name);
        assert_eq!((&by_json, &by_grpc), (&by_protobuf, &by_protobuf), "{}", span.name);
    }
    for (name, expected) in [("span 4", "NaN"), ("span 5", "Infinity"), ("span 6", "-Infinity")] {
        assert_eq!(read[1][name]["attributes"][0]["value"], json!({"doubleValue": expected}), "{name}");
    }
}

#[test]
fn headers_mean_the_same_in_any_case_and_paths_with_a_slash_at_the_end() {
    let server = DevServer::shared();
    let plain = |trace: u128| request_of(trace, 0..3).encode_to_vec();
    let mut trace = 0x60_u128;
    let mut sent = |path: &str, headers: &[(&str, &str)], is_packed: bool| {
        trace += 1;
        let body = if is_packed { gzipped(&plain(trace)) } else { plain(trace) };
        let answer = post(server.port(), path, headers, &body);
        assert_eq!(answer.accepted().partial_success, None, "{path} {headers:?}");
        assert_eq!(count(server.port(), trace), 3, "{path} {headers:?}");
    };
    let kinds = ["application/x-protobuf", "Application/X-Protobuf", "application/x-protobuf; charset=utf-8"];
    for kind in kinds {
        sent("/v1/traces/", &[("content-type", kind)], false);
    }
    for coding in ["identity", "Identity", "IDENTITY", "", "identity, identity"] {
        sent("/v1/traces", &[("content-type", PROTOBUF), ("content-encoding", coding)], false);
    }
    for coding in ["gzip", "GZip", "x-gzip", "identity, gzip", "Gzip , Identity"] {
        sent("/v1/traces/", &[("content-type", PROTOBUF), ("content-encoding", coding)], true);
    }
    for path in ["/v1/logs/", "/v1/metrics/"] {
        assert_eq!(post(server.port(), path, &[("content-type", PROTOBUF)], b"").status, 200, "{path}");
    }
    let trace = format!("http://127.0.0.1:{}/v1/traces/{:032x}", server.port(), 0x61);
    let read = agent().get(trace).header("accept", "Application/X-Protobuf").call().unwrap();
    assert_eq!(answer_of(read).accepted_spans(), 3);
}

impl Answer {
    /// How many spans a trace has that was read in protobuf.
    fn accepted_spans(&self) -> usize {
        assert_eq!((self.status, self.content_type.as_str()), (200, PROTOBUF), "{self:?}");
        let data = ExportTraceServiceRequest::decode(&self.body[..]).unwrap();
        data.resource_spans.iter().flat_map(|of| &of.scope_spans).map(|of| of.spans.len()).sum()
    }
}
