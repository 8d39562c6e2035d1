//! The spans of a run by where they belong: parts under their actions, the user's spans under their parents.

use std::collections::HashMap;
use std::sync::Arc;

use spanwise_core::lifecycle::{Part, Span};
use spanwise_core::trace::SpanId;
use spanwise_core::{ActionName, AttemptNo, RunId, Timestamp};

use crate::collector::Received;
use crate::trace::{Life, Trace, text};

/// Where a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// A lifecycle span.
    Life(usize),
    /// A received one.
    User(usize),
}

/// Why a span of the user's is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Under its parent, or where its attributes say.
    Known,
    /// Its parent is not here.
    Orphan,
    /// It has no parent: it is of the same trace and not of the run.
    Outside,
}

/// All spans of a run.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    life: Arc<Life>,
    received: Vec<Received>,
    places: Vec<Place>,
    by_id: HashMap<SpanId, At>,
    actions: HashMap<ActionName, usize>,
    /// Queued, lookup, attempts and pauses of each action, in the order of time.
    parts: HashMap<ActionName, Vec<usize>>,
    starting: HashMap<(ActionName, AttemptNo), usize>,
    /// Spans of the user's under each span, in the order of time.
    under: HashMap<At, Vec<usize>>,
    /// Times on the critical path of each action.
    critical: HashMap<ActionName, Vec<(Timestamp, Timestamp)>>,
}

impl Timeline {
    pub(super) fn new(run: &RunId, trace: Trace) -> Timeline {
        let Trace { life, received, .. } = trace;
        let mut timeline = Timeline { life, received, ..Timeline::default() };
        timeline.index_life();
        timeline.index_received(run);
        timeline
    }

    fn index_life(&mut self) {
        let life = Arc::clone(&self.life);
        for (at, span) in life.spans.iter().enumerate() {
            self.by_id.insert(span.context.span, At::Life(at));
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
            parts.sort_by_key(|part| (life.spans[*part].start, life.spans[*part].end));
        }
        for stretch in &life.explanation.path {
            let times = self.critical.entry(life.spans[stretch.span].action).or_default();
            match times.last_mut() {
                Some(last) if last.1 == stretch.from => last.1 = stretch.to,
                _ => times.push((stretch.from, stretch.to)),
            }
        }
    }

    fn index_received(&mut self, run: &RunId) {
        for (at, received) in self.received.iter().enumerate() {
            if let Some(id) = span_id(&received.span.span_id) {
                self.by_id.entry(id).or_insert(At::User(at));
            }
        }
        self.places = vec![Place::Known; self.received.len()];
        for at in 0..self.received.len() {
            // A span of another run is on that run's page, with what is under it.
            if text::attribute(&self.received[at].span.attributes, "flyte.run_name")
                .is_some_and(|name| name != run.name.as_str())
            {
                continue;
            }
            let (above, place) = self.above(at);
            self.places[at] = place;
            if let Some(above) = above {
                self.under.entry(above).or_default().push(at);
            }
        }
        for spans in self.under.values_mut() {
            spans.sort_by_key(|at| self.received[*at].span.start_time_unix_nano);
        }
    }

    /// The span that one of the user's is shown under.
    fn above(&self, at: usize) -> (Option<At>, Place) {
        let span = &self.received[at].span;
        let parent = span_id(&span.parent_span_id);
        let above = parent.and_then(|parent| self.by_id.get(&parent).copied()).filter(|above| *above != At::User(at));
        let named = text::attribute(&span.attributes, "flyte.action_name");
        let by_name = || self.of_attempt(ActionName::new(named?).ok()?, span);
        match above {
            // The span of an action's task under that of the task which asked for it: each is shown with its own action.
            Some(At::User(above)) if named.is_some() && named != self.action_named_by(above) => {
                (Some(by_name().unwrap_or(At::User(above))), Place::Known)
            }
            Some(above) => (Some(self.shown_for(above)), Place::Known),
            None => match (by_name(), parent) {
                (Some(above), _) => (Some(above), Place::Known),
                (None, parent) => {
                    let place = if parent.is_some() { Place::Orphan } else { Place::Outside };
                    (self.actions.get(&ActionName::ROOT).map(|root| At::Life(*root)), place)
                }
            },
        }
    }

