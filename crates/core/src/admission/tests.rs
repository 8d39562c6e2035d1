//! Pools in a world of their own: limits that are never exceeded, shares that are fair, and nobody who waits without need.

use std::time::Duration;

use super::*;
use crate::live::Random;

mod world;

use world::{World, name, owner};

/// Stories that are told by the suite; `just admission` tells more.
const STORIES: u64 = 500;

#[expect(clippy::disallowed_methods, reason = "the number of stories is chosen outside")]
fn stories() -> u64 {
    std::env::var("SPANWISE_ADMISSION_STORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(STORIES)
}

#[test]
fn s14_1_no_pool_gives_out_more_than_it_has_whenever_the_process_is_killed() {
    for seed in 0..stories() {
        if let Err(violation) = World::new(seed).tell(40 + (seed % 160) as usize) {
            panic!("seed {seed}: {violation}");
        }
    }
}

fn wish(queue: Option<&str>, cpu: Option<u64>) -> Wish {
    Wish { queue: queue.map(Arc::from), needs: Needs { cpu, ..Needs::default() }, ..Wish::default() }
}

fn queue(name: &str, limits: QueueLimits) -> (String, QueueLimits) {
    (name.to_owned(), limits)
}

fn attempt(is_busy: bool) -> Standing {
    Standing::UnderWay { attempt: AttemptNo(1), is_busy }
}

/// Keys that always have more to do on a few slots, with tasks of different lengths; how often each has begun.
struct Crowd {
    pools: Admission<u32, (u32, ActionName)>,
    weights: Vec<u32>,
    begun: Vec<u64>,
    /// When whose attempts end.
    running: Vec<(Timestamp, u32, ActionName)>,
    next: usize,
    now: Timestamp,
    random: Random,
    /// So many different needs of memory, of which there is enough for all.
    different: usize,
}

impl Crowd {
    fn new(slots: u32, weights: &[u32]) -> Crowd {
        let mut limits = Limits::of_slots(Some(slots));
        limits.server.memory = Some(1 << 40);
        let pools = Admission::new(&limits);
        let (begun, running, now) = (vec![0; weights.len()], Vec::new(), Timestamp(0));
        Crowd { pools, weights: weights.to_vec(), begun, running, next: 0, now, random: Random(7), different: 1 }
    }

    fn wish(&self, action: ActionName) -> Wish {
        let index: u64 = action.as_str()[1..].parse().unwrap();
        let memory = (1 + index % self.different as u64) << 20;
        Wish { needs: Needs { memory, ..Needs::default() }, ..Wish::default() }
    }

    fn owner(&self, run: u32) -> Owner<u32> {
        Owner { weight: self.weights.get(run as usize).copied().unwrap_or(1), ..owner(run) }
    }

    fn stands_in_line(&mut self, run: u32) -> ActionName {
        let action = name(self.next);
        self.next += 1;
        let claimed = self.pools.claim(&self.owner(run), action, &self.wish(action), &(run, action), self.now);
        if claimed.may_begin {
            self.begins((run, action));
        }
        action
    }

    fn stand_in_line(&mut self, run: u32, count: u32) {
        for _ in 0..count {
            self.stands_in_line(run);
        }
    }

    fn begins(&mut self, (run, action): (u32, ActionName)) {
        if let Some(begun) = self.begun.get_mut(run as usize) {
            *begun += 1;
        }
        let change = Change { action, wish: self.wish(action), standing: attempt(true) };
        let none = self.pools.set(&self.owner(run), vec![change], self.now);
        assert!(none.is_empty());
        self.running.push((self.now.after(Duration::from_millis(50 + self.random.next() % 100)), run, action));
    }

    /// The next attempt ends, and its key stands in line with another one. Gives who begins then.
    fn goes_on(&mut self) -> Vec<(u32, ActionName)> {
        let first = (0..self.running.len()).min_by_key(|index| self.running[*index].0).unwrap();
        let (at, run, action) = self.running.swap_remove(first);
        self.now = at;
        let change = Change { action, wish: Wish::default(), standing: Standing::Apart };
        let notices = self.pools.set(&self.owner(run), vec![change], self.now);
        notices.iter().for_each(|whose| self.begins(*whose));
        notices
    }
}

/// 1 where all have the same, 1/n where one has all.
fn jain(counts: &[u64]) -> f64 {
    let (sum, squares) = counts.iter().fold((0.0, 0.0), |(sum, squares), count| {
        let count = *count as f64;
        (sum + count, squares + count * count)
    });
    sum * sum / (counts.len() as f64 * squares)
}

#[test]
fn s14_2_equal_keys_have_equal_shares_however_much_each_waits_for() {
    for different in [1, 2, 7, 1000] {
        let mut crowd = Crowd::new(4, &[1; 10]);
        crowd.different = different;
        // The first has a thousand times what the last has in line, and came first.
        for run in 0..10 {
            crowd.stand_in_line(run, 2000 / (1 + 9 * run));
        }
        for _ in 0..4000 {
            for (run, _) in crowd.goes_on() {
                crowd.stands_in_line(run);
            }
        }
        let fair = jain(&crowd.begun);
        assert!(fair >= 0.99, "{fair} of {different} different needs: {:?}", crowd.begun);
    }
}

#[test]
fn s14_2_weights_are_shares() {
    for different in [1, 2, 7, 1000] {
        let mut crowd = Crowd::new(4, &[3, 1]);
        crowd.different = different;
        (0..20).for_each(|_| [0, 1].into_iter().for_each(|run| crowd.stand_in_line(run, 1)));
        for _ in 0..4000 {
            for (run, _) in crowd.goes_on() {
                crowd.stands_in_line(run);
            }
        }
        let share = crowd.begun[0] as f64 / crowd.begun[1] as f64;
        assert!((2.85..=3.15).contains(&share), "{share} of {different} different needs: {:?}", crowd.begun);
    }
}

#[test]
fn s14_2_a_run_of_one_begins_next_while_ten_thousand_wait() {
    let mut crowd = Crowd::new(4, &[1]);
    crowd.stand_in_line(0, 10_000);
    (0..100).for_each(|_| drop(crowd.goes_on()));
    let began = crowd.now;
    let only = crowd.stands_in_line(1);
    let next = crowd.goes_on();
    assert_eq!(next, [(1, only)]);
    assert!(crowd.now.since(began) <= Duration::from_millis(150), "within the length of a task");
    assert_eq!(crowd.pools.pools(), 2 + 2 + 2, "the server, its queue, two projects and two keys");
}

/// Runs of one task that come and go for ever, one of them always in line, leave a long one its share.
#[test]
fn s14_2_a_long_run_goes_on_while_short_ones_come_and_go() {
    for weight in [1, 10, 1000] {
        let mut crowd = Crowd::new(1, &[weight]);
        crowd.stand_in_line(0, 3000);
        let mut next = 1;
        (0..3).for_each(|more| {
            crowd.stands_in_line(next + more);
        });
        next += 3;
        for _ in 0..1000 {
            for (run, _) in crowd.goes_on() {
                if run > 0 {
                    crowd.stands_in_line(next);
                    next += 1;
                }
            }
        }
        let share = crowd.begun[0] as f64 / 1000.0;
        // Three others are always in line.
        let fair = f64::from(weight) / f64::from(weight + 3);
        assert!(share > 0.8 * fair, "{weight}: {share} of {fair}");
        // Whoever is gone is forgotten when the others have come up with it.
        assert!(crowd.pools.pools() < 40 + weight as usize, "{weight}: {} pools", crowd.pools.pools());
    }
}

/// What has passed is not saved up: who had nothing to do meanwhile has no more than the others afterwards.
#[test]
fn s14_2_a_share_that_was_not_used_is_not_saved_up() {
    let mut crowd = Crowd::new(1, &[1, 1]);
    crowd.stand_in_line(0, 500);
    (0..200).for_each(|_| drop(crowd.goes_on()));
    crowd.stand_in_line(1, 200);
    let before = crowd.begun.clone();
    (0..100).for_each(|_| drop(crowd.goes_on()));
    let since: Vec<u64> = crowd.begun.iter().zip(before).map(|(now, before)| now - before).collect();
    assert_eq!(since, [50, 50]);
}

/// Pools, and the order in which actions of one run may begin.
fn claims(pools: &mut Admission<u32, usize>, run: u32, index: usize, wish: &Wish) -> bool {
    pools.claim(&owner(run), name(index), wish, &index, Timestamp(0)).may_begin
}

fn sets(pools: &mut Admission<u32, usize>, run: u32, index: usize, wish: &Wish, standing: Standing) -> Vec<usize> {
    pools.set(&owner(run), vec![Change { action: name(index), wish: wish.clone(), standing }], Timestamp(0))
}

#[test]
fn s14_2_a_queue_of_higher_priority_goes_first_and_a_full_one_delays_no_other() {
    let narrow = QueueLimits { concurrency: Some(1), priority: 5, ..QueueLimits::default() };
    let limits = Limits { queues: [queue("gpu", narrow)].into(), ..Limits::of_slots(Some(2)) };
    let mut pools = Admission::new(&limits);
    let (gpu, other) = (wish(Some("gpu"), None), wish(None, None));
    assert!(claims(&mut pools, 0, 0, &other) && claims(&mut pools, 0, 1, &other));
    // All of them wait: the other queue since earlier.
    assert!(!claims(&mut pools, 0, 2, &other) && !claims(&mut pools, 1, 3, &gpu) && !claims(&mut pools, 2, 4, &gpu));
    assert_eq!(pools.obstacle(1, name(3)).unwrap().to_string(), "server 2 of 2");
    assert_eq!(sets(&mut pools, 0, 0, &other, Standing::Apart), [3]);
    assert_eq!(pools.obstacle(2, name(4)).unwrap().to_string(), "gpu 1 of 1");
    // The queue is full: the next slot is another's.
    assert_eq!(sets(&mut pools, 0, 1, &other, Standing::Apart), [2]);
    assert_eq!(sets(&mut pools, 1, 3, &gpu, Standing::Apart), [4]);
}

#[test]
fn s14_3_who_needs_no_processor_takes_no_slot_and_waits_behind_nobody_who_does() {
    let mut limits = Limits::of_slots(Some(1));
    limits.server.idle = Some(3);
    let mut pools = Admission::new(&limits);
    let (computes, sleeps) = (wish(None, None), wish(None, Some(0)));
    assert!(claims(&mut pools, 0, 0, &computes) && !claims(&mut pools, 0, 1, &computes));
    assert!((2..5).all(|index| claims(&mut pools, 0, index, &sleeps)));
    assert!(!claims(&mut pools, 0, 5, &sleeps));
    assert_eq!(pools.obstacle(0, name(5)).unwrap().to_string(), "server idle 3 of 3");
    assert_eq!(sets(&mut pools, 0, 0, &computes, Standing::Apart), [1]);
    assert_eq!(sets(&mut pools, 0, 2, &sleeps, Standing::Apart), [5]);
}

#[test]
fn s14_3_memory_and_devices_stay_with_a_process_that_waits_and_its_slot_does_not() {
    let mut limits = Limits::of_slots(Some(1));
    (limits.server.gpu, limits.server.memory) = (Some(2), Some(8 << 30));
    let mut pools = Admission::new(&limits);
    let needs = |gpu, gib: u64| Wish { needs: Needs { gpu, memory: gib << 30, cpu: None }, ..Wish::default() };
    let parent = needs(1, 6);
    assert!(claims(&mut pools, 0, 0, &parent));
    assert_eq!(sets(&mut pools, 0, 0, &parent, attempt(true)), [0; 0]);
    // Roots of other runs: nobody waits for them.
    for (run, wish) in (1..).zip([needs(2, 0), needs(0, 4), needs(1, 1), needs(0, 2)]) {
        assert!(!pools.claim(&owner(run), ActionName::ROOT, &wish, &0, Timestamp(0)).may_begin);
    }
    // Its slot is another's: of those that need devices nobody overtakes the first, of those that need memory neither.
    assert_eq!(sets(&mut pools, 0, 0, &parent, attempt(false)), [0; 0]);
    let shown = |pools: &Admission<u32, usize>, run| pools.obstacle(run, ActionName::ROOT).unwrap().to_string();
    assert_eq!(
        [1, 2, 3, 4].map(|run| shown(&pools, run)),
        ["server gpu 1 of 2", "server memory 6Gi of 8Gi", "server memory 6Gi of 8Gi", "server memory 6Gi of 8Gi"]
    );
    assert!(claims(&mut pools, 5, 5, &Wish::default()), "nothing of what is short");
    let refused = pools.accept(&owner(0), name(9), &needs(3, 0), false).unwrap_err();
    assert_eq!(refused.to_string(), "resources.gpu = 3 needed, server has 2 in all");
}

#[test]
fn s14_5_who_is_awaited_waits_in_a_full_queue_too() {
    let shallow = QueueLimits { concurrency: Some(1), depth: Some(1), ..QueueLimits::default() };
    let limits = Limits { queues: [queue("q", shallow)].into(), ..Limits::default() };
    let mut pools: Admission<u32, usize> = Admission::new(&limits);
    let of_q = wish(Some("q"), None);
    let mut accept = |index, is_awaited| pools.accept(&owner(0), name(index), &of_q, is_awaited);
    assert_eq!(accept(0, false), Ok(()));
    let full = accept(1, false).unwrap_err();
    assert_eq!(full.to_string(), "queue `q` is full: 1 wait, as many as its `depth` allows");
    assert_eq!(accept(1, true), Ok(()));
    assert_eq!(pools.queued(&of_q), 2);
    // One that is not accepted after all is not counted, and one that is launched does not wait.
    assert!(sets(&mut pools, 0, 1, &of_q, Standing::Apart).is_empty());
    assert!(claims(&mut pools, 0, 0, &of_q) && sets(&mut pools, 0, 0, &of_q, attempt(true)).is_empty());
    assert_eq!((pools.queued(&of_q), pools.accept(&owner(0), name(2), &of_q, false)), (0, Ok(())));
}

/// Two parents have all of the memory and wait for their children.
#[test]
fn s14_3_children_begin_one_by_one_beside_parents_that_keep_all_and_wait() {
    let mut limits = Limits::of_slots(Some(8));
    limits.server.memory = Some(4 << 30);
    let mut pools: Admission<u32, usize> = Admission::new(&limits);
    let needs = |gib: u64| Wish { needs: Needs { memory: gib << 30, ..Needs::default() }, ..Wish::default() };
    let (half, more) = (needs(2), Wish { parent: Some(ActionName::ROOT), ..needs(3) });
    let root = |pools: &mut Admission<u32, usize>, run, standing: Standing| {
        let change = Change { action: ActionName::ROOT, wish: half.clone(), standing };
        pools.set(&owner(run), vec![change], Timestamp(0))
    };
    let claim_root = |pools: &mut Admission<u32, usize>, run: u32| {
        pools.claim(&owner(run), ActionName::ROOT, &half, &(run as usize), Timestamp(0)).may_begin
    };
    for run in [1, 2] {
        assert!(claim_root(&mut pools, run));
        assert!(root(&mut pools, run, attempt(true)).is_empty());
    }
    // Another run came first; its root waits until there is room, as one of the parents may go on.
    assert!(!claim_root(&mut pools, 3));
    assert!(!claims(&mut pools, 1, 10, &more) && !claims(&mut pools, 2, 20, &more));
    assert!(root(&mut pools, 1, attempt(false)).is_empty(), "one of the parents is busy, and may end");
    assert_eq!(root(&mut pools, 2, attempt(false)), [10]);
    assert!(sets(&mut pools, 1, 10, &more, attempt(true)).is_empty());
    assert_eq!(pools.obstacle(2, name(20)).unwrap().to_string(), "server memory 7Gi of 4Gi");
    assert_eq!(sets(&mut pools, 1, 10, &more, Standing::Apart), [20]);
    assert!(sets(&mut pools, 2, 20, &more, Standing::Apart).is_empty());
    assert!(root(&mut pools, 1, attempt(true)).is_empty());
    assert_eq!(root(&mut pools, 1, Standing::Apart), [3]);
}

/// Each of many children has a child of its own that needs nothing of what is short: nobody is stuck, and so nothing is exceeded but once.
#[test]
fn s14_3_of_the_children_of_a_parent_one_begins_beside_those_that_wait() {
    let mut limits = Limits::of_slots(Some(8));
    limits.server.memory = Some(8 << 30);
    let mut pools: Admission<u32, usize> = Admission::new(&limits);
    let needs =
        |gib: u64, parent| Wish { needs: Needs { memory: gib << 30, ..Needs::default() }, parent, ..Wish::default() };
    let (root, middle) = (needs(1, None), needs(4, Some(ActionName::ROOT)));
    let set_root = |pools: &mut Admission<u32, usize>, standing| {
        let change = Change { action: ActionName::ROOT, wish: root.clone(), standing };
        pools.set(&owner(0), vec![change], Timestamp(0))
    };
    assert!(pools.claim(&owner(0), ActionName::ROOT, &root, &0, Timestamp(0)).may_begin);
    assert!(set_root(&mut pools, attempt(true)).is_empty() && set_root(&mut pools, attempt(false)).is_empty());
    assert!(claims(&mut pools, 0, 1, &middle) && (2..6).all(|index| !claims(&mut pools, 0, index, &middle)));
    for index in 1..6 {
        assert!(sets(&mut pools, 0, index, &middle, attempt(true)).is_empty());
        // Its leaf is another's to count: it needs no memory. Until it is done, nothing else begins.
        assert!(sets(&mut pools, 0, index, &middle, attempt(false)).is_empty(), "{index}");
        assert!(sets(&mut pools, 0, index, &middle, attempt(true)).is_empty(), "{index}");
        let next = sets(&mut pools, 0, index, &middle, Standing::Apart);
        assert_eq!(next, if index < 5 { vec![index + 1] } else { vec![] });
    }
    assert!(set_root(&mut pools, Standing::Apart).is_empty());
    assert_eq!(pools.families(), 0);
}

#[test]
fn s14_6_what_was_to_begin_and_is_aborted_counts_for_no_rate() {
    let rated = QueueLimits { rate: Some("1/h".parse().unwrap()), ..QueueLimits::default() };
    let mut pools = Admission::new(&Limits { queues: [queue("q", rated)].into(), ..Limits::default() });
    let of_q = wish(Some("q"), None);
    assert!(claims(&mut pools, 0, 0, &of_q) && !claims(&mut pools, 0, 1, &of_q));
    assert_eq!(sets(&mut pools, 0, 0, &of_q, Standing::Apart), [1]);
    // It is launched: its beginning counts once, and stays when it has ended.
    assert!(sets(&mut pools, 0, 1, &of_q, attempt(true)).is_empty() && !claims(&mut pools, 0, 2, &of_q));
    assert!(sets(&mut pools, 0, 1, &of_q, Standing::Apart).is_empty());
    assert_eq!(pools.obstacle(0, name(2)).unwrap().to_string(), "q rate 1/h");
}

/// A thousand different needs are few lines: what one change costs does not grow with them.
#[test]
fn s14_2_who_needs_about_as_much_stands_in_one_line() {
    let mut crowd = Crowd::new(1, &[1]);
    crowd.different = 1_000_000;
    crowd.stand_in_line(0, 20_000);
    assert!(crowd.pools.lines() <= 16 * 20, "{}", crowd.pools.lines());
}

#[test]
fn s14_6_a_rate_lets_the_next_begin_when_its_time_has_come() {
    let rated = QueueLimits { rate: Some("2/s".parse().unwrap()), ..QueueLimits::default() };
    let limits = Limits { queues: [queue("q", rated)].into(), ..Limits::default() };
    let mut pools = Admission::new(&limits);
    let of_q = wish(Some("q"), None);
    let at = |millis: i64| Timestamp(millis * 1000);
    let claim = |pools: &mut Admission<u32, usize>, index, now| pools.claim(&owner(0), name(index), &of_q, &index, now);
    let launch = |pools: &mut Admission<u32, usize>, index, now| {
        let change = Change { action: name(index), wish: of_q.clone(), standing: attempt(true) };
        assert!(pools.set(&owner(0), vec![change], now).is_empty());
    };
    for (index, now) in [(0, at(0)), (1, at(300))] {
        assert!(claim(&mut pools, index, now).may_begin);
        launch(&mut pools, index, now);
    }
    assert!(!claim(&mut pools, 2, at(400)).may_begin && !claim(&mut pools, 3, at(500)).may_begin);
    assert_eq!(pools.obstacle(0, name(2)).unwrap().to_string(), "q rate 2/s");
    assert_eq!(pools.next_due(), Some(at(1000)));
    assert_eq!(pools.tick(at(999)), [0; 0]);
    assert_eq!(pools.tick(at(1000)), [2]);
    // It is launched late, and counts until then and from then on.
    assert_eq!((pools.next_due(), pools.tick(at(2200))), (Some(at(1300)), vec![3]));
    launch(&mut pools, 2, at(2500));
    assert!(!claim(&mut pools, 4, at(2600)).may_begin);
    assert_eq!((pools.next_due(), pools.tick(at(3400))), (Some(at(3500)), vec![]));
    launch(&mut pools, 3, at(3400));
    assert_eq!((pools.next_due(), pools.tick(at(3500))), (Some(at(3500)), vec![4]));
}

#[test]
fn s14_2_a_named_key_is_shared_by_its_runs() {
    let mut pools: Admission<u32, usize> = Admission::new(&Limits::of_slots(Some(1)));
    let shared = |run| Owner { key: Some("team".into()), ..owner(run) };
    let mut claim =
        |owner: &Owner<u32>, index| pools.claim(owner, name(index), &Wish::default(), &index, Timestamp(0)).may_begin;
    assert!(claim(&owner(9), 0));
    // Two runs of one key in one project, and one by itself.
    assert!(!claim(&shared(1), 1) && !claim(&shared(3), 2) && !claim(&owner(5), 3) && !claim(&owner(5), 4));
    let mut order = Vec::new();
    let mut last = (9, 0);
    while let [next] = sets(&mut pools, last.0, last.1, &Wish::default(), Standing::Apart)[..] {
        order.push(next);
        last = ([9, 1, 3, 5, 5][next], next);
    }
    assert_eq!(order, [1, 3, 2, 4]);
}

#[test]
fn s14_7_names_of_queues_are_checked() {
    for good in ["gpu", "Queue_1.a-b", "größe", &"q".repeat(63)] {
        assert_eq!(check_queue_name(good), Ok(()), "{good}");
    }
    for bad in ["", "server", "run", "a b", "a/b", "a\n", &"q".repeat(64)] {
        assert!(check_queue_name(bad).is_err(), "{bad}");
    }
}
