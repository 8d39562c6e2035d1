//! All spans as one tree under the run: for the terminal and for files that have a tree.
//!
//! A lifecycle span is under its parent if that is the run's own; else where the journal has it: an action under the attempt that
//! asked for it, a part under its action. A run that exports no lifecycle is one tree that way as well.

use std::collections::HashMap;

use super::*;

/// A span of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) at: At,
    /// What it is under; none for the run.
    pub(crate) above: Option<At>,
}

impl Timeline {
    /// Every span that is placed, each after what it is under, siblings in the order of time.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let above_life = self.above_life();
        let mut below: HashMap<Option<At>, Vec<At>> = HashMap::new();
        for (at, above) in above_life.iter().enumerate() {
            below.entry(*above).or_default().push(At::Lifecycle(at));
        }
        for (above, users) in &self.under {
            below.entry(Some(*above)).or_default().extend(users.iter().map(|at| At::User(*at)));
        }
        for siblings in below.values_mut() {
            siblings.sort_by_key(|at| (self.drawn(*at), self.tie(*at)));
        }
        let mut rows = Vec::with_capacity(self.lifecycle.spans.len() + self.received.len());
        let mut waiting: Vec<Row> = Vec::new();
        let push = |above: Option<At>, waiting: &mut Vec<Row>| {
            let siblings = below.get(&above).into_iter().flatten().rev();
            waiting.extend(siblings.map(|at| Row { at: *at, above }));
        };
        push(None, &mut waiting);
        while let Some(row) = waiting.pop() {
            rows.push(row);
            push(Some(row.at), &mut waiting);
        }
        rows
    }

    /// Lifecycle spans that begin at one time are in the order of the journal, and before what others have sent.
    fn tie(&self, at: At) -> (bool, usize) {
        match at {
            At::Lifecycle(at) => (false, at),
            At::User(at) => (true, at),
        }
    }

    /// What each lifecycle span is under.
    fn above_life(&self) -> Vec<Option<At>> {
        let structure = Structure::of(self);
        let by_structure = |at: usize| structure.above(at).map(At::Lifecycle);
        let all = 0..self.lifecycle.spans.len();
        let above: Vec<_> = all.clone().map(|at| self.own_parent(at).or_else(|| by_structure(at))).collect();
        // A program can name any span as the parent of an action, even one under that action. The structure has no rings.
        if self.has_ring(&above) { all.map(by_structure).collect() } else { above }
    }

    /// The parent that a lifecycle span says it has, if it is the run's own.
    fn own_parent(&self, at: usize) -> Option<At> {
        let span = &self.lifecycle.spans[at];
        let parent = self.find(span.parent?)?;
        let is_own = match parent {
            At::Lifecycle(parent) => parent != at,
            At::User(parent) => self.own[parent],
        };
        (is_own && span.part != Part::Run).then_some(parent)
    }

    fn has_ring(&self, above_life: &[Option<At>]) -> bool {
        let lives = self.lifecycle.spans.len();
        // One numbering for both kinds: the received ones follow the lifecycle.
        let number = |at: At| match at {
            At::Lifecycle(at) => At::User(at),
            At::User(at) => At::User(lives + at),
        };
        let both: Vec<Option<At>> = above_life.iter().chain(&self.above).map(|above| above.map(number)).collect();
        !rings::heads(&both, |at| at).is_empty()
    }
}

/// The lifecycle as the journal has it, whatever its spans say about their parents.
struct Structure<'a> {
    timeline: &'a Timeline,
    run: Option<usize>,
}

impl Structure<'_> {
    fn of(timeline: &Timeline) -> Structure<'_> {
        let run = timeline.lifecycle.spans.iter().position(|span| span.part == Part::Run);
        Structure { timeline, run }
    }

    fn above(&self, at: usize) -> Option<usize> {
        let span = self.timeline.lifecycle_span(at);
        let action = || self.timeline.action(&span.action);
        let above = match span.part {
            Part::Run => return None,
            Part::Action | Part::Step | Part::Wait => span.caller.and_then(|caller| self.attempt_of(&caller, span)),
            Part::Queued | Part::Lookup | Part::Attempt | Part::Backoff => action(),
            Part::Starting => self.starting_attempt(span).or_else(action),
            Part::Call => None,
        };
        above.filter(|above| *above != at).or(self.run).filter(|above| *above != at)
    }

    /// The attempt of the caller that was under way, else its last one, else the caller.
    fn attempt_of(&self, caller: &ActionName, span: &Span) -> Option<usize> {
        let attempts = || {
            let parts = self.timeline.parts(caller).iter().copied();
            parts.filter(|part| self.timeline.lifecycle_span(*part).part == Part::Attempt)
        };
        let is_under_way = |part: &usize| {
            let part = self.timeline.lifecycle_span(*part);
            part.start <= span.start && span.start <= part.end
        };
        attempts().find(is_under_way).or_else(|| attempts().next_back()).or_else(|| self.timeline.action(caller))
    }

    fn starting_attempt(&self, span: &Span) -> Option<usize> {
        let is_it = |part: &&usize| {
            let part = self.timeline.lifecycle_span(**part);
            part.part == Part::Attempt && part.attempt == span.attempt
        };
        self.timeline.parts(&span.action).iter().find(is_it).copied()
    }
}
