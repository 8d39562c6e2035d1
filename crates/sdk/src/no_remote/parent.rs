//! Without servers no attempt is run for one: nobody has a value of this type.

use spanwise_core::{ActionName, AttemptNo, RunId, Timestamp};
use spanwise_engine::{Executor, Outcome, StepRecord};

use crate::error::Result;
use crate::parent::{self, Child, CompletedStep, NewCondition, NewTimer};

/// An attempt that a server has started.
pub(crate) enum Parent {}

impl parent::Parent for Parent {
    fn run_id(&self) -> &RunId {
        match *self {}
    }

    fn action(&self) -> ActionName {
        match *self {}
    }

    fn attempt(&self) -> AttemptNo {
        match *self {}
    }

    fn now(&self) -> Timestamp {
        match *self {}
    }

    async fn child<E: Executor + 'static>(&self, _: Box<Child>, _: E) -> Result<Outcome> {
        match *self {}
    }

    async fn timer(&self, _: NewTimer) -> Result<Outcome> {
        match *self {}
    }

    async fn condition(&self, _: NewCondition) -> Result<Outcome> {
        match *self {}
    }

    async fn step(&self, _: ActionName) -> Result<Option<StepRecord>> {
        match *self {}
    }

    async fn record_step(&self, _: CompletedStep) -> Result<()> {
        match *self {}
    }

    async fn write_report(&self, _: String) -> Result<()> {
        match *self {}
    }
}
