//! A world of attempts that begin, wait, go on and end, and a process that is killed at any point: with its own count of all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::*;
use crate::live::Random;

/// An action of the world, and what has happened to it: its facts.
#[derive(Clone, Debug)]
pub(super) struct SimAction {
    pub(super) run: u32,
    pub(super) action: ActionName,
    pub(super) wish: Wish,
    pub(super) standing: Standing,
    /// Its driver wants to launch it.
    wants: bool,
    /// It may begin, since then.
    may: Option<Timestamp>,
}

pub(super) struct World {
    random: Random,
    limits: Limits,
    pools: Admission<u32, usize>,
    actions: Vec<SimAction>,
    /// When attempts have begun, by their queues.
    begun: Vec<(Option<Arc<str>>, Timestamp)>,
    now: Timestamp,
}

/// A pool, what it has, and whose attempts it is of.
type Checked<'a> = (&'a str, Capacity, &'a dyn Fn(&SimAction) -> bool);

pub(super) fn name(index: usize) -> ActionName {
    ActionName::new(&format!("a{index}")).unwrap()
}

pub(super) fn owner(run: u32) -> Owner<u32> {
    Owner { run, name: format!("r{run}").into(), project: format!("p{}", run % 2).into(), key: None, weight: 1 }
}

const QUEUES: [&str; 3] = ["one", "two", "default"];

