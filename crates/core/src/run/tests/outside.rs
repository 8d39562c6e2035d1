//! What comes from outside of the attempts: signals of conditions, outputs that were there already, slots that are not the run's.

use std::sync::Arc;

use super::*;
use crate::{ActionKind, Source};

fn condition(parent: &str) -> ActionSpec {
    ActionSpec::condition("approve", name(parent))
}

fn signal(action: &str) -> Command {
    Command::Signal { action: name(action), by: "ann".to_owned(), from: None }
}

fn cached() -> Source {
    Source::Cache { run: "earlier".to_owned(), scope: None, action: name("c"), attempt: AttemptNo(2) }
}

fn recovered() -> Source {
    Source::Recovery { run: "earlier".to_owned(), attempt: AttemptNo(2) }
}

fn reuse(action: &str, source: Source) -> Command {
    Command::Reuse { action: name(action), source, lookup: None }
}

fn hold(action: &str) -> Command {
    Command::Hold { action: name(action), wait: None }
}

fn with_condition(timeouts: Timeouts) -> Story {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.enqueue("ok", ActionSpec { timeouts, ..condition("a0") });
    story
}

#[test]
fn s7_a_condition_is_paused_until_its_signal_and_keeps_who_gave_it() {
    let mut story = with_condition(Timeouts::default());
    story.check("ok", Phase::Paused);
    assert_eq!(story.next("ok"), Next::Wait { due: None });
    story.send(signal("ok")).unwrap();
    story.check("ok", Phase::Succeeded);
    let end = End::Signalled { by: "ann".to_owned() };
    assert_eq!(story.run.action(&name("ok")).unwrap().end(), Some(&end));
    assert_eq!(story.run.action(&name("ok")).unwrap().attempts, 0);
    story.check("a0", Phase::Running);
}

#[test]
fn s7_a_second_signal_is_refused_and_so_is_one_for_a_task() {
    let mut story = with_condition(Timeouts::default());
    story.send(signal("ok")).unwrap();
    let second = story.send(signal("ok"));
    assert!(matches!(second, Err(Rejection::WrongState { phase: Phase::Succeeded, .. })), "{second:?}");
    assert!(matches!(story.send(signal("a0")), Err(Rejection::WrongState { phase: Phase::Running, .. })));
    assert_eq!(story.send(signal("x")), Err(Rejection::NotFound(name("x"))));
}

#[test]
fn s7_a_condition_has_no_attempts_and_no_outputs_of_others() {
    let mut story = with_condition(Timeouts::default());
    let launched = story.send(Command::Launch { action: name("ok") });
    assert!(matches!(launched, Err(Rejection::WrongState { phase: Phase::Paused, .. })), "{launched:?}");
    assert!(story.send(reuse("ok", cached())).is_err());
    assert_eq!(story.send(hold("ok")), Ok(vec![]));
    story.check("ok", Phase::Paused);
}

#[test]
fn s7_the_deadline_of_a_condition_counts_from_its_creation() {
    let mut story = with_condition(Timeouts { deadline: Some(ms(100)), ..Timeouts::max_runtime(ms(10)) });
    let at = story.now.after(ms(100));
    assert_eq!(story.next("ok"), Next::Wait { due: Some(at) });
    story.wait(ms(99)).tick("ok").check("ok", Phase::Paused);
    story.wait(ms(1)).tick("ok").check("ok", Phase::TimedOut);
    let Some(End::TimedOut(failure)) = story.run.action(&name("ok")).unwrap().end() else { panic!("timed out") };
    assert_eq!(failure.code, code::DEADLINE_EXCEEDED);
    assert!(story.send(signal("ok")).is_err());
    story.check("a0", Phase::Running);
}

#[test]
fn s7_a_condition_is_aborted_by_itself_and_with_whoever_waits_for_it() {
    let mut story = with_condition(Timeouts::default());
    story.enqueue("other", condition("a0"));
    story.abort("ok").check("ok", Phase::Aborted);
    assert!(story.send(signal("ok")).is_err());
    story.fail("a0", oops()).check("a0", Phase::Failed);
    story.check("other", Phase::Aborted);
}

#[test]
fn s7_a_condition_survives_the_loss_of_its_parent_which_is_not_blamed() {
    let mut story = with_condition(Timeouts::default());
    for _ in 0..5 {
        story.lose("a0").check("a0", Phase::Queued);
        story.check("ok", Phase::Paused);
        story.start("a0");
        story.enqueue("ok", condition("a0"));
    }
    assert_eq!(story.run.root().unwrap().system_failures, 0);
}

#[test]
fn s4_a_parent_that_waits_for_a_condition_gives_up_its_place() {
    let mut story = Story::with_limits(RunLimits { max_action_concurrency: Some(2) });
    story.enqueue("a0", root()).start("a0");
    story.enqueue("c", child_of("a0")).start("c");
    story.enqueue("ok", condition("c"));
    assert_eq!(story.run.occupied(), 0);
    story.send(signal("ok")).unwrap();
    assert_eq!(story.run.occupied(), 1);
}

