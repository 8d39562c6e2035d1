//! HTTP that no client library would send: other hosts, other sites, two lengths, heads without an end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{assert_well, rpc};
use crate::dev_server::DevServer;

/// A server that has nothing more to say and keeps the connection is not waited for any longer.
const SILENCE: Duration = Duration::from_secs(3);

/// What comes back until the server closes.
fn exchange(server: &DevServer, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    connection.set_read_timeout(Some(SILENCE)).unwrap();
    // A server that refuses early closes before all is written.
    let _ = connection.write_all(request);
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(server: &DevServer, headers: &str) -> String {
    exchange(server, format!("GET /healthz HTTP/1.1\r\nconnection: close\r\n{headers}\r\n").as_bytes())
}

#[test]
fn another_host_is_misdirected() {
    let server = DevServer::shared();
    for own in ["localhost", "127.0.0.1:1234", "[::1]:80", "LOCALHOST"] {
        assert!(get(&server, &format!("host: {own}\r\n")).starts_with("HTTP/1.1 200"), "{own}");
    }
    for foreign in
        ["example.com", "localhost.example.com", "127.0.0.1.example.com", "0.0.0.0", "", "\u{e9}vil", "[::2]"]
    {
        let answer = get(&server, &format!("host: {foreign}\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 421") && answer.contains("localhost and 127.0.0.1"),
            "{foreign}: {answer}"
        );
    }
    let none = get(&server, "");
    assert!(none.starts_with("HTTP/1.1 4"), "{none}");
    for path in
        [rpc("RunService/CreateRun").path.as_str(), "/s3/spanwise/x", "/v2/domain/d/project/p/runs/r", "/nowhere"]
    {
        let request =
            format!("POST {path} HTTP/1.1\r\nhost: example.com\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let answer = exchange(&server, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 421"), "{path}: {answer}");
    }
    assert_well(&server);
}

#[test]
fn a_page_of_another_site_cannot_write() {
    let server = DevServer::shared();
    // What a form or a `fetch` without permission can send.
    for origin in ["https://example.com", "null", "http://localhost.example.com"] {
        for kind in ["multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencoded"] {
            let request = format!(
                "POST /s3/spanwise HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\ncontent-type: {kind}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let answer = exchange(&server, request.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 403"), "{origin} {kind}: {answer}");
        }
    }
    // It gets nothing either: a page that says where it is from wants to read what it may not.
    assert!(get(&server, "host: localhost\r\norigin: https://example.com\r\n").starts_with("HTTP/1.1 403"));
    assert_well(&server);
}

#[test]
fn a_request_with_two_ends_is_refused() {
    let server = DevServer::shared();
    let path = &rpc("RunService/CreateRun").path;
    let heads = [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length: 5, 6\r\n",
        "content-length: 0x5\r\n",
        "content-length: 18446744073709551617\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding : chunked\r\n",
        "content-length : 5\r\n",
        "x-folded: a\r\n\tb: c\r\n",
        "x-nul: a\0b\r\n",
    ];
    for head in heads {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\n{head}\r\nhelloGET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n"
        );
        let answer = exchange(&server, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
        assert!(!answer.contains("ready\n"), "{head:?}: {answer}");
    }
    // Chunks that do not say how long they are.
    for chunk in ["5x\r\nhello\r\n", "-5\r\nhello\r\n", "fffffffffffffffff\r\n", "5\r\nhelloX\r\n0\r\n\r\n"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\ntransfer-encoding: chunked\r\n\r\n{chunk}GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n"
        );
        let answer = exchange(&server, request.as_bytes());
        assert!(!answer.starts_with("HTTP/1.1 2") && !answer.contains("ready\n"), "{chunk:?}: {answer}");
    }
    assert_well(&server);
}

#[test]
fn a_head_that_is_none_or_too_long_is_refused() {
    let server = DevServer::shared();
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(1 << 20));
    let long_header = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(100_000));
    let none = ["GET\r\n\r\n", "\0\0\0\0\r\n\r\n", "GET /healthz HTTP/9.9\r\n\r\n", "\u{16}\u{3}\u{1}\0\u{5}hello"];
    for head in none {
        let answer = exchange(&server, head.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer:.200}");
    }
    for head in [&long_path, &long_header, &many] {
        let begun = Instant::now();
        let answer = exchange(&server, head.as_bytes());
        // What is closed while it is written to may take the answer along; it is closed at once all the same.
        let is_refused = answer.starts_with("HTTP/1.1 4") || (answer.is_empty() && begun.elapsed() < SILENCE);
        assert!(is_refused, "{head:.40}: {answer:.200}");
    }
    // Half a head, and gone.
    let mut half = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    half.write_all(b"POST /flyteidl2.workflow.RunService/CreateRun HTTP/1.1\r\nhost: loc").unwrap();
    drop(half);
    assert_well(&server);
}

#[test]
fn a_path_cannot_climb_out_of_the_store() {
    let server = DevServer::shared();
    let paths = [
        "/s3/spanwise/../../etc/passwd",
        "/s3/spanwise/..%2f..%2fetc/passwd",
        "/s3/spanwise/%2e%2e/%2e%2e/etc/passwd",
        "/s3/spanwise/a%00b",
        "/s3/../etc/passwd",
        "/s3/..%2f/x",
        "/s3/other/x",
        "/blob/x/../../etc/passwd",
        "/blob/AAAA/a",
        "/blob//a",
        "/v2/domain/../project/../runs/..",
        "/v2/domain/%2e%2e/project/%2e%2e/runs/%2e%2e",
        "/v2/domain/%ff/project/p/runs/r",
    ];
    for path in paths {
        for method in ["GET", "HEAD"] {
            let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            let answer = exchange(&server, request.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 4"), "{method} {path}: {answer}");
            assert!(!answer.contains("root:"), "{method} {path}: {answer}");
        }
    }
    assert_well(&server);
}
