//! The tree of pools: server > queue > project > key. Who is next is known at each pool; a change is carried up from where it happens.
//!
//! Attempts stand in line at the pool of their key. Pools below a queue are made when they are needed, and go when nobody refers to them.

use std::cmp::Reverse;
use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::amounts::{Demand, Dimension, Had, Line};
use super::limits::{Limits, QueueLimits, SERVER, of_attempts};
use super::pool::{Front, Pool, PoolId, Rank, Stood};
use super::rate::Window;
use crate::Timestamp;

/// The pool that all others are part of.
pub(super) const ROOT: PoolId = 0;

/// What a pool is to its parent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Child<K> {
    Project(Arc<str>),
    Key(K),
}

#[derive(Debug)]
struct Entry<K, I> {
    pool: Pool<I>,
    /// None for the server and its queues, which stay.
    child: Option<Child<K>>,
}

/// The pools of keys `K` and attempts `I`.
#[derive(Debug)]
pub(super) struct Tree<K, I> {
    pools: Vec<Option<Entry<K, I>>>,
    free: Vec<PoolId>,
    children: FxHashMap<(PoolId, Child<K>), PoolId>,
    limits: FxHashMap<PoolId, QueueLimits>,
    /// Queues with a rate.
    rated: Vec<PoolId>,
    now: Timestamp,
    /// The last number that was given to somebody who waits or begins.
    last: u64,
}

impl<K: Clone + Eq + Hash, I: Copy> Tree<K, I> {
    pub(super) fn new(limits: &Limits) -> Tree<K, I> {
        let server = Pool::new(SERVER.into(), None, limits.server.capacity());
        Tree {
            pools: vec![Some(Entry { pool: server, child: None })],
            free: Vec::new(),
            children: FxHashMap::default(),
            limits: FxHashMap::default(),
            rated: Vec::new(),
            now: Timestamp(i64::MIN),
            last: 0,
        }
    }

    pub(super) fn add_queue(&mut self, name: Arc<str>, limits: QueueLimits) -> PoolId {
        let mut pool = Pool::new(name, Some(ROOT), limits.capacity());
        pool.window = limits.rate.map(Window::new);
        pool.priority = limits.priority;
        let queue = self.add(pool, None);
        self.rated.extend(limits.rate.map(|_| queue));
        self.limits.insert(queue, limits);
        queue
    }

