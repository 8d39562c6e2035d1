//! Recorded steps: the span of each, and what later attempts read back.

use std::sync::Arc;

use super::Lifecycle;
use crate::event::{ActionSpec, StepOutcome};
use crate::lifecycle::outcome::Outcome;
use crate::lifecycle::{Moment, Part, Span, Status, Value};
use crate::{ActionName, AttemptNo, TaskName, Timestamp};

impl Lifecycle {
    /// A step that was run: under the attempt that ran it, with the times of its body.
    pub(super) fn step(
        &mut self,
        action: ActionName,
        spec: &Arc<ActionSpec>,
        (start, end): (Timestamp, Timestamp),
        outcome: &StepOutcome,
    ) {
        let above = self.caller_of(spec);
        let by = spec.parent.and_then(|parent| self.open.get(&parent)).map_or(0, |open| open.attempts);
        self.steps += 1;
        let mut span = Span {
            run: Arc::clone(&self.run),
            shared: Arc::clone(&self.shared),
            part: Part::Step,
            context: above.at(self.id(&action, Part::Step, by, self.steps)),
            state: self.state_of(above),
            parent: Some(above.span),
            name: spec.task.to_string().into(),
            action,
            caller: spec.parent,
            task: spec.task.clone(),
            attempt: Some(AttemptNo(by)).filter(|by| by.0 > 0),
            start,
            end: end.max(start),
            status: Status::Ok,
            details: Vec::new(),
            moments: Vec::new(),
            links: Vec::new(),
        };
        if let Some(parent) = spec.parent {
            span.details.push(("flyte.task_action_name", Value::from(parent.as_str())));
        }
        if let StepOutcome::Failed(failure) = outcome {
            Outcome::failed("failure", failure).describe(&mut span);
        }
        self.closed.push(span);
    }

    /// Remembers a step that later attempts of its task read back.
    pub(super) fn step_stands(&mut self, action: ActionName, spec: &Arc<ActionSpec>, outcome: &StepOutcome) {
        let stands = match outcome {
            StepOutcome::Succeeded => true,
            StepOutcome::Failed(failure) => !failure.recoverable,
        };
        let parent = spec.parent.and_then(|parent| self.open.get_mut(&parent));
        if let Some(parent) = parent.filter(|_| stands) {
            parent.steps.push((action, spec.task.clone()));
        }
    }
}

/// A step that an attempt reads back instead of running it.
pub(super) fn kept_step(name: &ActionName, step: &TaskName, at: Timestamp) -> Moment {
    let attributes = vec![
        ("flyte.action_name", Value::from(name.as_str())),
        ("flyte.step_name", Value::Text(step.shared())),
        ("flyte.replayed", Value::Bool(true)),
    ];
    Moment { name: "recorded step", at, attributes }
}
