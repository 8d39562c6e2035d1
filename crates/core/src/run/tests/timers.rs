//! Timers (semantics S17): a moment that is fixed once, waited for by two clocks, without an attempt and without a slot.

use super::lifecycle;
use super::*;
use crate::lifecycle::{Part, Use, explain};
use crate::{FailureKind, Source, Wake};

/// A root that runs, and has a timer.
fn with_timer(wake: Wake, timeouts: Timeouts) -> Story {
    let mut story = Story::new();
    story.now = DAY;
    story.enqueue("a0", root()).start("a0");
    story.enqueue("t", ActionSpec { timeouts, ..ActionSpec::timer("timer", Some(name("a0")), wake) });
    story
}

const DAY: Timestamp = Timestamp(24 * 3600 * 1_000_000);

#[test]
fn s17_a_timer_ends_at_its_moment_and_takes_no_slot_and_no_attempt() {
    let mut story = with_timer(Wake::after(ms(100), DAY), Timeouts::default());
    story.check("t", Phase::Running);
    assert_eq!(story.run.occupied(), 0, "the parent waits");
    let (until, due) = (DAY.after(ms(100)), Some(DAY.after(ms(100))));
    assert_eq!(story.next("t"), Next::Sleep { until, due });
    story.wait(ms(99)).tick("t").check("t", Phase::Running);
    story.wait(ms(1)).tick("t").check("t", Phase::Succeeded);
    let timer = story.run.action(&name("t")).unwrap();
    assert_eq!((timer.end(), timer.attempts, timer.started_at), (Some(&End::Elapsed), 0, Some(DAY)));
    assert_eq!(story.run.occupied(), 1, "the parent goes on");
    assert!(story.send(Command::Launch { action: name("t") }).is_err());
}

/// What a wait of 100 ms, or for a moment 100 ms ahead, does when the machine's clock is set while this process lives.
#[test]
fn s17_a_clock_that_is_set_ends_what_has_come_and_lengthens_no_length() {
    let length = Wake::after(ms(100), DAY);
    let moment = Wake::at(DAY.after(ms(100)));
    for (what, wake, later, clock, phase) in [
        ("set ahead: the moment has come", length, ms(1), DAY.after(ms(100)), Phase::Succeeded),
        ("set ahead: the moment has come", moment, ms(1), DAY.after(ms(100)), Phase::Succeeded),
        ("set back: a length is a length", length, ms(100), Timestamp(0), Phase::Succeeded),
        ("set back: the moment is still to come", moment, ms(100), Timestamp(0), Phase::Running),
        ("set back, and it comes", moment, ms(5000), DAY.after(ms(100)), Phase::Succeeded),
        ("neither", length, ms(99), DAY.after(ms(99)), Phase::Running),
        ("neither", moment, ms(99), DAY.after(ms(99)), Phase::Running),
    ] {
        let mut story = with_timer(wake, Timeouts::default());
        story.wait(later).tick_at("t", clock);
        assert_eq!(story.run.action(&name("t")).unwrap().phase(), phase, "{what}: {wake:?}");
    }
}

#[test]
fn s17_after_a_restart_the_rest_is_waited_for_and_what_has_passed_ends_at_once() {
    let length = Wake::after(ms(100), DAY);
    let moment = Wake::at(DAY.after(ms(100)));
    let before = |time: Timestamp, millis: i64| Timestamp(time.0 - millis * 1000);
    for (what, wake, now, left) in [
        ("later", length, DAY.after(ms(60)), 40),
        ("later", moment, DAY.after(ms(60)), 40),
        ("much later", length, DAY.after(ms(5000)), 0),
        ("much later", moment, DAY.after(ms(5000)), 0),
        ("the clock was set back", length, before(DAY, 300), 100),
        ("the clock was set back", moment, before(DAY, 300), 400),
    ] {
        let mut story = with_timer(wake, Timeouts::default());
        story.run.count_timers_from(now, now);
        let Next::Sleep { until, due } = story.next("t") else { panic!("{what}") };
        let first = due.map_or(until, |due| due.min(until));
        assert_eq!(first.since(now), ms(left), "{what}: {wake:?}");
        story.now = now.after(ms(left));
        story.tick("t").check("t", Phase::Succeeded);
    }
}

/// A run is taken up again by an engine that has counted its own time since before the machine's clock was set.
#[test]
fn s17_a_run_that_is_taken_up_is_waited_for_by_both_clocks_though_they_differ() {
    let hour = Duration::from_secs(3600);
    let set_back = Timestamp(DAY.0 - hour.as_micros() as i64);
    for (what, clock, wake, left) in [
        ("set ahead before it began", DAY.after(hour), Wake::after(ms(100), DAY.after(hour)), 100),
        ("set back before it began", set_back, Wake::after(ms(100), set_back), 100),
        ("set ahead since", DAY.after(hour), Wake::after(ms(100), DAY), 0),
        ("set back since", set_back, Wake::after(ms(100), DAY), 100),
        ("set back before it began", set_back, Wake::at(set_back.after(ms(100))), 100),
    ] {
        let mut story = with_timer(wake, Timeouts::default());
        story.run.count_timers_from(DAY, clock);
        let Next::Sleep { until, due } = story.next("t") else { panic!("{what}") };
        assert_eq!(until.since(clock), ms(left), "{what}: {wake:?}");
        assert_eq!(due.map(|due| due.since(DAY)), wake.since.map(|_| ms(left)), "{what}: {wake:?}");
    }
}

