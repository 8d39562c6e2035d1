//! Who may begin: pools of limited amounts, and those who wait for them.
//!
//! Pools are a tree: the server, its queues, the projects in a queue, the keys in a project (a key is a run, unless its starter has named
//! another). An attempt begins when each pool on its path has room for what it needs. Of those for whom there is room the next is that of the
//! queue with the highest priority, then of the queue and of the key that have had the least of their shares, then the one that has waited for the
//! longest. Whoever needs nothing of what is short does not wait behind those who do.
//!
//! What counts is what is under way, as the journal has it, never who stands where in line: so no pool gives out more than it has, and what a
//! restart folds gives the same counts. There are two exceptions. An attempt that goes on after it has only waited takes its slot again whether or
//! not one is free, as its process is there; nothing begins until what was too much is given back. And where all that has been given out of some
//! memory or devices is kept by attempts that only wait, one child of a parent begins beside them: it may be what they wait for.

use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::trace::TraceParent;
use crate::{Action, ActionKind, ActionName, ActionSpec, AttemptNo, State, Timestamp};

mod amounts;
#[cfg(test)]
mod checks;
mod families;
mod limits;
mod obstacle;
mod pool;
mod rate;
mod share;
#[cfg(test)]
mod tests;
mod tree;

pub use amounts::{Dimension, Needs};
pub use limits::{
    BadQueueName, DEFAULT_QUEUE, KEY_LABEL, Limits, QueueLimits, ServerLimits, WEIGHT_LABEL, check_queue_name,
};
pub use obstacle::{Holder, NAMED, Obstacle};
pub use rate::{NotARate, Rate};
pub use share::MAX_WEIGHT;

use amounts::{Capacity, Demand, Had, either};
use families::Families;
use pool::PoolId;
use tree::Tree;

/// Whose attempts they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner<R> {
    /// The run.
    pub run: R,
    /// The name of the run.
    pub name: Arc<str>,
    /// Its project.
    pub project: Arc<str>,
    /// The key by which the run shares with others; none: it is one by itself.
    pub key: Option<Arc<str>>,
    /// How much more than others the key gets, from 1 to [`MAX_WEIGHT`].
    pub weight: u32,
}

/// What an attempt asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The queue that it names.
    pub queue: Option<Arc<str>>,
    /// What it needs.
    pub needs: Needs,
    /// The action of its run that may wait for it.
    pub parent: Option<ActionName>,
    /// A span of its action's trace, if that is exported.
    pub span_above: Option<TraceParent>,
}

impl Wish {
    /// What the attempts of an action ask for.
    pub fn of(spec: &ActionSpec) -> Wish {
        Wish { queue: spec.queue.clone(), needs: spec.needs, parent: spec.parent, span_above: None }
    }
}

/// How an action stands to the pools, as its facts say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has nothing and wants nothing.
    Apart,
    /// It waits for its next attempt.
    Queued,
    /// An attempt is under way.
    UnderWay {
        /// Its number.
        attempt: AttemptNo,
        /// False while it only waits, for its children or for something outside of its run.
        is_busy: bool,
    },
}

impl Standing {
    /// How an action stands to the pools now.
    pub fn of(action: &Action) -> Standing {
        match (&action.state, action.attempt()) {
            // What a program works off elsewhere takes up nothing here.
            _ if action.spec.kind != ActionKind::Task || action.spec.tracked.is_some() => Standing::Apart,
            (State::Queued { .. }, _) => Standing::Queued,
            (_, Some(attempt)) => Standing::UnderWay { attempt, is_busy: action.occupies_slot() },
            _ => Standing::Apart,
        }
    }
}

/// An action that stands otherwise than before.
#[derive(Clone, Debug)]
pub struct Change {
    /// The action.
    pub action: ActionName,
    /// What its attempts ask for.
    pub wish: Wish,
    /// How it stands now.
    pub standing: Standing,
}

/// Why an action is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many wait as its queue allows. That passes.
    #[error("queue `{queue}` is full: {depth} wait, as many as its `depth` allows")]
    Full {
        /// The queue.
        queue: String,
        /// How many may wait.
        depth: u32,
    },
    /// It would wait for ever.
    #[error("{needed} needed, {of} has {limit} in all")]
    TooMuch {
        /// The pool.
        of: String,
        /// What is needed.
        needed: String,
        /// What there is.
        limit: String,
    },
}