    pub(super) fn limits_of(&self, queue: PoolId) -> &QueueLimits {
        &self.limits[&queue]
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The pool of a key, for one more who refers to it.
    pub(super) fn key(&mut self, queue: PoolId, project: &Arc<str>, key: K, name: &str, weight: u32) -> PoolId {
        let limits = self.limits[&queue];
        let project = self.child(queue, Child::Project(Arc::clone(project)), project, limits.concurrency_per_project);
        let key = self.child(project, Child::Key(key), name, limits.concurrency_per_key);
        let tag = self.pool(key).share.tag();
        self.pool_mut(queue).ahead.remove(&(tag, key));
        self.pool_mut(key).references += 1;
        let before = self.pool(key).share.weight();
        self.pool_mut(key).share.set_weight(weight);
        if self.pool(key).waiting > 0 {
            let after = self.pool(key).share.weight();
            let weights = self.pool_mut(queue).weights.entry(0).or_default();
            *weights = *weights - before + after;
        }
        key
    }

    /// One refers to a key no more.
    pub(super) fn leave_key(&mut self, key: PoolId) {
        let pool = self.pool_mut(key);
        pool.references -= 1;
        if pool.references > 0 {
            return;
        }
        let tag = pool.share.tag();
        let queue = self.queue_of(key);
        if tag <= self.clock(queue, 0) {
            self.drop_pool(key);
        } else {
            self.pool_mut(queue).ahead.insert((tag, key));
        }
    }

    /// An attempt that needs this stands in line from now on; gives its number there.
    pub(super) fn stand(&mut self, key: PoolId, demand: &Demand, attempt: I) -> u64 {
        let number = self.number();
        self.pool_mut(key).class(demand.line()).line.insert(number, (demand.needs, attempt));
        self.for_path(key, |pool| pool.waiting += 1);
        // Whoever begins to wait begins where the others are.
        for (pool, among, priority) in self.shares(key) {
            if self.pool(pool).waiting == 1 {
                let (clock, weight) = (self.clock(among, priority), self.pool(pool).share.weight());
                self.pool_mut(pool).share.begin(clock);
                *self.pool_mut(among).weights.entry(priority).or_default() += weight;
            }
        }
        self.refresh(key);
        number
    }

    /// An attempt stands in line no more.
    pub(super) fn leave(&mut self, key: PoolId, line: Line, number: u64) {
        if self.pool_mut(key).class(line).line.remove(&number).is_some() {
            self.for_path(key, |pool| pool.waiting -= 1);
            for (pool, among, priority) in self.shares(key) {
                if self.pool(pool).waiting == 0 {
                    let weight = self.pool(pool).share.weight();
                    *self.pool_mut(among).weights.entry(priority).or_default() -= weight;
                }
            }
        }
        self.refresh(key);
    }

    /// An attempt that stands in line asks for it in another way from now on.
    pub(super) fn demand_anew(&mut self, key: PoolId, number: u64, (before, after): (Line, &Demand)) {
        let pool = self.pool_mut(key);
        if let Some((_, attempt)) = pool.class(before).line.remove(&number) {
            pool.class(after.line()).line.insert(number, (after.needs, attempt));
        }
        self.refresh(key);
    }

    /// The attempt that is next, if there is room for one.
    pub(super) fn next(&self) -> Option<I> {
        let mut at = ROOT;
        let (class, mut front) = self.pool(at).next()?;
        while let Some(member) = front.member {
            at = member;
            front = self.pool(at).existing_class(class.of)?.front?;
        }
        let (_, attempt) = self.pool(at).existing_class(class.of)?.line.get(&front.stood.rank.number)?;
        Some(*attempt)
    }

    /// An attempt of a key is served, which stands in line until then: the shares that it is part of have gone on.
    pub(super) fn serve(&mut self, key: PoolId) {
        for (pool, among, priority) in self.shares(key) {
            let waiting = self.pool(among).weights.get(&priority).copied().unwrap_or_default();
            let mut clock = self.clock(among, priority);
            self.pool_mut(pool).share.serve(&mut clock, waiting);
            self.pool_mut(among).clocks.insert(priority, clock);
        }
        self.drop_overtaken(self.queue_of(key));
    }

    /// Keys that nobody refers to, and that the others have come up with, are as good as new ones.
    fn drop_overtaken(&mut self, queue: PoolId) {
        let clock = self.clock(queue, 0);
        while let Some(first) = self.pool(queue).ahead.first().copied().filter(|(tag, _)| *tag <= clock) {
            self.pool_mut(queue).ahead.remove(&first);
            self.drop_pool(first.1);
        }
    }

    /// Changes what an attempt has of a key and of all pools above. `number` is its own among those who have something.
    pub(super) fn change(&mut self, key: PoolId, (number, attempt): (u64, I), before: &Had, after: &Had) {
        let has_some = *after != Had::default();
        self.for_path(key, |pool| {
            pool.change(before, after);
            match has_some {
                true => drop(pool.users.insert(number, attempt)),
                false => drop(pool.users.remove(&number)),
            }
        });
        self.refresh(key);
    }

    /// An attempt of a queue has begun at `at`.
    pub(super) fn begin(&mut self, queue: PoolId, at: Timestamp) {
        let now = self.now;
        self.change_window(queue, |window| window.push(at, now));
    }

    /// An attempt of a queue may begin.
    pub(super) fn grant(&mut self, queue: PoolId) {
        self.change_window(queue, Window::grant);
    }

    /// One that might begin has begun, or does not.
    pub(super) fn settle(&mut self, queue: PoolId, has_begun: bool) {
        let now = self.now;
        self.change_window(queue, |window| window.settle(has_begun, now));
    }

    fn change_window(&mut self, queue: PoolId, change: impl FnOnce(&mut Window)) {
        if let Some(window) = &mut self.pool_mut(queue).window {
            change(window);
            self.refresh(queue);
        }
    }

    /// Time has passed. One that goes back stands still.
    pub(super) fn advance(&mut self, now: Timestamp) {
        if now > self.now {
            self.now = now;
            let waiting = |queue: &PoolId| self.pool(*queue).waiting > 0;
            let waiting: Vec<PoolId> = self.rated.iter().copied().filter(waiting).collect();
            waiting.into_iter().for_each(|queue| self.refresh(queue));
        }
    }

    /// When somebody may begin for whom it is too early now.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.rated.iter().map(|queue| self.pool(*queue)).filter(|queue| queue.waiting > 0);
        let full = waiting.filter_map(|queue| queue.window.as_ref().filter(|window| !window.has_room(self.now)));
        full.filter_map(Window::next).min()
    }

    /// What keeps those of a key in this line from going on, and of which pool.
    pub(super) fn obstacle(&self, key: PoolId, line: Line) -> Option<(PoolId, Dimension)> {
        self.path(key).find_map(|pool| Some((pool, self.pool(pool).existing_class(line)?.short_of?)))
    }

