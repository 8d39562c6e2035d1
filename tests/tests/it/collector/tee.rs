//! What arrives is forwarded: to a receiver that is there, one that comes late, and one that has its moods.

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tokio::net::TcpListener;

use super::{count, own_server, request_of, send, stored, wait_until};

#[test]
fn a_second_collector_gets_what_the_first_one_got_even_if_it_comes_late() {
    let (_data, mut second) = own_server(&[]);
    let endpoint = format!("http://127.0.0.1:{}", second.port());
    let (_more, first) = own_server(&[("SPANWISE_TEE_ENDPOINT", &endpoint)]);
    for _ in 0..2 {
        send(&first, &request_of(71, 0..50)).accepted();
    }
    wait_until("what is forwarded", &second, || count(second.port(), 71) == 50);
    let trace = format!("{:032x}", 71);
    assert_eq!(stored(second.port(), &trace), stored(first.port(), &trace));
    second.kill();
    let begin = Instant::now();
    for number in 1..10 {
        send(&first, &request_of(71, number * 50..(number + 1) * 50)).accepted();
    }
    assert!(begin.elapsed().as_secs() < 5, "nobody waits for the receiver");
    second.restart();
    wait_until("what was forwarded late", &second, || count(second.port(), 71) == 500);
    assert_eq!(stored(second.port(), &trace), stored(first.port(), &trace));
}

#[derive(Clone, Default)]
struct Moody {
    /// What it answers, in turn; then 200.
    answers: Arc<Mutex<Vec<StatusCode>>>,
    received: Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>,
}

impl Moody {
    fn names(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        let scopes =
            received.iter().flat_map(|(_, request)| &request.resource_spans).flat_map(|part| &part.scope_spans);
        scopes.flat_map(|part| &part.spans).map(|span| span.name.clone()).collect()
    }
}

async fn receive(State(moody): State<Moody>, headers: HeaderMap, body: axum::body::Bytes) -> Response {
    let mut answers = moody.answers.lock().unwrap();
    if !answers.is_empty() {
        return (answers.remove(0), [("retry-after", "0")]).into_response();
    }
    let mut message = Vec::new();
    GzDecoder::new(&body[..]).read_to_end(&mut message).unwrap();
    moody.received.lock().unwrap().push((headers, ExportTraceServiceRequest::decode(&message[..]).unwrap()));
    ([("content-type", "application/x-protobuf")], "").into_response()
}

#[test]
fn a_receiver_is_tried_again_as_long_as_that_makes_sense() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let moody = Moody::default();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let endpoint = format!("http://{}/otlp/", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/otlp/v1/traces", axum::routing::post(receive)).with_state(moody.clone());
    runtime.spawn(async move { axum::serve(listener, router).await });
    let environment =
        [("SPANWISE_TEE_ENDPOINT", endpoint.as_str()), ("SPANWISE_TEE_HEADERS", "api-key=s%20ecret,x-dataset=tests")];
    let (_data, server) = own_server(&environment);

    let later = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    *moody.answers.lock().unwrap() = later.to_vec();
    send(&server, &request_of(72, 0..1)).accepted();
    wait_until("the fifth try", &server, || moody.names() == ["span 0"]);
    let headers = moody.received.lock().unwrap()[0].0.clone();
    let expected = [
        ("api-key", "s ecret"),
        ("x-dataset", "tests"),
        ("content-encoding", "gzip"),
        ("content-type", "application/x-protobuf"),
    ];
    for (name, value) in expected {
        assert_eq!(headers[name], value);
    }

    // One that will not be taken the next time either is given up, and the next one is not.
    *moody.answers.lock().unwrap() = vec![StatusCode::UNAUTHORIZED];
    send(&server, &request_of(72, 1..2)).accepted();
    wait_until("what is said", &server, || server.said().contains("not forwarded: the receiver answers 401"));
    assert!(!server.said().contains("ecret"), "{}", server.said());
    send(&server, &request_of(72, 2..3)).accepted();
    wait_until("the next one", &server, || moody.names() == ["span 0", "span 2"]);
    assert_eq!(count(server.port(), 72), 3);
    // What waits at the end is sent before it.
    send(&server, &request_of(72, 3..4)).accepted();
    server.stop();
    assert_eq!(moody.names(), ["span 0", "span 2", "span 3"]);
}