impl Refusal {
    /// True if the same may be accepted later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Refusal::Full { .. })
    }
}

/// An attempt of an action.
type Id<R> = (R, ActionName);

/// Pools, and who has something of them or waits. `R` names a run; `T` is what tells a driver that its attempt may begin: whatever is handed out
/// has to be told.
#[derive(Debug)]
pub struct Admission<R, T> {
    tree: Tree<Key<R>, Id<R>>,
    queues: FxHashMap<Arc<str>, PoolId>,
    /// The queue of whoever names none that is there.
    default: PoolId,
    entries: FxHashMap<Id<R>, Entry<T>>,
    families: Families<R>,
    /// Actions that wait for their next attempt, by their queues, whether or not a driver wants to launch it now.
    queued: FxHashMap<PoolId, u64>,
    /// Attempts that do something, and those that may begin.
    busy: u64,
    /// The amounts that some pool has a limit of. Others make no difference.
    counted: Capacity,
    /// Nothing begins any more.
    is_closed: bool,
}

/// A fairness key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key<R> {
    Run(R),
    Named(Arc<str>),
}

#[derive(Debug)]
struct Entry<T> {
    key: PoolId,
    queue: PoolId,
    demand: Demand,
    /// Its parent, if it needs what a waiting process keeps.
    parent: Option<ActionName>,
    span_above: Option<TraceParent>,
    now: Now<T>,
}

/// What an action has of the pools now.
#[derive(Debug)]
enum Now<T> {
    /// It waits, and nobody wants to launch it.
    Queued,
    /// Its driver waits until it may.
    InLine { number: u64, notice: T },
    /// Its driver may.
    Granted { number: u64 },
    /// An attempt is under way.
    UnderWay { number: u64, attempt: AttemptNo, is_busy: bool },
}

impl<T> Entry<T> {
    fn had(&self) -> Had {
        match self.now {
            Now::Queued | Now::InLine { .. } => Had::default(),
            Now::Granted { .. } | Now::UnderWay { is_busy: true, .. } => Had::busy(self.demand.needs),
            Now::UnderWay { is_busy: false, .. } => Had::waiting(self.demand.needs),
        }
    }

    fn number(&self) -> Option<u64> {
        match self.now {
            Now::Queued | Now::InLine { .. } => None,
            Now::Granted { number } | Now::UnderWay { number, .. } => Some(number),
        }
    }

    fn is_queued(&self) -> bool {
        !matches!(self.now, Now::UnderWay { .. })
    }

    fn is_busy(&self) -> bool {
        matches!(self.now, Now::Granted { .. } | Now::UnderWay { is_busy: true, .. })
    }
}

/// The answer to a driver that wants to launch.
#[derive(Debug)]
#[must_use = "these may begin now and have to be told"]
pub struct Claimed<T> {
    /// It may.
    pub may_begin: bool,
    /// Others may.
    pub notices: Vec<T>,
}

impl<R: Copy + Eq + Hash, T: Clone> Admission<R, T> {
    /// Pools with these limits, all of them unused.
    pub fn new(limits: &Limits) -> Admission<R, T> {
        let mut tree = Tree::new(limits);
        let mut add = |(name, limits): (&str, QueueLimits)| {
            let name: Arc<str> = name.into();
            (Arc::clone(&name), tree.add_queue(name, limits))
        };
        let mut queues: FxHashMap<Arc<str>, PoolId> =
            limits.queues.iter().map(|(name, limits)| add((name.as_str(), *limits))).collect();
        let default = match queues.get(DEFAULT_QUEUE) {
            Some(default) => *default,
            None => add((DEFAULT_QUEUE, QueueLimits::default())).1,
        };
        queues.insert(DEFAULT_QUEUE.into(), default);
        let (entries, families, queued) = (FxHashMap::default(), Families::new(), FxHashMap::default());
        let counted = limits.queues.values().map(QueueLimits::capacity).fold(limits.server.capacity(), either);
        Admission { tree, queues, default, entries, families, queued, busy: 0, counted, is_closed: false }
    }

