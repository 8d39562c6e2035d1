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

/// Runs the body of an attempt.
pub(crate) fn run_body(
    task: &'static dyn AnyTask,
    delivered: Delivered,
    parent: AnyParent,
    depth: u32,
) -> impl Future<Output = Report> + Send {
    // Counted from now on, also if nobody polls it.
    let counted = CountedBody::begin();
    attempt(task, delivered, parent, depth, counted)
}

async fn attempt(
    task: &'static dyn AnyTask,
    delivered: Delivered,
    parent: AnyParent,
    depth: u32,
    _counted: CountedBody,
) -> Report {
    crate::panic::install_hook();
    let name = task.described().name.clone();
    let running = Arc::new(RunningTask::new(parent, name, depth));
    let run_body = async {
        let (inputs, context) = thaw(&delivered.inputs)?;
        let mut context = context.without_reserved();
        if let Some(span) = delivered.span {
            context.set(TRACEPARENT, span.to_string());
        }
        let ambient = Ambient { task: Arc::clone(&running), context, group: None, step: None };
        run_in(ambient, task, &inputs).await
    };
    let ended = AssertUnwindSafe(run_body).catch_unwind().await;
    if running.report.get().is_some() {
        // Few have one: it takes no room in the call of each action.
        Box::pin(crate::report::finish(&running)).await;
    }
    match ended {
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
