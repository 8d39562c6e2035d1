//! The spans of a run by where they belong: parts under their actions, the user's spans under their parents. The page, the terminal
//! and the files place spans by this one rule.
//!
//! A received span is under its parent, if that is here; else under the attempt that its attributes name; else it is under the run's
//! root with a remark. A span that names another run is not placed, and neither is what is under it: it is counted. Of spans that
//! are each other's parents, the first to begin is taken out of the ring, so that every span hangs under the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use spanwise_collector::Received;
use spanwise_core::lifecycle::{Part, Span};
use spanwise_core::trace::SpanId;
use spanwise_core::{ActionName, AttemptNo, RunId, Timestamp};

use super::{LeftOut, RunLifecycle, Trace, text};

mod axis;
mod rings;
mod rows;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use rows::Row;

/// Where a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum At {
    /// A lifecycle span.
    Lifecycle(usize),
    /// A received one.
    User(usize),
}

/// Why a span of the user's is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Under its parent, or where its attributes say.
    Found,
    /// Its parent is not here.
    Orphan,
    /// It has no parent: it is of the same trace and not of the run.
    Outside,
    /// It is its own parent, or one of its parents' parents.
    Ring,
    /// It names another run, or is under one that does.
    OtherRun,
    /// The run's lifecycle is not here.
    Nowhere,
}

impl Position {
    /// True for what is in the run's tree.
    pub(crate) fn is_here(self) -> bool {
        !matches!(self, Position::OtherRun | Position::Nowhere)
    }
}

/// What is said about when a span was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// It is on the axis.
    Fine,
    /// It does not say when it began or ended.
    Missing,
    /// It says that it ended before it began.
    Reversed,
    /// It was at another time than the run: it is drawn at the edge.
    Elsewhere,
}

/// All spans of a run.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    lifecycle: Arc<RunLifecycle>,
    received: Vec<Received>,
    positions: Vec<Position>,
    /// What each received span is under.
    above: Vec<Option<At>>,
    /// The spans of this run's own among the received: they are under its lifecycle, or name the run.
    own: Vec<bool>,
    by_id: HashMap<SpanId, At>,
    actions: HashMap<ActionName, usize>,
    /// Queued, lookup, attempts and pauses of each action, in the order of time.
    parts: HashMap<ActionName, Vec<usize>>,
    starting: HashMap<(ActionName, AttemptNo), usize>,
    /// Spans of the user's under each span, in the order of time.
    under: HashMap<At, Vec<usize>>,
    /// Times on the critical path of each action.
    critical: HashMap<ActionName, Vec<(Timestamp, Timestamp)>>,
    axis: (Timestamp, Timestamp),
    left_out: LeftOut,
}

impl Timeline {
    pub(crate) fn new(run: &RunId, trace: Trace) -> Timeline {
        let Trace { lifecycle, received, left_out, .. } = trace;
        let mut timeline = Timeline { lifecycle, received, left_out, ..Timeline::default() };
        timeline.index_life();
        timeline.arrange(run);
        timeline.axis = timeline.own_axis();
        timeline
    }

    fn index_life(&mut self) {
        let lifecycle = Arc::clone(&self.lifecycle);
        for (at, span) in lifecycle.spans.iter().enumerate() {
            self.by_id.insert(span.context.span, At::Lifecycle(at));
            match (span.part, span.attempt) {
                (Part::Action | Part::Step | Part::Wait, _) => {
                    self.actions.insert(span.action, at);
                }
                (Part::Queued | Part::Lookup | Part::Attempt | Part::Backoff, _) => {
                    self.parts.entry(span.action).or_default().push(at);
                }
                (Part::Starting, Some(attempt)) => {
                    self.starting.insert((span.action, attempt), at);
                }
                (Part::Starting | Part::Run | Part::Call, _) => {}
            }
        }
        for parts in self.parts.values_mut() {
            parts.sort_by_key(|part| (lifecycle.spans[*part].start, lifecycle.spans[*part].end));
        }
        for stretch in &lifecycle.explanation.path {
            let times = self.critical.entry(lifecycle.spans[stretch.span].action).or_default();
            match times.last_mut() {
                Some(last) if last.1 == stretch.from => last.1 = stretch.to,
                _ => times.push((stretch.from, stretch.to)),
            }
        }
    }

