//! Whose fault the end of an attempt is: the system's, nobody's, or the user's.

use super::*;
use crate::FailureKind;

fn system(code: &str) -> Failure {
    Failure::system(code, "the machine is ill")
}

/// A child that has failed for good by the system's doing.
fn with_failed_child(spec: ActionSpec) -> (Story, Failure) {
    let mut story = Story::new();
    story.enqueue("a0", spec).start("a0");
    story.enqueue("c", child_of("a0"));
    for _ in 0..3 {
        story.start("c");
        story.lose("c");
    }
    let Some(End::Failed(failure)) = story.run.action(&name("c")).unwrap().end() else { panic!("failed") };
    assert_eq!(failure.kind, FailureKind::System);
    // As a body of the stock SDK tells it on: with its kind, and recoverable again.
    let told_on = Failure { recoverable: true, ..Failure::clone(failure) };
    (story, told_on)
}

#[test]
fn s4_an_attempt_that_never_began_costs_nothing_however_often() {
    let mut story = Story::new();
    story.enqueue("a0", root());
    for _ in 0..30 {
        story.send(Command::Launch { action: name("a0") }).unwrap();
        story.lose_as("a0", false);
        let due = story.run.root().unwrap().due().unwrap_or(story.now);
        assert!(due.since(story.now) <= Duration::from_secs(10));
        story.now = due;
        story.tick("a0").check("a0", Phase::Queued);
    }
    story.start("a0");
    story.succeed("a0").check("a0", Phase::Succeeded);
    assert_eq!(story.run.root().unwrap().system_failures, 0);
}

#[test]
fn s4_the_second_attempt_in_a_row_that_never_began_is_followed_by_a_pause() {
    let mut story = Story::new();
    story.enqueue("a0", root());
    let mut pauses = Vec::new();
    for _ in 0..4 {
        story.send(Command::Launch { action: name("a0") }).unwrap();
        story.lose_as("a0", false);
        let due = story.run.root().unwrap().due().unwrap_or(story.now);
        pauses.push(due.since(story.now).as_millis());
        story.now = due;
        story.tick("a0");
    }
    assert_eq!(pauses, [0, 100, 200, 400]);
    story.start("a0");
    story.enqueue("c", child_of("a0")).start("c");
    story.succeed("c");
    story.lose_as("a0", false);
    assert_eq!(story.run.root().unwrap().due(), None, "progress ends the row");
}

/// Loses attempts without blame until the action is at its end or this has gone on for so long; how many it lost and for how long.
fn lose_for(story: &mut Story, at_most: Duration, each: Duration) -> (u32, Duration) {
    let (mut lost, began) = (0, story.now);
    while !story.run.root().unwrap().is_finished() && story.now.since(began) < at_most {
        story.send(Command::Launch { action: name("a0") }).unwrap();
        story.lose_as("a0", false);
        lost += 1;
        if !story.run.root().unwrap().is_finished() {
            let due = story.run.root().unwrap().due().unwrap_or(story.now);
            story.now = due.after(each);
            story.tick("a0").check("a0", Phase::Queued);
        }
    }
    (lost, story.now.since(began))
}

#[test]
fn s4_losses_without_blame_end_the_action_after_an_hour() {
    let hour = Duration::from_hours(1);
    let mut story = Story::new();
    story.enqueue("a0", retries(9));
    let (lost, lasted) = lose_for(&mut story, 2 * hour, Duration::ZERO);
    story.check("a0", Phase::Failed);
    assert!(lasted > hour && lasted < hour + Duration::from_secs(11), "{lasted:?}");
    let Some(End::Failed(failure)) = story.run.root().unwrap().end() else { panic!("failed") };
    assert_eq!((failure.code.as_str(), failure.kind), (code::MAX_SYSTEM_FAILURES, FailureKind::System));
    assert!(!failure.recoverable);
    let said = format!(
        "the machine has failed {lost} attempts in a row for 60 minutes, without blame on them, the last one: killed"
    );
    assert_eq!(failure.message, said);
    assert_eq!(story.refold(), story.run);
}

