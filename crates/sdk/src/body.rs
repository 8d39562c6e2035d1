//! The body of an attempt: run with its context, whoever the parent of its calls is.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use spanwise_core::trace::{TRACEPARENT, TraceParent};
use spanwise_engine::Report;
use spanwise_proto::flyteidl2::task::NamedLiteral;
use tokio::sync::Notify;

use crate::any_parent::AnyParent;
use crate::ctx::{Ambient, RunningTask};
use crate::error::Result;
use crate::payload::{encode_outputs, thaw};
use crate::task::AnyTask;

/// What an attempt is given.
pub(crate) struct Delivered {
    /// The frozen inputs, with the map in them.
    pub(crate) inputs: Bytes,
    /// The attempt's own span: the map's `traceparent` for the body.
    pub(crate) span: Option<TraceParent>,
}

/// Runs the body of an attempt. What it has made for people and not written is beside it: to be written when it is over, and its calls are settled.
pub(crate) fn run_body(
    task: &'static dyn AnyTask,
    delivered: Delivered,
    parent: AnyParent,
    depth: u32,
) -> (impl Future<Output = Report> + Send, Unwritten) {
    // Counted from now on, also if nobody polls it.
    let counted = CountedBody::begin();
    let running = Arc::new(RunningTask::new(parent, task.described().name.clone(), depth));
    let unwritten = Unwritten(Arc::clone(&running));
    (attempt(task, delivered, running, counted), unwritten)
}

/// What a body has made for people, as far as it is not written.
pub(crate) struct Unwritten(Arc<RunningTask>);

impl Unwritten {
    /// Writes it. Few have any: it takes no room in the call of each action.
    pub(crate) async fn write(self) {
        if self.0.report.get().is_some() {
            Box::pin(crate::report::finish(self.0)).await;
        }
    }
}

async fn attempt(
    task: &'static dyn AnyTask,
    delivered: Delivered,
    running: Arc<RunningTask>,
    _counted: CountedBody,
) -> Report {
    crate::panic::install_hook();
    let run_body = async {
        let (inputs, context) = thaw(&delivered.inputs)?;
        let mut context = context.without_reserved();
        if let Some(span) = delivered.span {
            context.set(TRACEPARENT, span.to_string());
        }
        let ambient = Ambient { task: running, context, group: None, step: None };
        run_in(ambient, task, &inputs).await
    };
    match AssertUnwindSafe(run_body).catch_unwind().await {
        Ok(Ok(outputs)) => Report::Succeeded(outputs),
        Ok(Err(error)) => Report::Failed(error.to_failure()),
        Err(panic) => Report::Failed(crate::panic::failure(panic.as_ref())),
    }
}

async fn run_in(ambient: Ambient, task: &'static dyn AnyTask, inputs: &[NamedLiteral]) -> Result<Bytes> {
    let body = ambient.clone().sync_scope(|| task.start(inputs))?;
    #[cfg(feature = "otel")]
    let output = crate::otel::around_task(ambient, body).await?;
    #[cfg(not(feature = "otel"))]
    let output = ambient.scope(body).await?;
    encode_outputs(output)
}

/// How many bodies are under way in this process, and who waits for the last one.
static BODIES: AtomicUsize = AtomicUsize::new(0);
static LAST_BODY_GONE: Notify = Notify::const_new();

/// A body that is under way: dropped after the body itself, and so after the spans that it holds open.
struct CountedBody;

impl CountedBody {
    fn begin() -> CountedBody {
        BODIES.fetch_add(1, Ordering::AcqRel);
        CountedBody
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        if BODIES.fetch_sub(1, Ordering::AcqRel) == 1 {
            LAST_BODY_GONE.notify_waiters();
        }
    }
}

/// Waits until no body is under way. Tokio tasks that were aborted (those of a `JoinSet`) drop their bodies a little later.
pub(crate) async fn bodies_gone() {
    loop {
        let gone = LAST_BODY_GONE.notified();
        if BODIES.load(Ordering::Acquire) == 0 {
            return;
        }
        gone.await;
    }
}
