//! Actions as rows of lists and of the store.

use spanwise_core::{Action, ActionName, End, Failure, Timestamp};
use spanwise_store::ActionRow;

pub(super) fn ended_at(action: &Action) -> Option<Timestamp> {
    action.is_finished().then_some(action.updated_at)
}

fn failure(action: &Action) -> Option<Failure> {
    match action.end()? {
        End::Failed(failure) | End::TimedOut(failure) => Some(failure.as_ref().clone()),
        End::Succeeded { .. } | End::Reused(_) | End::Signalled { .. } => None,
        End::Aborted { by, reason } => {
            let message = format!("aborted by {by}: {reason}");
            Some(Failure::user(spanwise_core::code::ABORTED, message).terminal())
        }
    }
}

pub(super) fn row(name: ActionName, action: &Action) -> ActionRow {
    ActionRow {
        name,
        parent: action.spec.parent,
        kind: action.spec.kind,
        task: action.spec.task.clone(),
        group: action.spec.group.clone(),
        phase: action.phase(),
        attempts: action.attempts,
        enqueued_at: action.enqueued_at,
        started_at: action.started_at,
        ended_at: ended_at(action),
        failure: failure(action),
    }
}
