//! What an action was made from.

use bytes::Bytes;
use spanwise_core::ActionKind;
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::task::{TaskSpec, TraceSpec};
use spanwise_proto::flyteidl2::workflow::ConditionAction;

use crate::condition::Condition;
use crate::{Invalid, task};

/// A definition in the form that is stored, as it was sent, and the digest that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The digest of the body.
    pub digest: String,
    /// The message.
    pub body: Bytes,
}

impl Stored {
    /// What is stored of a message.
    pub fn of(message: &impl Message) -> Stored {
        Stored::from(Bytes::from(message.encode_to_vec()))
    }
}

impl From<Bytes> for Stored {
    fn from(body: Bytes) -> Stored {
        Stored { digest: task::digest(&body), body }
    }
}

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
            ActionKind::Task | ActionKind::Timer => Definition::Task(Box::new(task::decode(body)?)),
            ActionKind::Step => {
                Definition::Step(TraceSpec::decode_from_slice(body).map_err(invalid("step definition"))?)
            }
            ActionKind::Condition => Definition::Condition(Box::new(
                ConditionAction::decode_from_slice(body).map_err(invalid("condition definition"))?,
            )),
        })
    }

    /// The condition, if it is one.
    pub fn condition(&self) -> Option<Condition> {
        let Definition::Condition(message) = self else { return None };
        Some(Condition::of(message))
    }

    /// The task, if it is one.
    ///
    /// # Errors
    /// [`Invalid::Missing`] if it has no template.
    pub fn task(&self) -> Result<Option<task::TaskDefinition>, Invalid> {
        let Definition::Task(message) = self else { return Ok(None) };
        task::TaskDefinition::of((**message).clone()).map(Some)
    }

    /// What of its task is asked for and not honoured, one sentence each.
    pub fn not_honoured(&self) -> Vec<String> {
        let Definition::Task(spec) = self else { return Vec::new() };
        task::not_honoured(spec)
    }

    /// The labels and the annotations of its task's pod template, under their names.
    pub fn pod_metadata(&self) -> Vec<(&'static str, Vec<(String, String)>)> {
        let Definition::Task(spec) = self else { return Vec::new() };
        task::pod_metadata(spec)
    }

    /// The version of its task, if it has one.
    pub fn task_version(&self) -> Option<&str> {
        let Definition::Task(spec) = self else { return None };
        Some(spec.task_template.id.version.as_str()).filter(|version| !version.is_empty())
    }
}
