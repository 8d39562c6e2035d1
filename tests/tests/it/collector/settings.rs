//! How a collector is switched on and off, where it listens, and how long it keeps what it has.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use super::{PROTOBUF, count, post, request_of, send, wait_until};
use crate::dev_server::{DevServer, binary};
use crate::python;

#[test]
fn serve_collects_if_asked_and_dev_unless_asked_not_to() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::serve(data.path(), &[]);
    let body = prost::Message::encode_to_vec(&request_of(51, 0..1));
    let refused = |server: &DevServer| {
        (400..500).contains(&post(server.port(), "/v1/traces", &[("content-type", PROTOBUF)], &body).status)
    };
    assert!(refused(&server));
    server.stop();
    let server = DevServer::serve(data.path(), &["--collector"]);
    send(&server, &request_of(51, 0..4)).accepted();
    assert_eq!(count(server.port(), 51), 4);
    server.stop();
    let server = DevServer::start_with(data.path(), &[("SPANWISE_COLLECTOR", "false")]);
    assert!(refused(&server));
}

#[test]
fn a_port_that_is_taken_is_a_warning() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let server = DevServer::start_with(data.path(), &[("SPANWISE_COLLECTOR_PORT", &port)]);
    wait_until("the warning", &server, || server.said().contains("the collector does not listen on"));
    send(&server, &request_of(52, 0..1)).accepted();
    assert_eq!(count(server.port(), 52), 1);
}

#[test]
fn the_newest_spans_stay_when_there_are_too_many() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start_with(data.path(), &[("SPANWISE_COLLECTOR_MAX_MIB", "2")]);
    for trace in 0..20 {
        send(&server, &request_of(60 + trace, 0..1_000)).accepted();
    }
    wait_until("the oldest are gone", &server, || count(server.port(), 60) == 0);
    assert_eq!(count(server.port(), 79), 1_000);
}

#[test]
fn a_setting_that_cannot_be_used_is_a_wrong_setting_whichever_it_is() {
    let data = tempfile::tempdir().unwrap();
    let secret = |name| [(name, "hush-hush://very secret")];
    for (options, environment, expected) in [
        (&["--tee-endpoint", "localhost:4318"][..], &[][..], "`localhost:4318` is not the address"),
        (&["--tee-endpoint", "http://x"], &secret("SPANWISE_TEE_HEADERS"), "header 1 is not"),
        (&["--smtp-from", "me@x.org"], &secret("SPANWISE_SMTP_URL"), "smtp_url is not the address of a mail server"),
        (&["--queue", "a concurrency=1", "--queue", "a depth=2"], &[], "queue `a` is set twice"),
    ] {
        for command in ["dev", "serve"] {
            let mut started = Command::new(binary());
            started.args([command, "--collector", "--port", "0"]).args(options).current_dir(data.path());
            python::remove_what_would_mislead(&mut started);
            started.envs(environment.iter().copied());
            let ended = started.stdin(Stdio::null()).output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(said.contains(expected) && !said.contains("hush-hush"), "{said}");
            assert_eq!(ended.status.code(), Some(2), "{said}");
        }
    }
}
