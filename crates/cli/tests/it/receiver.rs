//! A server on the loopback that takes spans (OTLP, http/protobuf), and any other request.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;

/// A span that was received.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Received {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: Vec<u8>,
}

#[derive(Default)]
struct Taken {
    spans: Vec<Received>,
    traceparents: Vec<String>,
}

pub(crate) struct Receiver {
    pub(crate) address: String,
    taken: Arc<Mutex<Taken>>,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    pub(crate) fn spans(&self) -> Vec<Received> {
        self.taken.lock().unwrap().spans.clone()
    }

    pub(crate) fn traceparents(&self) -> Vec<String> {
        self.taken.lock().unwrap().traceparents.clone()
    }
}

pub(crate) fn start() -> Receiver {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let taken: Arc<Mutex<Taken>> = Arc::default();
    let (of_traces, of_requests) = (Arc::clone(&taken), Arc::clone(&taken));
    let traces = move |body: Bytes| async move {
        of_traces.lock().unwrap().spans.extend(read(&body));
        ([("content-type", "application/x-protobuf")], ExportTraceServiceResponse::default().encode_to_vec())
    };
    let anything = move |headers: HeaderMap| async move {
        let traceparent = headers["traceparent"].to_str().unwrap().to_owned();
        of_requests.lock().unwrap().traceparents.push(traceparent);
    };
    let router = Router::new().route("/v1/traces", post(traces)).route("/anything", get(anything));
    let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, router).await });
    Receiver { address, taken, _runtime: runtime }
}

fn read(body: &[u8]) -> Vec<Received> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut received = Vec::new();
    for of_resource in request.resource_spans {
        let attributes = of_resource.resource.unwrap().attributes;
        let service = attributes.into_iter().find(|attribute| attribute.key == "service.name").unwrap();
        let Some(Value::StringValue(service)) = service.value.unwrap().value else { panic!("a name is text") };
        for span in of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans) {
            received.push(Received { service: service.clone(), name: span.name, trace: span.trace_id });
        }
    }
    received
}
