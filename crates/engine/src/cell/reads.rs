//! Questions about a run of this process. Nothing here changes it.

use std::sync::Arc;

use spanwise_core::lifecycle::Lifecycle;
use spanwise_core::trace::TraceParent;
use spanwise_core::{Action, ActionName, ActionSpec, AttemptNo, CachePolicy, End, HeldBy, Phase, Rejection, Timestamp};
use spanwise_store::ActionRow;

use super::RunCell;
use super::rows::row;
use crate::pools::InTheWay;

impl RunCell {
    pub(crate) fn root_spec(&self) -> Option<Arc<ActionSpec>> {
        self.lock().live.run().root().map(|root| Arc::clone(&root.spec))
    }

    /// All actions as they are now, in no order.
    pub(crate) fn rows(&self) -> Vec<ActionRow> {
        self.lock().live.run().actions().map(|(name, action)| row(*name, action)).collect()
    }

    /// One action as it is now.
    pub(crate) fn row(&self, name: &ActionName) -> Option<ActionRow> {
        self.lock().live.run().action(name).map(|action| row(*name, action))
    }

    /// In which phases the children of an action are.
    pub(crate) fn phases_of_children(&self, parent: &ActionName) -> Vec<Phase> {
        let state = self.lock();
        let run = state.live.run();
        let children = run.action(parent).map(Action::children).unwrap_or_default();
        children.iter().filter_map(|child| run.action(child)).map(Action::phase).collect()
    }

    /// When an action began and ended, and how, if it has.
    pub(crate) fn recorded(&self, action: &ActionName) -> Option<(Timestamp, Timestamp, End)> {
        let state = self.lock();
        let current = state.live.run().action(action)?;
        Some((current.enqueued_at, current.updated_at, current.end()?.clone()))
    }

    /// The code of the timeout that cut an attempt short, if one did.
    pub(crate) fn timeout_of(&self, action: &ActionName, attempt: AttemptNo) -> Option<String> {
        let state = self.lock();
        let current = state.live.run().action(action)?;
        match current.end() {
            Some(End::TimedOut(failure)) if current.attempts == attempt.0 => Some(failure.code.clone()),
            _ => (current.timed_out == Some(attempt)).then(|| spanwise_core::code::MAX_RUNTIME_EXCEEDED.to_owned()),
        }
    }

    /// True if somebody in this process drives the action, or is about to.
    pub(crate) fn is_driven(&self, action: &ActionName) -> bool {
        let state = self.lock();
        state.live.is_driven(action) || (action.is_root() && state.root_claimed)
    }

    /// The action as it is now.
    pub(crate) fn action(&self, action: &ActionName) -> Option<Action> {
        self.lock().live.run().action(action).cloned()
    }

    /// A span of the trace that an action belongs to, if the run's lifecycle is traced: the nearest that a map names.
    fn span_above(&self, action: &ActionName) -> Option<TraceParent> {
        if !self.settings.trace.is_exported() {
            return None;
        }
        let state = self.lock();
        let above = |name: &ActionName| state.live.run().action(name)?.spec.parent;
        // A map without a span leaves the action in the trace of its caller.
        let nearest = std::iter::successors(Some(*action), above)
            .find_map(|name| state.live.run().action(&name).and_then(|current| current.spec.traceparent));
        let inbound = state.live.run().root().and_then(|root| root.spec.traceparent);
        drop(state);
        Some(nearest.unwrap_or_else(|| Lifecycle::run_span(&self.id, inbound)))
    }

    /// The span of an attempt, if the run's lifecycle is traced.
    pub(crate) fn attempt_span(&self, action: &ActionName, attempt: AttemptNo) -> Option<TraceParent> {
        Some(Lifecycle::attempt_span(&self.id, self.span_above(action)?, action, attempt))
    }

    /// The span of an action, if the run's lifecycle is traced.
    pub(crate) fn action_span(&self, action: &ActionName) -> Option<TraceParent> {
        Some(Lifecycle::action_span(&self.id, self.span_above(action)?, action))
    }

    /// How an action uses the cache, if it does.
    pub(crate) fn cache_policy(&self, action: &ActionName) -> Option<CachePolicy> {
        self.lock().live.run().action(action).and_then(|action| action.spec.cache.clone())
    }

    /// True if the action has to reserve its cache key before it asks the cache.
    pub(crate) fn needs_key(&self, action: &ActionName, policy: &CachePolicy) -> bool {
        self.lock().live.run().needs_key(action, policy)
    }

    /// The children of an action, in the order in which they were accepted.
    pub(crate) fn children(&self, parent: &ActionName) -> Vec<ActionName> {
        self.lock().live.run().action(parent).map(|parent| parent.children().to_vec()).unwrap_or_default()
    }

    /// Every action that is not at its end and needs a driver, the oldest first.
    pub(crate) fn unfinished(&self) -> Vec<ActionName> {
        self.lock().live.run().unfinished()
    }

    /// How the action ended, if it has.
    pub(crate) fn end(&self, action: &ActionName) -> Result<Option<End>, Rejection> {
        let state = self.lock();
        let current = state.live.run().action(action).ok_or(Rejection::NotFound(*action))?;
        Ok(current.end().cloned())
    }

    /// Actions that take up a slot, the oldest first.
    pub(crate) fn busy(&self) -> Vec<ActionName> {
        self.lock().live.run().busy()
    }

    /// Why an action is held back, and who has the slots of its run if that is why; none if it is not.
    pub(crate) fn held_by(&self, action: &ActionName) -> Option<(HeldBy, Vec<ActionName>)> {
        let state = self.lock();
        let held_by = state.live.held_by(action)?;
        let busy = if held_by == HeldBy::Run { state.live.run().busy() } else { Vec::new() };
        Some((held_by, busy))
    }

    /// Which pool of the engine keeps an action from being launched, if one does.
    pub(crate) fn in_the_way(&self, action: &ActionName) -> Option<InTheWay> {
        self.lock().live.pools().in_the_way(*action)
    }

    /// Actions that take up a slot of the engine.
    pub(crate) fn on_slots(&self) -> Vec<ActionName> {
        let state = self.lock();
        let run = state.live.run();
        let takes_one = |name: &ActionName| run.action(name).is_some_and(|action| action.spec.needs.takes_a_slot());
        run.busy().into_iter().filter(takes_one).collect()
    }

    pub(crate) fn attempt(&self, action: &ActionName) -> Option<AttemptNo> {
        self.lock().live.run().action(action).and_then(Action::attempt)
    }

    pub(crate) fn is_under_way(&self, action: &ActionName, attempt: AttemptNo) -> bool {
        self.attempt(action) == Some(attempt)
    }

    pub(crate) fn due(&self, action: &ActionName) -> Option<Timestamp> {
        self.lock().live.run().action(action).and_then(Action::due)
    }

    pub(crate) fn is_finished(&self, action: &ActionName) -> bool {
        self.lock().live.run().action(action).is_some_and(Action::is_finished)
    }
}
