//! Those who send: the exporters of Rust and Python as they are, each span stored once, and still there after a kill.

use opentelemetry::trace::{Span as _, SpanKind, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, trace::TraceContextExt as _};
use opentelemetry_otlp::{Compression, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prost::Message as _;

use super::{PROTOBUF, agent, answer_of, count, gzipped, own_server, post, request_of, send, stored};
use crate::dev_server::DevServer;
use crate::python::{Program, run_case};

/// A span with a child, an event and some values, through an exporter to its end; the id of the trace.
fn trace_through(exporter: SpanExporter) -> String {
    let resource = Resource::builder_empty().with_service_name("senders").build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    let tracer = provider.tracer("of.senders");
    let mut outer = tracer.span_builder("outer \u{2603}").with_kind(SpanKind::Server).start(&tracer);
    outer.set_attribute(KeyValue::new("count", 1_i64 << 60));
    outer.add_event("something", vec![KeyValue::new("ratio", 0.5)]);
    let trace = outer.span_context().trace_id().to_string();
    let context = Context::new().with_span(outer);
    tracer.start_with_context("inner", &context).end();
    context.span().end();
    provider.shutdown().unwrap();
    trace
}

fn check_stored(server: &DevServer, trace: &str) {
    let spans = stored(server.port(), trace);
    assert_eq!(spans.keys().collect::<Vec<_>>(), ["inner", "outer \u{2603}"], "{}", server.said());
    let (inner, outer) = (&spans["inner"], &spans["outer \u{2603}"]);
    assert_eq!(inner["parentSpanId"], outer["spanId"]);
    assert_eq!((&outer["traceId"], &outer["kind"], &outer["scope"]), (&trace.into(), &2.into(), &"of.senders".into()));
    assert_eq!(outer["attributes"][0]["value"]["intValue"], (1_i64 << 60).to_string());
    assert_eq!(outer["events"][0]["name"], "something");
    assert_eq!(outer["resource"]["attributes"][0]["value"]["stringValue"], "senders");
}

fn over_http(
    server: &DevServer,
    protocol: Protocol,
) -> opentelemetry_otlp::SpanExporterBuilder<opentelemetry_otlp::HttpExporterBuilderSet> {
    let endpoint = format!("http://127.0.0.1:{}/v1/traces", server.port());
    SpanExporter::builder().with_http().with_protocol(protocol).with_endpoint(endpoint)
}

#[test]
fn rust_over_http_in_protobuf_and_in_json_packed_or_not() {
    let server = DevServer::shared();
    for protocol in [Protocol::HttpBinary, Protocol::HttpJson] {
        check_stored(&server, &trace_through(over_http(&server, protocol).build().unwrap()));
        let packed = over_http(&server, protocol).with_compression(Compression::Gzip);
        check_stored(&server, &trace_through(packed.build().unwrap()));
    }
}

#[test]
fn rust_over_grpc_on_both_ports() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (_data, server) = own_server(&[("SPANWISE_COLLECTOR_PORT", &free.to_string())]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for port in [server.port(), free] {
        let exporter = {
            let _inside = runtime.enter();
            SpanExporter::builder().with_tonic().with_endpoint(format!("http://localhost:{port}")).build().unwrap()
        };
        check_stored(&server, &trace_through(exporter));
    }
}

#[test]
fn python_in_a_task_that_was_told_nothing_and_in_a_program() {
    let server = DevServer::shared();
    let endpoint = format!("http://127.0.0.1:{}", server.port());
    let found = run_case(&server, "spans.py", "sent_by_a_task");
    assert_eq!(found["OTEL_EXPORTER_OTLP_ENDPOINT"], endpoint);
    assert_eq!(found["OTEL_EXPORTER_OTLP_PROTOCOL"], "http/protobuf");
    let spans = stored(server.port(), found["trace"].as_str().unwrap());
    assert_eq!(spans.keys().collect::<Vec<_>>(), ["of a task", "of a task \u{2603}"]);
    assert_eq!(spans["of a task \u{2603}"]["parentSpanId"], spans["of a task"]["spanId"]);
    let program = Program::new(&server, "spans.py").arg("sent_by_a_program");
    let program = program.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    for (number, trace) in program.start().result(&server)["traces"].as_array().unwrap().iter().enumerate() {
        let spans = stored(server.port(), trace.as_str().unwrap());
        assert!(spans.len() == 2 && spans.contains_key(&format!("program {number}")), "{spans:?}");
    }
}

#[test]
fn whoever_says_where_spans_go_is_listened_to() {
    let server = DevServer::shared();
    let found = run_case(&server, "spans.py", "said_by_the_run");
    assert_eq!(found, serde_json::json!({ "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces" }));
    let (_data, server) = own_server(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    let found = run_case(&server, "spans.py", "said_by_nobody");
    assert_eq!(found, serde_json::json!({ "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc" }));
}

#[test]
fn what_was_answered_survives_a_kill_and_is_stored_once() {
    let (_data, mut server) = own_server(&[]);
    for round in 0..5 {
        let request = request_of(9, round * 100..round * 100 + 150);
        assert_eq!(send(&server, &request).accepted().partial_success, None);
        server.kill();
        server.restart();
        // Its sender has not got the answer, and sends it again.
        assert_eq!(send(&server, &request).accepted().partial_success, None);
        assert_eq!(count(server.port(), 9), 150 + 100 * usize::try_from(round).unwrap());
    }
}

#[test]
fn what_is_refused_is_said_and_the_rest_is_kept() {
    let server = DevServer::shared();
    let mut request = request_of(11, 0..5);
    let spans = &mut request.resource_spans[0].scope_spans[0].spans;
    spans[0].trace_id = vec![0; 16];
    spans[1].span_id = vec![1; 4];
    spans[2].name = "x".repeat(2 << 20);
    let partial = send(&server, &request).accepted().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 3);
    for reason in ["2 with an id of zeros or of a wrong length", "1 larger than 1048576 bytes"] {
        assert!(partial.error_message.contains(reason), "{}", partial.error_message);
    }
    assert_eq!(count(server.port(), 11), 2);
    // The same in the words of JSON, and packed.
    let headers = [("content-type", "application/json; charset=utf-8"), ("content-encoding", "gzip")];
    let text = serde_json::to_vec(&request).unwrap();
    let answer = post(server.port(), "/v1/traces", &headers, &gzipped(&text));
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["partialSuccess"]["rejectedSpans"], "3");
    assert_eq!(said["partialSuccess"]["errorMessage"], partial.error_message);
}

