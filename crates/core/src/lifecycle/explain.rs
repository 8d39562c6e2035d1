//! Where the time of a run went: its critical path, and what each stretch of it was used for.
//!
//! The path is found from the end. An action's time is that of its parts. In an attempt, the time before its first sign of life is
//! start-up; of what follows, time that is covered by something the attempt waited for belongs to that which ended last, and is
//! looked into in the same way; the rest is the user's code. What no part covers is the engine's. So the stretches follow each other
//! from the beginning of the run to its end, without a gap and without an overlap, whatever the spans are like.

use std::cmp::Reverse;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::{Part, Span, Value};
use crate::{ActionName, AttemptNo, TaskName, Timestamp};

/// Contributors that are named for each use.
const NAMED: usize = 5;

/// What time is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// The user's code.
    Code,
    /// Waiting for an executor or a slot.
    Queue,
    /// From the launch to the first sign of life.
    StartUp,
    /// The pause after an attempt that failed.
    Backoff,
    /// Asking the cache, and waiting for another one that computes the same.
    Cache,
    /// Waiting for a condition or a timer.
    Waiting,
    /// What the engine itself needs.
    Engine,
}

impl Use {
    /// All of them.
    pub const ALL: [Use; 7] =
        [Use::Code, Use::Queue, Use::StartUp, Use::Backoff, Use::Cache, Use::Waiting, Use::Engine];

    /// The word for it, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Use::Code => "code",
            Use::Queue => "queue",
            Use::StartUp => "startup",
            Use::Backoff => "backoff",
            Use::Cache => "cache",
            Use::Waiting => "waiting",
            Use::Engine => "engine",
        }
    }
}

/// A piece of the critical path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What it was used for.
    pub used_for: Use,
    /// The index of its span among those that were given.
    pub span: usize,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

impl Stretch {
    /// How long it is.
    pub fn time(&self) -> Duration {
        self.to.since(self.from)
    }
}

/// An action, step or condition with its time on the critical path, all of its attempts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// The action.
    pub action: ActionName,
    /// Its task.
    pub task: TaskName,
    /// Its time.
    pub time: Duration,
}

/// The part of the time that was used for one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// What for.
    pub used_for: Use,
    /// How much.
    pub time: Duration,
    /// Who used the most of it, the largest first.
    pub largest: Vec<Contributor>,
}

/// Where the time of a run went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// From the beginning to the end of the run; its stretches add up to it.
    pub wall: Duration,
    /// The critical path, in the order of time.
    pub path: Vec<Stretch>,
    /// One for each use, in the order of [`Use::ALL`]; they add up to the wall time.
    pub shares: Vec<Share>,
    /// How much of it was spent on attempts that were followed by another one, and on the pauses between them.
    pub retried: Duration,
}

/// Explains the time of the run whose lifecycle this is, as far as it has come. Spans without a run are not explained.
pub fn explain(spans: &[Span]) -> Explanation {
    let index = Index::new(spans);
    let Some(run) = index.run else { return Explanation::default() };
    let mut walk = Walk { spans, index: &index, path: Vec::new(), pending: Vec::new() };
    walk.run(run);
    let mut path = walk.path;
    path.sort_by_key(|stretch| stretch.from);
    path.dedup_by(|next, last| {
        let continues = last.to == next.from && last.span == next.span && last.used_for == next.used_for;
        if continues {
            last.to = next.to;
        }
        continues
    });
    let retried = path.iter().filter(|stretch| index.is_retried(spans, stretch)).map(Stretch::time).sum();
    Explanation { wall: spans[run].end.since(spans[run].start), shares: shares(spans, &path), path, retried }
}

fn shares(spans: &[Span], path: &[Stretch]) -> Vec<Share> {
    let mut times: FxHashMap<(Use, ActionName), (usize, Duration)> = FxHashMap::default();
    for stretch in path {
        let key = (stretch.used_for, spans[stretch.span].action);
        times.entry(key).or_insert((stretch.span, Duration::ZERO)).1 += stretch.time();
    }
    let mut shares: Vec<Share> =
        Use::ALL.map(|used_for| Share { used_for, time: Duration::ZERO, largest: Vec::new() }).into();
    for ((used_for, action), (span, time)) in times {
        let Some(share) = shares.iter_mut().find(|share| share.used_for == used_for) else { continue };
        share.time += time;
        share.largest.push(Contributor { action, task: spans[span].task.clone(), time });
    }
    for share in &mut shares {
        share.largest.sort_by_key(|contributor| (Reverse(contributor.time), contributor.action));
        share.largest.truncate(NAMED);
    }
    shares
}

/// The spans by what they are about.
#[derive(Default)]
struct Index {
    run: Option<usize>,
    actions: FxHashMap<ActionName, usize>,
    /// Of each action, in the order of time.
    parts: FxHashMap<ActionName, Vec<usize>>,
    /// When an attempt gave its first sign of life.
    alive: FxHashMap<(ActionName, AttemptNo), Timestamp>,
    attempts: FxHashMap<ActionName, AttemptNo>,
    /// The children of each action, the one that ended last first.
    children: FxHashMap<ActionName, Vec<usize>>,
}

impl Index {
    fn new(spans: &[Span]) -> Index {
        let mut index = Index::default();
        for (at, span) in spans.iter().enumerate() {
            index.add(at, span);
        }
        for parts in index.parts.values_mut() {
            parts.sort_by_key(|part| (spans[*part].start, spans[*part].end));
        }
        for children in index.children.values_mut() {
            children.sort_by_key(|child| (Reverse(spans[*child].end), spans[*child].start));
        }
        index
    }

