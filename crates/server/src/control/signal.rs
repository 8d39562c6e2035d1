//! Answers to conditions: one rule, whichever way they come.

use spanwise_core::trace::TraceParent;
use spanwise_core::{ActionKind, ActionName, End, Phase};
use spanwise_engine::RunHandle;
use spanwise_wire::condition::{Condition, Given};
use spanwise_wire::title;

use super::{Caller, ControlPlane, Error};

/// A value that somebody gives to a condition.
pub(crate) struct Answer {
    /// Who.
    pub(crate) by: Caller,
    /// The span of whoever gives it.
    pub(crate) from: Option<TraceParent>,
    pub(crate) value: Given,
}

impl ControlPlane {
    /// Gives a waiting condition its value, which must be of its type. After `Ok` it is safe.
    pub(crate) async fn signal(&self, run: &RunHandle, action: ActionName, answer: Answer) -> Result<(), Error> {
        let condition = self.waiting(run, action)?;
        title("signalled_by", answer.by.name())?;
        let outputs = condition.outputs(answer.value)?;
        Ok(run.signal(action, answer.by.name(), answer.from, outputs).await?)
    }

    /// A condition that can be answered.
    pub(crate) fn waiting(&self, run: &RunHandle, action: ActionName) -> Result<Condition, Error> {
        let name = &run.id().name;
        let current = run
            .action(&action)
            .ok_or_else(|| Error::NotFound(format!("action `{action}` is not known to run `{name}`")))?;
        if current.spec.kind != ActionKind::Condition {
            return Err(Error::Unmet(format!("action `{action}` of run `{name}` is no condition")));
        }
        let ended = |how: &str| Error::Unmet(format!("condition `{}` ({action}) {how}", current.spec.task));
        match current.end() {
            Some(End::Signalled { by }) => return Err(ended(&format!("was answered already, by {by}"))),
            Some(_) if current.phase() == Phase::TimedOut => return Err(ended("has timed out: nobody waits any more")),
            Some(_) => return Err(ended(&format!("has ended ({}): nobody waits any more", current.phase()))),
            None => {}
        }
        let definition = self.inner.definitions.of(&current.spec)?;
        let missing = || Error::NotFound(format!("the definition of condition `{}` ({action})", current.spec.task));
        definition.and_then(|definition| definition.condition()).ok_or_else(missing)
    }
}
