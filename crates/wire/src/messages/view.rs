//! An action of a list, as programs see it.

use spanwise_core::{ActionKind, ActionName, ActionView, Phase, TaskName};
use spanwise_proto::flyteidl2::workflow::{Action, ActionType, action_metadata};

use crate::task::CORE_SLEEP;
use crate::times::from_timestamp;

/// An action of a list as programs see it; none if its name or phase is not one of Flyte's.
pub fn view(action: &Action) -> Option<ActionView> {
    let (metadata, status) = (&action.metadata, &action.status);
    let (kind, task) = match &metadata.spec {
        Some(action_metadata::Spec::Task(task)) if task.task_type == CORE_SLEEP => {
            (ActionKind::Timer, task.id.name.as_str())
        }
        Some(action_metadata::Spec::Task(task)) => (ActionKind::Task, task.id.name.as_str()),
        Some(action_metadata::Spec::Trace(step)) => (ActionKind::Step, step.name.as_str()),
        Some(action_metadata::Spec::Condition(condition)) => (ActionKind::Condition, condition.name.as_str()),
        None if metadata.action_type.as_known() == Some(ActionType::ACTION_TYPE_TRACE) => (ActionKind::Step, ""),
        None => (ActionKind::Task, ""),
    };
    let phase = Phase::from_number(status.phase.to_i32())?;
    Some(ActionView {
        name: ActionName::new(&action.id.name).ok()?,
        parent: ActionName::new(&metadata.parent).ok(),
        kind,
        task: TaskName::from(task),
        group: Some(metadata.group.clone()).filter(|group| !group.is_empty()),
        phase,
        // The wire says at least 1, also of what has no attempts.
        attempts: if kind == ActionKind::Task { status.attempts } else { 0 },
        // Flyte's start is when it was accepted; when it began to run is a field of Spanwise's own.
        enqueued_at: status.start_time.as_option().map(from_timestamp).unwrap_or_default(),
        started_at: status.started_at.as_option().map(from_timestamp),
        ended_at: status.end_time.as_option().map(from_timestamp),
        failure: None,
    })
}
