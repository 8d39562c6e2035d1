//! What an action was made from.

use spanwise_core::ActionKind;
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::task::{TaskSpec, TraceSpec};
use spanwise_proto::flyteidl2::workflow::ConditionAction;

use crate::{Invalid, task};

/// What an action was made from.
#[derive(Clone, Debug)]
pub enum Definition {
    /// A task.
    Task(Box<TaskSpec>),
    /// A step that is recorded.
    Step(TraceSpec),
    /// A condition.
    Condition(Box<ConditionAction>),
}

impl Definition {
    /// Reads the stored form of what an action of this kind is made from.
    ///
    /// # Errors
    /// [`Invalid::Decode`] if it is no definition of that kind.
    pub fn decode(kind: ActionKind, body: &[u8]) -> Result<Definition, Invalid> {
        let invalid = |what| move |source| Invalid::Decode { what, source };
        Ok(match kind {
            ActionKind::Task => Definition::Task(Box::new(task::decode(body)?)),
            ActionKind::Step => {
                Definition::Step(TraceSpec::decode_from_slice(body).map_err(invalid("step definition"))?)
            }
            ActionKind::Condition => Definition::Condition(Box::new(
                ConditionAction::decode_from_slice(body).map_err(invalid("condition definition"))?,
            )),
        })
    }

    /// The version of its task, if it has one.
    pub fn task_version(&self) -> Option<&str> {
        let Definition::Task(spec) = self else { return None };
        Some(spec.task_template.id.version.as_str()).filter(|version| !version.is_empty())
    }
}
