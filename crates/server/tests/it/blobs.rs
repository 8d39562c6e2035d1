//! The blob store over real sockets: as the stock SDK and its S3 client see it, and byte by byte.

#[path = "../../../blobs/tests/it/directory.rs"]
mod directory;
mod http;
mod s3;
mod signed;

use std::net::SocketAddr;

use axum::Router;

/// Serves routes for the rest of the test.
async fn serve(routes: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}
