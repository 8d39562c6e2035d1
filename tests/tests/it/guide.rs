//! The guide on OpenTelemetry, word for word, with the stock Python SDK and a real web service and collector.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::dev_server::{DevServer, status_of};
use crate::python::Program;

/// What the services have been sent.
#[derive(Clone, Default)]
struct Received {
    spans: Arc<Mutex<Vec<Span>>>,
    traceparents: Arc<Mutex<Vec<String>>>,
}

/// A web service with one page, and an OTLP receiver; they live as long as the runtime.
pub(crate) struct Services {
    received: Received,
    page: String,
    collector: String,
    _runtime: Runtime,
}

impl Services {
    pub(crate) fn start() -> Services {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let received = Received::default();
        let app = axum::Router::new()
            .route("/get", axum::routing::get(page))
            .route("/v1/traces", axum::routing::post(traces))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(received.clone());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async { axum::serve(listener, app).await });
        Services { received, page: format!("{address}/get"), collector: address, _runtime: runtime }
    }

    pub(crate) fn page(&self) -> &str {
        &self.page
    }

    pub(crate) fn collector(&self) -> &str {
        &self.collector
    }

    /// The spans that the guide's code opens. With a global tracer provider the SDK's own HTTP client makes spans as well.
    fn spans_of_the_guide(&self) -> Vec<Span> {
        let spans = self.received.spans.lock().unwrap();
        spans.iter().filter(|span| ["workflow_run", "main", "fetch", "GET"].contains(&&*span.name)).cloned().collect()
    }
}

async fn page(State(received): State<Received>, headers: HeaderMap) -> &'static str {
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default();
    received.traceparents.lock().unwrap().push(traceparent.to_owned());
    "a page"
}

async fn traces(State(received): State<Received>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    received.spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
    StatusCode::OK
}

/// A `docker` that writes down that it was called, and fails.
fn stand_in_for_docker(folder: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.join("docker");
    std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> '{}'\nexit 1\n", calls(folder).display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
}

fn calls(folder: &Path) -> std::path::PathBuf {
    folder.join("calls")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One trace, one line of descent, and the service saw its last span.
fn check_trace(services: &Services, carrier: &str) {
    let root = check_trace_of(services);
    assert_eq!(&carrier[..52], format!("00-{}-{}", hex(&root.trace_id), hex(&root.span_id)));
}

/// The same without the carrier; gives the first span.
pub(crate) fn check_trace_of(services: &Services) -> Span {
    let spans = services.spans_of_the_guide();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    let one = |name: &str| match spans.iter().filter(|span| span.name == name).collect::<Vec<_>>()[..] {
        [span] => span,
        _ => panic!("one span `{name}` is expected among {names:?}"),
    };
    let line = ["workflow_run", "main", "fetch", "GET"].map(one);
    for pair in line.windows(2) {
        assert_eq!(hex(&pair[1].parent_span_id), hex(&pair[0].span_id), "{} > {}", pair[0].name, pair[1].name);
        assert_eq!(hex(&pair[1].trace_id), hex(&pair[0].trace_id), "{} > {}", pair[0].name, pair[1].name);
    }
    let [root, .., get] = line;
    assert!(root.parent_span_id.is_empty());
    let traceparents = services.received.traceparents.lock().unwrap();
    let [traceparent] = &traceparents[..] else { panic!("one request is expected: {traceparents:?}") };
    assert_eq!(&traceparent[..52], format!("00-{}-{}", hex(&get.trace_id), hex(&get.span_id)));
    root.clone()
}

fn check(program: &str) {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = stand_in_for_docker(folder.path());
    let services = Services::start();
    let server = DevServer::start_with(data.path(), &[("PATH", &path)]);
    let driver = Program::new(&server, program).env("PATH", &path).env("GUIDE_URL", &services.page);
    let result = driver.env("OTEL_EXPORTER_OTLP_ENDPOINT", &services.collector).start().result(&server);

    assert_eq!(result["status"], 200);
    assert_eq!(result["actions"], json!({ "guide.main": "succeeded", "guide.fetch": "succeeded" }));
    check_trace(&services, result["carrier"]["traceparent"].as_str().unwrap());
    assert_eq!(status_of(result["url"].as_str().unwrap()), Some(200), "{}", result["url"]);
    let calls = std::fs::read_to_string(calls(folder.path()));
    assert!(calls.is_err(), "docker was called: {calls:?}");
    server.stop();
}

#[test]
fn the_guide_gives_one_trace() {
    check("guide.py");
}

#[test]
fn the_guide_with_its_decorator_gives_one_trace() {
    check("guide_decorator.py");
}
