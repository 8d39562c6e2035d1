//! The HTTP service that the demo's workflow calls: another program in all but the process, with a tracer of its own.

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use opentelemetry::trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::net::TcpListener;
use url::Url;

const ROUTE: &str = "/get";
/// What an answer takes, so that there is something to see.
const WORK: Duration = Duration::from_millis(20);

/// Serves `GET /get` on a free port of the loopback until the runtime ends; gives its address back.
pub(super) async fn start(provider: &SdkTracerProvider) -> anyhow::Result<Url> {
    let tracer = provider.tracer("demo-service");
    let router = Router::new().route(ROUTE, get(answer)).layer(middleware::from_fn_with_state(tracer, server_span));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = Url::parse(&format!("http://{}{ROUTE}", listener.local_addr()?))?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// Says which trace the request belongs to.
async fn answer(headers: HeaderMap) -> Result<String, StatusCode> {
    tokio::time::sleep(WORK).await;
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    Ok(format!("{{\"traceparent\": \"{}\"}}\n", traceparent.unwrap_or_default()))
}

/// A span for each request, by the semantic conventions for HTTP servers, under the caller's.
async fn server_span(State(tracer): State<SdkTracer>, request: Request, next: Next) -> Response {
    let parent = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &HeaderExtractor(request.headers()))
    });
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let is_route = path == ROUTE;
    let name = if is_route { format!("{method} {ROUTE}") } else { method.clone() };
    let mut attributes = vec![
        KeyValue::new("http.request.method", method),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("url.path", path),
    ];
    if is_route {
        attributes.push(KeyValue::new("http.route", ROUTE));
    }
    let span = tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
    let context = parent.with_span(span.start_with_context(&tracer, &parent));
    let response = next.run(request).with_context(context.clone()).await;
    let (span, status) = (context.span(), response.status());
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
        span.set_status(Status::error(""));
    }
    span.end();
    response
}