#[test]
fn s4_few_losses_without_blame_that_lie_far_apart_and_those_before_a_progress_do_not_end_the_action() {
    let hour = Duration::from_hours(1);
    let mut story = Story::new();
    story.enqueue("a0", root());
    // A server that is away for half a day between two attempts that never began.
    assert_eq!(lose_for(&mut story, 300 * hour, 12 * hour).0, 25);
    story.check("a0", Phase::Queued);
    story.start("a0");
    let progress = |story: &mut Story, child: &str| {
        story.enqueue(child, child_of("a0")).start(child);
        story.succeed(child);
        story.lose_as("a0", false).check("a0", Phase::Queued);
    };
    progress(&mut story, "c");
    let most = Duration::from_mins(59);
    assert!(lose_for(&mut story, most, Duration::ZERO).0 > 300);
    story.check("a0", Phase::Queued);
    story.start("a0");
    progress(&mut story, "d");
    lose_for(&mut story, most, Duration::ZERO);
    story.check("a0", Phase::Queued);
}

#[test]
fn s4_losses_without_blame_do_not_excuse_those_with_it() {
    let mut story = Story::new();
    story.enqueue("a0", root());
    for _ in 0..2 {
        story.start("a0");
        story.lose("a0");
        story.start("a0");
        story.lose_as("a0", false).wait(ms(100)).tick("a0");
    }
    story.start("a0");
    story.lose("a0").check("a0", Phase::Failed);
}

#[test]
fn s4_a_childs_system_failure_that_is_told_on_is_the_users_and_is_not_run_three_times() {
    let (mut story, failure) = with_failed_child(root());
    story.fail("a0", failure.clone()).check("a0", Phase::Failed);
    let told = End::Failed(Box::new(Failure { kind: FailureKind::User, ..failure }));
    assert_eq!(story.run.root().unwrap().end(), Some(&told));
    assert_eq!(story.run.root().unwrap().attempts, 1);
}

#[test]
fn s4_a_childs_system_failure_that_is_told_on_costs_the_parents_own_retries() {
    let (mut story, failure) = with_failed_child(retries(1));
    let wrapped = Failure { message: format!("in the loop: {}", failure.message), ..failure };
    story.fail("a0", wrapped.clone()).check("a0", Phase::Queued);
    story.start("a0");
    story.fail("a0", wrapped).check("a0", Phase::Failed);
    assert_eq!(story.run.root().unwrap().attempts, 2);
}

#[test]
fn s4_a_system_failure_is_told_on_through_three_levels_at_once() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.enqueue("b", child_of("a0")).start("b");
    story.enqueue("c", child_of("b")).start("c");
    story.fail("c", system("Ill").terminal()).check("c", Phase::Failed);
    story.fail("b", system("Ill")).check("b", Phase::Failed);
    let Some(End::Failed(failure)) = story.run.action(&name("b")).unwrap().end() else { panic!("failed") };
    assert_eq!(failure.kind, FailureKind::User);
    story.fail("a0", Failure::clone(failure)).check("a0", Phase::Failed);
    assert_eq!(story.log.iter().filter(|event| matches!(event.fact, Fact::Launched { .. })).count(), 3);
}

#[test]
fn s4_a_parents_own_system_failure_has_the_systems_attempts() {
    let (mut story, failure) = with_failed_child(root());
    for own in [system("Ill"), Failure { message: "another".to_owned(), ..failure }] {
        story.fail("a0", own).check("a0", Phase::Queued);
        story.start("a0");
    }
    story.fail("a0", system("Ill")).check("a0", Phase::Failed);
}

#[test]
fn s4_a_system_failure_that_another_attempt_would_meet_again_is_not_tried_again() {
    let mut story = Story::new();
    story.enqueue("a0", retries(2)).start("a0");
    story.fail("a0", system("Damaged").terminal()).check("a0", Phase::Failed);
    let Some(End::Failed(failure)) = story.run.root().unwrap().end() else { panic!("failed") };
    assert_eq!((failure.code.as_str(), failure.kind), ("Damaged", FailureKind::System));
}

#[test]
fn s4_whoever_waits_outside_of_the_run_takes_up_no_place() {
    let mut story = Story::with_limits(RunLimits { max_action_concurrency: Some(2) });
    story.enqueue("a0", root());
    let attempt = story.start("a0");
    let mut wait = |attempt, begins| {
        story.run.wait_outside(&name("a0"), attempt, begins);
        story.run.occupied()
    };
    assert_eq!(wait(attempt, true), 0);
    assert_eq!(wait(attempt, true), 0);
    assert_eq!(wait(attempt, false), 0);
    assert_eq!(wait(attempt, false), 1);
    assert_eq!(wait(attempt, true), 0);
    story.lose("a0");
    story.start("a0");
    assert_eq!(story.run.occupied(), 1, "it is not the new attempt that waits");
    story.run.wait_outside(&name("a0"), attempt, false);
    assert_eq!(story.run.occupied(), 1);
    assert_eq!(story.refold(), story.run);
}
