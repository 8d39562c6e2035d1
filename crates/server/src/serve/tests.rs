//! Connections that say nothing, or say it slowly, or are too many.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use axum::body::Bytes;
use axum::routing::{get, post};
use spanwise_blobs::{BlobUri, Blobs};

use super::*;
use crate::Durability;
use crate::blobs::s3;
use crate::blobs::signed::{self, Bound, Right, Signer};

const SHORT: Patience = Patience { quiet: Duration::from_millis(100), body: Duration::from_millis(300), rate: 1024 };

/// Far beyond what anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// More than the system holds of an answer that nobody reads.
const LARGE: usize = 32 << 20;

struct Site {
    address: SocketAddr,
    closing: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Site {
    async fn start(entrance: Entrance) -> Site {
        let slow = || async {
            tokio::time::sleep(4 * SHORT.quiet).await;
            "slow\n"
        };
        let taken = |body: Result<Bytes, axum::extract::rejection::BytesRejection>| async move {
            match body {
                Ok(body) => (http::StatusCode::OK, format!("{} bytes\n", body.len())),
                Err(error) => (http::StatusCode::REQUEST_TIMEOUT, format!("{error:?}\n")),
            }
        };
        let large = || async { Bytes::from_static(&[b'x'; LARGE]) };
        let router = Router::new()
            .route("/", get(|| async { "here\n" }))
            .route("/slow", get(slow))
            .route("/large", get(large))
            .route("/", post(taken));
        Site::of(router, entrance).await
    }

    async fn of(router: Router, entrance: Entrance) -> Site {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, closing) = (listener.local_addr().unwrap(), CancellationToken::new());
        let serving = tokio::spawn(serve(listener, router, Arc::new(entrance), closing.clone()));
        Site { address, closing, serving }
    }