    fn action_named_by(&self, at: usize) -> Option<&str> {
        text::attribute(&self.received[at].span.attributes, "flyte.action_name")
    }

    /// What stands on the page for a span: the run is its root there.
    fn shown_for(&self, at: At) -> At {
        match at {
            At::Life(life) if self.life.spans[life].part == Part::Run => {
                At::Life(self.actions.get(&ActionName::ROOT).copied().unwrap_or(life))
            }
            other => other,
        }
    }

    /// The attempt of an action that the attributes of a span name, else the one that was under way; else the action.
    fn of_attempt(&self, action: ActionName, span: &opentelemetry_proto::tonic::trace::v1::Span) -> Option<At> {
        let number = text::number(&span.attributes, "flyte.attempt")
            .or_else(|| text::attribute(&span.attributes, "flyte.attempt").and_then(|number| number.parse().ok()));
        let start = time(span.start_time_unix_nano);
        let is_it = |part: &&usize| {
            let part = &self.life.spans[**part];
            let is_named = |number| part.attempt.is_some_and(|attempt| i64::from(attempt.0) == number);
            part.part == Part::Attempt && number.map_or(part.start <= start && start <= part.end, is_named)
        };
        let attempt = self.parts.get(&action).and_then(|parts| parts.iter().find(is_it));
        attempt.or_else(|| self.actions.get(&action)).map(|at| At::Life(*at))
    }

    pub(super) fn life(&self, at: usize) -> &Span {
        &self.life.spans[at]
    }

    pub(super) fn received(&self, at: usize) -> &Received {
        &self.received[at]
    }

    pub(super) fn place(&self, at: usize) -> Place {
        self.places[at]
    }

    pub(super) fn explained(&self) -> &Life {
        &self.life
    }

    pub(super) fn find(&self, id: SpanId) -> Option<At> {
        self.by_id.get(&id).copied()
    }

    /// The span of an action as a whole.
    pub(super) fn action(&self, name: &ActionName) -> Option<usize> {
        self.actions.get(name).copied()
    }

    pub(super) fn parts(&self, name: &ActionName) -> &[usize] {
        self.parts.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn starting(&self, name: &ActionName, attempt: AttemptNo) -> Option<usize> {
        self.starting.get(&(*name, attempt)).copied()
    }

    /// Spans of the user's under a span.
    pub(super) fn under(&self, at: At) -> &[usize] {
        self.under.get(&at).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn critical(&self, name: &ActionName) -> &[(Timestamp, Timestamp)] {
        self.critical.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// From a span of the user's upwards, to the lifecycle span that it is under.
    pub(super) fn chain(&self, at: usize) -> Vec<At> {
        let mut chain = Vec::new();
        let mut next = At::User(at);
        while let At::User(user) = next {
            let Some(above) = self.above(user).0.filter(|_| chain.len() <= self.received.len()) else { break };
            chain.push(above);
            next = above;
        }
        chain
    }

    pub(super) fn times(&self, at: At) -> (Timestamp, Timestamp) {
        match at {
            At::Life(at) => (self.life.spans[at].start, self.life.spans[at].end),
            At::User(at) => {
                let span = &self.received[at].span;
                (time(span.start_time_unix_nano), time(span.end_time_unix_nano.max(span.start_time_unix_nano)))
            }
        }
    }
}

/// Nanoseconds, cut to what the journal has.
pub(super) fn time(nanos: u64) -> Timestamp {
    Timestamp(i64::try_from(nanos / 1000).unwrap_or(i64::MAX))
}

pub(super) fn span_id(bytes: &[u8]) -> Option<SpanId> {
    <[u8; 8]>::try_from(bytes).ok().filter(|id| *id != [0; 8]).map(SpanId)
}
