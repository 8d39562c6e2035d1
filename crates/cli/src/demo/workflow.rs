//! The workflow of the demo: written as a user would write it, with nothing but the SDK and OpenTelemetry.

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::{HeaderInjector, Request};
use serde::{Deserialize, Serialize};
use spanwise::{Error, TaskEnvironment, Value, ctx, map, task, trace, traced};
use tokio::task::spawn_blocking;
use url::Url;

use super::http;

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("demo"));

/// How many items are scored.
const ITEMS: i64 = 20;

/// What a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the workflow gives.
#[derive(Serialize, Deserialize, Value)]
pub(super) struct Report {
    pub(super) status: i64,
    pub(super) page: Page,
}

/// What the step gives.
#[derive(Serialize, Deserialize, Value)]
pub(super) struct Page {
    pub(super) text: String,
    /// The attempt in which the step really ran, from 1.
    pub(super) attempt: i64,
}

#[task(env = ENV)]
#[traced("main")]
pub(super) async fn main(url: String) -> spanwise::Result<Report> {
    let status = fetch(url).await?;
    let scores = map(score, 1..=ITEMS).concurrency(5).all().await?;
    let total = scores.iter().sum();
    let page = publish(total).await?;
    Ok(Report { status, page })
}

#[task(env = ENV)]
#[traced("fetch")]
async fn fetch(url: String) -> spanwise::Result<i64> {
    let url = Url::parse(&url)?;
    get(&url).await
}

/// One of the twenty.
#[task(env = ENV)]
#[traced("score")]
async fn score(item: i64) -> spanwise::Result<i64> {
    let millis = u64::try_from(item * 7 % 40).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(30 + millis)).await;
    Ok(item)
}

/// Fails the first time, after its step is recorded; the second attempt finds the step done.
#[task(env = ENV, retries = 1, backoff(base = "400ms"))]
#[traced("publish")]
async fn publish(total: i64) -> spanwise::Result<Page> {
    let attempt = this_attempt();
    Context::current().span().set_attribute(KeyValue::new("flyte.attempt", attempt));
    let page = render(total).await?;
    if page.attempt < attempt {
        let step = [KeyValue::new("flyte.step_name", "render"), KeyValue::new("flyte.attempt", page.attempt)];
        Context::current().span().add_event("step replayed", step.to_vec());
    }
    match attempt {
        1 => Err(Error::user("Busy", "the printer is busy")),
        _ => Ok(page),
    }
}

#[trace]
#[traced("render")]
async fn render(total: i64) -> spanwise::Result<Page> {
    tokio::time::sleep(Duration::from_millis(60)).await;
    Ok(Page { text: format!("{ITEMS} items, {total} points"), attempt: this_attempt() })
}

fn this_attempt() -> i64 {
    ctx().task().map_or(1, |task| i64::from(task.attempt_number()) + 1)
}

/// A request in a CLIENT span by the semantic conventions for HTTP: what an instrumented client does.
async fn get(url: &Url) -> spanwise::Result<i64> {
    let tracer = global::tracer(env!("CARGO_PKG_NAME"));
    let mut attributes =
        vec![KeyValue::new("http.request.method", "GET"), KeyValue::new("url.full", without_credentials(url))];
    attributes.extend(url.host_str().map(|host| KeyValue::new("server.address", host.to_owned())));
    attributes.extend(url.port_or_known_default().map(|port| KeyValue::new("server.port", i64::from(port))));
    let span = tracer.span_builder("GET").with_kind(SpanKind::Client).with_attributes(attributes);
    let context = Context::current().with_span(span.start(&tracer));
    let answer = send(url.clone()).with_context(context.clone()).await;
    let span = context.span();
    match &answer {
        Ok(status) => {
            span.set_attribute(KeyValue::new("http.response.status_code", *status));
            if *status >= 400 {
                span.set_attribute(KeyValue::new("error.type", status.to_string()));
                span.set_status(Status::error(""));
            }
        }
        Err(error) => {
            span.set_attribute(KeyValue::new("error.type", error.code().to_owned()));
            span.set_status(Status::error(error.to_string()));
        }
    }
    span.end();
    answer
}

/// Sends the request with the current span as its parent.
async fn send(url: Url) -> spanwise::Result<i64> {
    let mut request = Request::get(url.as_str()).body(())?;
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&Context::current(), &mut HeaderInjector(request.headers_mut()));
    });
    let agent = http::agent(&url, TIMEOUT);
    let response = spawn_blocking(move || agent.run(request)).await?;
    let response = response
        .map_err(|error| Error::user("ureq::Error", format!("request GET {}: {error}", without_credentials(&url))))?;
    Ok(i64::from(response.status().as_u16()))
}

fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        // Only an address without a host refuses this, and it has no credentials.
        let _ = url.set_username("REDACTED").and_then(|()| url.set_password(Some("REDACTED")));
    }
    url.to_string()
}
