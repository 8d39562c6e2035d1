//! Running attempts in this process.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use spanwise_core::Failure;
use spanwise_engine::{Attempt, Executor, Report};
use tokio::task::JoinError;

use super::parent::{Parent, on_own_task};
use super::surroundings;
use crate::body::{Delivered, run_body};
use crate::effective::Effective;
use crate::task::AnyTask;

/// Bodies run inside the poll of their caller, which costs nothing; one in this many is moved to a task of its own, so that a deep
/// chain of calls does not use up one stack.
const INLINE_DEPTH: u32 = 16;

/// Runs a task of this program.
pub(crate) struct InProcess {
    pub(crate) task: &'static dyn AnyTask,
    /// How many tasks of this process stand above it.
    pub(crate) depth: u32,
    /// What holds for it.
    pub(crate) effective: Arc<Effective>,
}

impl Executor for InProcess {
    fn execute(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        let (task, depth) = (self.task, self.depth);
        if let Err(failure) = surroundings::check(task.described().name.as_str(), &self.effective.settings) {
            return Box::pin(std::future::ready(Report::Failed(failure)));
        }
        let (run, scope) = (attempt.run.clone(), Arc::clone(&attempt.scope));
        let parent = Parent::new(run.clone(), Arc::clone(&scope));
        let delivered = Delivered { inputs: attempt.inputs, span: attempt.span };
        // Each future that has another one as its argument has room for it twice.
        let (body, unwritten) = run_body(task, delivered, parent.into(), depth);
        let polls = scope.run_body(run, Box::pin(body));
        let body = async move {
            let report = polls.await;
            unwritten.write().await;
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

/// True if the runtime is being dropped: it cancels whatever is spawned from then on.
async fn runtime_is_going() -> bool {
    tokio::spawn(std::future::ready(())).await.is_err()
}
