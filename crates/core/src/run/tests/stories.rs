//! Each edge of the machine, told as a small story.

use super::*;
use std::sync::Arc;

#[test]
fn s4_phases_of_a_plain_success() {
    let mut story = Story::new();
    story.enqueue("a0", root()).check("a0", Phase::Queued);
    story.send(Command::Launch { action: name("a0") }).unwrap();
    story.check("a0", Phase::Initializing);
    story.send(Command::ReportStarted { action: name("a0"), attempt: AttemptNo(1) }).unwrap();
    story.check("a0", Phase::Running);
    story.succeed("a0").check("a0", Phase::Succeeded);
    assert!(story.run.is_finished());
    assert_eq!(story.next("a0"), Next::Finished(End::Succeeded { attempt: AttemptNo(1) }));
}

#[test]
fn s4_retries_n_gives_n_plus_1_attempts() {
    let mut story = Story::new();
    story.enqueue("a0", retries(2));
    for attempt in 1..=3 {
        story.check("a0", Phase::Queued);
        assert_eq!(story.start("a0"), AttemptNo(attempt));
        story.fail("a0", oops());
    }
    story.check("a0", Phase::Failed);
    assert_eq!(story.run.root().unwrap().end(), Some(&End::Failed(Box::new(oops()))));
}

#[test]
fn s4_a_non_recoverable_failure_is_not_retried() {
    let mut story = Story::new();
    story.enqueue("a0", retries(5)).start("a0");
    story.fail("a0", oops().terminal()).check("a0", Phase::Failed);
}

#[test]
fn s4_backoff_is_part_of_the_state() {
    let mut story = Story::new();
    let backoff = Backoff { base: ms(100), factor: 2.0, cap: Some(ms(150)) };
    let spec = ActionSpec { retry: RetryPolicy { retries: 3, backoff: Some(backoff) }, ..root() };
    story.enqueue("a0", spec);
    for (attempt, pause) in [(2, 100), (3, 150), (4, 150)] {
        story.start("a0");
        story.fail("a0", oops()).check("a0", Phase::Queued);
        let until = story.now.after(ms(pause));
        assert_eq!(story.next("a0"), Next::Wait { due: Some(until) });
        let early = story.send(Command::Launch { action: name("a0") }).unwrap_err();
        assert!(matches!(early, Rejection::WrongState { .. }), "{early}");
        story.wait(ms(pause - 1)).tick("a0");
        assert_eq!(next(&story.refold(), &name("a0")), story.next("a0"));
        story.wait(ms(1)).tick("a0");
        assert_eq!(story.next("a0"), Next::Launch { attempt: AttemptNo(attempt) });
    }
    story.start("a0");
    story.fail("a0", oops()).check("a0", Phase::Failed);
}

#[test]
fn s4_system_failures_have_their_own_budget_of_three_in_a_row() {
    let mut story = Story::new();
    story.enqueue("a0", root());
    for _ in 0..3 {
        story.start("a0");
        story.lose("a0");
    }
    story.check("a0", Phase::Failed);
    let Some(End::Failed(failure)) = story.run.root().unwrap().end() else { panic!("failed") };
    assert_eq!(failure.code, code::MAX_SYSTEM_FAILURES);
}

#[test]
fn s4_a_system_failure_costs_no_retry_and_progress_resets_the_row() {
    let mut story = Story::new();
    story.enqueue("a0", retries(1));
    for step in 0..5 {
        story.start("a0");
        let (action, spec) = (name(&format!("s{step}")), Arc::new(ActionSpec::step("load", ActionName::ROOT)));
        let (started, outcome) = (story.now, StepOutcome::Succeeded);
        story.send(Command::RecordStep { action, spec, started, outcome, observed: false }).unwrap();
        story.lose("a0").check("a0", Phase::Queued);
    }
    story.start("a0");
    story.fail("a0", oops()).check("a0", Phase::Queued);
}

#[test]
fn s4_a_parent_that_only_waits_is_not_blamed_for_a_crash() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.enqueue("c", child_of("a0")).start("c");
    for _ in 0..5 {
        story.lose("a0").check("a0", Phase::Queued);
        story.start("a0");
    }
    assert_eq!(story.run.root().unwrap().system_failures, 0);
}