fn any_limits(random: &mut Random) -> Limits {
    let some = |random: &mut Random, most: usize| random.one_in(2).then(|| 1 + random.below(most) as u32);
    let server = ServerLimits {
        slots: some(random, 6),
        idle: some(random, 4),
        cpu: some(random, 4).map(|cpu| 1000 * u64::from(cpu)),
        memory: some(random, 4).map(u64::from),
        gpu: some(random, 3).map(u64::from),
    };
    let mut queues = BTreeMap::new();
    for queue in QUEUES {
        let limits = QueueLimits {
            concurrency: some(random, 4),
            concurrency_per_project: some(random, 3),
            concurrency_per_key: some(random, 2),
            depth: some(random, 9),
            priority: random.below(3) as i32 - 1,
            rate: random.one_in(3).then(|| format!("{}/s", 1 + random.below(4)).parse().unwrap()),
            gpu: some(random, 2).map(u64::from),
            ..QueueLimits::default()
        };
        if random.one_in(2) {
            queues.insert(queue.to_owned(), limits);
        }
    }
    Limits { server, queues }
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let limits = any_limits(&mut random);
        let pools = Admission::new(&limits);
        World { random, limits, pools, actions: Vec::new(), begun: Vec::new(), now: Timestamp(0) }
    }

    /// Tells a story of so many steps.
    pub(super) fn tell(&mut self, steps: usize) -> Result<(), String> {
        for _ in 0..steps {
            self.something_happens()?;
            self.pools.check()?;
            self.check_line()?;
        }
        self.comes_to_its_end()
    }

    fn something_happens(&mut self) -> Result<(), String> {
        let chance = self.random.below(100);
        let Some(index) = self.random.pick(&(0..self.actions.len()).collect::<Vec<_>>()).filter(|_| chance >= 15)
        else {
            return self.a_new_action();
        };
        match chance {
            15..40 => self.claims(index)?,
            40..60 => self.launches(index),
            60..75 => self.moves_on(index)?,
            75..85 => self.ends(index)?,
            85..90 => self.withdraws(index)?,
            90..98 => self.time_passes()?,
            _ => self.is_killed()?,
        }
        Ok(())
    }

    fn a_new_action(&mut self) -> Result<(), String> {
        let random = &mut self.random;
        let queue = random.pick(&[None, Some("one"), Some("two"), Some("nowhere")]).flatten().map(Arc::from);
        let cpu = random.pick(&[None, None, Some(0), Some(500), Some(3000)]).flatten();
        let few = |random: &mut Random| if random.one_in(3) { random.below(4) as u64 } else { 0 };
        let needs = Needs { cpu, memory: few(random), gpu: few(random) };
        let run = random.below(5) as u32;
        let is_awaited = random.one_in(8);
        let has_root = self.actions.iter().any(|action| action.run == run);
        let action = if has_root { name(self.actions.len()) } else { ActionName::ROOT };
        let wish = Wish { queue, needs, parent: has_root.then_some(ActionName::ROOT), span_above: None };
        let (depth, waiting) = (self.limits_of(&wish).depth, self.queued_beside(&wish));
        let accepted = self.pools.accept(&owner(run), action, &wish, is_awaited);
        let is_full = depth.is_some_and(|depth| waiting >= depth as usize) && !is_awaited;
        match &accepted {
            Err(Refusal::Full { .. }) if !is_full => return Err(format!("{waiting} wait of {depth:?}: {accepted:?}")),
            Ok(()) if is_full => return Err(format!("{waiting} wait of {depth:?}, and one more is accepted")),
            Err(_) => return Ok(()),
            Ok(()) => {}
        }
        let standing = Standing::Queued;
        self.actions.push(SimAction { run, action, wish, standing, wants: false, may: None });
        Ok(())
    }

    fn limits_of(&self, wish: &Wish) -> QueueLimits {
        self.limits.queues.get(self.queue_of(wish)).copied().unwrap_or_default()
    }

    fn queue_of<'a>(&self, wish: &'a Wish) -> &'a str {
        match wish.queue.as_deref() {
            Some(queue) if self.limits.queues.contains_key(queue) => queue,
            _ => DEFAULT_QUEUE,
        }
    }

    fn queued_beside(&self, wish: &Wish) -> usize {
        let is_beside = |other: &&SimAction| {
            self.queue_of(&other.wish) == self.queue_of(wish) && other.standing == Standing::Queued
        };
        self.actions.iter().filter(is_beside).count()
    }

    fn claims(&mut self, index: usize) -> Result<(), String> {
        let SimAction { run, action, wish, standing, may, .. } = self.actions[index].clone();
        if standing != Standing::Queued {
            return Ok(());
        }
        let claimed = self.pools.claim(&owner(run), action, &wish, &index, self.now);
        self.actions[index].wants = true;
        if claimed.may_begin && may.is_none() {
            self.may_begin(index)?;
        } else if may.is_some() && !claimed.may_begin {
            return Err(format!("{action} may begin, and may not"));
        }
        self.notified(claimed.notices)
    }

    fn notified(&mut self, notices: Vec<usize>) -> Result<(), String> {
        notices.into_iter().try_for_each(|index| self.may_begin(index))
    }

    /// Each that may begin finds room in each of its pools.
    fn may_begin(&mut self, index: usize) -> Result<(), String> {
        let SimAction { standing, wants, may, .. } = &self.actions[index];
        if *standing != Standing::Queued || !wants || may.is_some() {
            return Err(format!("{:?} may begin", self.actions[index]));
        }
        self.actions[index].may = Some(self.now);
        self.check_limits(index)
    }

    fn launches(&mut self, index: usize) {
        if self.actions[index].may.is_some() {
            let queue = self.queue_of(&self.actions[index].wish).into();
            self.begun.push((Some(queue), self.now));
            self.set(index, Standing::UnderWay { attempt: AttemptNo(1), is_busy: true }).unwrap_or_default();
        }
    }

    /// An attempt waits for something, or has waited.
    fn moves_on(&mut self, index: usize) -> Result<(), String> {
        match self.actions[index].standing {
            Standing::UnderWay { attempt, is_busy } => {
                self.set(index, Standing::UnderWay { attempt, is_busy: !is_busy })
            }
            _ => Ok(()),
        }
    }

    /// An attempt ends, or is to be made again; an action that waits is aborted.
    fn ends(&mut self, index: usize) -> Result<(), String> {
        let standing = if self.random.one_in(3) { Standing::Queued } else { Standing::Apart };
        match self.actions[index].standing {
            Standing::Apart => Ok(()),
            Standing::Queued if standing == Standing::Queued => Ok(()),
            _ => self.set(index, standing),
        }
    }

    fn set(&mut self, index: usize, standing: Standing) -> Result<(), String> {
        let SimAction { run, action, wish, .. } = self.actions[index].clone();
        (self.actions[index].standing, self.actions[index].wants, self.actions[index].may) = (standing, false, None);
        let notices = self.pools.set(&owner(run), vec![Change { action, wish, standing }], self.now);
        self.notified(notices)
    }

    fn withdraws(&mut self, index: usize) -> Result<(), String> {
        let SimAction { run, action, .. } = self.actions[index].clone();
        (self.actions[index].wants, self.actions[index].may) = (false, None);
        let notices = self.pools.withdraw(run, action);
        self.notified(notices)
    }

    fn time_passes(&mut self) -> Result<(), String> {
        let due = self.pools.next_due().filter(|_| self.random.one_in(2));
        let later = self.now.after(Duration::from_millis(self.random.next() % 700));
        self.now = due.unwrap_or(later).max(self.now);
        let notices = self.pools.tick(self.now);
        self.notified(notices)
    }

    /// The process is killed; the next one knows the facts alone.
    fn is_killed(&mut self) -> Result<(), String> {
        self.pools = Admission::new(&self.limits);
        let begun = std::mem::take(&mut self.begun);
        for (queue, at) in &begun {
            self.pools.recall(queue.as_ref(), *at, self.now);
        }
        self.begun = begun;
        for run in 0..5 {
            let of_run = self.actions.iter().filter(|action| action.run == run);
            let change = |action: &SimAction| Change {
                action: action.action,
                wish: action.wish.clone(),
                standing: action.standing,
            };
            let changes = of_run.map(change).collect();
            let notices = self.pools.set(&owner(run), changes, self.now);
            if !notices.is_empty() {
                return Err("somebody may begin whom nobody drives".to_owned());
            }
        }
        for index in 0..self.actions.len() {
            // What was allowed and not done is no fact.
            (self.actions[index].wants, self.actions[index].may) = (false, None);
        }
        Ok(())
    }

    fn busy(&self) -> impl Iterator<Item = &SimAction> {
        let is_busy = |action: &&SimAction| {
            action.may.is_some() || matches!(action.standing, Standing::UnderWay { is_busy: true, .. })
        };
        self.actions.iter().filter(is_busy)
    }

    /// How much of a dimension the attempts have that `are_of` a pool.
    fn used(&self, of: Dimension, are_of: impl Fn(&SimAction) -> bool) -> u64 {
        let busy: u64 = self.busy().filter(|action| are_of(action)).map(|action| action.wish.needs.amounts()[of]).sum();
        let waiting = self
            .actions
            .iter()
            .filter(|action| matches!(action.standing, Standing::UnderWay { is_busy: false, .. }) && are_of(action));
        busy + waiting.map(|action| action.wish.needs.amounts().while_waiting()[of]).sum::<u64>()
    }

    /// One that has just been allowed to begin is not too much for any pool.
    fn check_limits(&self, index: usize) -> Result<(), String> {
        let action = &self.actions[index];
        let (queue, run, limits) = (self.queue_of(&action.wish), action.run, self.limits_of(&action.wish));
        let in_queue = |other: &SimAction| self.queue_of(&other.wish) == queue;
        let attempts = |count: Option<u32>| limits::of_attempts(count);
        let checked: [Checked<'_>; 4] = [
            ("server", self.limits.server.capacity(), &|_| true),
            ("queue", limits.capacity(), &in_queue),
            ("project", attempts(limits.concurrency_per_project), &|other| in_queue(other) && other.run % 2 == run % 2),
            ("key", attempts(limits.concurrency_per_key), &|other| in_queue(other) && other.run == run),
        ];
        for (pool, capacity, are_of) in checked {
            for of in Dimension::ALL.into_iter().filter(|of| action.wish.needs.amounts()[*of] > 0) {
                let used = self.used(of, are_of);
                let needs = action.wish.needs.amounts()[of];
                // A child begins beside those that only wait, if nobody else does anything with it.
                let busy: u64 =
                    self.busy().filter(|other| are_of(other)).map(|other| other.wish.needs.amounts()[of]).sum();
                let waits = used > needs && needs == busy && !action.action.is_root();
                if let Some(limit) = capacity[of as usize].filter(|limit| used > *limit && !waits) {
                    return Err(format!("{action:?} begins: {pool} has given out {used} of {limit} {of:?}"));
                }
            }
        }
        let Some(rate) = limits.rate else { return Ok(()) };
        let recent =
            self.begun.iter().filter(|(of, at)| of.as_deref() == Some(queue) && at.after(rate.period()) > self.now);
        let granted = self.actions.iter().filter(|action| action.may.is_some() && self.queue_of(&action.wish) == queue);
        match recent.count() + granted.count() {
            count if count > rate.count() as usize => {
                Err(format!("{count} have begun in {queue}, whose rate is {rate}"))
            }
            _ => Ok(()),
        }
    }

    /// Whoever waits is told what for.
    fn check_line(&self) -> Result<(), String> {
        for action in self.actions.iter().filter(|action| action.wants && action.may.is_none()) {
            let obstacle = self.pools.obstacle(action.run, action.action);
            let Some(obstacle) = obstacle else { return Err(format!("{action:?} waits, and nothing is in its way")) };
            if obstacle.used == 0 && obstacle.of != Dimension::Begun {
                return Err(format!("{action:?} waits for {obstacle}"));
            }
        }
        Ok(())
    }

    /// Everything is launched and ends; then nothing is left.
    fn comes_to_its_end(&mut self) -> Result<(), String> {
        for _ in 0..1000 * (1 + self.actions.len()) {
            if self.actions.iter().all(|action| action.standing == Standing::Apart) {
                let stays = 1 + self.limits.queues.len() + usize::from(!self.limits.queues.contains_key(DEFAULT_QUEUE));
                self.pools.check()?;
                if self.pools.families() > 0 {
                    return Err("a parent has children that are gone".to_owned());
                }
                return match self.pools.pools() {
                    pools if pools <= stays + self.keys_ahead() => Ok(()),
                    pools => Err(format!("{pools} pools are left of {stays}")),
                };
            }
            for index in 0..self.actions.len() {
                match self.actions[index].standing {
                    Standing::Apart => {}
                    Standing::UnderWay { .. } => self.set(index, Standing::Apart)?,
                    Standing::Queued if self.actions[index].may.is_some() => self.launches(index),
                    Standing::Queued => self.claims(index)?,
                }
                self.pools.check()?;
            }
            self.time_passes()?;
        }
        Err(format!("some wait for ever: {:?}", self.actions.iter().filter(|action| action.wants).collect::<Vec<_>>()))
    }

    /// Keys that have had more than their share stay until others have come up with them: at most one of each run in a queue, and its project.
    fn keys_ahead(&self) -> usize {
        (self.limits.queues.len() + 1) * (5 + 2)
    }
}
