//! One pool: what it has given out, and who waits for it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::amounts::{Amounts, Capacity, Dimension, Had, Line};
use super::rate::Window;
use super::share::Share;
use crate::Timestamp;

/// A pool, by its index.
pub(super) type PoolId = usize;

/// The order of those who wait: the lowest is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) priority: Reverse<i32>,
    /// How far the queue is with its share.
    pub(super) queue: u64,
    /// How far the key is with its share of the queue.
    pub(super) key: u64,
    /// That of the attempt: whoever has waited for longer goes first.
    pub(super) number: u64,
}

/// A pool of attempts `I`.
#[derive(Debug)]
pub(super) struct Pool<I> {
    pub(super) name: Arc<str>,
    pub(super) parent: Option<PoolId>,
    pub(super) capacity: Capacity,
    pub(super) used: Amounts,
    /// The part of it that is kept by attempts which wait for something.
    retained: Amounts,
    pub(super) window: Option<Window>,
    /// Who has something of it, the oldest first.
    pub(super) users: BTreeMap<u64, I>,
    /// Those who wait, by what they need: they differ in what keeps them waiting.
    pub(super) classes: Vec<Class<I>>,
    /// Attempts below it that wait.
    pub(super) waiting: u64,
    /// Who refers to it: it goes when nobody does.
    pub(super) references: u64,
    /// Its share among the other members of its parent.
    pub(super) share: Share,
    pub(super) priority: i32,
    /// The clocks of the shares of its members, by their priorities.
    pub(super) clocks: BTreeMap<i32, u64>,
    /// The sums of the weights of its members that wait, by their priorities.
    pub(super) weights: BTreeMap<i32, u64>,
    /// Members that nobody refers to and whose clocks are ahead: they go when the others have come up with them.
    pub(super) ahead: BTreeSet<(u64, PoolId)>,
}

/// Those who wait and need about the same.
#[derive(Debug)]
pub(super) struct Class<I> {
    pub(super) of: Line,
    /// Members of the pool that have such an attempt, each with its first one.
    pub(super) members: BTreeSet<(Stood, PoolId)>,
    /// In a key: the attempts themselves, and what each needs, by their numbers.
    pub(super) line: BTreeMap<u64, (Amounts, I)>,
    /// The first one, if this pool and all below it have room for it.
    pub(super) front: Option<Front>,
    /// What of this pool the first one waits for.
    pub(super) short_of: Option<Dimension>,
    /// How its first one stands among the members of the parent.
    pub(super) stood: Option<Stood>,
}

/// An attempt that waits, as one of a pool's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stood {
    pub(super) rank: Rank,
    pub(super) needs: Amounts,
}

/// The attempt that is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) stood: Stood,
    /// The member of the pool that it is in; none: it stands in line here.
    pub(super) member: Option<PoolId>,
}

impl<I> Class<I> {
    fn new(of: Line) -> Class<I> {
        let (members, line) = (BTreeSet::new(), BTreeMap::new());
        Class { of, members, line, front: None, short_of: None, stood: None }
    }

    fn first(&self) -> Option<Front> {
        let in_line = self.line.first_key_value();
        let in_line = in_line.map(|(number, (needs, _))| {
            let rank = Rank { priority: Reverse(0), queue: 0, key: 0, number: *number };
            Stood { rank, needs: *needs }
        });
        match self.members.first() {
            Some((stood, member)) => Some(Front { stood: *stood, member: Some(*member) }),
            None => in_line.map(|stood| Front { stood, member: None }),
        }
    }
}

impl<I> Pool<I> {
    pub(super) fn new(name: Arc<str>, parent: Option<PoolId>, capacity: Capacity) -> Pool<I> {
        Pool {
            name,
            parent,
            capacity,
            used: Amounts::default(),
            retained: Amounts::default(),
            window: None,
            users: BTreeMap::new(),
            classes: Vec::new(),
            waiting: 0,
            references: 0,
            share: Share::new(),
            priority: 0,
            clocks: BTreeMap::new(),
            weights: BTreeMap::new(),
            ahead: BTreeSet::new(),
        }
    }

    /// True if it has so much more to give out. Whoever needs more than there is has it alone.
    fn has_room(&self, dimension: Dimension, amount: u64, now: Timestamp) -> bool {
        if dimension == Dimension::Begun {
            return self.window.as_ref().is_none_or(|window| window.has_room(now));
        }
        let room = |limit: u64| self.used[dimension].saturating_add(amount.min(limit)) <= limit;
        self.capacity[dimension as usize].is_none_or(room)
    }

    /// True if attempts have some of it and none of them does anything: a child that waits for it may be what one of them waits for.
    fn is_kept(&self, dimension: Dimension) -> bool {
        self.used[dimension] > 0 && self.used[dimension] == self.retained[dimension]
    }

    /// An attempt `before` had this and has that `after`wards.
    pub(super) fn change(&mut self, before: &Had, after: &Had) {
        self.used.subtract(&before.used);
        self.used.add(&after.used);
        self.retained.subtract(&before.retained);
        self.retained.add(&after.retained);
    }

    /// Those who stand in this line.
    pub(super) fn class(&mut self, of: Line) -> &mut Class<I> {
        let index = self.classes.iter().position(|class| class.of == of).unwrap_or_else(|| {
            self.classes.push(Class::new(of));
            self.classes.len() - 1
        });
        &mut self.classes[index]
    }

    /// The same, if there are some.
    pub(super) fn existing_class(&self, of: Line) -> Option<&Class<I>> {
        self.classes.iter().find(|class| class.of == of)
    }

    /// Works out who goes on from here: the first of each class, unless something that it needs is short, or somebody who goes before it waits for
    /// the same. Whoever needs nothing of what is short goes on, and so does a child that was chosen for it where others keep what is short while
    /// they wait: nothing else might ever end their waiting.
    pub(super) fn choose(&mut self, now: Timestamp) {
        let firsts = self.classes.iter().enumerate();
        let mut firsts: Vec<(Front, usize)> = firsts.filter_map(|(n, class)| Some((class.first()?, n))).collect();
        firsts.sort_unstable_by_key(|(front, _)| front.stood.rank);
        for class in &mut self.classes {
            (class.front, class.short_of) = (None, None);
        }
        let mut awaited = [false; Dimension::ALL.len()];
        for (front, class) in firsts {
            let (needs, is_chosen) = (front.stood.needs, self.classes[class].of.is_chosen);
            let is_needed = |dimension: &Dimension| needs[*dimension] > 0 && !(is_chosen && self.is_kept(*dimension));
            let needed = || Dimension::ALL.into_iter().filter(is_needed);
            let is_short = |dimension: &Dimension| !self.has_room(*dimension, needs[*dimension], now);
            let short_of = needed().find(|dimension| awaited[*dimension as usize] || is_short(dimension));
            let short: Vec<Dimension> = needed().filter(is_short).collect();
            short.into_iter().for_each(|dimension| awaited[dimension as usize] = true);
            let class = &mut self.classes[class];
            (class.front, class.short_of) = (short_of.is_none().then_some(front), short_of);
        }
    }

    /// The class whose first one is the next of all.
    pub(super) fn next(&self) -> Option<(&Class<I>, Front)> {
        let fronts = self.classes.iter().filter_map(|class| Some((class, class.front?)));
        fronts.min_by_key(|(_, front)| front.stood.rank)
    }
}
