//! An OTLP receiver: http/protobuf, http/json and gRPC. It keeps every request as it came.

use std::io::Read;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use tokio::net::TcpListener;

use crate::spans::Spans;

/// One export.
pub(crate) struct Export {
    /// The path, or the name of the gRPC method.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) request: ExportTraceServiceRequest,
}

/// A receiver that lives as long as the test's runtime.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    exports: Arc<Mutex<Vec<Export>>>,
    address: String,
}

impl Receiver {
    /// OTLP over HTTP.
    pub(crate) async fn http() -> Receiver {
        let (listener, receiver) = Receiver::listen().await;
        let app = axum::Router::new().fallback(accept_http).with_state(receiver.clone());
        tokio::spawn(async { axum::serve(listener, app.layer(axum::extract::DefaultBodyLimit::disable())).await });
        receiver
    }

    /// OTLP over gRPC.
    pub(crate) async fn grpc() -> Receiver {
        let (listener, receiver) = Receiver::listen().await;
        let service = TraceServiceServer::new(receiver.clone());
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        receiver
    }

    async fn listen() -> (TcpListener, Receiver) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        (listener, Receiver { address, ..Receiver::default() })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// All exports so far, taken out.
    pub(crate) fn exports(&self) -> Vec<Export> {
        std::mem::take(&mut self.exports.lock().unwrap())
    }

    /// All spans so far, taken out. A program has sent its spans when it has ended.
    pub(crate) fn spans(&self) -> Spans {
        Spans::of(self.exports().into_iter().map(|export| export.request))
    }

    fn keep(&self, path: &str, headers: HeaderMap, request: ExportTraceServiceRequest) {
        self.exports.lock().unwrap().push(Export { path: path.to_owned(), headers, request });
    }
}

async fn accept_http(State(receiver): State<Receiver>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = match text(header::CONTENT_ENCODING) {
        "gzip" => gunzip(&body),
        _ => body.to_vec(),
    };
    let answer = ExportTraceServiceResponse::default();
    match text(header::CONTENT_TYPE) {
        "application/x-protobuf" => {
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            receiver.keep(uri.path(), headers, request);
            ([(header::CONTENT_TYPE, "application/x-protobuf")], answer.encode_to_vec()).into_response()
        }
        "application/json" => {
            receiver.keep(uri.path(), headers, serde_json::from_slice(&body).unwrap());
            ([(header::CONTENT_TYPE, "application/json")], "{}").into_response()
        }
        _ => StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
    }
}

fn gunzip(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    plain
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        self.keep("TraceService/Export", metadata.into_headers(), request);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}
