//! Nothing that is owed is lost: random stories through [`LiveRun::advance`], the code that runs, in a small world of drivers. Whatever
//! happens, everything comes to its end once nothing more goes wrong, nothing runs twice, and nobody is told what is not written.

use proptest::prelude::*;

use super::*;
use crate::{ActionSpec, CachePolicy, RunLimits};

mod driving;
mod random;
mod sleepers;
mod stories;
mod world;

pub(crate) use random::Random;
use stories::tell;
use world::Fault;

proptest! {
    // A failure prints the seed and the shortest story of it; `tell` repeats it.
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_owed_is_reached_in_every_story(seed in any::<u64>().no_shrink(), steps in 0usize..250) {
        if let Err(violation) = tell(seed, steps, None) {
            return Err(TestCaseError::fail(violation));
        }
    }
}

/// What goes wrong in one of these is found by one of so many stories, so the world above is not blind.
#[test]
fn a_process_that_does_something_wrong_is_found_out() {
    let faults = [
        Fault::ForgetsToWake,
        Fault::ForgetsTurns,
        Fault::WatchesTooLate,
        Fault::LaunchesWithoutSlot,
        Fault::StaysInLine,
        Fault::KeepsTheAction,
        Fault::SkipsTheCache,
        Fault::KeepsTheKey,
        Fault::IgnoresAFullDisk,
        Fault::AnswersTooEarly,
        Fault::ForgetsToAdopt,
        Fault::LeavesWithoutAWord,
        Fault::LooksUpWithoutAWord,
        Fault::HandsOnOneSlot,
        Fault::LooksUpForEver,
        Fault::CountsUndriven,
    ];
    for fault in faults {
        let found = (0..4000).find(|seed| tell(*seed, 150, Some(fault)).is_err());
        assert!(found.is_some(), "{fault:?} is not found");
    }
}

#[test]
fn a_story_is_repeated_by_its_seed() {
    for seed in 0..20 {
        assert_eq!(tell(seed, 200, None), tell(seed, 200, None));
    }
}

/// The pools of an engine without limits.
struct Unlimited;

impl RunPools for Unlimited {
    type Notice = ();

    fn are_limited(&self) -> bool {
        false
    }

    fn are_traced(&self) -> bool {
        false
    }

    fn accept(&self, _action: ActionName, _wish: &Wish, _is_awaited: bool) -> Result<(), Refusal> {
        Ok(())
    }

    fn claim(&self, _action: ActionName, _wish: &Wish, (): &()) -> bool {
        true
    }

    fn withdraw(&self, _action: ActionName) {}

    fn set(&self, _changes: Vec<Change>) {}

    fn obstacle(&self, _action: ActionName) -> Option<Wait> {
        None
    }
}

/// Rare in random stories: a driver that has found an attempt under way asks the cache only when that one was given back.
#[test]
fn s4_whoever_asks_the_cache_lets_the_next_in_line_go_first() {
    let limits = RunLimits { max_action_concurrency: Some(1) };
    let (mut live, now) = (LiveRun::new(Run::new(limits), Unlimited), Timestamp(0));
    let cache = CachePolicy { key: "key".to_owned(), overwrite: false, serialize: true, max_age_seconds: None };
    let cached = ActionSpec { cache: Some(cache), ..ActionSpec::task("env.task") };
    let [first, second] = ["a1", "a2"].map(|name| ActionName::new(name).unwrap());
    let enqueue = |action: ActionName, spec: ActionSpec| Command::Enqueue { action, spec: spec.into() };
    let look = |live: &mut LiveRun<Unlimited>, driver: &mut Driver<()>| {
        live.advance(driver, ProcessFacts::default(), now).unwrap()
    };
    let begin = |live: &mut LiveRun<Unlimited>, action: ActionName| {
        let mut driver = Driver::new(action, ());
        driver.set_watching();
        (look(live, &mut driver), driver)
    };
    let attempt = AttemptNo(1);

    live.command(&enqueue(ActionName::ROOT, ActionSpec::task("env.main")), now).unwrap();
    live.command(&enqueue(first, cached), now).unwrap();
    let (next, mut gone) = begin(&mut live, first);
    assert!(matches!(next, Next::LookUp(_)));
    assert_eq!(look(&mut live, &mut gone), Next::Launch { attempt });
    live.leave(&mut gone);
    let (next, mut driver) = begin(&mut live, first);
    assert_eq!(next, Next::Wait { due: None });
    live.command(&Command::Release { action: first, attempt }, now).unwrap();

    live.command(&enqueue(second, ActionSpec::task("env.task")), now).unwrap();
    let (next, mut waiting) = begin(&mut live, second);
    assert_eq!(next, Next::Wait { due: None });
    drop(live.take_news());
    assert!(matches!(look(&mut live, &mut driver), Next::LookUp(_)));
    assert_eq!(live.take_news().woken, [second]);
    assert_eq!(look(&mut live, &mut waiting), Next::Launch { attempt });
}
