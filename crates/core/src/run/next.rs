//! What now: the one place that says what the driver of an action does next, and what becomes of attempts whose process is gone.

use super::{Command, Run};
use crate::action::{Action, End, State};
use crate::event::CachePolicy;
use crate::trace::TraceParent;
use crate::{ActionName, AttemptNo, Rejection, Timestamp};

/// What [`Run::next`] has to know beside the state of the run: about the driver, and about its process.
#[derive(Clone, Copy)]
pub struct DriverFacts<'a> {
    /// It drives the action, or may begin to, because nobody else does. A driver that only waits launches nothing and minds no timer.
    pub drives: bool,
    /// It watches the action already, so no change is missed between this decision and a wait.
    pub watches: bool,
    /// Its executor finds attempts again that an earlier driver has launched.
    pub adopts: bool,
    /// The cache was asked, or it is too late to ask.
    pub cache_is_read: bool,
    /// A slot of the engine is taken for the launch, or the engine has no limit.
    pub has_slot: bool,
    /// The process that the driver is part of.
    pub process: ProcessFacts,
    /// Whether another action would be launched now if a slot were free. One that nobody drives must not keep a slot from others.
    pub is_ready: &'a dyn Fn(&ActionName) -> bool,
}

/// The process that drivers are part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// It is about to end: attempts are given back, and nobody is answered.
    pub is_interrupted: bool,
    /// Whether what happens to the run can be written.
    pub journal: JournalFacts,
}

/// Whether new events of a run can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JournalFacts {
    /// They are written.
    #[default]
    Open,
    /// They are written later: nothing new begins until then.
    Full,
    /// The run does not go on in this process: nothing new begins, and what is under way may still be written.
    BrokenOff,
    /// They are never written: the run does not go on in this process.
    Lost,
}

/// What a driver does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing more: the action is at its end.
    Finished(End),
    /// Give back the attempt under way, and wait for nothing.
    GiveBack,
    /// Wait until what happens can be written, then look again.
    AwaitRoom,
    /// Stop: the run does not go on in this process.
    Leave,
    /// Take up the attempt again that is under way.
    Adopt {
        /// Its number.
        attempt: AttemptNo,
    },
    /// Ask the cache ([`Command::Reuse`], [`Command::Miss`]), then look again.
    LookUp(CachePolicy),
    /// Only a slot of the engine is missing: take one and look again, or hold the action ([`Command::Hold`]) until there is one.
    Hold {
        /// When a timer of the action ends the wait.
        due: Option<Timestamp>,
    },
    /// Launch the next attempt ([`Command::Launch`]) and run it.
    Launch {
        /// Its number.
        attempt: AttemptNo,
    },
    /// Watch the action, then look again.
    Watch,
    /// Wait for a change of the action, or send [`Command::Tick`] when a timer is due.
    Wait {
        /// When the timer is due; none for whoever does not drive the action.
        due: Option<Timestamp>,
    },
    /// The same, and look at the machine's clock: send [`Command::Tick`] also when it says so.
    Sleep {
        /// The moment, by the machine's clock.
        until: Timestamp,
        /// When it is over in any case, by the clock of the engine.
        due: Option<Timestamp>,
    },
}

impl Next {
    /// True if the driver goes on with the action, and nobody else may drive it meanwhile.
    pub fn goes_on(&self) -> bool {
        !matches!(self, Next::Finished(_) | Next::GiveBack | Next::AwaitRoom | Next::Leave)
    }
}

impl Run {
    /// Decides what a driver of the action does next. Deterministic; changes nothing.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] if there is no such action.
    pub fn next(&self, name: &ActionName, facts: &DriverFacts<'_>) -> Result<Next, Rejection> {
        let ProcessFacts { is_interrupted, journal } = facts.process;
        if is_interrupted {
            return Ok(Next::GiveBack);
        }
        if journal == JournalFacts::Full {
            return Ok(Next::AwaitRoom);
        }
        let action = self.action(name).ok_or(Rejection::NotFound(*name))?;
        if let Some(end) = action.end() {
            return Ok(Next::Finished(end.clone()));
        }
        if matches!(journal, JournalFacts::BrokenOff | JournalFacts::Lost) {
            return Ok(Next::Leave);
        }
        let next = if facts.drives { self.next_to_drive(name, action, facts) } else { Next::Wait { due: None } };
        Ok(match next {
            Next::Wait { .. } | Next::Sleep { .. } | Next::Hold { .. } if !facts.watches => Next::Watch,
            next => next,
        })
    }

