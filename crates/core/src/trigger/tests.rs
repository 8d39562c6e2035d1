//! Each slot is one run: what a scheduler does in a small world whose process is killed between any two things, whose clock jumps, and
//! whose finished runs are pruned.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::schedule::Automation;

const SECOND: i64 = 1_000_000;

fn rate(seconds: u64, since: Timestamp) -> Schedule {
    let every = Duration::from_secs(seconds);
    Schedule::new(&Automation::Rate { every, start: Some(Timestamp(0)) }, since).unwrap().unwrap()
}

fn seconds(count: i64) -> Timestamp {
    Timestamp(count * SECOND)
}

fn rules(catch_up: CatchUp, overlap: Overlap) -> FiringRules {
    FiringRules { catch_up, overlap }
}

/// Every step until the scheduler waits, each settled as it says.
fn steps_of(rules: FiringRules, mut facts: Facts, now: i64) -> Vec<String> {
    let schedule = rate(600, facts.since);
    let mut steps = Vec::new();
    loop {
        let step = next(&schedule, rules, &facts, seconds(now));
        let in_seconds = |at: Timestamp| at.0 / SECOND;
        facts.settled = match step {
            Step::Fire(slot) => {
                steps.push(format!("fire {}", in_seconds(slot)));
                Some(slot)
            }
            Step::LeaveOut { until, count, why } => {
                steps.push(format!("leave out {count} until {} ({why:?})", in_seconds(until)));
                Some(until)
            }
            Step::AwaitEnd => {
                steps.push("await the end".to_owned());
                return steps;
            }
            Step::Wait(next) => {
                steps.push(format!("wait for {}", next.map_or(0, in_seconds)));
                return steps;
            }
        };
    }
}

#[test]
fn s11_6_missed_slots_are_caught_up_as_the_rule_says() {
    let facts = |settled: Option<i64>| Facts { since: seconds(1000), settled: settled.map(seconds), is_running: false };
    let all = |settled, now| steps_of(rules(CatchUp::All, Overlap::Allow), facts(settled), now);
    assert_eq!(all(None, 1100), ["wait for 1200"]);
    assert_eq!(all(None, 1200), ["fire 1200", "wait for 1800"]);
    assert_eq!(all(Some(1200), 1200), ["wait for 1800"]);
    assert_eq!(all(Some(1200), 3030), ["fire 1800", "fire 2400", "fire 3000", "wait for 3600"]);
    let long_away = all(None, 1000 + 600 * 150);
    assert_eq!(long_away.len(), 1 + 100 + 1, "{long_away:?}");
    assert_eq!(long_away[..2], ["leave out 50 until 30600 (Missed)", "fire 31200"]);
    let last = |now| steps_of(rules(CatchUp::Last, Overlap::Allow), facts(None), now);
    assert_eq!(last(3300), ["leave out 3 until 2400 (Missed)", "fire 3000", "wait for 3600"]);
    assert_eq!(last(1230), ["fire 1200", "wait for 1800"]);
    let none = |now| steps_of(rules(CatchUp::None, Overlap::Allow), facts(None), now);
    assert_eq!(none(3300), ["leave out 4 until 3000 (Missed)", "wait for 3600"]);
    assert_eq!(none(3030), ["leave out 3 until 2400 (Missed)", "fire 3000", "wait for 3600"]);
    // A server that was started anew within the minute has missed nothing.
    assert_eq!(none(1255), ["fire 1200", "wait for 1800"]);
}

#[test]
fn s11_7_a_slot_in_the_time_of_a_run_is_fired_left_out_or_waits() {
    let while_running = |overlap, now| {
        steps_of(rules(CatchUp::All, overlap), Facts { since: seconds(1000), settled: None, is_running: true }, now)
    };
    assert_eq!(while_running(Overlap::Allow, 1200), ["fire 1200", "wait for 1800"]);
    assert_eq!(while_running(Overlap::Skip, 1200), ["leave out 1 until 1200 (Overlap)", "wait for 1800"]);
    assert_eq!(while_running(Overlap::Queue, 1200), ["await the end"]);
    assert_eq!(while_running(Overlap::Queue, 1100), ["wait for 1200"]);
    // Of those that wait, one stays.
    let coalesced = rules(CatchUp::Last, Overlap::Queue);
    let facts = Facts { since: seconds(1000), settled: None, is_running: true };
    assert_eq!(steps_of(coalesced, facts, 3300), ["leave out 3 until 2400 (Missed)", "await the end"]);
}

