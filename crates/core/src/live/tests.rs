//! Nothing that is owed is lost: random stories through [`LiveRun::advance`], the code that runs, in a small world of drivers. Whatever
//! happens, everything comes to its end once nothing more goes wrong, nothing runs twice, and nobody is told what is not written.

use proptest::prelude::*;

mod driving;
mod random;
mod stories;
mod world;

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
    ];
    for fault in faults {
        let found = (0..500).find(|seed| tell(*seed, 150, Some(fault)).is_err());
        assert!(found.is_some(), "{fault:?} is not found");
    }
}

#[test]
fn a_story_is_repeated_by_its_seed() {
    for seed in 0..20 {
        assert_eq!(tell(seed, 200, None), tell(seed, 200, None));
    }
}