    /// Counts a new action among those that wait, before it is accepted: after `Ok` it either is, or [`Admission::set`] says that it stands apart.
    /// One that `is_awaited` by an attempt which then gives its slot back waits however many do: else nobody would go on.
    ///
    /// # Errors
    /// [`Refusal`] if its queue is full, or if it would wait for ever.
    pub fn accept(
        &mut self,
        owner: &Owner<R>,
        action: ActionName,
        wish: &Wish,
        is_awaited: bool,
    ) -> Result<(), Refusal> {
        let queue = self.queue(wish);
        self.check_needs(queue, &wish.needs)?;
        let waiting = self.queued.get(&queue).copied().unwrap_or_default();
        if let Some(depth) =
            self.tree.limits_of(queue).depth.filter(|depth| waiting >= u64::from(*depth) && !is_awaited)
        {
            return Err(Refusal::Full { queue: self.tree.pool(queue).name.to_string(), depth });
        }
        self.ensure(owner, action, wish);
        Ok(())
    }

    /// Lets a driver launch its action, or has it stand in line; `notice` is handed out when it may. One that may is counted from now on.
    pub fn claim(
        &mut self,
        owner: &Owner<R>,
        action: ActionName,
        wish: &Wish,
        notice: &T,
        now: Timestamp,
    ) -> Claimed<T> {
        self.tree.advance(now);
        let id = (owner.run, action);
        self.ensure(owner, action, wish);
        let Some(entry) = self.entries.get_mut(&id) else { return Claimed { may_begin: false, notices: Vec::new() } };
        match &mut entry.now {
            Now::Granted { .. } | Now::UnderWay { .. } => {}
            Now::InLine { notice: last, .. } => *last = notice.clone(),
            Now::Queued => {
                let parent = entry.parent.map(|parent| (owner.run, parent));
                entry.demand.is_chosen = parent.is_some_and(|parent| self.families.choose(parent, action));
                let number = self.tree.stand(entry.key, &entry.demand, id);
                entry.now = Now::InLine { number, notice: notice.clone() };
                parent.into_iter().for_each(|parent| self.families.stands(parent, number, action));
            }
        }
        let mut begun = self.admit();
        let may_begin = self.entries.get(&id).is_some_and(|entry| entry.number().is_some());
        begun.retain(|(other, _)| *other != id);
        Claimed { may_begin, notices: begun.into_iter().map(|(_, notice)| notice).collect() }
    }

    /// An action that stands in line, or may begin, will not be launched by its driver.
    #[must_use = "these may begin now and have to be told"]
    pub fn withdraw(&mut self, run: R, action: ActionName) -> Vec<T> {
        let id = (run, action);
        if self.entries.get(&id).is_some_and(Entry::is_queued) {
            self.put(id, Now::Queued);
        }
        self.notices()
    }

    /// Actions of a run stand otherwise than before, all of them at once.
    #[must_use = "these may begin now and have to be told"]
    pub fn set(&mut self, owner: &Owner<R>, changes: Vec<Change>, now: Timestamp) -> Vec<T> {
        self.tree.advance(now);
        for Change { action, wish, standing } in changes {
            let id = (owner.run, action);
            match standing {
                Standing::Apart => self.remove(id),
                Standing::Queued => {
                    self.ensure(owner, action, &wish);
                    if self.entries.get(&id).is_some_and(|entry| !entry.is_queued()) {
                        self.put(id, Now::Queued);
                    }
                }
                Standing::UnderWay { attempt, is_busy } => {
                    self.ensure(owner, action, &wish);
                    let number = self.entries.get(&id).and_then(Entry::number);
                    let number = number.unwrap_or_else(|| self.tree.number());
                    self.put(id, Now::UnderWay { number, attempt, is_busy });
                    if let Some(entry) = self.entries.get_mut(&id) {
                        entry.span_above = wish.span_above.or(entry.span_above);
                    }
                }
            }
        }
        self.notices()
    }

    /// An attempt has begun at this time, as the journal has it: it counts for the rate of its queue.
    pub fn recall(&mut self, queue: Option<&Arc<str>>, at: Timestamp, now: Timestamp) {
        self.tree.advance(now);
        let queue = self.queue_named(queue);
        self.tree.begin(queue, at);
    }

    /// Time has passed.
    #[must_use = "these may begin now and have to be told"]
    pub fn tick(&mut self, now: Timestamp) -> Vec<T> {
        self.tree.advance(now);
        self.notices()
    }

    /// When [`Admission::tick`] may let somebody begin.
    pub fn next_due(&self) -> Option<Timestamp> {
        if self.is_closed { None } else { self.tree.next_due() }
    }

    /// Lets nothing begin any more.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// True if no attempt does anything but wait.
    pub fn is_idle(&self) -> bool {
        self.busy == 0
    }

