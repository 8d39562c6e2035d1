//! What a running task asks for: child tasks, steps that it has completed, conditions. They come as they were sent, and are read when
//! it is known that they are new.

use std::time::Duration;

use spanwise_core::Timestamp;
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::workflow::{ConditionAction, TaskAction, TraceAction};

use crate::condition::Condition;
use crate::ids::{self, TaskKey};
use crate::task::TaskDefinition;
use crate::{Invalid, Stored, times, title};

/// Which kind of action is asked for, as it was sent.
#[derive(Clone, Debug)]
pub enum NewKind {
    /// A child task.
    Task(AskedTask),
    /// A completed step.
    Step(AskedStep),
    /// A condition.
    Condition(AskedCondition),
}

/// A child task as it was sent.
#[derive(Clone, Debug)]
pub struct AskedTask(Box<TaskAction>);

/// A step as it was sent.
#[derive(Clone, Debug)]
pub struct AskedStep(Box<TraceAction>);

/// A condition as it was sent.
#[derive(Clone, Debug)]
pub struct AskedCondition(Box<ConditionAction>);

impl From<Box<TaskAction>> for NewKind {
    fn from(message: Box<TaskAction>) -> NewKind {
        NewKind::Task(AskedTask(message))
    }
}

impl From<Box<TraceAction>> for NewKind {
    fn from(message: Box<TraceAction>) -> NewKind {
        NewKind::Step(AskedStep(message))
    }
}

impl From<Box<ConditionAction>> for NewKind {
    fn from(message: Box<ConditionAction>) -> NewKind {
        NewKind::Condition(AskedCondition(message))
    }
}

/// A child task.
#[derive(Clone, Debug)]
pub struct ChildTask {
    /// The task.
    pub task: TaskSource,
    /// Its key in the cache, which comes ready; none or empty if its results are not kept.
    pub cache_key: Option<String>,
    /// The queue that it names, if it names one.
    pub queue: Option<String>,
}

/// Where a definition is.
#[derive(Clone, Debug)]
pub enum TaskSource {
    /// It was sent along.
    Sent(Box<TaskDefinition>),
    /// It was deployed before.
    Deployed(TaskKey),
}

impl AskedTask {
    /// Reads it.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn read(self) -> Result<ChildTask, Invalid> {
        let TaskAction { spec, id, cache_key, queue, .. } = *self.0;
        title("action.task.queue", &queue)?;
        let task = match spec.into_option() {
            Some(spec) => TaskSource::Sent(Box::new(TaskDefinition::of(spec)?)),
            None => TaskSource::Deployed(ids::task_key(id.as_option().ok_or(Invalid::Missing("action.task.spec"))?)?),
        };
        let queue = Some(queue).filter(|queue| !queue.is_empty());
        Ok(ChildTask { task, cache_key: cache_key.into_option().map(|key| key.value), queue })
    }
}

/// A completed step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedStep {
    /// What it is called.
    pub name: String,
    /// Its definition.
    pub definition: Stored,
    /// True if it has failed.
    pub has_failed: bool,
    /// Where its outputs are; empty if it has none.
    pub output_uri: String,
    /// When it began, if that is said.
    pub started: Option<Timestamp>,
}

impl AskedStep {
    /// Reads it.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn read(self) -> Result<CompletedStep, Invalid> {
        let step = *self.0;
        title("action.trace.name", &step.name)?;
        let started = step.start_time.as_option().map(times::from_timestamp);
        Ok(CompletedStep {
            definition: Stored::of(&*step.spec),
            has_failed: step.phase.as_known() == Some(ActionPhase::ACTION_PHASE_FAILED),
            output_uri: step.outputs.output_uri.clone(),
            started: started.filter(|at| *at > Timestamp(0)),
            name: step.name,
        })
    }
}

/// A new condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCondition {
    /// What it is called.
    pub name: String,
    /// Its definition.
    pub definition: Stored,
    /// How long it waits, if not for ever.
    pub deadline: Option<Duration>,
}

impl AskedCondition {
    /// Reads it.
    ///
    /// # Errors
    /// [`Invalid`] names the field; a condition that nobody could answer is refused.
    pub fn read(self) -> Result<NewCondition, Invalid> {
        let message = *self.0;
        title("action.condition.name", &message.name)?;
        if !message.r#type.is_set() {
            let text = "action.condition.type is missing: the stock SDK sends it over ActionsService only";
            return Err(Invalid::field(text));
        }
        if Condition::of(&message).python_type().is_none() {
            let text = "action.condition.type: what can be answered is a bool, an int, a float or a str";
            return Err(Invalid::field(text));
        }
        Ok(NewCondition {
            definition: Stored::of(&message),
            deadline: times::from_duration(message.timeout.as_option()),
            name: message.name,
        })
    }
}
