//! The collector of the real binary: real senders, the end of the process, more than it takes, another receiver, and harm.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::Value as Json;

use crate::dev_server::DevServer;

mod burst;
mod encodings;
mod harm;
mod senders;
mod settings;
mod strict;
mod tee;

/// How long anything is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

const PROTOBUF: &str = "application/x-protobuf";

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    content_type: String,
    retry_after: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    /// What an answer without an error says.
    fn accepted(&self) -> ExportTraceServiceResponse {
        assert_eq!((self.status, self.content_type.as_str()), (200, PROTOBUF), "{self:?}");
        ExportTraceServiceResponse::decode(&self.body[..]).unwrap()
    }

    /// The code and the message of an error.
    fn refused(&self) -> (i32, String) {
        assert_eq!(self.content_type, PROTOBUF, "{self:?}");
        let status = tonic_types::Status::decode(&self.body[..]).unwrap();
        (status.code, status.message)
    }
}

fn agent() -> &'static ureq::Agent {
    static AGENT: OnceLock<ureq::Agent> = OnceLock::new();
    AGENT.get_or_init(|| {
        ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).http_status_as_error(false).build().into()
    })
}

/// Sends a body as it is to a path of a server.
fn post(port: u16, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = agent().post(format!("http://127.0.0.1:{port}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer_of(request.send(body).unwrap_or_else(|error| panic!("POST {path}: {error}")))
}

fn answer_of(mut answer: ureq::http::Response<ureq::Body>) -> Answer {
    let header =
        |name: &str| answer.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    Answer { status: answer.status().as_u16(), content_type, retry_after, body }
}

fn send(server: &DevServer, request: &ExportTraceServiceRequest) -> Answer {
    post(server.port(), "/v1/traces", &[("content-type", PROTOBUF)], &request.encode_to_vec())
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Spans with these numbers in a trace.
fn request_of(trace: u128, numbers: impl IntoIterator<Item = u64>) -> ExportTraceServiceRequest {
    let text = |text: &str| Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    let attribute = |key: &str, value| KeyValue { key: key.to_owned(), value: text(value), ..KeyValue::default() };
    let span = |number: u64| Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: format!("span {number}"),
        kind: 1,
        start_time_unix_nano: 1_700_000_000_000_000_000 + number,
        end_time_unix_nano: 1_700_000_000_000_001_000 + number,
        attributes: ["first", "second", "third", "fourth"].map(|key| attribute(key, "some value or other")).to_vec(),
        ..Span::default()
    };
    let scope_spans = ScopeSpans { spans: numbers.into_iter().map(span).collect(), ..ScopeSpans::default() };
    let resource = Resource { attributes: vec![attribute("service.name", "e2e")], ..Resource::default() };
    let resource_spans =
        ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

/// The stored spans of a trace as JSON, by their names; none if nothing is stored.
fn stored(port: u16, trace: &str) -> BTreeMap<String, Json> {
    let answer = agent().get(format!("http://127.0.0.1:{port}/v1/traces/{trace}?limit=1000000")).call().unwrap();
    let answer = answer_of(answer);
    if answer.status == 404 {
        return BTreeMap::new();
    }
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"), "{answer:.300?}");
    let data: Json = serde_json::from_slice(&answer.body).unwrap();
    let lists = |value: &Json, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut spans = BTreeMap::new();
    for of_resource in lists(&data, "resourceSpans") {
        for of_scope in lists(&of_resource, "scopeSpans") {
            for mut span in lists(&of_scope, "spans") {
                span["resource"] = of_resource["resource"].clone();
                span["scope"] = of_scope["scope"]["name"].clone();
                let name = span["name"].as_str().unwrap().to_owned();
                assert!(spans.insert(name, span).is_none(), "a span is there twice: {data}");
            }
        }
    }
    spans
}

/// How many spans of a trace are stored.
fn count(port: u16, trace: u128) -> usize {
    let answer = agent().get(format!("http://127.0.0.1:{port}/v1/traces/{trace:032x}?limit=0")).call().unwrap();
    match answer.headers().get("spanwise-span-count") {
        None => 0,
        Some(count) => count.to_str().unwrap().parse().unwrap(),
    }
}

fn wait_until(what: &str, server: &DevServer, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}:\n{}", server.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The most memory that the process has had, in bytes.
fn peak(server: &DevServer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn own_server(environment: &[(&str, &str)]) -> (tempfile::TempDir, DevServer) {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start_with(data.path(), environment);
    (data, server)
}
