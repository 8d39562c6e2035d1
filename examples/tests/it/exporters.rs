//! The seed trace through every exporter, and through every way to make it.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use crate::program::{Ended, Program, program};
use crate::receiver::Receiver;
use crate::spans::{SpanKind, Spans, attributes, kind, status, traceparent};
use crate::web::Web;

/// `workflow_run > main > fetch > GET`, one trace, and the web service saw the GET span.
fn check_seed(spans: &Spans, web: &Web) {
    spans.check();
    assert_eq!(spans.names(), ["GET", "fetch", "main", "workflow_run"]);
    assert_eq!(spans.path("GET"), "workflow_run > main > fetch > GET");
    assert_ne!(spans.trace_id(), "0".repeat(32));
    assert_eq!(spans.services.iter().collect::<Vec<_>>(), ["my.app"]);
    assert!(spans.one("workflow_run").parent_span_id.is_empty());
    for span in &spans.all {
        assert_eq!(span.flags & 0xff, 1, "{} is sampled", span.name);
        let expected = if span.name == "GET" { SpanKind::Client } else { SpanKind::Internal };
        assert_eq!(kind(span), expected, "{}", span.name);
        assert_eq!(status(span), "Unset", "{}", span.name);
    }
    let get = spans.one("GET");
    let expected = [
        ("http.request.method", "GET".to_owned()),
        ("http.response.status_code", "200".to_owned()),
        ("server.address", "127.0.0.1".to_owned()),
        ("server.port", web.port().to_string()),
        ("url.full", web.url()),
    ];
    assert_eq!(attributes(get), expected.map(|(key, value)| (key.to_owned(), value)).into());
    assert_eq!(web.header("traceparent"), Some(traceparent(get)));
}

/// The two lines that an example prints: where the run is, and the status of the page.
fn check_printed(ended: &Ended) {
    let lines: Vec<_> = ended.stdout.lines().collect();
    let [url, result] = lines[..] else { panic!("{}", ended.stdout) };
    assert!(url.starts_with("http://localhost:8585/v2/domain/development/project/flytesnacks/runs/r"), "{url}");
    assert!(url.contains("spanwise dev --data-dir"), "{url}");
    assert_eq!(result, "200");
}

async fn check_with(program: Program, receiver: Receiver) {
    let web = Web::start().await;
    check_printed(&program.arg(web.url()).export_to(&receiver).succeed().await);
    check_seed(&receiver.spans(), &web);
}

#[tokio::test]
async fn by_hand() {
    check_with(program!("by_hand"), Receiver::http().await).await;
}

#[tokio::test]
async fn with_the_tracing_crate() {
    check_with(program!("tracing_crate"), Receiver::http().await).await;
}

#[tokio::test]
async fn otlp_http_protobuf() {
    check_with(program!("otlp_http"), Receiver::http().await).await;
}

#[tokio::test]
async fn otlp_grpc() {
    check_with(program!("otlp_grpc"), Receiver::grpc().await).await;
}

#[tokio::test]
async fn jaeger_takes_otlp() {
    check_with(program!("jaeger"), Receiver::grpc().await).await;
}

#[tokio::test]
async fn otlp_http_json() {
    let (web, receiver) = (Web::start().await, Receiver::http().await);
    program!("otlp_http_json").arg(web.url()).export_to(&receiver).succeed().await;
    let exports = receiver.exports();
    assert!(!exports.is_empty());
    for export in &exports {
        assert_eq!(
            (export.path.as_str(), &export.headers["content-type"]),
            ("/v1/traces", &"application/json".parse().unwrap())
        );
    }
    check_seed(&Spans::of(exports.into_iter().map(|export| export.request)), &web);
}

#[tokio::test]
async fn a_file_of_json_lines() {
    let web = Web::start().await;
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("spans.jsonl");
    check_printed(&program!("json_lines").arg(web.url()).arg(&file).succeed().await);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<ExportTraceServiceRequest>(line).unwrap());
    check_seed(&Spans::of(lines), &web);
    // Ids are hexadecimal text in OTLP-JSON, not base64.
    assert!(text.contains(&format!("\"traceId\":\"{}\"", &web.header("traceparent").unwrap()[3..35])), "{text}");
}

#[tokio::test]
async fn the_guide_prints_to_the_console() {
    let web = Web::start().await;
    let ended = program!("guide").arg(web.url()).succeed().await;
    let traceparent = web.header("traceparent").unwrap();
    let (trace_id, span_id) = (&traceparent[3..35], &traceparent[36..52]);
    assert_eq!(ended.stdout.matches(trace_id).count(), 4, "{}", ended.stdout);
    assert!(ended.stdout.contains(span_id), "{}", ended.stdout);
    for expected in ["workflow_run", "main", "fetch", "GET", "my.app", "\n200\n"] {
        assert!(ended.stdout.contains(expected), "{expected} in {}", ended.stdout);
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_is_an_answer_and_an_error_of_the_span() {
    let (web, receiver) = (Web::start().await, Receiver::http().await);
    let url = web.url().replace("/get", "/missing");
    let ended = program!("otlp_http").arg(url).export_to(&receiver).succeed().await;
    assert_eq!(ended.stdout.lines().last(), Some("404"));
    let spans = receiver.spans();
    assert_eq!(status(spans.one("GET")), "Error: ");
    assert_eq!(attributes(spans.one("GET"))["error.type"], "404");
    assert_eq!(status(spans.one("fetch")), "Unset");
}

#[tokio::test]
async fn a_receiver_that_refuses_or_never_answers_does_not_fail_the_run() {
    let web = Web::start().await;
    // Nobody accepts: connections wait in the queue of the listener. Without a listener they are refused.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), closed] {
        let program = program!("otlp_http").arg(web.url()).env("OTEL_EXPORTER_OTLP_TIMEOUT", "500");
        let ended = program.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")).succeed().await;
        check_printed(&ended);
    }
}
