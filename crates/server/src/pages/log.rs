//! The log of an attempt as a file, and what comes after its end on the page as it comes.

use std::convert::Infallible;
use std::io;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::header::{ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use s3s::dto::Range;
use serde::Deserialize;
use spanwise_core::AttemptNo;

use super::escape::without_directions;
use super::view::RunRoute;
use super::{PageError, Pages, address};
use crate::blobs::satisfied;
use crate::control::AttemptLog;
use crate::foreign;
use spanwise_process::LogBatches;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// An attempt in an address.
#[derive(Deserialize)]
pub(super) struct AttemptRoute {
    domain: String,
    project: String,
    run: String,
    action: String,
    attempt: u32,
}

impl AttemptRoute {
    fn log(&self, pages: &Pages, uri: &Uri) -> Result<AttemptLog, PageError> {
        let route = RunRoute { domain: self.domain.clone(), project: self.project.clone(), run: self.run.clone() };
        let run = route.run(pages, uri)?;
        let action =
            spanwise_wire::action_name(&self.action).map_err(|error| PageError::not_found(error.to_string()))?;
        let attempt = AttemptNo(self.attempt);
        let log = pages.control.log(&run, action, attempt);
        if run.action(&action).is_none() || !log.exists() {
            return Err(PageError::not_found(format!("attempt {attempt} of `{action}` has printed nothing")));
        }
        Ok(log)
    }
}

/// The whole log, or the range of it that is asked for, as plain text.
pub(super) async fn download(
    State(pages): State<Pages>,
    Path(route): Path<AttemptRoute>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let log = match route.log(&pages, &uri) {
        Ok(log) => log,
        Err(error) => return error.into_response(),
    };
    match send(&log, &headers).await {
        Ok(response) => sealed(response),
        Err(error) => {
            let text = format!("read the log of `{}`: {error}", log.action);
            PageError::new(StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// What a task has printed is no page.
fn sealed(mut response: Response) -> Response {
    foreign::seal(response.headers_mut());
    response
}

async fn send(log: &AttemptLog, headers: &HeaderMap) -> io::Result<Response> {
    let size = log.length().await?;
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok()).and_then(|value| Range::parse(value).ok());
    let (status, range) = match range.map(|range| satisfied(range, size)) {
        None => (StatusCode::OK, 0..size),
        Some(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(None) => {
            let headers = [(CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    let name = format!("{}-{}-{}.log", log.run.id().name, log.action, log.attempt);
    let response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))
        .header(ACCEPT_RANGES, "bytes")
        .header(CONTENT_LENGTH, range.end - range.start);
    let response = match status {
        StatusCode::PARTIAL_CONTENT => {
            response.header(CONTENT_RANGE, format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1)))
        }
        _ => response,
    };
    let body = Body::from_stream(log.bytes(range).await?);
    response.body(body).map_err(io::Error::other)
}

/// Lines as they come, each batch with the place where the next one begins, until the attempt has ended.
pub(super) async fn events(
    State(pages): State<Pages>,
    Path(route): Path<AttemptRoute>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let log = match route.log(&pages, &uri) {
        Ok(log) => log,
        Err(error) => return error.into_response(),
    };
    followed(&pages, &uri, &headers, |from| log.follow(from))
}

/// The lines of a log from where the page has it, as they come.
pub(super) fn followed(
    pages: &Pages,
    uri: &Uri,
    headers: &HeaderMap,
    follow: impl FnOnce(u64) -> LogBatches,
) -> Response {
    let resumed = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let offset =
        address::pairs(uri).into_iter().find(|(name, _)| name == "from").and_then(|(_, from)| from.parse().ok());
    let from = resumed.or(offset).unwrap_or(0);
    let lines = follow(from).take_while(|batch| std::future::ready(batch.is_ok())).filter_map(|batch| async move {
        let lines = batch.ok()?;
        let texts: Vec<String> = lines.iter().map(|line| without_directions(&line.message)).collect();
        // The place of the last line: it comes again after a break, and the page knows it by its place.
        let event = Event::default().event("lines").id(lines.last()?.offset.to_string());
        let offsets: Vec<u64> = lines.iter().map(|line| line.offset).collect();
        serde_json::to_string(&(offsets, texts)).ok().map(|data| event.data(data))
    });
    let end = futures_util::stream::once(async { Event::default().event("end").data("now") });
    let events = lines.chain(end).map(Ok::<_, Infallible>);
    sealed(Sse::new(events.take_until(pages.control.closing().clone().cancelled_owned())).into_response())
}
