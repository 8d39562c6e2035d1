//! The trace of a run and the explanation of its time as files, for other tools.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};
use spanwise_collector::otlp_json;
use spanwise_core::lifecycle::{Explanation, Share};

use super::view::RunRoute;
use super::{PageError, Pages, address};
use crate::trace::timeline::Timeline;
use crate::trace::{RunLifecycle, jaeger, otlp, tree};

/// What of a trace is not in its file, and where all of it is: the forms of other tools have no word for it.
const LEFT_OUT: HeaderName = HeaderName::from_static("spanwise-left-out");

/// A form of a trace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Otlp,
    Jaeger,
    /// The spans as the command line shows them.
    Tree,
}

/// `trace.json`: OTLP, or with `?format=jaeger` what Jaeger's user interface loads, or with `?format=tree` the rows of the terminal.
pub(super) async fn trace(State(pages): State<Pages>, Path(route): Path<RunRoute>, uri: Uri) -> Response {
    trace_of(&pages, &route, &uri).await.unwrap_or_else(failed)
}

async fn trace_of(pages: &Pages, route: &RunRoute, uri: &Uri) -> Result<Response, PageError> {
    let run = route.run(pages, uri)?;
    let format = address::pairs(uri).into_iter().find(|(name, _)| name == "format").map(|(_, value)| value);
    let form = match format.as_deref() {
        None | Some("" | "otlp" | "otlp-json") => Form::Otlp,
        Some("jaeger") => Form::Jaeger,
        Some("tree") => Form::Tree,
        Some(other) => {
            let text = format!("`{other}` is no format: otlp-json, jaeger and tree are");
            return Err(PageError::new(StatusCode::BAD_REQUEST, text));
        }
    };
    let (trace, id) = (pages.traces.of(&run).await?, run.id().clone());
    let written = tokio::task::spawn_blocking(move || {
        let trace_id = trace.id.to_string();
        let timeline = Timeline::new(&id, trace);
        let body = match form {
            Form::Otlp => otlp_json::write(&otlp::resource_spans(&timeline)),
            Form::Jaeger => serde_json::to_vec(&jaeger::file(&trace_id, &timeline)),
            Form::Tree => serde_json::to_vec(&tree::document(&timeline)),
        };
        body.map(|body| (body, timeline.left_out().of_files(), timeline.left_out().address()))
    });
    let kind = if form == Form::Otlp { "trace" } else { format.as_deref().unwrap_or_default() };
    match written.await {
        Ok(Ok((body, left_out, all))) => {
            let mut file = file(&format!("{}-{kind}.json", run.id().name), body);
            if !left_out.is_empty() {
                let said = format!("{}; {all} has all of them", left_out.join("; "));
                file.headers_mut().extend(HeaderValue::try_from(said).ok().map(|said| (LEFT_OUT, said)));
            }
            Ok(file)
        }
        _ => Err(PageError::new(StatusCode::INTERNAL_SERVER_ERROR, "the trace cannot be written")),
    }
}

/// `explain.json`.
pub(super) async fn explanation(State(pages): State<Pages>, Path(route): Path<RunRoute>, uri: Uri) -> Response {
    explained(&pages, &route, &uri).await.unwrap_or_else(failed)
}

async fn explained(pages: &Pages, route: &RunRoute, uri: &Uri) -> Result<Response, PageError> {
    let run = route.run(pages, uri)?;
    let trace = pages.traces.of(&run).await?;
    let body = json!({
        "run": run.id().name.as_str(),
        "finished": run.is_finished(),
        "trace_id": trace.id.to_string(),
        "wall_us": micros(trace.lifecycle.explanation.wall),
        "retried_us": micros(trace.lifecycle.explanation.retried),
        "uses": trace.lifecycle.explanation.shares.iter().map(share).collect::<Vec<_>>(),
        "critical_path": path(&trace.lifecycle, &trace.lifecycle.explanation),
    });
    Ok(file(&format!("{}-explain.json", run.id().name), body.to_string().into_bytes()))
}

fn share(share: &Share) -> Value {
    let largest: Vec<Value> = share
        .largest
        .iter()
        .map(|who| json!({ "action": who.action.as_str(), "task": who.task.as_str(), "us": micros(who.time) }))
        .collect();
    json!({ "use": share.used_for.as_str(), "us": micros(share.time), "largest": largest })
}

fn path(lifecycle: &RunLifecycle, explanation: &Explanation) -> Vec<Value> {
    let begin = explanation.path.first().map_or(0, |stretch| stretch.from.0);
    let stretch = |stretch: &spanwise_core::lifecycle::Stretch| {
        let span = &lifecycle.spans[stretch.span];
        json!({
            "use": stretch.used_for.as_str(),
            "span": &*span.name,
            "span_id": span.context.span.to_string(),
            "action": span.action.as_str(),
            "task": span.task.as_str(),
            "attempt": span.attempt.map(|attempt| attempt.0),
            "from_us": stretch.from.0 - begin,
            "us": micros(stretch.time()),
        })
    };
    explanation.path.iter().map(stretch).collect()
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A file under a name of its own.
pub(super) fn file(name: &str, body: Vec<u8>) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, body).into_response()
}

/// Programs ask for these files: an error is a text for them.
pub(super) fn failed(error: PageError) -> Response {
    (error.status, format!("{}\n", error.text)).into_response()
}