    fn add(&mut self, at: usize, span: &Span) {
        let mut is_child = matches!(span.part, Part::Wait | Part::Step);
        match span.part {
            Part::Run => self.run = self.run.or(Some(at)),
            Part::Action if !self.actions.contains_key(&span.action) => {
                self.actions.insert(span.action, at);
                // The root is nobody's child, and every other action has one parent: the way down from the root ends.
                is_child = !span.action.is_root();
            }
            Part::Queued | Part::Lookup | Part::Attempt | Part::Backoff => {
                self.parts.entry(span.action).or_default().push(at);
                if let Some(attempt) = span.attempt {
                    let last = self.attempts.entry(span.action).or_insert(attempt);
                    *last = attempt.max(*last);
                }
            }
            Part::Starting => {
                self.alive.extend(span.attempt.map(|attempt| ((span.action, attempt), span.end)));
            }
            // A root that is a timer: nobody asked for it.
            Part::Wait if span.caller.is_none() => self.parts.entry(span.action).or_default().push(at),
            Part::Action | Part::Step | Part::Wait | Part::Call => {}
        }
        if let Some(caller) = span.caller.filter(|_| is_child) {
            self.children.entry(caller).or_default().push(at);
        }
    }

    /// When an attempt gave its first sign of life. One of which only the end was reported ran from its start.
    fn alive_since(&self, span: &Span) -> Timestamp {
        let sign_of_life = span.attempt.and_then(|attempt| self.alive.get(&(span.action, attempt)));
        let has_reported = span.details.iter().any(|(key, value)| {
            *key == "spanwise.attempt.result" && [Value::from("success"), Value::from("failure")].contains(value)
        });
        sign_of_life.copied().unwrap_or(if has_reported { span.start } else { span.end })
    }

    /// True for time that a later attempt spent again.
    fn is_retried(&self, spans: &[Span], stretch: &Stretch) -> bool {
        let span = &spans[stretch.span];
        let followed = || span.attempt.is_some_and(|attempt| self.attempts.get(&span.action) > Some(&attempt));
        span.part == Part::Backoff || (span.part == Part::Attempt && followed())
    }
}

/// An action whose time is still to be explained.
struct Visit {
    span: usize,
    from: Timestamp,
    to: Timestamp,
}

struct Walk<'a> {
    spans: &'a [Span],
    index: &'a Index,
    path: Vec<Stretch>,
    pending: Vec<Visit>,
}

impl Walk<'_> {
    fn run(&mut self, run: usize) {
        let (from, to) = (self.spans[run].start, self.spans[run].end);
        let Some(root) = self.index.actions.get(&ActionName::ROOT).copied() else {
            return self.emit(Use::Engine, run, from, to);
        };
        let (begin, end) = (self.spans[root].start.clamp(from, to), self.spans[root].end.clamp(from, to));
        self.emit(Use::Engine, run, from, begin);
        self.emit(Use::Engine, run, end.max(begin), to);
        self.pending.push(Visit { span: root, from: begin, to: end });
        while let Some(visit) = self.pending.pop() {
            match self.spans[visit.span].part {
                Part::Attempt => self.attempt(visit),
                _ => self.action(visit),
            }
        }
    }

    fn action(&mut self, Visit { span, from, to }: Visit) {
        let mut cursor = from;
        for part in self.index.parts.get(&self.spans[span].action).map(Vec::as_slice).unwrap_or_default() {
            let begin = self.spans[*part].start.max(cursor);
            let end = self.spans[*part].end.min(to);
            if end <= begin {
                continue;
            }
            self.emit(Use::Engine, span, cursor, begin);
            match self.spans[*part].part {
                Part::Queued => self.emit(Use::Queue, *part, begin, end),
                Part::Lookup => self.emit(Use::Cache, *part, begin, end),
                Part::Backoff => self.emit(Use::Backoff, *part, begin, end),
                Part::Wait => self.emit(Use::Waiting, *part, begin, end),
                _ => self.pending.push(Visit { span: *part, from: begin, to: end }),
            }
            cursor = end;
        }
        self.emit(Use::Engine, span, cursor, to);
    }

    fn attempt(&mut self, Visit { span, from, to }: Visit) {
        let attempt = &self.spans[span];
        let alive = self.index.alive_since(attempt).clamp(from, to);
        self.emit(Use::StartUp, span, from, alive);
        let mut cursor = to;
        for child in self.index.children.get(&attempt.action).map(Vec::as_slice).unwrap_or_default() {
            if cursor <= alive {
                break;
            }
            let below = &self.spans[*child];
            let (begin, end) = (below.start.max(alive), below.end.min(cursor));
            // Nobody waited for what went on after the attempt.
            if below.end > attempt.end || end <= begin {
                continue;
            }
            self.emit(Use::Code, span, end, cursor);
            match below.part {
                Part::Wait => self.emit(Use::Waiting, *child, begin, end),
                Part::Step => self.emit(Use::Code, *child, begin, end),
                _ => self.pending.push(Visit { span: *child, from: begin, to: end }),
            }
            cursor = begin;
        }
        self.emit(Use::Code, span, alive, cursor);
    }

    fn emit(&mut self, used_for: Use, span: usize, from: Timestamp, to: Timestamp) {
        if to > from {
            self.path.push(Stretch { used_for, span, from, to });
        }
    }
}

#[cfg(test)]
mod tests;