#[test]
fn a_trace_is_read_back_in_parts_and_in_protobuf() {
    let server = DevServer::shared();
    send(&server, &request_of(12, 0..20)).accepted();
    let url = format!("http://127.0.0.1:{}/v1/traces/{:032X}", server.port(), 12);
    let answer = answer_of(agent().get(&url).header("accept", PROTOBUF).call().unwrap());
    let decoded = |body: &[u8]| ExportTraceServiceRequest::decode(body).unwrap();
    assert!(decoded(&answer.body) == request_of(12, 0..20));
    let mut part = agent().get(format!("{url}?limit=3")).header("accept", PROTOBUF).call().unwrap();
    assert_eq!(part.headers()["spanwise-span-count"], "20");
    assert_eq!(decoded(&part.body_mut().read_to_vec().unwrap()), request_of(12, 0..3));
    for (trace, status) in [("0".repeat(32), 400), ("nonsense".to_owned(), 400), ("f".repeat(32), 404)] {
        let url = format!("http://127.0.0.1:{}/v1/traces/{trace}", server.port());
        assert_eq!(agent().get(url).call().unwrap().status(), status, "{trace}");
    }
}

#[test]
fn metrics_and_logs_are_taken_without_a_word() {
    let (_data, server) = own_server(&[]);
    for path in ["/v1/metrics", "/v1/logs", "/v1/metrics"] {
        let answer = post(server.port(), path, &[("content-type", PROTOBUF)], b"\x0a\x00");
        assert_eq!((answer.status, answer.content_type.as_str(), &answer.body[..]), (200, PROTOBUF, &b""[..]));
        let answer = post(server.port(), path, &[("content-type", "application/json")], b"{}");
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
    }
    assert_eq!(server.said().matches("taken and not kept").count(), 1, "{}", server.said());
}