#[test]
fn s4_max_runtime_is_counted_in_running_for_each_attempt_and_respects_retries() {
    let mut story = Story::new();
    story.enqueue("a0", ActionSpec { timeouts: Timeouts::max_runtime(ms(50)), ..retries(1) });
    story.wait(ms(500)).tick("a0").check("a0", Phase::Queued);
    story.start("a0");
    story.wait(ms(49)).tick("a0").check("a0", Phase::Running);
    story.wait(ms(1)).tick("a0").check("a0", Phase::Queued);
    story.start("a0");
    story.wait(ms(50)).tick("a0").check("a0", Phase::TimedOut);
    let Some(End::TimedOut(failure)) = story.run.root().unwrap().end() else { panic!("timed out") };
    assert_eq!(failure.code, code::MAX_RUNTIME_EXCEEDED);
}

#[test]
fn s4_max_queued_time_counts_each_wait_and_not_initializing() {
    let timeouts = Timeouts { max_queued_time: Some(ms(10)), ..Timeouts::default() };
    let mut story = Story::new();
    story.enqueue("a0", ActionSpec { timeouts, ..retries(1) });
    story.wait(ms(10)).tick("a0").check("a0", Phase::Queued);
    story.send(Command::Launch { action: name("a0") }).unwrap();
    story.wait(ms(100)).tick("a0").check("a0", Phase::Initializing);
    story.lose("a0");
    story.wait(ms(10)).tick("a0").check("a0", Phase::TimedOut);
}

#[test]
fn s4_the_deadline_counts_once_and_beats_retries() {
    let timeouts = Timeouts { deadline: Some(ms(100)), ..Timeouts::default() };
    let mut story = Story::new();
    story.enqueue("a0", ActionSpec { timeouts, ..retries(9) });
    story.start("a0");
    story.wait(ms(60)).fail("a0", oops());
    story.start("a0");
    story.wait(ms(40)).tick("a0").check("a0", Phase::TimedOut);
}

#[test]
fn s4_zero_means_no_limit() {
    let zero = Some(Duration::ZERO);
    let timeouts = Timeouts { max_runtime: zero, max_queued_time: zero, deadline: zero };
    let mut story = Story::new();
    story.enqueue("a0", ActionSpec { timeouts, ..root() });
    assert_eq!(story.run.root().unwrap().due(), None);
}

#[test]
fn s4_the_roots_end_aborts_live_descendants_and_refuses_new_ones() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.enqueue("c", child_of("a0")).start("c");
    story.enqueue("g", child_of("c")).start("g");
    story.enqueue("done", child_of("a0")).start("done");
    story.succeed("done").succeed("a0");
    story.check("c", Phase::Aborted);
    story.check("g", Phase::Aborted);
    story.check("done", Phase::Succeeded);
    let late = Command::Enqueue { action: name("late"), spec: Arc::new(child_of("a0")) };
    assert_eq!(story.send(late), Err(Rejection::RunEnded(name("late"))));
}

#[test]
fn s4_an_abort_keeps_who_and_why_and_takes_descendants_along() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.enqueue("c", child_of("a0")).start("c");
    story.enqueue("g", child_of("c"));
    story.abort("c").abort("c");
    let end = End::Aborted { by: "ann".to_owned(), reason: "enough".to_owned() };
    assert_eq!(story.run.action(&name("c")).unwrap().end(), Some(&end));
    story.check("g", Phase::Aborted);
    story.check("a0", Phase::Running);
}

#[test]
fn a_late_report_of_an_old_attempt_is_fenced() {
    let mut story = Story::new();
    story.enqueue("a0", retries(1));
    let first = story.start("a0");
    story.fail("a0", oops());
    story.start("a0");
    let late = story.send(Command::ReportSucceeded { action: name("a0"), attempt: first });
    assert_eq!(late, Err(Rejection::Stale { action: name("a0"), attempt: first }));
    story.check("a0", Phase::Running);
}

#[test]
fn a_name_that_is_enqueued_again_stays_as_it_was() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.enqueue("c", child_of("a0"));
    let again = ActionSpec { retry: RetryPolicy { retries: 7, backoff: None }, ..child_of("a0") };
    let events = story.send(Command::Enqueue { action: name("c"), spec: Arc::new(again) }).unwrap();
    assert!(events.is_empty());
    assert_eq!(story.run.action(&name("c")).unwrap().spec.retry.retries, 0);
}

#[test]
fn a_released_attempt_costs_nothing() {
    let mut story = Story::new();
    story.enqueue("a0", root());
    for attempt in 1..=9 {
        let attempt = AttemptNo(attempt);
        assert_eq!(story.start("a0"), attempt);
        story.send(Command::Release { action: name("a0"), attempt }).unwrap();
        story.check("a0", Phase::Queued);
    }
    assert_eq!(story.run.root().unwrap().system_failures, 0);
}

