//! A web service that keeps the headers of the requests that it answers.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use tokio::net::TcpListener;

/// A service that lives as long as the test's runtime. `/get` is there, other pages are not.
#[derive(Clone, Default)]
pub(crate) struct Web {
    requests: Arc<Mutex<Vec<HeaderMap>>>,
    address: String,
}

impl Web {
    pub(crate) async fn start() -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Web { address: format!("http://{}", listener.local_addr().unwrap()), ..Web::default() };
        let app = axum::Router::new().fallback(answer).with_state(web.clone());
        tokio::spawn(async { axum::serve(listener, app).await });
        web
    }

    /// The address of a page that is there.
    pub(crate) fn url(&self) -> String {
        format!("{}/get", self.address)
    }

    pub(crate) fn port(&self) -> i64 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// A header of the only request so far.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let requests = self.requests.lock().unwrap();
        assert_eq!(requests.len(), 1, "one request is expected");
        requests[0].get(name).map(|value| value.to_str().unwrap().to_owned())
    }
}

async fn answer(State(web): State<Web>, uri: Uri, headers: HeaderMap) -> StatusCode {
    web.requests.lock().unwrap().push(headers);
    if uri.path() == "/get" { StatusCode::OK } else { StatusCode::NOT_FOUND }
}
