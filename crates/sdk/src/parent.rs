//! What a running attempt asks of whoever runs its run: the engine of this process, or a server.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, AttemptNo, Failure, RunId, Timeouts, Timestamp};
use spanwise_engine::{CallToken, Executor, Outcome, OutsideWait, StepRecord};

use crate::call_site::CallSite;
use crate::effective::Effective;
use crate::error::Result;
use crate::overrides::Overrides;
use crate::question::Question;
use crate::remote::RemoteTask;
use crate::task::AnyTask;
use crate::wait::Wait;

/// A call of a task of this program that is to become an action.
pub(crate) struct Child {
    /// Its name.
    pub(crate) action: ActionName,
    /// What is fixed about it, its group among it.
    pub(crate) spec: ActionSpec,
    /// Its inputs with their context.
    pub(crate) inputs: Bytes,
    /// What it runs.
    pub(crate) task: &'static dyn AnyTask,
    /// What holds for it.
    pub(crate) effective: Arc<Effective>,
    /// The key of its result in the cache; none if it is not kept.
    pub(crate) cache_key: Option<String>,
}

/// A timer that is to be waited for.
pub(crate) struct NewTimer {
    /// Its name.
    pub(crate) action: ActionName,
    /// The group it is shown in.
    pub(crate) group: Option<String>,
    /// What it waits for.
    pub(crate) wait: Wait,
    /// How long that may take at most.
    pub(crate) timeouts: Timeouts,
    /// Its input with the context.
    pub(crate) inputs: Bytes,
}

/// A condition that is to be waited for.
pub(crate) struct NewCondition {
    /// Its name as an action.
    pub(crate) action: ActionName,
    /// The group it is shown in.
    pub(crate) group: Option<String>,
    /// What is asked.
    pub(crate) question: Question,
    /// The same as frozen inputs, with the context.
    pub(crate) inputs: Bytes,
}

/// A step that is done.
pub(crate) struct CompletedStep {
    /// Its name.
    pub(crate) action: ActionName,
    /// What is fixed about it, its group among it.
    pub(crate) spec: ActionSpec,
    /// When its body began.
    pub(crate) started: Timestamp,
    /// Its arguments.
    pub(crate) inputs: Bytes,
    /// Its outputs, or what went wrong.
    pub(crate) outcome: Result<Bytes, Failure>,
    /// The observer has made a span of it.
    pub(crate) observed: bool,
}

/// One attempt as the parent of actions. Methods that only the engine of this process can answer have a default for all others.
pub(crate) trait Parent: Send + Sync {
    /// The run.
    fn run_id(&self) -> &RunId;

    /// The action that this is an attempt of.
    fn action(&self) -> ActionName;

    /// The number of the attempt, from 1.
    fn attempt(&self) -> AttemptNo;

    /// The time, as whoever runs the run counts it.
    fn now(&self) -> Timestamp;

    /// Has a task of this program run as a child and waits for its end. One that is there already is joined. `in_process` is how the engine
    /// of this process would run it.
    ///
    /// # Cancellation
    /// The caller gives the child up, or leaves it to its next attempt: see [`spanwise_engine::DroppedCalls`].
    fn child<E: Executor + 'static>(
        &self,
        child: Box<Child>,
        in_process: E,
    ) -> impl Future<Output = Result<Outcome>> + Send;

    /// The same with a task that is deployed on a server, which the engine of this process does not run.
    fn deployed_child(
        &self,
        _site: CallSite<'_>,
        task: RemoteTask,
        _overrides: &Overrides,
    ) -> impl Future<Output = Result<Outcome>> + Send {
        std::future::ready(Err(task.not_here()))
    }

    /// Waits for a timer. One that is there already ends when it was to end.
    ///
    /// # Cancellation
    /// As that of a child.
    fn timer(&self, timer: NewTimer) -> impl Future<Output = Result<Outcome>> + Send;

    /// Waits until a condition is answered, or its time is over.
    ///
    /// # Cancellation
    /// As that of a child.
    fn condition(&self, condition: NewCondition) -> impl Future<Output = Result<Outcome>> + Send;

    /// Looks a step up: what was recorded under this name, if it stands.
    fn step(&self, action: ActionName) -> impl Future<Output = Result<Option<StepRecord>>> + Send;

    /// Records a step. After `Ok` it is safe.
    fn record_step(&self, step: CompletedStep) -> impl Future<Output = Result<()>> + Send;

    /// Writes the report of the attempt, in the place of an earlier one.
    fn write_report(&self, page: String) -> impl Future<Output = Result<()>> + Send;

    /// Counts a call from when it is made until it is over.
    fn count_call(&self) -> Option<CallToken> {
        None
    }

    /// The attempt waits for another run until the answer is dropped: it takes up no slot meanwhile. A server learns that from the request.
    fn wait_for(&self, _other: &RunId) -> Option<OutsideWait> {
        None
    }

    /// True if the engine of this process traces the lifecycle of the run; a server sees to it by itself.
    fn is_traced(&self) -> bool {
        false
    }

    /// The code of the timeout that cut the attempt short, if one did. A server ends the process instead, and says nothing.
    #[cfg(feature = "otel")]
    fn timeout(&self) -> Option<String> {
        None
    }

    /// Returns when the engine is interrupted. A server ends the process instead.
    fn interrupted(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}