    fn next_to_drive(&self, name: &ActionName, action: &Action, facts: &DriverFacts<'_>) -> Next {
        let due = action.due();
        if action.spec.tracked.is_some() {
            return Next::Wait { due };
        }
        match action.state {
            State::Launched { attempt } | State::Running { attempt, .. } if facts.adopts => Next::Adopt { attempt },
            State::Queued { .. } => match &action.spec.cache {
                Some(policy) if !facts.cache_is_read => Next::LookUp(policy.clone()),
                _ if !self.is_next_in_line(name, facts) => Next::Wait { due },
                _ if !facts.has_slot => Next::Hold { due },
                _ => Next::Launch { attempt: action.next_attempt() },
            },
            State::Asleep { until, .. } => Next::Sleep { until, due },
            _ => Next::Wait { due },
        }
    }

    /// True if the run's own limit lets the action be launched: there is none, or it is its turn.
    fn is_next_in_line(&self, name: &ActionName, facts: &DriverFacts<'_>) -> bool {
        let is_ready = |other: &ActionName| other == name || (facts.is_ready)(other);
        !self.is_limited() || self.next_in_line(is_ready).any(|next| next == *name)
    }

    /// Whose turn it is, where there is a limit: as many queued actions as slots are free, in order, of those that are
    /// `ready`. One that nobody could launch must not keep others from their turn.
    pub fn next_in_line<'a>(
        &'a self,
        ready: impl Fn(&ActionName) -> bool + 'a,
    ) -> impl Iterator<Item = ActionName> + 'a {
        let free = self.limits.max_action_concurrency.map_or(0, |limit| limit.saturating_sub(self.occupied));
        self.queue.values().copied().filter(move |name| ready(name)).take(free as usize)
    }

    /// For whoever takes up a stored run whose attempts ended with their process: what is to be reported of them, parents first,
    /// because whether a parent only waited shows in its children's attempts. A report may have ended what a later one is about.
    pub fn lost_attempts(&self) -> Vec<Command> {
        let mut lost: Vec<(usize, ActionName, AttemptNo, bool)> = self
            .actions()
            .filter(|(_, action)| action.spec.tracked.is_none())
            .filter_map(|(name, action)| {
                // One that was launched and never gave a sign of life has not begun.
                let has_begun = matches!(action.state, State::Running { .. });
                Some((self.depth(name), *name, action.attempt()?, has_begun))
            })
            .collect();
        lost.sort_unstable();
        let report = |(_, action, attempt, blamed)| {
            let reason = "its process ended without a report".to_owned();
            Command::ReportLost { action, attempt, reason, blamed }
        };
        lost.into_iter().map(report).collect()
    }

    /// How many parents an action has.
    fn depth(&self, name: &ActionName) -> usize {
        self.parents(name).count()
    }

    /// The parent of an action, its parent, and so on.
    pub(super) fn parents(&self, name: &ActionName) -> impl Iterator<Item = ActionName> {
        let parent = |name: &ActionName| self.action(name).and_then(|action| action.spec.parent);
        std::iter::successors(parent(name), parent)
    }

    /// The nearest span that the maps of an action and of its parents name.
    pub fn span_above(&self, name: &ActionName) -> Option<TraceParent> {
        std::iter::once(*name).chain(self.parents(name)).find_map(|name| self.action(&name)?.spec.traceparent)
    }

    /// True if the action has to reserve its cache key before it asks the cache. Not if one of its parents has reserved it: the action would wait for
    /// itself.
    pub fn needs_key(&self, name: &ActionName, policy: &CachePolicy) -> bool {
        policy.serialize && !self.is_reserved_above(name, &policy.key)
    }

    /// True if one of its parents may have reserved this cache key.
    pub fn is_reserved_above(&self, name: &ActionName, key: &str) -> bool {
        self.parents(name)
            .filter_map(|parent| self.action(&parent)?.spec.cache.as_ref())
            .any(|above| above.serialize && above.key == key)
    }

    /// Actions that take up a slot, the oldest first.
    pub fn busy(&self) -> Vec<ActionName> {
        let busy = self.actions().filter(|(_, action)| action.occupies_slot());
        in_order_of_acceptance(busy)
    }

    /// Every action that needs a driver and is not at its end, the oldest first.
    pub fn unfinished(&self) -> Vec<ActionName> {
        let live = self.actions().filter(|(_, action)| !action.is_finished() && action.spec.needs_driver());
        in_order_of_acceptance(live)
    }
}

fn in_order_of_acceptance<'a>(actions: impl Iterator<Item = (&'a ActionName, &'a Action)>) -> Vec<ActionName> {
    let mut names: Vec<(Timestamp, ActionName)> = actions.map(|(name, action)| (action.enqueued_at, *name)).collect();
    names.sort_unstable();
    names.into_iter().map(|(_, name)| name).collect()
}
