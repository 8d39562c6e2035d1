//! Stories of apps, and what holds in all of them.

use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp(1_000_000_000);

fn at(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

fn facts() -> Facts {
    let scaling = Scaling { is_always_on: false, idle_after: Duration::from_secs(10) };
    Facts { desired: Desired::Started, scaling, waiting: 0, open: 0, last_asked: START }
}

fn always() -> Facts {
    let facts = facts();
    Facts { scaling: Scaling { is_always_on: true, ..facts.scaling }, ..facts }
}

fn serving() -> App {
    let mut app = App::default();
    app.launched(START);
    app.answered(START);
    app
}

#[test]
fn a_new_revision_is_tried_although_nobody_asks_for_it() {
    let mut app = App::default();
    assert_eq!(app.next(&facts(), START), Next::Launch);
    assert_eq!(app.phase(Desired::Started), Phase::Deploying);
    app.launched(START);
    assert_eq!(app.next(&facts(), START), Next::Wait { due: Some(START.after(START_PATIENCE)) });
    assert_eq!(app.admission(Desired::Started, START), Admission::Hold);
    app.answered(at(1));
    assert_eq!(app.phase(Desired::Started), Phase::Active);
    assert_eq!(app.admission(Desired::Started, at(1)), Admission::Forward);
}

#[test]
fn an_app_that_nobody_asks_for_ends_and_the_next_request_starts_it() {
    let mut app = serving();
    let since = |last_asked, open| Facts { last_asked, open, ..facts() };
    assert_eq!(app.next(&since(at(5), 0), at(6)), Next::Wait { due: Some(at(15)) });
    assert_eq!(app.next(&since(at(5), 1), at(99)), Next::Wait { due: None }, "a stream is open");
    assert_eq!(app.next(&Facts { last_asked: at(5), ..always() }, at(99)), Next::Wait { due: None });
    assert_eq!(app.next(&since(at(5), 0), at(15)), Next::End(Why::Idle));
    app.ending(Why::Idle);
    assert_eq!(app.admission(Desired::Started, at(15)), Admission::Hold);
    assert_eq!(app.phase(Desired::Started), Phase::ScaledToZero);
    app.ended(at(16));
    assert_eq!(
        (app.next(&facts(), at(16)), app.phase(Desired::Started)),
        (Next::Wait { due: None }, Phase::ScaledToZero)
    );
    assert_eq!(app.next(&Facts { waiting: 1, ..facts() }, at(17)), Next::Launch);
    app.launched(at(17));
    assert_eq!(app.phase(Desired::Started), Phase::Waking);
}

#[test]
fn pauses_grow_and_an_app_that_never_answers_has_failed() {
    let mut app = App::default();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        app.launched(START);
        app.ended(START);
        let State::Resting { until } = app.state else { panic!("{app:?}") };
        pauses.push(until.since(START).as_millis());
        assert_eq!(app.next(&always(), START), Next::Wait { due: Some(until) });
        assert_eq!(app.next(&always(), until), Next::Launch);
    }
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    assert_eq!(app.phase(Desired::Started), Phase::Failed);
    assert!(matches!(app.admission(Desired::Started, START), Admission::Failed { .. }));
    assert_eq!(app.admission(Desired::Started, at(31)), Admission::Hold, "a request is a reason to try again");
    assert_eq!(app.next(&facts(), at(31)), Next::Wait { due: None }, "nobody asks: it is not tried for ever");
    app.changed();
    assert_eq!((app.next(&facts(), START), app.phase(Desired::Started)), (Next::Launch, Phase::Deploying));
}

#[test]
fn what_has_answered_for_long_is_not_counted_with_what_was_before() {
    let mut app = serving();
    app.failures = 7;
    app.ended(START.after(STEADY));
    assert_eq!((app.failures, app.phase(Desired::Started)), (1, Phase::Restarting));
    let mut app = serving();
    app.failures = 1;
    app.ended(at(1));
    assert_eq!(app.failures, 2);
}

