//! How the actions of a run stand to the pools of the engine: what changes of that is counted, all of a decision at once.

use rustc_hash::FxHashSet;

use super::{LiveRun, RunPools};
use crate::admission::{Change, Standing, Wish};
use crate::run::{Command, Rejection};
use crate::{Action, ActionKind, ActionName, Event, Fact};

/// How actions stood before something happened.
pub(super) type Standings = Vec<(ActionName, Standing)>;

impl<S: RunPools> LiveRun<S> {
    /// Counts a new task before it is accepted; gives its name if it is counted.
    pub(super) fn accept(&self, command: &Command) -> Result<Option<ActionName>, Rejection> {
        let Command::Enqueue { action, spec } = command else { return Ok(None) };
        if spec.kind != ActionKind::Task
            || spec.tracked.is_some()
            || self.run.action(action).is_some()
            || !self.pools.are_limited()
        {
            return Ok(None);
        }
        // The slot of a parent that has nothing else to wait for becomes free, and only then.
        let parent = spec.parent.and_then(|parent| self.run.action(&parent));
        let is_awaited = parent.is_some_and(Action::occupies_slot);
        let refused = |refusal| Rejection::Refused { action: *action, refusal: Box::new(refusal) };
        self.pools.accept(*action, &Wish::of(spec), is_awaited).map_err(refused)?;
        Ok(Some(*action))
    }

    pub(super) fn set_apart(&self, action: ActionName) {
        self.pools.set(vec![Change { action, wish: Wish::default(), standing: Standing::Apart }]);
    }

    /// How the actions of these events stand, and their parents, who wait for them.
    pub(super) fn standings(&self, events: &[Event]) -> Standings {
        if !self.pools.are_limited() {
            return Standings::new();
        }
        let (mut before, mut seen) = (Standings::new(), FxHashSet::default());
        for event in events {
            let parent = match &event.fact {
                Fact::Enqueued { spec } | Fact::StepRecorded { spec, .. } => spec.parent,
                _ => self.run.action(&event.action).and_then(|action| action.spec.parent),
            };
            let names = parent.into_iter().chain([event.action]).filter(|name| seen.insert(*name));
            before.extend(names.map(|name| (name, self.standing(&name))));
        }
        before
    }

    pub(super) fn standing_of(&self, action: &ActionName) -> Standings {
        vec![(*action, self.standing(action))]
    }

    fn standing(&self, action: &ActionName) -> Standing {
        self.run.action(action).map_or(Standing::Apart, Standing::of)
    }

    /// Counts what has changed. What one gives back is another's of the same decision first.
    pub(super) fn count_since(&mut self, before: Standings) {
        let changed = before.into_iter().filter_map(|(name, before)| {
            let standing = self.standing(&name);
            (standing != before).then(|| self.change(name, standing))?
        });
        let changes: Vec<Change> = changed.collect();
        if !changes.is_empty() {
            self.pools.set(changes);
        }
        self.wake_next_in_line();
    }

    /// All actions stand like this.
    pub(super) fn set_all(&self, standing: impl Fn(&Action) -> Standing) {
        if self.pools.are_limited() {
            let stand = self.run.actions().filter(|(_, action)| Standing::of(action) != Standing::Apart);
            self.pools.set(stand.filter_map(|(name, action)| self.change(*name, standing(action))).collect());
        }
    }

    fn change(&self, name: ActionName, standing: Standing) -> Option<Change> {
        let action = self.run.action(&name)?;
        let is_under_way = matches!(standing, Standing::UnderWay { .. });
        let span_above = (is_under_way && self.pools.are_traced()).then(|| self.run.span_above(&name)).flatten();
        Some(Change { action: name, wish: Wish { span_above, ..Wish::of(&action.spec) }, standing })
    }
}