    /// True if there is a queue of this name.
    pub fn has_queue(&self, name: &str) -> bool {
        self.queues.contains_key(name)
    }

    fn queue(&self, wish: &Wish) -> PoolId {
        self.queue_named(wish.queue.as_ref())
    }

    fn queue_named(&self, name: Option<&Arc<str>>) -> PoolId {
        name.and_then(|name| self.queues.get(name)).copied().unwrap_or(self.default)
    }

    /// Counts an action that is not counted yet among those that wait.
    fn ensure(&mut self, owner: &Owner<R>, action: ActionName, wish: &Wish) {
        let id = (owner.run, action);
        if self.entries.contains_key(&id) {
            return;
        }
        let queue = self.queue(wish);
        let (key, name) = match &owner.key {
            Some(key) => (Key::Named(Arc::clone(key)), key),
            None => (Key::Run(owner.run), &owner.name),
        };
        let key = self.tree.key(queue, &owner.project, key, name, owner.weight);
        let needs = wish.needs.amounts().counted(&self.counted);
        let (parent, span_above) = (wish.parent.filter(|_| needs.are_kept()), wish.span_above);
        let demand = Demand { needs, is_chosen: false };
        self.entries.insert(id, Entry { key, queue, demand, parent, span_above, now: Now::Queued });
        *self.queued.entry(queue).or_default() += 1;
    }

    fn remove(&mut self, id: Id<R>) {
        self.put(id, Now::Queued);
        let Some(entry) = self.entries.remove(&id) else { return };
        if let Some(queued) = self.queued.get_mut(&entry.queue) {
            *queued -= 1;
        }
        self.tree.leave_key(entry.key);
    }

    /// Gives an action what it has now, and takes what it had.
    fn put(&mut self, id: Id<R>, now: Now<T>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Now::InLine { number, .. } = entry.now {
            self.tree.leave(entry.key, entry.demand.line(), number);
        }
        let (had, number, was_busy, was_queued) = (entry.had(), entry.number(), entry.is_busy(), entry.is_queued());
        let before = std::mem::replace(&mut entry.now, now);
        let (key, queue, has) = (entry.key, entry.queue, entry.had());
        let (is_busy, is_queued) = (entry.is_busy(), entry.is_queued());
        if let Some(number) = number.or(entry.number()).filter(|_| had != has) {
            self.tree.change(key, (number, id), &had, &has);
        }
        let parent = entry.parent.map(|parent| (id.0, parent));
        if matches!(before, Now::Granted { .. }) {
            self.tree.settle(queue, !is_queued);
        }
        if let Some(parent) = parent {
            self.put_in_family(parent, id, &before);
        }
        self.busy = self.busy + u64::from(is_busy) - u64::from(was_busy);
        let queued = self.queued.entry(queue).or_default();
        *queued = *queued + u64::from(is_queued) - u64::from(was_queued);
    }

    /// What a child that had this `before` has now counts for which one of its parent's children may begin beside those that only wait.
    fn put_in_family(&mut self, parent: Id<R>, id: Id<R>, before: &Now<T>) {
        if let Now::InLine { number, .. } = before {
            self.families.leaves(parent, *number);
        }
        if self.entries.get(&id).is_some_and(|entry| entry.number().is_some()) {
            self.families.choose(parent, id.1);
            return;
        }
        let Some((number, next)) = self.families.gives_up(parent, id.1) else { return };
        if let Some(entry) = self.entries.get_mut(&(id.0, next)) {
            let line = entry.demand.line();
            entry.demand.is_chosen = true;
            self.tree.demand_anew(entry.key, number, (line, &entry.demand));
        }
    }

    /// Lets begin whoever may, one after another; gives them with what tells them.
    fn admit(&mut self) -> Vec<(Id<R>, T)> {
        let mut begun = Vec::new();
        while !self.is_closed {
            let Some(id) = self.tree.next() else { break };
            let Some(Entry { key, queue, now: Now::InLine { notice, .. }, .. }) = self.entries.get(&id) else { break };
            let (key, queue, notice) = (*key, *queue, notice.clone());
            self.tree.serve(key);
            let number = self.tree.number();
            self.put(id, Now::Granted { number });
            self.tree.grant(queue);
            begun.push((id, notice));
        }
        begun
    }

    fn notices(&mut self) -> Vec<T> {
        self.admit().into_iter().map(|(_, notice)| notice).collect()
    }
}