#[test]
fn an_app_that_is_too_slow_is_ended_and_counted() {
    let mut app = App::default();
    app.launched(START);
    assert_eq!(app.next(&facts(), START.after(START_PATIENCE)), Next::End(Why::TooSlow));
    app.ending(Why::TooSlow);
    app.ended(at(700));
    assert_eq!((app.failures, app.has_served), (1, false));
}

#[test]
fn stopping_and_changing_end_the_process_and_forget_its_failures() {
    for (wanted, why) in [(Desired::Stopped, Why::Stopped), (Desired::Started, Why::Replaced)] {
        let mut app = serving();
        app.failures = 2;
        if why == Why::Replaced {
            app.changed();
        }
        let facts = Facts { desired: wanted, waiting: 1, ..facts() };
        assert_eq!(app.next(&facts, at(1)), Next::End(why));
        assert_ne!(app.admission(wanted, at(1)), Admission::Forward);
        app.ending(why);
        app.ended(at(2));
        assert_eq!((app.state, app.failures), (State::Down, 0));
        let next = if wanted == Desired::Started { Next::Launch } else { Next::Wait { due: None } };
        assert_eq!(app.next(&facts, at(2)), next);
    }
    let mut app = serving();
    app.ending(Why::Stopped);
    assert_eq!(app.phase(Desired::Stopped), Phase::Stopping);
    app.ended(at(1));
    assert_eq!(
        (app.phase(Desired::Stopped), app.admission(Desired::Stopped, at(1))),
        (Phase::Stopped, Admission::Stopped)
    );
}

/// What happens to an app, in any order.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Answers,
    Ends,
    Changes,
    Desires(Desired),
    Asks,
    Leaves,
    Time(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        Just(Happening::Answers),
        Just(Happening::Ends),
        Just(Happening::Changes),
        Just(Happening::Desires(Desired::Started)),
        Just(Happening::Desires(Desired::Stopped)),
        Just(Happening::Asks),
        Just(Happening::Leaves),
        (0..700u64).prop_map(Happening::Time),
    ]
}

proptest! {
    /// Whatever happens: there is one process at most, none of an app that is stopped is left, and a request that is held is answered or
    /// refused in the end.
    #[test]
    fn there_is_one_process_and_what_is_wanted_comes(story in prop::collection::vec(happening(), 0..60)) {
        let (mut app, mut facts, mut now, mut processes) = (App::default(), facts(), START, 0u32);
        for happening in story {
            match happening {
                Happening::Answers => app.answered(now),
                Happening::Ends if processes > 0 => { processes -= 1; app.ended(now); }
                Happening::Ends => {}
                Happening::Changes => app.changed(),
                Happening::Desires(desired) => facts.desired = desired,
                Happening::Asks => { facts.waiting += 1; facts.last_asked = now; }
                Happening::Leaves => facts.waiting = facts.waiting.saturating_sub(1),
                Happening::Time(seconds) => now = now.after(Duration::from_secs(seconds)),
            }
            match app.next(&facts, now) {
                Next::Launch => { processes += 1; app.launched(now); prop_assert_eq!(facts.desired, Desired::Started); }
                Next::End(why) => app.ending(why),
                Next::Wait { due } => prop_assert!(due.is_none_or(|due| due > now)),
            }
            prop_assert!(processes <= 1, "{:?}", app);
            prop_assert_eq!(processes == 1, !matches!(app.state, State::Down | State::Resting { .. }), "{:?}", app);
        }
        // From here on all goes well: what is asked to end ends, and what is launched answers.
        for _ in 0..8 {
            if let State::Ending { .. } = app.state { app.ended(now); }
            app.answered(now);
            match app.next(&facts, now) {
                Next::Launch => app.launched(now),
                Next::End(why) => app.ending(why),
                Next::Wait { due } => now = due.unwrap_or(now),
            }
        }
        match facts.desired {
            Desired::Stopped => prop_assert_eq!(app.phase(facts.desired), Phase::Stopped),
            Desired::Started if facts.waiting > 0 => prop_assert_eq!(app.admission(facts.desired, now), Admission::Forward),
            Desired::Started => {}
        }
    }
}
