//! What a running attempt asks of whoever runs its run: the engine of this process, or a server.

use std::sync::Arc;

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, AttemptNo, Failure, RunId, Timestamp};
use spanwise_engine::{AttemptScope, CallToken, NewStep, Outcome, OutsideWait, RunHandle, StepRecord};

use crate::error::Result;
use crate::executor::{InProcess, on_own_task};
#[cfg(feature = "remote")]
use crate::remote;
use crate::task::AnyTask;

/// One attempt, towards whoever runs its run.
pub(crate) enum Control {
    /// The engine of this process.
    Embedded {
        /// The run.
        run: RunHandle,
        /// What the engine keeps of the attempt.
        scope: Arc<AttemptScope>,
    },
    /// A server: this process runs one attempt for it.
    #[cfg(feature = "remote")]
    Remote(Arc<remote::Parent>),
}

/// A call that is to become an action.
pub(crate) struct Child {
    /// Its name.
    pub(crate) action: ActionName,
    /// What is fixed about it.
    pub(crate) spec: ActionSpec,
    /// Its inputs with their context.
    pub(crate) inputs: Bytes,
    /// What it runs.
    pub(crate) task: &'static dyn AnyTask,
    /// How many tasks of this process stand above it.
    pub(crate) depth: u32,
}

/// A step that is done.
pub(crate) struct CompletedStep {
    /// Its name.
    pub(crate) action: ActionName,
    /// What is fixed about it.
    pub(crate) spec: ActionSpec,
    /// When its body began.
    pub(crate) started: Timestamp,
    /// Its arguments.
    pub(crate) inputs: Bytes,
    /// What it gave.
    pub(crate) outcome: Result<Bytes, Failure>,
    /// The observer has made a span of it.
    pub(crate) observed: bool,
}

impl Control {
    /// The attempt waits for another run until the answer is dropped: it takes up no place meanwhile. A server learns that from
    /// the request.
    pub(crate) fn wait_for(&self, other: &RunId) -> Option<OutsideWait> {
        match self {
            Control::Embedded { run, scope } => {
                (run.id() != other).then(|| run.wait_outside(scope.action, scope.attempt))
            }
            #[cfg(feature = "remote")]
            Control::Remote(_) => None,
        }
    }

    /// The run.
    pub(crate) fn run_id(&self) -> &RunId {
        match self {
            Control::Embedded { run, .. } => run.id(),
            #[cfg(feature = "remote")]
            Control::Remote(parent) => parent.run_id(),
        }
    }

    /// The action that this is an attempt of.
    pub(crate) fn action(&self) -> ActionName {
        match self {
            Control::Embedded { scope, .. } => scope.action,
            #[cfg(feature = "remote")]
            Control::Remote(parent) => parent.action(),
        }
    }

    /// The number of the attempt, from 1.
    pub(crate) fn attempt(&self) -> AttemptNo {
        match self {
            Control::Embedded { scope, .. } => scope.attempt,
            #[cfg(feature = "remote")]
            Control::Remote(parent) => parent.attempt(),
        }
    }

    /// Counts a call from when it is made until it is over; only the engine of this process wants to know.
    pub(crate) fn count_call(&self) -> Option<CallToken> {
        match self {
            Control::Embedded { run, scope } => Some(CallToken::new(run.engine(), scope)),
            #[cfg(feature = "remote")]
            Control::Remote(_) => None,
        }
    }

    /// Has a child run and waits for its end. One that is there already is joined.
    pub(crate) async fn child(&self, child: Child) -> Result<Outcome> {
        match self {
            Control::Embedded { run, scope } => embedded_child(run, scope, child).await,
            #[cfg(feature = "remote")]
            Control::Remote(parent) => Box::pin(parent.child(child)).await,
        }
    }

    /// True if the lifecycle of the run is traced by the engine of this process; a server sees to it by itself.
    pub(crate) fn is_traced(&self) -> bool {
        match self {
            Control::Embedded { run, .. } => run.is_traced(),
            #[cfg(feature = "remote")]
            Control::Remote(_) => false,
        }
    }

    /// Looks a step up: what was recorded under this name, if it stands.
    pub(crate) async fn step(&self, action: ActionName) -> Result<Option<StepRecord>> {
        match self {
            Control::Embedded { run, .. } => Ok(run.step(action).await?),
            #[cfg(feature = "remote")]
            Control::Remote(parent) => Box::pin(parent.step(action)).await,
        }
    }

    /// Records a step. After `Ok` it is safe.
    pub(crate) async fn record_step(&self, step: CompletedStep) -> Result<()> {
        match self {
            Control::Embedded { run, .. } => {
                let CompletedStep { action, spec, started, inputs, outcome, observed } = step;
                Ok(run.record_step(action, NewStep { spec, started, inputs, outcome, observed }).await?)
            }
            #[cfg(feature = "remote")]
            Control::Remote(parent) => Box::pin(parent.record_step(step)).await,
        }
    }

    /// The time, as whoever runs the run counts it.
    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Control::Embedded { run, .. } => run.now(),
            #[cfg(feature = "remote")]
            Control::Remote(_) => remote::now(),
        }
    }

    /// The code of the timeout that cut the attempt short, if one did. A server ends the process instead, and says nothing.
    #[cfg(feature = "otel")]
    pub(crate) fn timeout(&self) -> Option<String> {
        match self {
            Control::Embedded { run, scope } => run.timeout_of(scope),
            #[cfg(feature = "remote")]
            Control::Remote(_) => None,
        }
    }

    /// Returns when the engine is interrupted. A server ends the process instead.
    pub(crate) async fn interrupted(&self) {
        match self {
            Control::Embedded { run, .. } => run.engine().interrupted().await,
            #[cfg(feature = "remote")]
            Control::Remote(_) => std::future::pending().await,
        }
    }
}

async fn embedded_child(run: &RunHandle, scope: &Arc<AttemptScope>, child: Child) -> Result<Outcome> {
    let Child { action, spec, inputs, task, depth } = child;
    let is_new = run.enqueue(action, spec, inputs.clone())?;
    let call = spanwise_engine::Call { action, inputs: is_new.then_some(inputs), caller: Some(Arc::clone(scope)) };
    let executor = InProcess { task, depth };
    if !run.settings().is_limited() {
        return Ok(run.drive(call, &executor).await?);
    }
    // A child that holds one of a few places must go on even while its caller does not look at it.
    let run = run.clone();
    let driven = on_own_task(async move { run.drive(call, &executor).await }).await;
    Ok(driven.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?)
}