#[test]
fn s17_no_length_is_too_short_or_too_long() {
    for (length, until) in [(Duration::ZERO, DAY), (Duration::MAX, Wake::LAST), (Duration::from_nanos(1), DAY)] {
        assert_eq!(Wake::after(length, DAY).until, until, "{length:?}");
    }
    assert_eq!(Wake::at(Timestamp(i64::MAX)).until, Wake::LAST);
    for wake in [Wake::after(Duration::ZERO, DAY), Wake::at(DAY), Wake::at(Timestamp(i64::MIN))] {
        with_timer(wake, Timeouts::default()).tick("t").check("t", Phase::Succeeded);
    }
    let mut story = with_timer(Wake::after(Duration::MAX, DAY), Timeouts::default());
    story.wait(Duration::from_secs(100 * 365 * 24 * 3600)).tick("t").check("t", Phase::Running);
    assert!(jiff::Timestamp::from_microsecond(Wake::LAST.0).is_ok(), "it can be shown");
}

#[test]
fn s17_what_is_over_first_counts_whenever_somebody_looks() {
    let limits = |max_runtime: Option<u64>, deadline: Option<u64>| Timeouts {
        max_runtime: max_runtime.map(ms),
        deadline: deadline.map(ms),
        max_queued_time: Some(ms(1)),
    };
    let limited = [
        (limits(None, None), None),
        (limits(Some(50), None), Some(code::MAX_RUNTIME_EXCEEDED)),
        (limits(None, Some(50)), Some(code::DEADLINE_EXCEEDED)),
        (limits(Some(60), Some(50)), Some(code::DEADLINE_EXCEEDED)),
        (limits(Some(50), Some(60)), Some(code::MAX_RUNTIME_EXCEEDED)),
        (limits(Some(150), Some(150)), None),
    ];
    for (timeouts, expired) in limited {
        // On time, and by a process that was away for a minute.
        for later in [vec![50, 60, 100], vec![60_000]] {
            for wake in [Wake::after(ms(100), DAY), Wake::at(DAY.after(ms(100)))] {
                let mut story = with_timer(wake, timeouts);
                for at in &later {
                    story.now = DAY.after(ms(*at));
                    story.tick("t");
                }
                let end = story.run.action(&name("t")).unwrap().end().cloned();
                let code = match &end {
                    Some(End::TimedOut(failure)) => Some(failure.code.as_str()),
                    _ => None,
                };
                assert_eq!(code, expired, "{timeouts:?} {later:?}: {end:?}");
                assert!(expired.is_some() || end == Some(End::Elapsed));
            }
        }
    }
}

#[test]
fn s17_a_timer_ends_with_whoever_waits_and_outlasts_its_callers_attempts() {
    let hour = Wake::after(Duration::from_secs(3600), DAY);
    with_timer(hour, Timeouts::default()).abort("t").check("t", Phase::Aborted);
    with_timer(hour, Timeouts::default()).abort("a0").check("t", Phase::Aborted);
    let mut story = with_timer(hour, Timeouts::default());
    for _ in 0..5 {
        story.lose("a0").check("a0", Phase::Queued);
        story.check("t", Phase::Running);
        story.start("a0");
        // The next attempt asks again: the moment stays as it was.
        story.wait(ms(1000));
        let again = ActionSpec::timer("timer", Some(name("a0")), Wake::after(Duration::from_secs(3600), story.now));
        story.enqueue("t", again);
        assert!(matches!(story.next("t"), Next::Sleep { until, .. } if until == hour.until));
    }
    story.fail("a0", Failure { kind: FailureKind::User, recoverable: false, ..oops() }).check("t", Phase::Aborted);
}

#[test]
fn s17_a_recovered_run_does_not_wait_again() {
    let mut story = with_timer(Wake::after(ms(100), DAY), Timeouts::default());
    let source = Source::Recovery { run: "earlier".to_owned(), attempt: AttemptNo(0) };
    story.send(Command::Reuse { action: name("t"), source, lookup: None }).unwrap();
    story.check("t", Phase::Recovered);
}

#[test]
fn t3_the_wait_of_a_timer_is_a_span_under_the_attempt_and_of_a_root_under_the_action() {
    let mut story = with_timer(Wake::after(ms(100), DAY), Timeouts::default());
    story.wait(ms(100)).tick("t").succeed("a0");
    lifecycle::check(&story);
    let spans = lifecycle::spans(&story);
    let wait = lifecycle::one(&spans, "t", Part::Wait);
    let attempt = lifecycle::one(&spans, "a0", Part::Attempt);
    assert_eq!((&*wait.name, wait.parent), ("wait timer", Some(attempt.context.span)));
    assert_eq!(lifecycle::detail(wait, "flyte.task_name"), "timer");
    assert_eq!(lifecycle::detail(wait, crate::lifecycle::TIMER_UNTIL), "1970-01-02T00:00:00.1Z");

    let mut alone = Story::new();
    alone.now = DAY;
    alone.enqueue("a0", ActionSpec::timer("naps.länger", None, Wake::after(ms(100), DAY)));
    alone.wait(ms(100)).tick("a0").check("a0", Phase::Succeeded);
    lifecycle::check(&alone);
    let spans = lifecycle::spans(&alone);
    let (action, wait) = (lifecycle::one(&spans, "a0", Part::Action), lifecycle::one(&spans, "a0", Part::Wait));
    assert_eq!((&*action.name, &*wait.name), ("naps.länger", "wait timer"));
    assert_eq!(wait.parent, Some(action.context.span));
    let waited = explain(&spans).shares.into_iter().find(|share| share.used_for == Use::Waiting).unwrap();
    assert_eq!(waited.time, ms(100));
}