    fn arrange(&mut self, run: &RunId) {
        for (at, received) in self.received.iter().enumerate() {
            if let Some(id) = span_id(&received.span.span_id) {
                self.by_id.entry(id).or_insert(At::User(at));
            }
        }
        let placed: Vec<_> = (0..self.received.len()).map(|at| self.above_of(at)).collect();
        (self.above, self.positions) = placed.into_iter().unzip();
        for head in rings::heads(&self.above, |at| self.order(at)) {
            self.above[head] = self.by_name(head).or_else(|| self.root());
            self.positions[head] = Position::Ring;
        }
        self.tell_apart(run);
        for at in 0..self.received.len() {
            match (self.positions[at], self.above[at]) {
                (Position::OtherRun, _) => self.left_out.other_runs += 1,
                (position, Some(above)) if position.is_here() => self.under.entry(above).or_default().push(at),
                _ => self.left_out.nowhere += 1,
            }
        }
        let mut under = std::mem::take(&mut self.under);
        under.values_mut().for_each(|spans| spans.sort_by_key(|at| self.order(*at)));
        self.under = under;
    }

    /// Which spans are the run's own, and which are another run's: as they say themselves, else as the span above them.
    fn tell_apart(&mut self, run: &RunId) {
        self.own = vec![false; self.received.len()];
        for at in rings::from_the_top(&self.above) {
            let named = text::attribute(&self.received[at].span.attributes, "flyte.run_name");
            let above = self.above[at];
            let is_other = match (named, above) {
                (Some(named), _) => named != run.name.as_str(),
                (None, Some(At::User(above))) => self.positions[above] == Position::OtherRun,
                (None, _) => false,
            };
            if is_other {
                self.positions[at] = Position::OtherRun;
                continue;
            }
            // It says itself that it is of this run, and what is above it is not.
            if above.is_some_and(|above| matches!(above, At::User(above) if !self.positions[above].is_here())) {
                (self.above[at], self.positions[at]) = (self.root(), Position::Orphan);
            }
            self.own[at] = match self.above[at] {
                _ if named.is_some() => true,
                Some(At::User(above)) => self.own[above],
                Some(At::Lifecycle(_)) => self.positions[at] == Position::Found,
                None => false,
            };
            if self.above[at].is_none() {
                self.positions[at] = Position::Nowhere;
            }
        }
    }

    /// The span that one of the user's is shown under.
    fn above_of(&self, at: usize) -> (Option<At>, Position) {
        let span = &self.received[at].span;
        let parent = span_id(&span.parent_span_id);
        let above = parent.and_then(|parent| self.by_id.get(&parent).copied());
        match above {
            Some(above) if above == At::User(at) => (self.by_name(at).or_else(|| self.root()), Position::Ring),
            // The span of an action's task under that of the task which asked for it: each is shown with its own action.
            Some(At::User(above)) if self.names_another_action(at, above) => {
                (Some(self.by_name(at).unwrap_or(At::User(above))), Position::Found)
            }
            Some(above) => (Some(self.shown_for(above)), Position::Found),
            None => match (self.by_name(at), parent) {
                (Some(above), _) => (Some(above), Position::Found),
                (None, Some(_)) => (self.root(), Position::Orphan),
                (None, None) => (self.root(), Position::Outside),
            },
        }
    }

    fn names_another_action(&self, at: usize, above: usize) -> bool {
        let name = |at: usize, key: &str| text::attribute(&self.received[at].span.attributes, key);
        let is_other = |key: &str| name(at, key).is_some() && name(at, key) != name(above, key);
        is_other("flyte.action_name") || is_other("flyte.run_name")
    }

    /// The attempt that the attributes of a span name.
    fn by_name(&self, at: usize) -> Option<At> {
        let span = &self.received[at].span;
        self.of_attempt(ActionName::new(text::attribute(&span.attributes, "flyte.action_name")?).ok()?, span)
    }

