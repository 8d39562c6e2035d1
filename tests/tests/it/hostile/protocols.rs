//! What many clients together see: one port for three protocols, no pause between small calls, no work for those that only wait.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use connectrpc::client::{ClientConfig, ClientTransport, Http2Connection, HttpClient};
use connectrpc::{ErrorCode, Protocol};
use spanwise_proto::Message as _;
use spanwise_proto::flyteidl2::cluster::{ClusterServiceClient, SelectClusterRequest};
use spanwise_proto::flyteidl2::workflow::{
    AbortRunRequest, GetActionDetailsRequest, RunServiceClient, WatchActionDetailsRequest,
};

use super::{DEADLINE, action_id, ask, assert_well, endless, enveloped, rpc, run_id};
use crate::dev_server::DevServer;

/// A call, a call that fails, and a stream.
async fn check_protocol<T: ClientTransport + Clone>(server: &DevServer, transport: T, protocol: Protocol, run: &str)
where
    T::ResponseBody: Unpin,
    <T::ResponseBody as http_body::Body>::Error: std::fmt::Display,
{
    let config = ClientConfig::new(format!("http://127.0.0.1:{}", server.port()).parse().unwrap());
    let config = config.with_protocol(protocol).compress_requests("gzip");
    let clusters = ClusterServiceClient::new(transport.clone(), config.clone());
    let answer = clusters.select_cluster(SelectClusterRequest::default()).await.unwrap();
    assert_eq!(answer.view().cluster_endpoint, "");
    let runs = RunServiceClient::new(transport, config);
    let error = runs.get_action_details(GetActionDetailsRequest::default()).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidArgument, "{protocol:?}");
    assert!(error.message.unwrap().contains("action_id"), "{protocol:?}");
    let request = WatchActionDetailsRequest { action_id: action_id(run, "a0").into(), ..Default::default() };
    let mut watch = runs.watch_action_details(request).await.unwrap();
    let details = watch.message().await.unwrap().unwrap().to_owned_message();
    assert_eq!(details.details.id.name, "a0", "{protocol:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_grpc_and_grpc_web_are_answered_on_one_port() {
    let server = DevServer::shared();
    let run = endless(&server);
    check_protocol(&server, HttpClient::plaintext(), Protocol::Connect, &run).await;
    check_protocol(&server, HttpClient::plaintext(), Protocol::GrpcWeb, &run).await;
    let uri = format!("http://127.0.0.1:{}", server.port()).parse().unwrap();
    let http2 = Http2Connection::connect_plaintext(uri).await.unwrap().shared(8);
    for protocol in [Protocol::Connect, Protocol::Grpc, Protocol::GrpcWeb] {
        check_protocol(&server, http2.clone(), protocol, &run).await;
    }
    let abort = AbortRunRequest { run_id: run_id(&run).into(), ..AbortRunRequest::default() };
    assert_eq!(ask(&server, "RunService/AbortRun", &abort).status, 200);
    assert_well(&server);
}

/// One request and its answer on a connection that stays open; gives the length of the answer.
fn call(connection: &mut BufReader<TcpStream>, request: &[u8]) -> usize {
    connection.get_mut().write_all(request).unwrap();
    let mut line = String::new();
    let mut next = |connection: &mut BufReader<TcpStream>| {
        line.clear();
        connection.read_line(&mut line).unwrap();
        line.trim().to_ascii_lowercase()
    };
    assert!(next(connection).starts_with("http/1.1 200"));
    let (mut length, mut is_chunked) = (0, false);
    loop {
        let header = next(connection);
        match header.split_once(": ") {
            None => break,
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("transfer-encoding", value)) => is_chunked = value == "chunked",
            Some(_) => {}
        }
    }
    let mut whole = 0;
    loop {
        if is_chunked {
            length = usize::from_str_radix(&next(connection), 16).unwrap();
        }
        connection.read_exact(&mut vec![0; length]).unwrap();
        whole += length;
        if is_chunked {
            assert_eq!(next(connection), "");
        }
        if !is_chunked || length == 0 {
            return whole;
        }
    }
}

#[test]
fn small_calls_on_one_connection_do_not_wait_for_acknowledgements() {
    let server = DevServer::shared();
    let connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    connection.set_nodelay(true).unwrap();
    let mut connection = BufReader::new(connection);
    let path = &rpc("ProjectService/ListProjects").path;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n"
    );
    let mut times: Vec<Duration> = (0..500)
        .map(|_| {
            let start = Instant::now();
            assert!(call(&mut connection, request.as_bytes()) > 0);
            start.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[250] < Duration::from_millis(10), "median {:?}, 95th of 100 {:?}", times[250], times[475]);
}

/// What the process has had of processors.
fn processor_time(server: &DevServer) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    // After the name, which may hold blanks: user and system time are the 12th and 13th, in hundredths.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn watch(server: &DevServer, run: &str) -> TcpStream {
    let request = WatchActionDetailsRequest { action_id: action_id(run, "a0").into(), ..Default::default() };
    let body = enveloped(0, &request.encode_to_vec());
    let path = &rpc("RunService/WatchActionDetails").path;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/connect+proto\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    connection.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    let mut first = [0; 4096];
    let length = connection.read(&mut first).unwrap();
    assert!(first[..length].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&first[..length]));
    connection
}

#[test]
fn two_hundred_watches_that_nothing_happens_to_cost_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let run = endless(&server);
    let watches: Vec<TcpStream> = (0..200).map(|_| watch(&server, &run)).collect();
    let window = || {
        let before = processor_time(&server);
        // What is measured is this time itself.
        std::thread::park_timeout(Duration::from_secs(2));
        processor_time(&server) - before
    };
    // The first windows may still have what the connections themselves cost.
    let quiet = (0..5).map(|_| window()).find(|used| *used <= Duration::from_millis(40));
    assert!(quiet.is_some(), "200 idle watches cost more than 2 % of a processor in each of five windows");
    drop(watches);
    assert_well(&server);
}