#[test]
fn s6_a_recoverable_failed_step_is_recorded_over_and_nothing_else_is() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    let mut record = |outcome: StepOutcome| {
        let spec = Arc::new(ActionSpec::step("load", ActionName::ROOT));
        let command = Command::RecordStep { action: name("s"), spec, started: Timestamp(0), outcome, observed: false };
        story.send(command).unwrap().len()
    };
    assert_eq!(record(StepOutcome::Failed(oops())), 1);
    assert_eq!(record(StepOutcome::Succeeded), 1);
    assert_eq!(record(StepOutcome::Failed(oops())), 0);
    story.check("s", Phase::Succeeded);
}

#[test]
fn s7_a_limit_holds_newcomers_back_in_order_and_does_not_count_waiting_parents() {
    let mut story = Story::with_limits(RunLimits { max_action_concurrency: Some(2) });
    story.enqueue("a0", root()).start("a0");
    for child in ["c1", "c2", "c3", "c4"] {
        story.enqueue(child, child_of("a0"));
    }
    story.check("c1", Phase::Queued);
    story.check("c2", Phase::Queued);
    story.check("c3", Phase::WaitingForResources);
    let in_line = |story: &Story| story.run.next_in_line(|_| true).map(|name| name.to_string()).collect::<Vec<_>>();
    assert_eq!(in_line(&story), ["c1", "c2"]);
    let ready = |name: &ActionName| name.as_str() != "c1";
    assert_eq!(
        story.run.next_in_line(ready).collect::<Vec<_>>(),
        [name("c2"), name("c3")],
        "nobody waits for the absent"
    );
    story.start("c1");
    story.start("c2");
    assert_eq!(story.send(Command::Launch { action: name("c3") }), Err(Rejection::NoSlot(name("c3"))));
    story.enqueue("g", child_of("c1")).check("g", Phase::WaitingForResources);
    story.start("c3");
    assert_eq!((story.run.occupied(), in_line(&story).len()), (2, 0));
    story.succeed("c2");
    assert_eq!(in_line(&story), ["c4"]);
    story.start("c4");
    assert!(story.send(Command::Launch { action: name("g") }).is_err());
    story.succeed("c3");
    story.start("g");
}

#[test]
fn s4_a_final_failure_takes_along_what_only_waits_under_it() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.enqueue("mid", child_of("a0")).start("mid");
    story.enqueue("waits", child_of("mid"));
    story.enqueue("runs", child_of("mid")).start("runs");
    story.fail("mid", oops());
    story.check("waits", Phase::Aborted);
    story.check("runs", Phase::Running);
}

#[test]
fn s4_a_parent_with_a_forgotten_child_is_blamed_for_its_crashes() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.enqueue("forgotten", child_of("a0"));
    for _ in 0..3 {
        story.lose("a0");
        let _ = story.send(Command::Launch { action: name("a0") });
    }
    story.check("a0", Phase::Failed);
}

#[test]
fn s4_no_timer_waits_longer_than_its_length_after_the_clock_was_set_back() {
    let limited = |timeouts: Timeouts| ActionSpec { timeouts, ..root() };
    let backoff = RetryPolicy { retries: 1, backoff: Some(Backoff::constant(ms(70))) };
    type Happens = fn(&mut Story);
    let fails: Happens = |story| {
        story.start("a0");
        story.fail("a0", oops());
    };
    let begins: Happens = |story| {
        story.start("a0");
    };
    let cases: [(&str, ActionSpec, Happens); 4] = [
        ("backoff", ActionSpec { retry: backoff, ..root() }, fails),
        ("max_runtime", limited(Timeouts { max_runtime: Some(ms(70)), ..Timeouts::default() }), begins),
        ("max_queued_time", limited(Timeouts { max_queued_time: Some(ms(70)), ..Timeouts::default() }), |_| ()),
        ("deadline", limited(Timeouts { deadline: Some(ms(70)), ..Timeouts::default() }), begins),
    ];
    for (what, spec, happens) in cases {
        let mut story = Story::new();
        story.now = Timestamp(400 * 24 * 3600 * 1_000_000);
        story.enqueue("a0", spec);
        happens(&mut story);
        let due = |run: &Run| run.root().unwrap().due().unwrap();
        assert_eq!(due(&story.run), story.now.after(ms(70)), "{what}");
        // The clock goes on, or stands: nothing changes.
        let mut taken_up = story.refold();
        taken_up.count_timers_from(story.now.after(ms(10)), story.now.after(ms(10)));
        assert_eq!(due(&taken_up), story.now.after(ms(70)), "{what}");
        let set_back = Timestamp(30 * 24 * 3600 * 1_000_000);
        taken_up.count_timers_from(set_back, set_back);
        assert_eq!(due(&taken_up), set_back.after(ms(70)), "{what}");
    }
}
