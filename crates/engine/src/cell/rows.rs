//! Actions as rows of lists and of the store.

use spanwise_core::{Action, ActionName, End, Failure};
use spanwise_store::ActionRow;

fn failure(action: &Action) -> Option<Failure> {
    match action.end() {
        Some(End::Aborted { by, reason }) => {
            let message = format!("aborted by {by}: {reason}");
            Some(Failure::user(spanwise_core::code::ABORTED, message).terminal())
        }
        _ => action.failure().cloned(),
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
        ended_at: action.times().ended,
        failure: failure(action),
    }
}