    /// Works out who is next at a pool, and at all above it.
    fn refresh(&mut self, pool: PoolId) {
        let (mut at, now) = (pool, self.now);
        loop {
            self.pool_mut(at).choose(now);
            let parent = self.pool(at).parent;
            parent.into_iter().for_each(|parent| self.stand_with_parent(at, parent));
            self.pool_mut(at).classes.retain(|class| !(class.members.is_empty() && class.line.is_empty()));
            let Some(parent) = parent else { return };
            at = parent;
        }
    }

    /// Puts a pool among the members of its parent that wait, by its first attempts.
    fn stand_with_parent(&mut self, at: PoolId, parent: PoolId) {
        let is_key = matches!(self.entry(at).child, Some(Child::Key(_)));
        let (tag, priority) = (self.pool(at).share.tag(), self.pool(at).priority);
        for index in 0..self.pool(at).classes.len() {
            let class = &mut self.pool_mut(at).classes[index];
            // Below a queue it is keys that are compared, wherever they are: a project has no share of its own.
            let stood = class.front.map(|Front { stood, .. }| {
                let rank = match parent {
                    ROOT => Rank { priority: Reverse(priority), queue: tag, ..stood.rank },
                    _ if is_key => Rank { key: tag, ..stood.rank },
                    _ => stood.rank,
                };
                Stood { rank, ..stood }
            });
            let (line, before) = (class.of, std::mem::replace(&mut class.stood, stood));
            if before == stood {
                continue;
            }
            let members = &mut self.pool_mut(parent).class(line).members;
            if let Some(before) = before {
                members.remove(&(before, at));
            }
            members.extend(stood.map(|stood| (stood, at)));
        }
    }

    fn clock(&self, pool: PoolId, priority: i32) -> u64 {
        self.pool(pool).clocks.get(&priority).copied().unwrap_or_default()
    }

    /// A number that nobody has had.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// A pool and all above it.
    pub(super) fn path(&self, pool: PoolId) -> impl Iterator<Item = PoolId> {
        std::iter::successors(Some(pool), |pool| self.pool(*pool).parent)
    }

    fn for_path(&mut self, pool: PoolId, change: impl Fn(&mut Pool<I>)) {
        let mut at = Some(pool);
        while let Some(pool) = at {
            change(self.pool_mut(pool));
            at = self.pool(pool).parent;
        }
    }

    /// The shares that a key and its queue have: whose, of which pool, among those of which priority.
    fn shares(&self, key: PoolId) -> [(PoolId, PoolId, i32); 2] {
        let queue = self.queue_of(key);
        [(key, queue, 0), (queue, ROOT, self.pool(queue).priority)]
    }

    /// The queue of a key.
    pub(super) fn queue_of(&self, key: PoolId) -> PoolId {
        self.path(key).nth(2).unwrap_or(ROOT)
    }

    pub(super) fn pool(&self, pool: PoolId) -> &Pool<I> {
        &self.entry(pool).pool
    }

    fn entry(&self, pool: PoolId) -> &Entry<K, I> {
        self.pools[pool].as_ref().expect("a pool stays as long as somebody refers to it")
    }

    fn pool_mut(&mut self, pool: PoolId) -> &mut Pool<I> {
        &mut self.pools[pool].as_mut().expect("a pool stays as long as somebody refers to it").pool
    }

    fn child(&mut self, parent: PoolId, child: Child<K>, name: &str, concurrency: Option<u32>) -> PoolId {
        if let Some(pool) = self.children.get(&(parent, child.clone())) {
            return *pool;
        }
        let name = format!("{}/{name}", self.pool(parent).name);
        let pool = Pool::new(name.into(), Some(parent), of_attempts(concurrency));
        let pool = self.add(pool, Some(child.clone()));
        self.children.insert((parent, child), pool);
        self.pool_mut(parent).references += 1;
        pool
    }

    fn add(&mut self, pool: Pool<I>, child: Option<Child<K>>) -> PoolId {
        let entry = Some(Entry { pool, child });
        match self.free.pop() {
            Some(free) => {
                self.pools[free] = entry;
                free
            }
            None => {
                self.pools.push(entry);
                self.pools.len() - 1
            }
        }
    }

    /// A pool goes in which nobody waits, and its project with it if it was the last one.
    fn drop_pool(&mut self, pool: PoolId) {
        let mut at = pool;
        while let Some(Entry { pool, child: Some(child) }) = self.pools[at].take_if(|entry| entry.child.is_some()) {
            self.free.push(at);
            let Some(parent) = pool.parent else { return };
            self.children.remove(&(parent, child));
            self.pool_mut(parent).references -= 1;
            if self.pool(parent).references > 0 {
                return;
            }
            at = parent;
        }
    }

    /// How many pools there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pools.len() - self.free.len()
    }
}
