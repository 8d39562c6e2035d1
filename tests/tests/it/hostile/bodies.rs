//! Bodies that are too large, or become so: the refusal names the limit, and the server's memory stays where it is.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::{DEADLINE, assert_well, enveloped, gzipped, rpc, rpcs, send};
use crate::dev_server::DevServer;

/// What one such request may cost at most: the limit of a message and what is made from it.
const MOST_MEMORY: u64 = 160 << 20;

/// The most memory that the process has had, in bytes.
fn peak(server: &DevServer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn own_server() -> (tempfile::TempDir, DevServer) {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    (data, server)
}

/// Announces and sends a large body while the answer is awaited, as a client does that does not look before the end.
fn pour(server: &DevServer, path: &str, headers: &str, size: usize) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    connection.set_write_timeout(Some(DEADLINE)).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {size}\r\n\r\n");
    connection.write_all(head.as_bytes()).unwrap();
    let mut writer = connection.try_clone().unwrap();
    let pouring = std::thread::spawn(move || {
        let piece = vec![0; 1 << 16];
        let mut sent = 0;
        while sent < size && writer.write_all(&piece).is_ok() {
            sent += piece.len();
        }
    });
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
        match connection.read(&mut piece) {
            Ok(length @ 1..) => answer.extend_from_slice(&piece[..length]),
            _ => break,
        }
    }
    // The rest of the answer, as far as it is there.
    let _ = connection.read(&mut piece).map(|length| answer.extend_from_slice(&piece[..length]));
    let _ = connection.shutdown(std::net::Shutdown::Both);
    pouring.join().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_hundred_megabytes_are_refused_and_not_kept() {
    let (_data, server) = own_server();
    let before = peak(&server);
    for name in ["RunService/CreateRun", "DataProxyService/UploadInputs", "TaskService/DeployTask"] {
        let answer = pour(&server, &rpc(name).path, "content-type: application/proto\r\n", 100 << 20);
        assert!(answer.starts_with("HTTP/1.1 429"), "{name}: {answer}");
        assert!(answer.contains("resource_exhausted") && answer.contains("25165824"), "{name}: {answer}");
    }
    for rpc in rpcs().iter().filter(|rpc| rpc.streams) {
        let answer = pour(&server, &rpc.path, "content-type: application/connect+proto\r\n", 100 << 20);
        assert!(answer.contains("resource_exhausted"), "{}: {answer}", rpc.path);
    }
    let grown = peak(&server) - before;
    assert!(grown < MOST_MEMORY, "the server has grown by {} MiB", grown >> 20);
    assert_well(&server);
}

#[test]
fn a_body_that_unpacks_to_gigabytes_is_refused_at_the_limit() {
    let (_data, server) = own_server();
    // Two gibibytes of zeros in two mebibytes: a member of 256 MiB eight times, and a single one of 512 MiB.
    let member = gzipped(&vec![0; 256 << 20]);
    let single = gzipped(&vec![0; 512 << 20]);
    let before = peak(&server);
    for bomb in [member.repeat(8), single] {
        for rpc in rpcs() {
            let answer = if rpc.streams {
                let headers = [("content-type", "application/connect+proto"), ("connect-content-encoding", "gzip")];
                send(&server, &rpc.path, &headers, &enveloped(1, &bomb))
            } else {
                send(&server, &rpc.path, &[("content-type", "application/proto"), ("content-encoding", "gzip")], &bomb)
            };
            answer.assert_error(&rpc.path, "resource_exhausted", "25165824");
        }
    }
    let grown = peak(&server) - before;
    assert!(grown < MOST_MEMORY, "the server has grown by {} MiB", grown >> 20);
    assert_well(&server);
}

#[test]
fn many_small_elements_are_counted_by_what_they_take_in_memory() {
    let (_data, server) = own_server();
    let before = peak(&server);
    // Twelve million empty literals in 24 MB: `inputs.literals` of an upload.
    let elements = [0x0a, 0x00].repeat(11 << 20);
    let mut message = vec![0x32];
    let mut rest = elements.len();
    while rest >= 0x80 {
        message.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    message.push(rest as u8);
    message.extend_from_slice(&elements);
    let rpc = rpc("DataProxyService/UploadInputs");
    let answer = send(
        &server,
        &rpc.path,
        &[("content-type", "application/proto"), ("content-encoding", "gzip")],
        &gzipped(&message),
    );
    answer.assert_typed("twelve million literals");
    let grown = peak(&server) - before;
    assert!(grown < 3 * MOST_MEMORY, "the server has grown by {} MiB", grown >> 20);
    assert_well(&server);
}

#[test]
fn a_large_blob_goes_to_the_disk_and_not_through_memory() {
    let (_data, server) = own_server();
    let before = peak(&server);
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).build().into();
    let body = ureq::SendBody::from_owned_reader(std::io::repeat(7).take(100 << 20));
    let url = format!("http://127.0.0.1:{}/s3/spanwise/hostile/large", server.port());
    let put = agent.put(&url).header("content-length", (100 << 20).to_string()).send(body).unwrap();
    assert_eq!(put.status().as_u16(), 200);
    let grown = peak(&server) - before;
    assert!(grown < 48 << 20, "the server has grown by {} MiB", grown >> 20);
    assert_well(&server);
}