#[test]
fn s11_8_an_activation_makes_a_new_beginning() {
    let facts = Facts { since: seconds(2000), settled: Some(seconds(600)), is_running: false };
    assert_eq!(steps_of(FiringRules::default(), facts, 2430), ["fire 2400", "wait for 3000"]);
}

#[test]
fn s11_9_what_was_settled_ahead_of_a_clock_that_goes_back_is_asked_for_again() {
    let facts = Facts { since: seconds(0), settled: Some(seconds(90_000)), is_running: false };
    assert_eq!(steps_of(FiringRules::default(), facts, 1100), ["wait for 1200"]);
}

#[test]
fn choices_are_read_as_they_are_written() {
    for choice in [CatchUp::All, CatchUp::Last, CatchUp::None] {
        assert_eq!(choice.to_string().parse(), Ok(choice));
    }
    for choice in [Overlap::Allow, Overlap::Skip, Overlap::Queue] {
        assert_eq!(choice.to_string().parse(), Ok(choice));
    }
    assert_eq!("some".parse::<CatchUp>().unwrap_err().to_string(), "`some` is none of all, last and none");
    assert_eq!("no".parse::<Overlap>().unwrap_err().to_string(), "`no` is none of allow, skip and queue");
}

/// Numbers that look random and are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // The mixing steps of splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// What is wrong with a scheduler on purpose, to see that the world finds it out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    SettlesBeforeItFires,
    ForgetsToSettle,
    TrustsTheClock,
}

/// What outlives a process, and what it is held to.
#[derive(Default)]
struct World {
    /// The runs by their slots, which are their names, and when they end.
    runs: BTreeMap<Timestamp, Timestamp>,
    settled: Option<Timestamp>,
    /// How often a run was made of a slot.
    made: BTreeMap<Timestamp, u32>,
}

impl World {
    fn fire(&mut self, slot: Timestamp, ends: Timestamp) {
        if let std::collections::btree_map::Entry::Vacant(free) = self.runs.entry(slot) {
            free.insert(ends);
            *self.made.entry(slot).or_default() += 1;
        }
    }

    /// What is done for a step. False if the process was killed meanwhile.
    fn carry_out(&mut self, step: Step, now: Timestamp, random: &mut Random, fault: Option<Fault>) -> bool {
        let (until, slot) = match step {
            Step::Fire(slot) => (slot, Some(slot)),
            Step::LeaveOut { until, .. } => (until, None),
            Step::Wait(_) | Step::AwaitEnd => return true,
        };
        let ends = now.after(Duration::from_secs(random.below(900)));
        if fault == Some(Fault::SettlesBeforeItFires) {
            self.settled = Some(until);
        }
        if random.one_in(6) {
            return false;
        }
        slot.into_iter().for_each(|slot| self.fire(slot, ends));
        if random.one_in(6) {
            return false;
        }
        if fault != Some(Fault::ForgetsToSettle) {
            self.settled = Some(until);
        }
        true
    }
}

