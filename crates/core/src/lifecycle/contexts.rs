//! The spans that others refer to: their ids follow from names, whether or not they are made yet.

use super::{Lifecycle, Part};
use crate::trace::{TraceParent, derived_span_id, derived_trace_id};
use crate::{ActionName, AttemptNo, RunId};

impl Lifecycle {
    /// The span of the run.
    pub fn run_span(run: &RunId, inbound: Option<TraceParent>) -> TraceParent {
        let span = derived_span_id(run, &ActionName::ROOT, Part::Run.as_str(), 0, 0);
        match inbound {
            Some(inbound) => inbound.at(span),
            None => TraceParent { trace: derived_trace_id(run), span, flags: TraceParent::SAMPLED },
        }
    }

    /// The span of an attempt, which a task is delivered in place of its `traceparent`. `above` is any span of the action's trace: the
    /// one that its map names, else the nearest that a caller's map names, else the run's.
    pub fn attempt_span(run: &RunId, above: TraceParent, action: &ActionName, attempt: AttemptNo) -> TraceParent {
        above.at(derived_span_id(run, action, Part::Attempt.as_str(), attempt.0, 0))
    }

    /// The span of an action, in the same trace as `above`.
    pub fn action_span(run: &RunId, above: TraceParent, action: &ActionName) -> TraceParent {
        above.at(derived_span_id(run, action, Part::Action.as_str(), 0, 0))
    }
}
