//! Requests of a task's process about the actions that it asks for.

use std::time::Duration;

use spanwise_core::{ActionName, RunId, Scope, Timestamp};
use spanwise_proto::flyteidl2::actions::{
    AbortRequest, Action, EnqueueRequest, WatchForUpdatesRequest, action, watch_for_updates_request,
};
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::core::LiteralType;
use spanwise_proto::flyteidl2::task::{OutputReferences, TaskSpec};
use spanwise_proto::flyteidl2::workflow::{ConditionAction, TaskAction, TraceAction};
use spanwise_proto::google::protobuf::StringValue;

use crate::{ids, times};

/// An action that a task's process asks for.
#[derive(Clone, Copy, Debug)]
pub struct NewChild<'a> {
    /// The run of the task.
    pub run: &'a RunId,
    /// The action of the task.
    pub parent: &'a ActionName,
    /// The action that is asked for.
    pub action: &'a ActionName,
    /// The group that it is shown in; empty for none.
    pub group: &'a str,
    /// Where its inputs are.
    pub input_uri: &'a str,
    /// The directory of the run's data.
    pub run_base: &'a str,
}

/// What an action is that is asked for: a task to be run, or a step that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct What(action::Spec);

/// A task to be run as a child, in a version of its own. `cache_key`: under which its outputs are kept, if they are; `queue`: that which
/// it names, if it names one.
pub fn task(
    scope: &Scope,
    (name, version): (&str, &str),
    task: TaskSpec,
    cache_key: Option<String>,
    queue: Option<&str>,
) -> What {
    What(action::Spec::Task(Box::new(TaskAction {
        id: ids::to_task_identifier(scope, name, version).into(),
        spec: task.into(),
        queue: queue.unwrap_or_default().to_owned(),
        cache_key: cache_key.map(|value| StringValue { value, ..StringValue::default() }).into(),
        ..TaskAction::default()
    })))
}

/// A step that is done. `output_uri`: where its outputs are, if it has succeeded.
pub fn step(name: &str, has_succeeded: bool, (started, ended): (Timestamp, Timestamp), output_uri: &str) -> What {
    let phase = if has_succeeded { ActionPhase::ACTION_PHASE_SUCCEEDED } else { ActionPhase::ACTION_PHASE_FAILED };
    let outputs = OutputReferences { output_uri: output_uri.to_owned(), ..OutputReferences::default() };
    What(action::Spec::Trace(Box::new(TraceAction {
        name: name.to_owned(),
        phase: phase.into(),
        start_time: times::timestamp(started).into(),
        end_time: times::timestamp(ended).into(),
        outputs: outputs.into(),
        ..TraceAction::default()
    })))
}

/// A condition that is waited for, with the type of its answer. `prompt`: what is asked, and more about it.
pub fn condition(name: &str, answer: LiteralType, prompt: (&str, &str), timeout: Option<Duration>) -> What {
    let (prompt, description) = (prompt.0.to_owned(), prompt.1.to_owned());
    What(action::Spec::Condition(Box::new(ConditionAction {
        name: name.to_owned(),
        r#type: answer.into(),
        prompt,
        description,
        timeout: timeout.map(times::duration).into(),
        ..ConditionAction::default()
    })))
}

/// Has an action accepted.
pub fn enqueue(new: NewChild<'_>, what: What) -> EnqueueRequest {
    let NewChild { run, parent, action, group, input_uri, run_base } = new;
    let action = Action {
        action_id: ids::to_action_identifier(run, action).into(),
        parent_action_name: Some(parent.to_string()),
        input_uri: input_uri.to_owned(),
        run_output_base: run_base.to_owned(),
        group: group.to_owned(),
        spec: Some(what.0),
        ..Action::default()
    };
    EnqueueRequest { action: action.into(), ..EnqueueRequest::default() }
}

/// The children of an action, and what becomes of them.
pub fn watch(run: &RunId, parent: &ActionName) -> WatchForUpdatesRequest {
    let parent = ids::to_action_identifier(run, parent);
    let filter = watch_for_updates_request::Filter::ParentActionId(Box::new(parent));
    WatchForUpdatesRequest { filter: Some(filter), ..WatchForUpdatesRequest::default() }
}

/// Ends a child and everything under it.
pub fn abort(run: &RunId, action: &ActionName, reason: &str) -> AbortRequest {
    let id = ids::to_action_identifier(run, action);
    AbortRequest { action_id: id.into(), reason: Some(reason.to_owned()), ..AbortRequest::default() }
}
