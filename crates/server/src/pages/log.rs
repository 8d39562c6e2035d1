//! The log of an attempt: as a file, its end on the page, and what comes after that as it comes.

use std::convert::Infallible;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path as FilePath, PathBuf};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::header::{ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use s3s::dto::Range;
use serde::Deserialize;
use spanwise_core::{ActionName, AttemptNo};
use spanwise_engine::RunHandle;
use spanwise_process::{LogStart, Logs};

use super::escape::without_turns;
use super::view::Place;
use super::{PageError, Pages, address};
use crate::blobs::satisfied;
use crate::foreign;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How much of the end of a log a page shows.
const SHOWN: u64 = 24 << 10;

/// An attempt in an address.
#[derive(Deserialize)]
pub(super) struct AttemptPlace {
    domain: String,
    project: String,
    run: String,
    action: String,
    attempt: u32,
}

struct Log {
    run: RunHandle,
    action: ActionName,
    attempt: AttemptNo,
    path: PathBuf,
}

impl AttemptPlace {
    fn log(&self, pages: &Pages, uri: &Uri) -> Result<Log, PageError> {
        let place = Place { domain: self.domain.clone(), project: self.project.clone(), run: self.run.clone() };
        let run = place.run(pages, uri)?;
        let action =
            spanwise_wire::action_name(&self.action).map_err(|error| PageError::not_found(error.to_string()))?;
        let attempt = AttemptNo(self.attempt);
        let path = pages.control.data().log(run.key(), &action, attempt);
        if run.action(&action).is_none() || !path.exists() {
            return Err(PageError::not_found(format!("attempt {attempt} of `{action}` has printed nothing")));
        }
        Ok(Log { run, action, attempt, path })
    }
}

/// The whole log, or the range of it that is asked for, as plain text.
pub(super) async fn download(
    State(pages): State<Pages>,
    Path(place): Path<AttemptPlace>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let log = match place.log(&pages, &uri) {
        Ok(log) => log,
        Err(error) => return error.into_response(),
    };
    match send(pages.control.executor().logs(), &log, &headers).await {
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

async fn send(logs: &dyn Logs, log: &Log, headers: &HeaderMap) -> io::Result<Response> {
    let size = logs.length(&log.path).await?;
    let asked = headers.get(RANGE).and_then(|value| value.to_str().ok()).and_then(|value| Range::parse(value).ok());
    let (status, range) = match asked.map(|range| satisfied(range, size)) {
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
    let body = Body::from_stream(logs.bytes(&log.path, range).await?);
    response.body(body).map_err(io::Error::other)
}

/// Lines as they come, each batch with the place where the next one begins, until the attempt has ended.
pub(super) async fn events(
    State(pages): State<Pages>,
    Path(place): Path<AttemptPlace>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let log = match place.log(&pages, &uri) {
        Ok(log) => log,
        Err(error) => return error.into_response(),
    };
    let resumed = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let asked =
        address::pairs(&uri).into_iter().find(|(name, _)| name == "from").and_then(|(_, from)| from.parse().ok());
    let from = resumed.or(asked).unwrap_or(0);
    let (run, action, attempt) = (log.run, log.action, log.attempt);
    let ended = async move {
        let watch = run.watch(action);
        while run.action(&action).is_some_and(|action| action.attempt() == Some(attempt)) {
            watch.changed().await;
        }
    };
    let batches = pages.control.executor().logs().tail(&log.path, LogStart::Offset(from), Box::pin(ended));
    let lines = batches.take_while(|batch| std::future::ready(batch.is_ok())).filter_map(|batch| async move {
        let lines = batch.ok()?;
        let texts: Vec<String> = lines.iter().map(|line| without_turns(&line.message)).collect();
        // The place of the last line: it comes again after a break, and the page knows it by its place.
        let event = Event::default().event("lines").id(lines.last()?.offset.to_string());
        let offsets: Vec<u64> = lines.iter().map(|line| line.offset).collect();
        serde_json::to_string(&(offsets, texts)).ok().map(|data| event.data(data))
    });
    let end = futures_util::stream::once(async { Event::default().event("end").data("now") });
    let events = lines.chain(end).map(Ok::<_, Infallible>);
    sealed(Sse::new(events.take_until(pages.control.closing().clone().cancelled_owned())).into_response())
}

/// The end of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogEnd {
    pub(super) text: String,
    /// True if there is more before it.
    pub(super) is_cut: bool,
    /// Where the line begins that is not complete yet, or the next one.
    pub(super) next: u64,
    pub(super) size: u64,
}

/// Reads the end of a log; of a live one whole lines only, so that the rest can follow. None if there is no log.
pub(super) fn end_of(log: &FilePath, live: bool) -> Option<LogEnd> {
    let mut file = std::fs::File::open(log).ok()?;
    let size = file.metadata().ok()?.len();
    let from = size.saturating_sub(SHOWN);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(size - from).read_to_end(&mut bytes).ok()?;
    let begin = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(line) if from > 0 => line + 1,
        _ => 0,
    };
    let end = match bytes.iter().rposition(|byte| *byte == b'\n') {
        _ if !live => bytes.len(),
        Some(line) => line + 1,
        None => 0,
    };
    let text = String::from_utf8_lossy(bytes.get(begin..end).unwrap_or_default()).into_owned();
    Some(LogEnd { text, is_cut: from > 0, next: from + end as u64, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_whole_lines_and_says_where_the_rest_begins() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("1.log");
        assert_eq!(end_of(&log, true), None);
        std::fs::write(&log, "one\ntwo\nthr").unwrap();
        let live = end_of(&log, true).unwrap();
        assert_eq!((live.text.as_str(), live.next, live.is_cut), ("one\ntwo\n", 8, false));
        assert_eq!(end_of(&log, false).unwrap().text, "one\ntwo\nthr");
        let long: String = (0..10_000).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&log, &long).unwrap();
        let cut = end_of(&log, true).unwrap();
        assert!(cut.is_cut && cut.text.starts_with("line ") && cut.text.ends_with("line 9999\n"));
        assert_eq!(cut.next, long.len() as u64);
    }
}
