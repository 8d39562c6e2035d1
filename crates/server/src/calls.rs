//! Spans of API calls, for runs that are traced in full: in the caller's trace if the request names it, else under the run's span.
//!
//! A call is known to be about a run when its handler looks the run up, so the handlers need not know of spans. The spans are not in the
//! journal: what cannot be sent is counted and gone.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use spanwise_core::lifecycle::{Part, Span, Status, TraceLevel, Value, run_attributes};
use spanwise_core::trace::{SpanId, TRACEPARENT, TRACESTATE, TraceParent, TraceState};
use spanwise_core::{ActionName, RunId, TaskName, Timestamp};
use spanwise_engine::{Engine, LifecycleExporter, RunHandle, random_bits};
use tokio::sync::mpsc;

mod stored;

pub(crate) use stored::Stored;

/// Calls that wait for being sent. Beyond it they are counted and dropped: a call must not wait for its span.
const QUEUE: usize = 8192;

/// Calls in one request to a receiver, and how long it is filled.
const BATCH: usize = 512;
const LINGER: Duration = Duration::from_millis(100);

tokio::task_local! {
    /// The run that the call under way is about.
    static SUBJECT: RefCell<Option<Subject>>;
}

/// A run whose calls are traced.
#[derive(Clone, Debug)]
struct Subject {
    run: Arc<RunId>,
    span: TraceParent,
    /// What the run's caller says about the trace.
    state: Option<TraceState>,
}

/// The call under way is about this run.
pub(crate) fn is_about(run: &RunHandle) {
    if run.settings().trace.level < TraceLevel::Full {
        return;
    }
    let Some(span) = run.span() else { return };
    let state = run.settings().trace.state.clone();
    let subject = Subject { run: Arc::new(run.id().clone()), span, state };
    // Nothing to note where no call is under way: at the start, and in the pages.
    let _ = SUBJECT.try_with(|current| current.replace(Some(subject)));
}

/// Where spans of calls go. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    spans: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
    /// Whose time the spans of the lifecycle have.
    engine: Engine,
}

impl Calls {
    /// Sends the spans of calls to these receivers from now on.
    pub(crate) fn start(engine: Engine, receivers: Vec<Arc<dyn LifecycleExporter>>) -> Calls {
        let (spans, queue) = mpsc::channel(QUEUE);
        tokio::spawn(send(queue, receivers));
        Calls { spans, dropped: Arc::default(), engine }
    }

    fn ended(&self, span: Span) {
        if self.spans.try_send(span).is_err() && self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("spans of API calls come faster than they are sent: some are dropped (said once)");
        }
    }
}

async fn send(mut queue: mpsc::Receiver<Span>, receivers: Vec<Arc<dyn LifecycleExporter>>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        if batch.len() < BATCH {
            tokio::time::sleep(LINGER).await;
            while batch.len() < BATCH
                && let Ok(span) = queue.try_recv()
            {
                batch.push(span);
            }
        }
        let spans: Arc<[Span]> = std::mem::take(&mut batch).into();
        for receiver in &receivers {
            if let Err(error) = receiver.export(Arc::clone(&spans)).await {
                receiver.failed(&error, Some(spans.len()));
            }
        }
    }
}

/// Makes a span of a call that turns out to be about a run which is traced in full. A streaming call lasts until its stream ends.
pub(crate) async fn traced(State(calls): State<Calls>, request: Request, next: Next) -> Response {
    let start = calls.engine.now();
    let (caller, state) = (caller(request.headers()), state(request.headers()));
    let (uri, system) = (request.uri().clone(), system_of(request.headers()));
    let (response, subject) = SUBJECT
        .scope(RefCell::default(), async {
            let response = next.run(request).await;
            (response, SUBJECT.with(RefCell::take))
        })
        .await;
    let Some(subject) = subject.filter(|_| caller.is_none_or(|caller| caller.is_sampled())) else { return response };
    let span =
        span_of(&subject, caller.map(|caller| (caller, state)), uri.path().trim_start_matches('/'), system, start);
    let mut ending = Ending { span: Some(span), code: code_of(response.headers(), response.status()), calls };
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if let Some(trailers) = frame.trailers_ref() {
                ending.code = code_of(trailers, http::StatusCode::OK).or(ending.code.take());
            }
            frame
        }))
    })
}

/// The span of whoever sends a request, from its header.
pub(crate) fn caller(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get(TRACEPARENT)?.to_str().ok()?.parse().ok()
}

/// What whoever sends a request says about its trace.
fn state(headers: &HeaderMap) -> Option<TraceState> {
    headers.get(TRACESTATE)?.to_str().ok()?.parse().ok()
}

/// The name of the protocol, by OpenTelemetry's conventions for RPC.
fn system_of(headers: &HeaderMap) -> &'static str {
    let kind = headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/grpc") { "grpc" } else { "connectrpc" }
}

/// What went wrong: the code of gRPC, else the status of HTTP.
fn code_of(headers: &HeaderMap, status: http::StatusCode) -> Option<String> {
    let grpc = headers.get("grpc-status").and_then(|code| code.to_str().ok()).filter(|code| *code != "0");
    grpc.map(str::to_owned).or_else(|| (!status.is_success()).then(|| status.as_str().to_owned()))
}

fn span_of(
    subject: &Subject,
    caller: Option<(TraceParent, Option<TraceState>)>,
    path: &str,
    system: &'static str,
    start: Timestamp,
) -> Span {
    let (above, state) = caller.unwrap_or_else(|| (subject.span, subject.state.clone()));
    let id = SpanId(((random_bits() as u64) | 1).to_be_bytes());
    Span {
        run: Arc::clone(&subject.run),
        shared: run_attributes(&subject.run),
        part: Part::Call,
        context: above.at(id),
        state,
        parent: Some(above.span),
        name: path.to_owned().into(),
        action: ActionName::ROOT,
        caller: None,
        task: TaskName::from(""),
        attempt: None,
        start,
        end: start,
        status: Status::Unset,
        details: vec![("rpc.system.name", Value::Word(system)), ("rpc.method", Value::from(path))],
        moments: Vec::new(),
        links: Vec::new(),
    }
}

/// A call that has been answered, until the last of its answer is gone.
struct Ending {
    span: Option<Span>,
    code: Option<String>,
    calls: Calls,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Some(mut span) = self.span.take() else { return };
        span.end = self.calls.engine.now().max(span.start);
        if let Some(code) = &self.code {
            span.details.push(("rpc.response.status_code", Value::from(code.as_str())));
            span.details.push(("error.type", Value::from(code.as_str())));
            span.status = Status::Error(format!("the call ended with {code}"));
        }
        self.calls.ended(span);
    }
}