    /// What has no other place is under the root action; without one, under the run.
    fn root(&self) -> Option<At> {
        let is_run = |span: &Span| span.part == Part::Run;
        self.actions
            .get(&ActionName::ROOT)
            .copied()
            .or_else(|| self.lifecycle.spans.iter().position(is_run))
            .map(At::Lifecycle)
    }

    /// What stands on the page for a span: the run is its root there.
    fn shown_for(&self, at: At) -> At {
        match at {
            At::Lifecycle(index) if self.lifecycle.spans[index].part == Part::Run => self.root().unwrap_or(at),
            other => other,
        }
    }

    /// The attempt of an action that the attributes of a span name, else the one that was under way; else the action.
    fn of_attempt(&self, action: ActionName, span: &opentelemetry_proto::tonic::trace::v1::Span) -> Option<At> {
        let number = text::number(&span.attributes, "flyte.attempt")
            .or_else(|| text::attribute(&span.attributes, "flyte.attempt").and_then(|number| number.parse().ok()));
        let start = time(span.start_time_unix_nano);
        let is_it = |part: &&usize| {
            let part = &self.lifecycle.spans[**part];
            let is_named = |number| part.attempt.is_some_and(|attempt| i64::from(attempt.0) == number);
            part.part == Part::Attempt && number.map_or(part.start <= start && start <= part.end, is_named)
        };
        let attempt = self.parts.get(&action).and_then(|parts| parts.iter().find(is_it));
        attempt.or_else(|| self.actions.get(&action)).map(|at| At::Lifecycle(*at))
    }

    /// The order among those that are under one span.
    fn order(&self, at: usize) -> (u64, &[u8], usize) {
        let span = &self.received[at].span;
        (span.start_time_unix_nano, &span.span_id, at)
    }

    pub(crate) fn lifecycle_span(&self, at: usize) -> &Span {
        &self.lifecycle.spans[at]
    }

    pub(crate) fn received(&self, at: usize) -> &Received {
        &self.received[at]
    }

    /// How many spans were received.
    pub(crate) fn count(&self) -> usize {
        self.received.len()
    }

    /// What a received span is under.
    pub(crate) fn above(&self, at: usize) -> Option<At> {
        self.above[at]
    }

    pub(crate) fn position_of(&self, at: usize) -> Position {
        self.positions[at]
    }

    pub(crate) fn explained(&self) -> &RunLifecycle {
        &self.lifecycle
    }

    /// What of the trace is not here.
    pub(crate) fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    pub(crate) fn find(&self, id: SpanId) -> Option<At> {
        self.by_id.get(&id).copied()
    }

    /// The span of an action as a whole.
    pub(crate) fn action(&self, name: &ActionName) -> Option<usize> {
        self.actions.get(name).copied()
    }

    pub(crate) fn parts(&self, name: &ActionName) -> &[usize] {
        self.parts.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn starting(&self, name: &ActionName, attempt: AttemptNo) -> Option<usize> {
        self.starting.get(&(*name, attempt)).copied()
    }

    /// Spans of the user's under a span.
    pub(crate) fn under(&self, at: At) -> &[usize] {
        self.under.get(&at).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn critical(&self, name: &ActionName) -> &[(Timestamp, Timestamp)] {
        self.critical.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// From a span of the user's upwards, to the lifecycle span that it is under.
    pub(crate) fn chain(&self, at: usize) -> Vec<At> {
        let above = |at: &At| match at {
            At::User(at) => self.above[*at],
            At::Lifecycle(_) => None,
        };
        std::iter::successors(self.above[at], above).collect()
    }
}

/// Nanoseconds, cut to what the journal has.
pub(crate) fn time(nanos: u64) -> Timestamp {
    Timestamp(i64::try_from(nanos / 1000).unwrap_or(i64::MAX))
}

pub(crate) fn span_id(bytes: &[u8]) -> Option<SpanId> {
    <[u8; 8]>::try_from(bytes).ok().filter(|id| *id != [0; 8]).map(SpanId)
}