    async fn open(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// All that comes until the connection is closed.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut text)).await;
    // A server that has not read all it was sent resets the connection behind its answer.
    let _ = read.expect("the connection is closed in time");
    text
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_and_one_with_a_slow_answer_is_not() {
    let site = Site::start(Entrance::with(None, 64, SHORT)).await;
    for begun in ["", "GET / HTTP/1.1\r\nhost: localhost\r\nx: ", "PRI * HTT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let begin = Instant::now();
        let said = rest(site.open(begun).await).await;
        assert!(!said.contains("200 OK"), "{begun:?}: {said}");
        assert!(begin.elapsed() >= SHORT.quiet, "{begun:?}");
    }
    let slow = site.open("GET /slow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(rest(slow).await.contains("slow\n"));
}

/// Its request has ended, as far as its body is concerned: hyper holds what the system does not take.
#[tokio::test]
async fn an_answer_that_is_read_late_is_not_cut_and_neither_at_the_servers_end() {
    let site = Site::start(Entrance::with(None, 64, SHORT)).await;
    let request = "GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let late = site.open(request).await;
    tokio::time::sleep(5 * SHORT.quiet + 2 * LEAVE).await;
    assert!(rest(late).await.len() > LARGE, "after a while");
    let mut late = site.open(request).await;
    late.read_u8().await.unwrap();
    site.closing.cancel();
    tokio::time::sleep(2 * LEAVE + SHORT.quiet).await;
    assert!(rest(late).await.len() > LARGE, "at the end");
    tokio::time::timeout(DEADLINE, site.serving).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn headers_that_trickle_do_not_keep_a_connection_open() {
    let site = Site::start(Entrance::with(None, 64, SHORT)).await;
    let mut stream = site.open("GET / HTTP/1.1\r\n").await;
    let begin = Instant::now();
    while stream.write_all(b"x: y\r\n").await.is_ok() {
        assert!(begin.elapsed() < DEADLINE, "it goes on for ever");
        tokio::time::sleep(SHORT.quiet / 10).await;
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_refused_and_one_that_comes_in_time_is_taken() {
    let site = Site::start(Entrance::with(None, 64, SHORT)).await;
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 4000\r\n\r\n";
    let said = rest(site.open(&format!("{head}123")).await).await;
    assert!(said.contains("408") && said.contains("TooSlow { bytes: 3"), "{said}");
    // More than a second's worth has come: there is time for the rest.
    let mut stream = site.open(&format!("{head}{}", "x".repeat(3000))).await;
    tokio::time::sleep(2 * SHORT.body).await;
    stream.write_all("x".repeat(1000).as_bytes()).await.unwrap();
    assert!(rest(stream).await.contains("4000 bytes"));
}

/// The SDK sends an upload again after a 408, and not after another refusal.
#[tokio::test]
async fn a_blob_that_trickles_is_to_be_sent_again_by_a_signed_url_and_by_s3() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(directory.path(), Durability::Process).unwrap();
    let signer = Signer::new([1; 32]);
    let uri = BlobUri::from_key("slow/blob").unwrap();
    let signed = signer.sign(Right::Write(Bound::default()), &uri, SystemTime::now() + DEADLINE);
    let router = signed::router(blobs.clone(), signer, None).merge(s3::router(blobs.clone(), s3::Access::Anyone));
    let site = Site::of(router, Entrance::with(None, 64, SHORT)).await;
    for (path, expected) in [(signed.as_str(), "408 Request Timeout"), ("/s3/spanwise/slow/blob", "RequestTimeout")] {
        let head =
            format!("PUT {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 4000\r\n\r\n");
        let said = rest(site.open(&format!("{head}123")).await).await;
        assert!(said.contains(expected), "{path}: {said}");
        assert!(blobs.get(&uri, u64::MAX).await.unwrap().is_none(), "half a blob is none");
    }
}

#[test]
fn the_same_trouble_is_said_once_in_a_while() {
    let (entrance, _) = Entrance::new(Users::All, 64);
    assert!(entrance.may_say("refuse"));
    assert!(!entrance.may_say("refuse") && entrance.may_say("peer"), "each kind by itself");
    entrance.said.lock().unwrap().iter_mut().for_each(|(_, at)| *at -= QUIET_LOG);
    assert!(entrance.may_say("refuse") && !entrance.may_say("refuse"), "it goes on, and is said again");
}

#[tokio::test]
async fn connections_beyond_the_room_wait_and_are_served_when_there_is_some() {
    let site = Site::start(Entrance::with(None, 2, Patience { quiet: DEADLINE, ..SHORT })).await;
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let idle = [site.open("").await, site.open("").await];
    let mut waiting = site.open(request).await;
    let early = tokio::time::timeout(Duration::from_millis(200), waiting.read_u8()).await;
    assert!(early.is_err(), "there is no room yet");
    drop(idle);
    assert!(rest(waiting).await.contains("here\n"));
}

#[tokio::test]
async fn a_server_that_closes_lets_requests_end() {
    let site = Site::start(Entrance::with(None, 64, Patience { quiet: DEADLINE, ..SHORT })).await;
    let idle = site.open("").await;
    let slow = site.open("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    // It is taken: another one behind it in the queue has been served.
    let served = site.open("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(rest(served).await.contains("here\n"));
    site.closing.cancel();
    let (slow, idle) = tokio::join!(rest(slow), rest(idle));
    assert!(slow.contains("slow\n") && idle.is_empty(), "{slow} {idle}");
    tokio::time::timeout(DEADLINE, site.serving).await.expect("it ends").unwrap();
    assert!(TcpStream::connect(site.address).await.is_err());
}

/// Where the kernel cannot be asked, other users are let in, and whoever starts the server is told so.
#[test]
fn a_server_that_cannot_tell_users_apart_says_so() {
    let (own, warning) = Entrance::new(Users::Own, 1024);
    assert_eq!(own.peers.is_none(), warning.is_some());
    let can_ask = cfg!(all(target_os = "linux", not(spanwise_portable)));
    assert_eq!(warning.is_none(), can_ask, "{warning:?}");
    assert!(warning.is_none_or(|warning| warning.contains("every user of this machine can use the server")));
    assert_eq!(Entrance::new(Users::All, 1024).1, None, "who lets all in has asked for it");
}
