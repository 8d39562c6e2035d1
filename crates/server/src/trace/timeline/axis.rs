//! The axis of time: that of the run's lifecycle and of its own spans, if these were at a time near it. What others say about their
//! times, and what cannot be, never sets it.

use super::*;

/// How far before and after the run its own spans may be, at least; else as far as the run is long.
const NEAR: Duration = Duration::from_secs(1);

impl Timeline {
    /// From when to when there is something to draw.
    pub(crate) fn axis(&self) -> (Timestamp, Timestamp) {
        self.axis
    }

    pub(super) fn own_axis(&self) -> (Timestamp, Timestamp) {
        let run = self.lifecycle.spans.iter().find(|span| span.part == Part::Run);
        let all = || self.lifecycle.spans.iter();
        let begin = run.map(|run| run.start).or_else(|| all().map(|span| span.start).min());
        let (Some(begin), Some(end)) = (begin, all().map(|span| span.end).max()) else { return Default::default() };
        let reach = end.since(begin).max(NEAR);
        let mut axis = (begin, end);
        for at in (0..self.received.len()).filter(|at| self.own[*at]) {
            let (from, to) = self.times(At::User(at));
            let is_near = from >= begin.before(reach) && to <= end.after(reach);
            if is_near && self.order_of_times(at) == Times::Fine {
                axis = (axis.0.min(from), axis.1.max(to));
            }
        }
        axis
    }

    /// When a span was; one that ends before it begins has no length.
    pub(crate) fn times(&self, at: At) -> (Timestamp, Timestamp) {
        match at {
            At::Lifecycle(at) => (self.lifecycle.spans[at].start, self.lifecycle.spans[at].end),
            At::User(at) => {
                let span = &self.received[at].span;
                (time(span.start_time_unix_nano), time(span.end_time_unix_nano.max(span.start_time_unix_nano)))
            }
        }
    }

    /// When a span is drawn: nobody can tell how long one was that does not say when it began.
    pub(crate) fn drawn(&self, at: At) -> (Timestamp, Timestamp) {
        let (from, to) = self.times(at);
        let (begin, end) = self.axis;
        match at {
            At::User(user) if self.order_of_times(user) == Times::Missing => {
                let moment = if from.0 == 0 { to } else { from };
                let moment = if moment.0 == 0 { begin } else { moment.clamp(begin, end) };
                (moment, moment)
            }
            At::User(_) => (from.clamp(begin, end), to.clamp(begin, end)),
            At::Lifecycle(_) => (from, to),
        }
    }

    /// From when to when a received span is said to have been; nothing if it does not say both.
    pub(crate) fn length_of(&self, at: usize) -> (Timestamp, Timestamp) {
        let times = self.times(At::User(at));
        if self.order_of_times(at) == Times::Missing { self.drawn(At::User(at)) } else { times }
    }

    /// What is odd about the times of a received span.
    pub(crate) fn oddity(&self, at: usize) -> Times {
        let (from, to) = self.times(At::User(at));
        let (begin, end) = self.axis;
        match self.order_of_times(at) {
            Times::Fine if from < begin || to > end => Times::Elsewhere,
            other => other,
        }
    }

    fn order_of_times(&self, at: usize) -> Times {
        let span = &self.received[at].span;
        match (span.start_time_unix_nano, span.end_time_unix_nano) {
            (0, _) | (_, 0) => Times::Missing,
            (from, to) if to < from => Times::Reversed,
            _ => Times::Fine,
        }
    }

    /// What is to be said about a received span, if anything.
    pub(crate) fn remarks(&self, at: usize) -> Vec<&'static str> {
        let position = match self.positions[at] {
            Position::Found => None,
            Position::Orphan => Some("parent not received"),
            Position::Outside => Some("outside the run"),
            Position::Ring => Some("its parents form a ring"),
            Position::OtherRun => Some("of another run"),
            Position::Nowhere => Some("without a place"),
        };
        let times = match self.oddity(at) {
            Times::Fine => None,
            Times::Missing => Some("without times"),
            Times::Reversed => Some("ends before it begins"),
            // Whoever is outside the run is allowed to be at another time.
            Times::Elsewhere if self.positions[at] == Position::Outside => None,
            Times::Elsewhere => Some("not in the time of the run"),
        };
        position.into_iter().chain(times).collect()
    }
}
