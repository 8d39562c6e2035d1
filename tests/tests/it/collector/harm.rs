//! Requests that are broken, or made to do harm: each gets an answer that says what is wrong, and costs no memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use tonic::codec::CompressionEncoding;

use super::{DEADLINE, PROTOBUF, count, gzipped, own_server, peak, post, request_of, send};
use crate::dev_server::DevServer;

/// What one such request may cost at most.
const MOST_MEMORY: u64 = 192 << 20;

const TRACES: &str = "/v1/traces";

fn assert_well(server: &DevServer, trace: u128) {
    send(server, &request_of(trace, 0..3)).accepted();
    assert_eq!(count(server.port(), trace), 3);
}

/// Headers and body of a request, and the status and a word of its answer.
type Broken<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

#[test]
fn what_is_broken_is_refused_with_a_status() {
    let server = DevServer::shared();
    let whole = request_of(41, 0..100).encode_to_vec();
    let cut = &whole[..whole.len() - 10];
    let cases: [Broken<'_>; 8] = [
        (&[("content-type", PROTOBUF)], cut, 400, "no ExportTraceServiceRequest"),
        (&[("content-type", PROTOBUF)], b"\x0a\xff", 400, "no ExportTraceServiceRequest"),
        (&[("content-type", PROTOBUF)], b"\x08\x01", 400, "wire type"),
        (&[("content-type", PROTOBUF)], br#"{"resourceSpans":[]}"#, 400, "no ExportTraceServiceRequest"),
        (&[("content-type", PROTOBUF), ("content-encoding", "gzip")], &whole, 400, "gzip"),
        (&[("content-type", PROTOBUF), ("content-encoding", "gzip")], &gzipped(&whole)[..50], 400, "gzip"),
        (&[("content-type", PROTOBUF), ("content-encoding", "br")], &whole, 415, "`br` is not understood"),
        (&[("content-type", PROTOBUF), ("content-encoding", "gzip, gzip")], &whole, 415, "is not understood"),
    ];
    for (headers, body, status, word) in cases {
        let answer = post(server.port(), TRACES, headers, body);
        let (code, message) = answer.refused();
        assert!(answer.status == status && code == 3 && message.contains(word), "{word}: {status} {code} {message}");
    }
    for body in ["", "[]", "{", r#"{"resourceSpans":7}"#, r#"{"resourceSpans":[{"scopeSpans":[{"spans":7}]}]}"#] {
        let answer = post(server.port(), TRACES, &[("content-type", "application/json")], body.as_bytes());
        let error: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, answer.content_type.as_str(), &error["code"]), (400, "application/json", &3.into()));
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/grpc", ""] {
        let answer = post(server.port(), TRACES, &[("content-type", kind)], &whole);
        let text = String::from_utf8(answer.body).unwrap();
        assert!(answer.status == 415 && text.contains("application/x-protobuf"), "{kind}: {text}");
    }
    assert_eq!(count(server.port(), 41), 0);
    assert_well(&server, 42);
}

#[test]
fn only_this_machine_may_send() {
    let server = DevServer::shared();
    let body = request_of(43, 0..1).encode_to_vec();
    let headers = [("content-type", PROTOBUF), ("host", "example.com")];
    assert_eq!(post(server.port(), TRACES, &headers, &body).status, 421);
    let headers = [("content-type", PROTOBUF), ("origin", "https://example.com")];
    assert_eq!(post(server.port(), TRACES, &headers, &body).status, 403);
    assert_eq!(count(server.port(), 43), 0);
}

/// Sends a large body while the answer is awaited, and reads the head of the answer.
fn pour(server: &DevServer, size: usize) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!(
        "POST {TRACES} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {size}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    let mut writer = connection.try_clone().unwrap();
    let pouring = std::thread::spawn(move || {
        let piece = vec![0; 1 << 16];
        let mut sent = 0;
        while sent < size && writer.write_all(&piece).is_ok() {
            sent += piece.len();
        }
    });
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&answer).contains("send fewer spans") {
        match connection.read(&mut piece) {
            Ok(length @ 1..) => answer.extend_from_slice(&piece[..length]),
            _ => break,
        }
    }
    let _ = connection.shutdown(std::net::Shutdown::Both);
    pouring.join().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_is_too_large_or_becomes_so_costs_no_memory() {
    let (_data, server) = own_server(&[]);
    assert_well(&server, 44);
    let before = peak(&server);
    for size in [100 << 20, 4 << 30] {
        let answer = pour(&server, size);
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("33554432"), "{answer}");
    }
    // A gibibyte of zeros.
    let bomb = gzipped(&vec![0; 32 << 20]).repeat(32);
    for content_type in [PROTOBUF, "application/json"] {
        let headers = [("content-type", content_type), ("content-encoding", "gzip")];
        let answer = post(server.port(), TRACES, &headers, &bomb);
        assert_eq!(answer.status, 413, "{answer:.200?}");
    }
    // Many small parts, each of which would be a hundred bytes in memory.
    let parts = b"\x0a\x00".repeat(4 << 20);
    assert_eq!(post(server.port(), TRACES, &[("content-type", PROTOBUF)], &parts).status, 200);
    let text = format!(r#"{{"resourceSpans":[{}{{}}]}}"#, "{},".repeat(2 << 20));
    assert_eq!(post(server.port(), TRACES, &[("content-type", "application/json")], text.as_bytes()).status, 200);
    let grown = peak(&server) - before;
    assert!(grown < MOST_MEMORY, "the server has grown by {} MiB", grown >> 20);
    assert_well(&server, 45);
}

#[test]
fn the_same_over_grpc() {
    let (_data, server) = own_server(&[]);
    assert_well(&server, 46);
    let before = peak(&server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = format!("http://127.0.0.1:{}", server.port());
    let refused = runtime.block_on(async {
        let client = TraceServiceClient::connect(address.clone()).await.unwrap();
        let mut client = client.max_encoding_message_size(usize::MAX).send_compressed(CompressionEncoding::Gzip);
        let mut bomb = request_of(47, 0..1);
        bomb.resource_spans[0].scope_spans[0].spans[0].name = "x".repeat(200 << 20);
        client.export(bomb).await.unwrap_err()
    });
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused}");
    assert!(refused.details().is_empty(), "it would be the same the next time: {refused}");
    let accepted = runtime.block_on(async {
        let client = TraceServiceClient::connect(address.clone()).await.unwrap();
        client.send_compressed(CompressionEncoding::Gzip).export(request_of(48, 0..7)).await.unwrap()
    });
    assert_eq!((accepted.into_inner().partial_success, count(server.port(), 48)), (None, 7));
    let grown = peak(&server) - before;
    assert!(grown < MOST_MEMORY, "the server has grown by {} MiB", grown >> 20);
    assert_well(&server, 49);
}