#[test]
fn s4_nothing_under_a_condition_outlives_the_root() {
    let mut story = with_condition(Timeouts::default());
    story.enqueue("under", child_of("ok")).start("under");
    story.succeed("a0").check("ok", Phase::Aborted);
    story.check("under", Phase::Aborted);
}

#[test]
fn s5_outputs_from_the_cache_end_an_action_as_succeeded_and_name_their_source() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.enqueue("c", child_of("a0"));
    story.send(reuse("c", cached())).unwrap();
    story.check("c", Phase::Succeeded);
    let action = story.run.action(&name("c")).unwrap();
    assert_eq!((action.end(), action.attempts, action.started_at), (Some(&End::Reused(cached())), 0, None));
    assert_eq!(story.run.root().unwrap().live_children(), 0);
}

#[test]
fn s4_outputs_of_an_earlier_run_end_an_action_as_recovered() {
    let mut story = Story::new();
    story.enqueue("a0", root());
    story.send(reuse("a0", recovered())).unwrap();
    story.check("a0", Phase::Recovered);
    assert!(story.run.is_finished());
    let late = Command::Enqueue { action: name("c"), spec: Arc::new(child_of("a0")) };
    assert_eq!(story.send(late), Err(Rejection::RunEnded(name("c"))));
}

#[test]
fn s5_outputs_are_reused_only_while_no_attempt_is_under_way() {
    let mut story = Story::new();
    let backoff = Some(Backoff::constant(ms(50)));
    story.enqueue("a0", ActionSpec { retry: RetryPolicy { retries: 1, backoff }, ..root() });
    story.send(Command::Launch { action: name("a0") }).unwrap();
    assert!(story.send(reuse("a0", cached())).is_err());
    story.send(Command::ReportStarted { action: name("a0"), attempt: AttemptNo(1) }).unwrap();
    let refused = story.send(reuse("a0", cached()));
    assert!(matches!(refused, Err(Rejection::WrongState { phase: Phase::Running, .. })), "{refused:?}");
    story.fail("a0", oops());
    story.send(reuse("a0", cached())).unwrap();
    story.wait(ms(50)).tick("a0").check("a0", Phase::Succeeded);
    assert!(story.send(reuse("a0", recovered())).is_err());
    assert!(story.send(Command::Launch { action: name("a0") }).is_err());
    story.check("a0", Phase::Succeeded);
}

#[test]
fn s7_reused_outputs_take_no_place_and_leave_the_queue() {
    let mut story = Story::with_limits(RunLimits { max_action_concurrency: Some(2) });
    story.enqueue("a0", root()).start("a0");
    for child in ["c1", "c2", "c3"] {
        story.enqueue(child, child_of("a0"));
    }
    story.start("c1");
    story.start("c2");
    story.check("c3", Phase::WaitingForResources);
    story.send(reuse("c3", cached())).unwrap();
    assert_eq!(story.run.occupied(), 2);
    story.succeed("c1");
    assert_eq!(story.run.next_in_line(|_| true).count(), 0);
}

#[test]
fn s4_an_action_on_hold_waits_for_resources_and_its_queued_time_goes_on() {
    let timeouts = Timeouts { max_queued_time: Some(ms(10)), ..Timeouts::default() };
    let mut story = Story::new();
    story.enqueue("a0", ActionSpec { timeouts, ..retries(1) });
    story.wait(ms(5)).send(hold("a0")).unwrap();
    story.check("a0", Phase::WaitingForResources);
    assert_eq!(story.send(hold("a0")), Ok(vec![]), "once is enough");
    story.wait(ms(5)).tick("a0").check("a0", Phase::Queued);
    story.send(hold("a0")).unwrap();
    story.start("a0");
    assert_eq!(story.send(hold("a0")), Ok(vec![]));
    story.check("a0", Phase::Running);
    assert_eq!(story.send(hold("x")), Err(Rejection::NotFound(name("x"))));
}

#[test]
fn s6_a_step_is_not_recorded_over_a_task_of_the_same_name() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.enqueue("c", child_of("a0")).start("c");
    story.fail("c", oops()).check("c", Phase::Failed);
    let spec = Arc::new(ActionSpec::step("load", ActionName::ROOT));
    let (started, outcome) = (story.now, StepOutcome::Succeeded);
    let events =
        story.send(Command::RecordStep { action: name("c"), spec, started, outcome, observed: false }).unwrap();
    assert!(events.is_empty());
    story.check("c", Phase::Failed);
    assert_eq!(story.run.action(&name("c")).unwrap().spec.kind, ActionKind::Task);
}
