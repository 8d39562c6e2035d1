//! Running attempts in this process.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use spanwise_core::Failure;
use spanwise_core::trace::{TRACEPARENT, TraceParent};
use spanwise_engine::{Attempt, Executor, Report};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::task::{NamedLiteral, Outputs};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle};

use crate::call::{MAX_PAYLOAD, thaw, too_large};
use crate::control::Control;
use crate::ctx::{Ambient, TaskContext};
use crate::error::Result;
use crate::task::{AnyTask, OUTPUT};

/// Bodies run inside their caller's turn, which costs nothing; one in this many is moved to a task of its own, so that a deep
/// chain of calls does not use up one stack.
const INLINE_DEPTH: u32 = 16;

/// Runs a task of this program.
pub(crate) struct InProcess {
    pub(crate) task: &'static dyn AnyTask,
    pub(crate) depth: u32,
}

impl Executor for InProcess {
    fn execute(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        let (task, depth) = (self.task, self.depth);
        let (run, scope) = (attempt.run.clone(), Arc::clone(&attempt.scope));
        let control = Control::Embedded { run: run.clone(), scope: Arc::clone(&scope) };
        let delivered = Delivered { inputs: attempt.inputs, span: attempt.span };
        let turns = scope.turns(run, run_attempt(task, delivered, control, depth));
        let body = async move {
            let report = turns.await;
            if matches!(report, Report::Failed(_)) && runtime_is_going().await {
                // What the body has spawned was cancelled with the runtime: no failure of the body, which goes too.
                return std::future::pending().await;
            }
            report
        };
        if depth % INLINE_DEPTH == INLINE_DEPTH - 1 {
            return Box::pin(async move {
                let lost = |error: JoinError| Report::Failed(Failure::system("AttemptLost", error.to_string()));
                on_own_task(body).await.unwrap_or_else(lost)
            });
        }
        Box::pin(body)
    }
}

/// What an attempt is given.
pub(crate) struct Delivered {
    /// The frozen inputs, with the map in them.
    pub(crate) inputs: bytes::Bytes,
    /// The attempt's own span: the map's `traceparent` for the body.
    pub(crate) span: Option<TraceParent>,
}

/// Runs the body of an attempt.
pub(crate) fn run_attempt(
    task: &'static dyn AnyTask,
    delivered: Delivered,
    control: Control,
    depth: u32,
) -> impl Future<Output = Report> + Send {
    // Counted from now on, also if nobody polls it.
    let body = Body::begin();
    attempt(task, delivered, control, depth, body)
}

async fn attempt(
    task: &'static dyn AnyTask,
    delivered: Delivered,
    control: Control,
    depth: u32,
    _body: Body,
) -> Report {
    crate::panic::install_hook();
    let run_body = async {
        let (inputs, context) = thaw(&delivered.inputs)?;
        let mut context = context.without_reserved();
        if let Some(span) = delivered.span {
            context.set(TRACEPARENT, span.to_string());
        }
        let name = task.described().name.clone();
        let task_context = TaskContext::new(control, name, depth);
        let ambient = Ambient { task: Arc::new(task_context), context, group: None, step: None };
        run_in(ambient, task, &inputs).await
    };
    match AssertUnwindSafe(run_body).catch_unwind().await {
        Ok(Ok(outputs)) => Report::Succeeded(outputs),
        Ok(Err(error)) => Report::Failed(error.to_failure()),
        Err(panic) => Report::Failed(crate::panic::failure(panic.as_ref())),
    }
}

/// True if the runtime is being dropped: it cancels whatever is spawned from then on.
async fn runtime_is_going() -> bool {
    tokio::spawn(std::future::ready(())).await.is_err()
}

/// How many bodies are under way in this process, and who waits for the last one.
static BODIES: AtomicUsize = AtomicUsize::new(0);
static LAST_BODY_GONE: Notify = Notify::const_new();

/// A body that is under way: dropped after the body itself, and so after the spans that it holds open.
struct Body;

impl Body {
    fn begin() -> Body {
        BODIES.fetch_add(1, Ordering::AcqRel);
        Body
    }
}

impl Drop for Body {
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

async fn run_in(ambient: Ambient, task: &'static dyn AnyTask, inputs: &[NamedLiteral]) -> Result<bytes::Bytes> {
    let body = ambient.clone().sync_scope(|| task.start(inputs))?;
    #[cfg(feature = "otel")]
    let output = crate::otel::around_task(ambient, body).await?;
    #[cfg(not(feature = "otel"))]
    let output = ambient.scope(body).await?;
    encode_outputs(output)
}

/// The outputs of a task or a step as they are stored; nothing at all for a unit.
pub(crate) fn encode_outputs(output: Option<Literal>) -> Result<bytes::Bytes> {
    let literals = output.map(|literal| NamedLiteral::new(OUTPUT, literal)).into_iter().collect();
    let outputs = Outputs { literals, ..Outputs::default() };
    let bytes = outputs.encode_to_vec();
    if bytes.len() > MAX_PAYLOAD {
        return Err(too_large("outputs", bytes.len(), &outputs.literals).into());
    }
    Ok(bytes.into())
}

/// Runs a future as a tokio task that ends with the caller.
pub(crate) async fn on_own_task<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    let mut own = AbortOnDrop(tokio::spawn(future));
    (&mut own.0).await
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
