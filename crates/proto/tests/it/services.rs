//! The generated services answer the generated clients over a real connection.
#![expect(refining_impl_trait, reason = "a handler may name what the trait leaves open, and is shorter for it")]

use std::sync::Arc;

use connectrpc::{
    ErrorCode, Protocol, RequestContext, Response, Router, ServiceRequest, ServiceResult, ServiceStream,
    client::{CallOptions, ClientConfig, Http2Connection, HttpClient},
};
use futures_util::stream;
use spanwise_proto::flyteidl2::{
    cluster::{ClusterService, ClusterServiceClient, SelectClusterRequest, SelectClusterResponse},
    workflow::{
        ControlMessage, GetRequest, GetResponse, PutRequest, PutResponse, StateService, StateServiceClient,
        WatchRequest, WatchResponse, watch_response,
    },
};

struct Clusters;

impl ClusterService for Clusters {
    async fn select_cluster(
        &self,
        ctx: RequestContext,
        _request: ServiceRequest<'_, SelectClusterRequest>,
    ) -> ServiceResult<SelectClusterResponse> {
        let id = ctx.header("x-request-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
        Response::ok(SelectClusterResponse { cluster: id.to_owned(), ..Default::default() })
    }
}

struct States;

impl StateService for States {
    async fn put(&self, _ctx: RequestContext, _request: ServiceRequest<'_, PutRequest>) -> ServiceResult<PutResponse> {
        Response::ok(PutResponse::default())
    }

    async fn get(&self, _ctx: RequestContext, _request: ServiceRequest<'_, GetRequest>) -> ServiceResult<GetResponse> {
        Err(connectrpc::ConnectError::not_found("no such action"))
    }

    async fn watch(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, WatchRequest>,
    ) -> ServiceResult<ServiceStream<WatchResponse>> {
        Response::stream_ok(stream::iter([Ok(sentinel()), Ok(WatchResponse::default())]))
    }
}

fn sentinel() -> WatchResponse {
    let message = ControlMessage { sentinel: true, ..Default::default() };
    WatchResponse { message: Some(watch_response::Message::from(message)), ..Default::default() }
}

async fn served() -> ClientConfig {
    let router = Router::new().add_service(Arc::new(Clusters)).add_service(Arc::new(States));
    let app = axum::Router::new().fallback_service(router.into_axum_service());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    ClientConfig::new(uri.parse().unwrap()).compress_requests("gzip")
}

#[tokio::test]
async fn a_call_carries_headers_and_an_error_its_code() {
    let config = served().await;
    let clusters = ClusterServiceClient::new(HttpClient::plaintext(), config.clone());
    let options = CallOptions::default().with_header("x-request-id", "r-1");
    let answer = clusters.select_cluster_with_options(SelectClusterRequest::default(), options).await.unwrap();
    assert_eq!(answer.view().cluster, "r-1");
    let states = StateServiceClient::new(HttpClient::plaintext(), config);
    let error = states.get(GetRequest::default()).await.err().unwrap();
    assert_eq!((error.code, error.message.as_deref()), (ErrorCode::NotFound, Some("no such action")));
}

#[tokio::test]
async fn a_watch_is_a_stream_over_connect_and_over_grpc() {
    let config = served().await;
    let connect = StateServiceClient::new(HttpClient::plaintext(), config.clone());
    let mut watch = connect.watch(WatchRequest::default()).await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().to_owned_message(), sentinel());
    assert_eq!(watch.message().await.unwrap().unwrap().to_owned_message(), WatchResponse::default());
    assert!(watch.message().await.unwrap().is_none());
    let connection = Http2Connection::connect_plaintext(config.base_uri().clone()).await.unwrap().shared(8);
    let grpc = StateServiceClient::new(connection, config.with_protocol(Protocol::Grpc));
    let mut watch = grpc.watch(WatchRequest::default()).await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().to_owned_message(), sentinel());
}
