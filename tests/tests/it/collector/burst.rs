//! More than the collector takes at one time: it says so, its memory stays where it is, and whoever tries again loses nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use tonic_types::StatusExt as _;

use super::{DEADLINE, PROTOBUF, count, own_server, peak, post, request_of, send};
use crate::dev_server::DevServer;

/// What the process may take more than before, at most: twice what requests may take, for the allocator.
const MOST_MEMORY: u64 = 192 << 20;

/// A request that has almost arrived: it takes memory, and does not come to its end yet.
struct Pending(TcpStream);

impl Pending {
    fn start(server: &DevServer, size: usize) -> Pending {
        let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        connection.set_read_timeout(Some(DEADLINE)).unwrap();
        let head =
            format!("POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {PROTOBUF}\r\n");
        connection.write_all(format!("{head}content-length: {size}\r\n\r\n").as_bytes()).unwrap();
        // A field that nobody knows, as long as the rest, with a length of five bytes.
        let mut field = vec![0xa2, 0x38];
        field.extend((0..4).map(|place| ((size - 7) >> (7 * place)) as u8 | 0x80).chain([0]));
        connection.write_all(&field).unwrap();
        connection.write_all(&vec![0; size - 8]).unwrap();
        Pending(connection)
    }

    fn finish(mut self) -> String {
        self.0.write_all(&[0]).unwrap();
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
fn a_full_collector_says_when_to_come_again_over_http_and_over_grpc() {
    let (_data, server) = own_server(&[]);
    let pending: Vec<Pending> = (0..2).map(|_| Pending::start(&server, 22 << 20)).collect();
    let request = request_of(21, 0..30_000);
    assert!((5 << 20..7 << 20).contains(&request.encoded_len()), "{}", request.encoded_len());
    let full = || send(&server, &request);
    super::wait_until("both requests are there", &server, || full().status == 429);
    let answer = full();
    assert_eq!(answer.retry_after.as_deref(), Some("1"));
    let (code, message) = answer.refused();
    assert!(code == 8 && message.contains("again in a moment"), "{code} {message}");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let over_grpc = || {
        runtime.block_on(async {
            let address = format!("http://127.0.0.1:{}", server.port());
            let client = TraceServiceClient::connect(address).await.unwrap();
            client.max_encoding_message_size(usize::MAX).export(request.clone()).await
        })
    };
    let refused = over_grpc().unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused}");
    let delay = refused.get_details_retry_info().and_then(|info| info.retry_delay);
    assert_eq!(delay, Some(Duration::from_secs(1)));

    // What is small still finds room, and what was refused does when the others have gone.
    send(&server, &request_of(22, 0..10)).accepted();
    for pending in pending {
        let answer = pending.finish();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(over_grpc().unwrap().into_inner().partial_success, None);
    send(&server, &request).accepted();
    assert_eq!((count(server.port(), 21), count(server.port(), 22)), (30_000, 10));
}

#[test]
fn a_burst_of_200_000_spans_arrives_in_bounded_memory() {
    const SENDERS: u64 = 100;
    const REQUESTS: u64 = 2;
    const SPANS: u64 = 1_000;
    let (_data, server) = own_server(&[]);
    send(&server, &request_of(31, 0..1)).accepted();
    let before = peak(&server);
    let refused = Arc::new(AtomicU64::new(0));
    let all_at_once = Arc::new(Barrier::new(usize::try_from(SENDERS).unwrap()));
    let port = server.port();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (refused, all_at_once) = (Arc::clone(&refused), Arc::clone(&all_at_once));
            std::thread::spawn(move || {
                for number in 0..REQUESTS {
                    let first = (sender * REQUESTS + number) * SPANS;
                    // Five times the attributes: most of a MiB a request.
                    let mut request = request_of(32, first..first + SPANS);
                    for span in &mut request.resource_spans[0].scope_spans[0].spans {
                        span.attributes = std::iter::repeat_n(span.attributes.clone(), 5).flatten().collect();
                    }
                    let body = request.encode_to_vec();
                    all_at_once.wait();
                    loop {
                        let answer = post(port, "/v1/traces", &[("content-type", PROTOBUF)], &body);
                        match answer.status {
                            429 => refused.fetch_add(1, Ordering::Relaxed),
                            _ => break assert_eq!(answer.accepted().partial_success, None),
                        };
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    assert_eq!(count(port, 32), usize::try_from(SENDERS * REQUESTS * SPANS).unwrap());
    // Whether the bound is reached depends on the machine; what happens then has a test of its own.
    let grown = peak(&server) - before;
    eprintln!("{} requests were sent to wait, {} MiB", refused.load(Ordering::Relaxed), grown >> 20);
    assert!(grown < MOST_MEMORY, "the server has grown by {} MiB", grown >> 20);
}
