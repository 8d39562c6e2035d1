//! S1.10: a caller's `traceparent` as the custom context of a run, through two tasks and an HTTP call.

use crate::program::{Program, program};
use crate::receiver::Receiver;
use crate::spans::{attributes, hex, traceparent};
use crate::web::Web;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// Both readers of headers: Spanwise's own, and the propagator of the OpenTelemetry SDK.
fn programs() -> [Program; 2] {
    [program!("joined"), program!("baggage")]
}

#[tokio::test]
async fn s1_10_flags_03_never_start_a_new_trace() {
    // What is re-injected is the injector's own affair: Spanwise keeps the flags, and opentelemetry 0.33 loses the random bit.
    for (program, flags) in programs().into_iter().zip(["03", "01"]) {
        let (web, receiver) = (Web::start().await, Receiver::http().await);
        let program = program.arg(web.url()).env("TRACEPARENT", format!("00-{TRACE}-{SPAN}-03"));
        program.export_to(&receiver).succeed().await;
        let spans = receiver.spans();
        assert_eq!(spans.names(), ["GET", "fetch", "main"]);
        assert_eq!(spans.path("GET"), "main > fetch > GET");
        assert_eq!(spans.trace_id(), TRACE);
        assert_eq!(hex(&spans.one("main").parent_span_id), SPAN);
        let get = hex(&spans.one("GET").span_id);
        assert_eq!(web.header("traceparent"), Some(format!("00-{TRACE}-{get}-{flags}")));
    }
}

#[tokio::test]
async fn s1_10_flags_00_export_nothing_and_the_ids_flow() {
    for program in programs() {
        let (web, receiver) = (Web::start().await, Receiver::http().await);
        let program = program.arg(web.url()).env("TRACEPARENT", format!("00-{TRACE}-{SPAN}-00"));
        program.export_to(&receiver).succeed().await;
        assert_eq!(receiver.spans().names(), [""; 0]);
        let seen = web.header("traceparent").unwrap();
        assert!(seen.starts_with(&format!("00-{TRACE}-")) && seen.ends_with("-00"), "{seen}");
    }
}

#[tokio::test]
async fn s1_10_a_malformed_header_is_ignored_and_a_new_trace_begins() {
    let upper = format!("00-{}-{SPAN}-01", TRACE.to_uppercase());
    let zero = format!("00-{}-{SPAN}-01", "0".repeat(32));
    let long = format!("00-{TRACE}-{SPAN}-01-more");
    for header in [upper.as_str(), &zero, &long, "nonsense", "00-é-é-01"] {
        for program in programs() {
            let (web, receiver) = (Web::start().await, Receiver::http().await);
            let ended = program.arg(web.url()).env("TRACEPARENT", header).export_to(&receiver).succeed().await;
            assert_eq!(ended.stdout.lines().last(), Some("200"));
            let spans = receiver.spans();
            assert_eq!(spans.path("GET"), "main > fetch > GET", "{header}");
            assert!(spans.one("main").parent_span_id.is_empty(), "{header}");
            assert_ne!(spans.trace_id(), TRACE);
            assert_eq!(web.header("traceparent"), Some(traceparent(spans.one("GET"))), "{header}");
        }
    }
}

#[tokio::test]
async fn s1_10_tracestate_and_baggage_cross_two_tasks() {
    let (web, receiver) = (Web::start().await, Receiver::http().await);
    let program = program!("baggage").arg(web.url()).env("TRACEPARENT", format!("00-{TRACE}-{SPAN}-01"));
    let program = program.env("TRACESTATE", "congo=t61rcWkgMzE,rojo=00f067aa").env("BAGGAGE", "tenant=acme%20ltd");
    program.export_to(&receiver).succeed().await;
    let spans = receiver.spans();
    assert_eq!(attributes(spans.one("fetch"))["tenant"], "acme ltd");
    for span in &spans.all {
        assert_eq!(span.trace_state, "congo=t61rcWkgMzE,rojo=00f067aa", "{}", span.name);
    }
    assert_eq!(web.header("tracestate").as_deref(), Some("congo=t61rcWkgMzE,rojo=00f067aa"));
    assert_eq!(web.header("baggage").as_deref(), Some("tenant=acme%20ltd"));
}

#[tokio::test]
async fn s1_10_tracestate_needs_no_propagator() {
    let (web, receiver) = (Web::start().await, Receiver::http().await);
    let program = program!("joined").arg(web.url()).env("TRACEPARENT", format!("00-{TRACE}-{SPAN}-01"));
    program.env("TRACESTATE", "rojo=00f067aa").export_to(&receiver).succeed().await;
    assert_eq!(receiver.spans().one("GET").trace_state, "rojo=00f067aa");
    assert_eq!(web.header("tracestate").as_deref(), Some("rojo=00f067aa"));
}

#[tokio::test]
async fn s1_10_without_a_provider_the_header_flows_unchanged() {
    let web = Web::start().await;
    let header = format!("00-{TRACE}-{SPAN}-03");
    let program = program!("joined").arg(web.url()).env("TRACEPARENT", &header).env("OTEL_TRACES_EXPORTER", "none");
    program.env("TRACESTATE", "rojo=00f067aa").succeed().await;
    assert_eq!(web.header("traceparent"), Some(header));
    assert_eq!(web.header("tracestate").as_deref(), Some("rojo=00f067aa"));
}
