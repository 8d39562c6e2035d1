//! The parent of an attempt's calls: the engine of this process, or a server. A call on the way to the engine of this process is one future, without a box for each step.

use spanwise_core::{ActionName, AttemptNo, RunId, Timestamp};
use spanwise_engine::{CallToken, Executor, Outcome, OutsideWait, StepRecord};

use crate::call_site::CallSite;
use crate::error::Result;
use crate::overrides::Overrides;
use crate::parent::{Child, CompletedStep, NewCondition, NewTimer, Parent};
use crate::remote::RemoteTask;
use crate::{embedded, remote};

/// One attempt, towards whoever runs its run.
pub(crate) enum AnyParent {
    /// The engine of this process.
    Embedded(embedded::Parent),
    /// A server, which has started this process for the attempt.
    Remote(remote::Parent),
}

impl From<embedded::Parent> for AnyParent {
    fn from(parent: embedded::Parent) -> AnyParent {
        AnyParent::Embedded(parent)
    }
}

impl From<remote::Parent> for AnyParent {
    fn from(parent: remote::Parent) -> AnyParent {
        AnyParent::Remote(parent)
    }
}

/// The answer of whichever parent it is.
macro_rules! of_either {
    ($any:expr, $parent:ident => $answer:expr) => {
        match $any {
            AnyParent::Embedded($parent) => $answer,
            AnyParent::Remote($parent) => $answer,
        }
    };
}

impl Parent for AnyParent {
    fn run_id(&self) -> &RunId {
        of_either!(self, parent => parent.run_id())
    }

    fn action(&self) -> ActionName {
        of_either!(self, parent => parent.action())
    }

    fn attempt(&self) -> AttemptNo {
        of_either!(self, parent => parent.attempt())
    }

    fn now(&self) -> Timestamp {
        of_either!(self, parent => parent.now())
    }

    async fn child<E: Executor + 'static>(&self, child: Box<Child>, in_process: E) -> Result<Outcome> {
        of_either!(self, parent => parent.child(child, in_process).await)
    }

    async fn deployed_child(&self, site: CallSite<'_>, task: RemoteTask, overrides: &Overrides) -> Result<Outcome> {
        of_either!(self, parent => parent.deployed_child(site, task, overrides).await)
    }

    async fn timer(&self, timer: NewTimer) -> Result<Outcome> {
        of_either!(self, parent => parent.timer(timer).await)
    }

    async fn condition(&self, condition: NewCondition) -> Result<Outcome> {
        of_either!(self, parent => parent.condition(condition).await)
    }

    async fn step(&self, action: ActionName) -> Result<Option<StepRecord>> {
        of_either!(self, parent => parent.step(action).await)
    }

    async fn record_step(&self, step: CompletedStep) -> Result<()> {
        of_either!(self, parent => parent.record_step(step).await)
    }

    async fn write_report(&self, page: String) -> Result<()> {
        of_either!(self, parent => parent.write_report(page).await)
    }

    fn count_call(&self) -> Option<CallToken> {
        of_either!(self, parent => parent.count_call())
    }

    fn wait_for(&self, other: &RunId) -> Option<OutsideWait> {
        of_either!(self, parent => parent.wait_for(other))
    }

    fn is_traced(&self) -> bool {
        of_either!(self, parent => parent.is_traced())
    }

    #[cfg(feature = "otel")]
    fn timeout(&self) -> Option<String> {
        of_either!(self, parent => parent.timeout())
    }

    async fn interrupted(&self) {
        of_either!(self, parent => parent.interrupted().await)
    }
}
