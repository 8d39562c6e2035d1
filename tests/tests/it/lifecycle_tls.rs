//! Lifecycle spans to receivers with a certificate of nobody public, that ask for one in turn: over http/protobuf and over gRPC.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::dev_server::{DevServer, binary};
use crate::needs;
use crate::python::{Program, python, remove_what_would_mislead};

const PATIENCE: Duration = Duration::from_secs(60);

/// An authority, and what it has signed: a certificate and a key for each of `receiver` and `sender`.
struct Signed(tempfile::TempDir);

impl Signed {
    fn new() -> Signed {
        let signed = Signed(tempfile::tempdir().unwrap());
        let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        signed.openssl(
            &[
                "req",
                "-x509",
                "-days",
                "2",
                "-subj",
                "/CN=authority",
                "-out",
                "authority.pem",
                "-keyout",
                "authority.key",
            ],
            &new_key,
        );
        std::fs::write(signed.0.path().join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        for name in ["receiver", "sender"] {
            let [subject, key, request, certificate] =
                [format!("/CN={name}"), format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem")];
            signed.openssl(&["req", "-subj", &subject, "-out", &request, "-keyout", &key], &new_key);
            let by = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-extfile", "names"];
            signed.openssl(&["x509", "-req", "-days", "2", "-in", &request, "-out", &certificate], &by);
        }
        signed
    }

    fn openssl(&self, arguments: &[&str], more: &[&str]) {
        let made = Command::new("openssl").args(arguments).args(more).current_dir(self.0.path()).output().unwrap();
        assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }
}

/// A server that sends to this port, and a run whose spans it sends.
fn run_and_send(signed: &Signed, port: u16, protocol: &str) -> DevServer {
    let data = tempfile::tempdir().unwrap();
    let (endpoint, authority) = (format!("https://127.0.0.1:{port}"), signed.path("authority.pem"));
    let (certificate, key) = (signed.path("sender.pem"), signed.path("sender.key"));
    let environment = [
        ("SPANWISE_TRACE_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        // That for traces alone is the stronger one.
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/authority.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", &authority),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
    ];
    let server = DevServer::start_with(data.path(), &environment);
    let found = Program::new(&server, "lifecycle.py").arg("traced").start().result(&server);
    assert_eq!(found["output"], 3);
    server
}

#[test]
fn spans_go_by_http_to_a_receiver_that_is_trusted_by_a_variable() {
    if !needs::has(
        &["openssl"],
        "openssl",
        "lifecycle_tls::spans_go_by_http_to_a_receiver_that_is_trusted_by_a_variable",
    ) {
        return;
    }
    let signed = Signed::new();
    let mut command = Command::new(python());
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/tls_receiver.py");
    command.arg(program).args(["receiver.pem", "receiver.key", "authority.pem"].map(|name| signed.path(name)));
    let mut receiver = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(receiver.stdout.take().unwrap()).lines();
    let port = lines.next().unwrap().unwrap().parse().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
    let server = run_and_send(&signed, port, "http/protobuf");
    let line = told.recv_timeout(PATIENCE);
    let _ = (receiver.kill(), receiver.wait());
    let line = line.unwrap_or_else(|_| panic!("nothing arrived: {}", server.said()));
    assert!(line.starts_with("/v1/traces sender "), "{line}");
    server.stop();
}

/// Tells of each request who has sent it and how many spans are in it.
struct Receiver(mpsc::Sender<(bool, usize)>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let is_known = request.peer_certs().is_some_and(|certificates| !certificates.is_empty());
        let scopes = request.get_ref().resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let _ = self.0.send((is_known, scopes.map(|scope| scope.spans.len()).sum()));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn spans_go_by_grpc_to_a_receiver_that_is_trusted_by_a_variable() {
    if !needs::has(
        &["openssl"],
        "openssl",
        "lifecycle_tls::spans_go_by_grpc_to_a_receiver_that_is_trusted_by_a_variable",
    ) {
        return;
    }
    let signed = Signed::new();
    let (tell, told) = mpsc::channel();
    let identity = Identity::from_pem(signed.read("receiver.pem"), signed.read("receiver.key"));
    let tls =
        ServerTlsConfig::new().identity(identity).client_ca_root(Certificate::from_pem(signed.read("authority.pem")));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = tonic::transport::Server::builder().tls_config(tls).unwrap();
    let receiver = receiver.clone().add_service(TraceServiceServer::new(Receiver(tell)));
    tokio::spawn(receiver.serve_with_incoming(TcpIncoming::from(listener)));
    let sent = tokio::task::spawn_blocking(move || {
        let server = run_and_send(&signed, port, "grpc");
        let arrived = told.recv_timeout(PATIENCE);
        let said = server.said();
        server.stop();
        arrived.unwrap_or_else(|_| panic!("nothing arrived: {said}"))
    });
    let (is_known, spans) = sent.await.unwrap();
    assert!(is_known && spans > 0, "{spans} spans");
}

/// What `spanwise dev` says that does not start with these variables.
fn refused(variables: &[(&str, &str)]) -> String {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    remove_what_would_mislead(&mut command);
    let command = command.args(["dev", "--port", "0", "--collector-port", "0", "--data-dir"]).arg(data.path());
    let command = command.arg("--python").arg(python()).args(["--trace-endpoint", "https://127.0.0.1:1"]);
    let ended = command.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
    assert!(!ended.status.success());
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[test]
fn a_certificate_that_cannot_be_used_is_said_at_the_start_by_its_variable() {
    if !needs::has(
        &["openssl"],
        "openssl",
        "lifecycle_tls::a_certificate_that_cannot_be_used_is_said_at_the_start_by_its_variable",
    ) {
        return;
    }
    let signed = Signed::new();
    let (certificate, key) = (signed.path("sender.pem"), signed.path("sender.key"));
    let nowhere = PathBuf::from(&certificate).with_file_name("nowhere.pem").display().to_string();
    let missing = refused(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", &nowhere)]);
    assert!(missing.contains(&format!("OTEL_EXPORTER_OTLP_CERTIFICATE: read `{nowhere}`")), "{missing}");
    assert!(missing.contains("No such file"), "{missing}");
    let other = refused(&[("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", &key)]);
    assert!(other.contains("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE") && other.contains("no certificate"), "{other}");
    let half = refused(&[("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate)]);
    assert!(half.contains("OTEL_EXPORTER_OTLP_CLIENT_KEY is not"), "{half}");
    let swapped = refused(&[
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &certificate),
    ]);
    assert!(swapped.contains("OTEL_EXPORTER_OTLP_CLIENT_KEY") && swapped.contains("no private key"), "{swapped}");
}