/// A scheduler from one wait to the next, with kills in between; an error is what nobody may see.
fn live(seed: u64, fault: Option<Fault>) -> Result<(), String> {
    let mut random = Random(seed);
    let period = 1 + random.below(300) as i64;
    let schedule = rate(period as u64, Timestamp(0));
    let since = seconds(random.below(1000) as i64);
    let (mut world, mut now, mut latest) = (World::default(), since, since);
    let jumps = random.one_in(2);
    for _ in 0..60 {
        // Away for less than what is caught up, so that nothing may be left out.
        let step = random.below(period as u64 * 80).max(1) as i64;
        now = match random.below(6) {
            0 if jumps => Timestamp((now.0 - seconds(random.below(period as u64 * 5) as i64).0).max(since.0)),
            1 => now.after(Duration::from_secs(step as u64)),
            _ => now.after(Duration::from_millis(random.below(period as u64 * 2000))),
        };
        latest = latest.max(now);
        // Whatever is settled may be pruned once it has ended; nothing is by a clock that has jumped.
        if !jumps && random.one_in(3) {
            world.runs.retain(|_, ends| *ends > now);
        }
        // As often as it is killed it begins anew.
        loop {
            let decided = world.settled;
            let settled = if fault == Some(Fault::TrustsTheClock) { decided.map(|_| now) } else { decided };
            let facts = Facts { since, settled, is_running: false };
            let step = next(&schedule, FiringRules::default(), &facts, now);
            if matches!(step, Step::Wait(_)) {
                break;
            }
            if let Step::LeaveOut { .. } = step {
                return Err(format!("{step:?} at {now:?}: nothing was away for so long"));
            }
            world.carry_out(step, now, &mut random, fault);
            if fault.is_some() && world.made.len() > 10_000 {
                break;
            }
            if fault == Some(Fault::ForgetsToSettle) && random.one_in(20) {
                break;
            }
        }
    }
    let twice: Vec<_> = world.made.iter().filter(|(_, count)| **count != 1).collect();
    if !twice.is_empty() {
        return Err(format!("seed {seed}: fired twice: {twice:?}"));
    }
    let expected: BTreeSet<Timestamp> = schedule.between(since, latest).collect();
    let made: BTreeSet<Timestamp> = world.made.keys().copied().collect();
    if made != expected {
        let (missing, more): (Vec<_>, Vec<_>) =
            (expected.difference(&made).collect(), made.difference(&expected).collect());
        return Err(format!("seed {seed}, every {period} s: not fired {missing:?}, fired beside {more:?}"));
    }
    Ok(())
}

/// How many lives are lived; more of them by hand.
#[expect(clippy::disallowed_methods, reason = "how long a test takes is no rule of core")]
fn lives() -> u64 {
    std::env::var("SPANWISE_TRIGGER_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(500)
}

#[test]
fn s11_5_each_slot_is_one_run_whenever_the_process_is_killed() {
    for seed in 0..lives() {
        if let Err(what) = live(seed, None) {
            panic!("{what}");
        }
    }
}

#[test]
fn a_scheduler_that_does_something_wrong_is_found_out() {
    for fault in [Fault::SettlesBeforeItFires, Fault::ForgetsToSettle, Fault::TrustsTheClock] {
        assert!((0..500).any(|seed| live(seed, Some(fault)).is_err()), "{fault:?} is not found");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Under any rules: a step is about what is due and not settled, and settling it is progress.
    #[test]
    fn whatever_the_rules_are_the_scheduler_comes_to_wait(
        every in 1u64..5000, since in 0i64..10_000, ahead in 0i64..2_000_000, catch_up in 0usize..3, overlap in 0usize..3,
    ) {
        let schedule = rate(every, seconds(since));
        let rules = rules(
            [CatchUp::All, CatchUp::Last, CatchUp::None][catch_up],
            [Overlap::Allow, Overlap::Skip, Overlap::Queue][overlap],
        );
        let (now, mut settled, mut steps) = (seconds(since + ahead), None, 0);
        loop {
            let facts = Facts { since: seconds(since), settled, is_running: ahead % 2 == 0 };
            let until = match next(&schedule, rules, &facts, now) {
                Step::Fire(slot) => slot,
                Step::LeaveOut { until, count, .. } => {
                    prop_assert!(count > 0);
                    until
                }
                Step::AwaitEnd => break,
                Step::Wait(next) => {
                    prop_assert!(next.is_none_or(|next| next > now));
                    break;
                }
            };
            prop_assert!(until <= now && until > seconds(since) && settled.is_none_or(|settled| until > settled));
            settled = Some(until);
            steps += 1;
            prop_assert!(steps <= 300);
        }
    }
}
