//! The blob store over real sockets: as the stock SDK and its S3 client see it, and byte by byte.

mod http;
mod s3;
mod signed;

use spanwise_engine::Durability;
use std::net::SocketAddr;

use axum::Router;
use spanwise_blobs::Blobs;
use tempfile::TempDir;

/// A store in a directory of its own.
struct Store {
    blobs: Blobs,
    directory: TempDir,
}

impl Store {
    fn new() -> Store {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&directory.path().join("blobs"), Durability::Disk).unwrap();
        Store { blobs, directory }
    }

    /// How many unfinished writes lie about.
    fn staged(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("blobs/staging")).unwrap().count()
    }
}

/// Serves routes for the rest of the test.
async fn serve(routes: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}
