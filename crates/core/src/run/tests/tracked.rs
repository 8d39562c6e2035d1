//! Tracked runs: what follows from reports, and from a silence (semantics S16).

use proptest::prelude::*;

use super::*;
use crate::lifecycle::{Lifecycle, Part, RunTrace};
use crate::tracked::{CacheReport, Report, ReportedPhase, TAKEN_UP_WITHIN, Tracked};
use crate::{ActionKind, RunId, RunName};

const SILENCE: Duration = Duration::from_secs(60);

fn tracked(silence_seconds: Option<u64>) -> Option<Box<Tracked>> {
    Some(Box::new(Tracked { silence_seconds, any_retries: false }))
}

fn tracked_root(retries_left: u32) -> ActionSpec {
    ActionSpec { tracked: tracked(Some(SILENCE.as_secs())), ..retries(retries_left) }
}

fn tracked_child(parent: &str) -> ActionSpec {
    ActionSpec { tracked: tracked(None), ..child_of(parent) }
}

fn report(attempt: u32, version: u32, phase: ReportedPhase) -> Report {
    Report {
        attempt: AttemptNo(attempt),
        version,
        at: Timestamp(i64::MAX),
        began: None,
        phase,
        cache: CacheReport::Disabled,
        output_uri: None,
        report_uri: None,
    }
}

fn failed() -> ReportedPhase {
    ReportedPhase::Failed(oops())
}

fn aborted() -> ReportedPhase {
    ReportedPhase::Aborted { reason: "Ctrl-C".to_owned() }
}

impl Story {
    fn track(root: ActionSpec) -> Story {
        let mut story = Story::new();
        story.enqueue("a0", root);
        story
    }

    fn try_report(&mut self, action: &str, spec: Option<ActionSpec>, report: Report) -> Result<usize, Rejection> {
        let command = Command::Report { action: name(action), spec: spec.map(Arc::new), report };
        self.send(command).map(|events| events.len())
    }

    fn report(&mut self, action: &str, attempt: u32, version: u32, phase: ReportedPhase) -> &mut Story {
        self.try_report(action, None, report(attempt, version, phase)).unwrap();
        self
    }

    fn begin(&mut self, action: &str, parent: &str) -> &mut Story {
        self.try_report(action, Some(tracked_child(parent)), report(1, 0, ReportedPhase::Running)).unwrap();
        self
    }
}

use ReportedPhase::{Initializing, Queued, Running, Succeeded, WaitingForResources};

#[test]
fn s16_an_action_stands_as_it_is_reported_and_its_facts_have_the_times_of_the_report() {
    let mut story = Story::track(tracked_root(0));
    story.check("a0", Phase::Queued);
    story.now = Timestamp(100);
    let at = |micros, phase, version| Report { at: Timestamp(micros), ..report(1, version, phase) };
    story.try_report("a0", None, at(10, Running, 0)).unwrap();
    story.check("a0", Phase::Running);
    let child = Report { began: Some(Timestamp(20)), ..at(30, Succeeded, 4) };
    story.try_report("b", Some(tracked_child("a0")), child).unwrap();
    story.check("b", Phase::Succeeded);
    let times = story.run.action(&name("b")).unwrap().times();
    assert_eq!(
        times,
        crate::Times { created: Timestamp(20), started: Some(Timestamp(20)), ended: Some(Timestamp(30)) }
    );
    // A clock that is ahead, and one that is behind.
    story.try_report("c", Some(tracked_child("a0")), at(900, Running, 0)).unwrap();
    assert_eq!(story.run.action(&name("c")).unwrap().started_at, Some(Timestamp(100)));
    story.try_report("d", Some(tracked_child("a0")), at(-5, Running, 0)).unwrap();
    assert_eq!(story.run.action(&name("d")).unwrap().started_at, Some(Timestamp(0)));
    assert_eq!(
        (story.run.occupied(), next(&story.run, &name("a0"))),
        (0, Next::Wait { due: Some(Timestamp(100).after(SILENCE)) })
    );
}

#[test]
fn s16_a_late_or_doubled_report_changes_nothing() {
    let mut story = Story::track(tracked_root(1));
    story.report("a0", 1, 0, Running).report("a0", 1, 2, failed()).report("a0", 2, 0, Running);
    let before = story.refold();
    for (attempt, version, phase) in
        [(1, 0, Running), (1, 2, failed()), (1, 9, Succeeded), (2, 0, Running), (2, 0, Succeeded), (1, 1, aborted())]
    {
        assert_eq!(story.try_report("a0", None, report(attempt, version, phase)), Ok(0));
    }
    assert_eq!(story.run, before);
    story.report("a0", 2, 3, Succeeded).check("a0", Phase::Succeeded);
    assert_eq!(story.try_report("a0", None, report(2, 3, Succeeded)), Ok(0));
    assert_eq!(story.try_report("a0", None, report(2, 4, Succeeded)), Ok(0), "it says the same");
}

#[test]
fn s16_a_failure_that_another_attempt_may_follow_is_shown_and_becomes_final_later() {
    let mut story = Story::track(tracked_root(1));
    story.report("a0", 1, 0, Running).report("a0", 1, 1, failed()).check("a0", Phase::Failed);
    let root = story.run.root().unwrap();
    assert!(!root.is_finished() && root.is_in_doubt() && root.failure() == Some(&oops()));
    assert_eq!(root.due(), Some(Timestamp(0).after(ms(60_500))), "a minute, and the pause of the stock SDK");
    story.wait(ms(700)).report("a0", 2, 0, Running).check("a0", Phase::Running);
    assert_eq!(story.run.root().unwrap().failure(), None);
    // The last one is final at once.
    story.report("a0", 2, 1, failed());
    assert!(story.run.is_finished());

    let mut story = Story::track(tracked_root(3));
    story.report("a0", 1, 0, Running).report("a0", 1, 1, failed()).begin("b", "a0");
    story.wait(ms(60_499)).tick("a0");
    assert!(!story.run.is_finished());
    story.wait(ms(1)).tick("a0").check("b", Phase::Aborted);
    assert!(story.run.is_finished());
    let ended = story.run.root().unwrap().times().ended;
    assert_eq!(ended, Some(Timestamp(0)), "when the failure was reported");
    let late = story.try_report("a0", None, report(2, 0, Running)).unwrap_err();
    assert_eq!(late.to_string(), "cannot take a report about `a0`: it is FAILED");
}

/// The stock SDK begins each action from its start in another attempt of its parent, under the number that it had.
#[test]
fn s16_children_that_another_attempt_of_their_parent_calls_again_are_what_they_come_to() {
    let mut story = Story::track(tracked_root(1));
    story.report("a0", 1, 0, Running).begin("done", "a0").begin("late", "a0").begin("under", "late");
    story.report("done", 1, 1, Succeeded).report("late", 1, 1, failed()).report("under", 1, 1, failed());
    // Nobody calls it again yet.
    let refused = story.try_report("late", None, report(1, 2, Running)).unwrap_err().to_string();
    assert_eq!(refused, "attempt 1 of `late` cannot be RUNNING any more");
    story.check("late", Phase::Failed);
    story.report("a0", 1, 1, failed()).report("a0", 2, 0, Running);
    for phase in [Queued, Initializing, Running] {
        for child in ["done", "late", "under"] {
            assert_eq!(story.try_report(child, None, report(1, 2, phase.clone())), Ok(0), "{child}");
        }
    }
    assert_eq!(story.try_report("done", None, report(1, 3, Succeeded)), Ok(0));
    story.report("late", 1, 3, Succeeded).report("under", 1, 3, Succeeded);
    story.report("a0", 2, 1, Succeeded);
    for child in ["done", "late", "under", "a0"] {
        story.check(child, Phase::Succeeded);
    }
    assert_eq!(story.refold(), story.run);
}

#[test]
fn s16_the_end_of_the_root_ends_what_nothing_was_reported_of() {
    let mut story = Story::track(tracked_root(0));
    let again = ActionSpec { tracked: tracked(None), parent: Some(ActionName::ROOT), ..retries(2) };
    story.report("a0", 1, 0, Running).begin("b", "a0").begin("c", "b");
    story.try_report("d", Some(again), report(1, 0, Running)).unwrap();
    story.report("d", 1, 1, failed()).report("b", 1, 1, aborted());
    story.check("b", Phase::Aborted);
    story.check("c", Phase::Running);
    story.report("c", 1, 1, aborted()).begin("e", "a0").report("a0", 1, 1, Succeeded);
    for (action, phase) in
        [("a0", Phase::Succeeded), ("c", Phase::Aborted), ("d", Phase::Failed), ("e", Phase::Aborted)]
    {
        story.check(action, phase);
        assert!(story.run.action(&name(action)).unwrap().is_finished(), "{action}");
    }
}

#[test]
fn s16_a_program_that_is_silent_is_lost_until_it_reports_again() {
    let mut story = Story::track(tracked_root(0));
    story.report("a0", 1, 0, Running).begin("b", "a0").begin("c", "a0").report("c", 1, 1, Succeeded);
    story.wait(ms(59_999)).tick("a0").check("a0", Phase::Running);
    // Any report of the run is heard.
    story.report("b", 1, 1, Running).wait(ms(59_999)).tick("a0").check("a0", Phase::Running);
    story.wait(ms(1)).tick("a0").check("a0", Phase::Failed);
    story.check("b", Phase::Failed);
    story.check("c", Phase::Succeeded);
    let lost = story.run.root().unwrap();
    assert_eq!(lost.failure().unwrap().code, code::ATTEMPT_LOST);
    assert!(lost.failure().unwrap().message.contains("for 60 s"), "{:?}", lost.failure());
    assert_eq!((lost.due(), lost.attempt()), (Some(story.now.after(TAKEN_UP_WITHIN)), Some(AttemptNo(1))));
    story.wait(ms(5000)).report("b", 1, 2, Succeeded).check("a0", Phase::Running);
    story.check("b", Phase::Succeeded);
    story.wait(SILENCE).tick("a0").wait(TAKEN_UP_WITHIN).tick("a0");
    assert!(story.run.is_finished());
    assert_eq!(story.run.root().unwrap().times().ended, Some(Timestamp(0).after(ms(184_999))), "when it was lost");
}

#[test]
fn s16_whoever_takes_up_the_run_hears_anew() {
    let mut story = Story::track(tracked_root(1));
    story.report("a0", 1, 0, Running).wait(2 * SILENCE);
    story.run.count_timers_from(story.now, story.now);
    story.tick("a0").check("a0", Phase::Running);
    assert_eq!(story.run.root().unwrap().due(), Some(story.now.after(SILENCE)));
    assert!(story.run.lost_attempts().is_empty());
    let never = ActionSpec { tracked: tracked(Some(0)), ..root() };
    assert_eq!(Story::track(never).run.root().unwrap().due(), None);
}

#[test]
fn s16_what_makes_no_sense_is_refused_with_its_reason() {
    let mut story = Story::track(tracked_root(3));
    story.report("a0", 1, 0, Running).begin("b", "a0").report("b", 1, 1, Succeeded);
    let child = |parent| Some(tracked_child(parent));
    let refused = [
        ("x", None, report(1, 0, Running), "`x` is new to the run, and its report names neither a task nor a trace"),
        ("x", child("y"), report(1, 0, Running), "action `y` is not known to the run"),
        ("x", child("x"), report(1, 0, Running), "action `x` is not known to the run"),
        ("x", child("b"), report(1, 0, Running), "the parent `b` has ended, `x` is not accepted"),
        ("b", None, report(1, 2, Running), "cannot take a report about `b`: it is SUCCEEDED"),
        ("b", None, report(2, 0, Running), "cannot take a report about `b`: it is SUCCEEDED"),
        ("a0", None, report(1, 1, Queued), "attempt 1 of `a0` cannot be QUEUED any more"),
        ("a0", None, report(1, 1, Initializing), "attempt 1 of `a0` cannot be INITIALIZING any more"),
    ];
    for (action, spec, report, reason) in refused {
        let before = story.run.clone();
        assert_eq!(story.try_report(action, spec, report).unwrap_err().to_string(), reason);
        assert_eq!(story.run, before);
    }
    story.report("a0", 1, 1, failed());
    let late = story.try_report("a0", None, report(1, 2, Succeeded)).unwrap_err();
    assert_eq!(late.to_string(), "attempt 1 of `a0` cannot be SUCCEEDED any more");
    let (by, reason) = ("ann".to_owned(), "enough".to_owned());
    for command in [
        Command::Enqueue { action: name("x"), spec: Arc::new(child_of("a0")) },
        Command::Abort { action: name("b"), by: by.clone(), reason: reason.clone() },
    ] {
        assert!(matches!(story.send(command), Err(Rejection::Tracked(_))));
    }
    story.abort("a0").check("a0", Phase::Aborted);
    assert_eq!(story.try_report("a0", None, report(2, 0, aborted())), Ok(0), "as it is recorded");
    let after = story.try_report("x", child("a0"), report(1, 0, Running)).unwrap_err();
    assert_eq!(after.to_string(), "the run has ended, `x` is not accepted");
    let mut other = Story::track(root());
    assert!(matches!(other.try_report("a0", None, report(1, 0, Running)), Err(Rejection::NotTracked(_))));
}

#[test]
fn s16_each_phase_is_followed_and_an_attempt_that_is_passed_over_is_lost() {
    let mut story = Story::track(tracked_root(9));
    let phases = [
        (1, 0, Queued, Phase::Queued),
        (1, 1, WaitingForResources, Phase::WaitingForResources),
        (1, 2, Initializing, Phase::Initializing),
        (1, 3, Running, Phase::Running),
        (3, 0, Running, Phase::Running),
        (4, 0, WaitingForResources, Phase::WaitingForResources),
        (4, 1, failed(), Phase::Failed),
        (4, 2, failed(), Phase::Failed),
        (5, 0, Initializing, Phase::Initializing),
        (5, 1, ReportedPhase::TimedOut(oops()), Phase::TimedOut),
    ];
    for (attempt, version, phase, shown) in phases {
        story.report("a0", attempt, version, phase).check("a0", shown);
    }
    let attempts = crate::history::attempts(&story.log);
    let ends: Vec<_> = attempts.iter().map(|it| (it.attempt.0, it.end.is_some(), it.reported.is_some())).collect();
    assert_eq!(ends, [(1, true, true), (3, true, true), (4, true, true), (5, true, true)]);
    assert_eq!(
        attempts[0].end.as_ref().unwrap().1,
        crate::history::AttemptEnd::Lost("its end was not reported".into())
    );
    assert_eq!(story.run, story.refold());
}

fn run_id() -> RunId {
    let (org, project, domain) = (String::new(), "p".to_owned(), "d".to_owned());
    RunId { org, project, domain, name: RunName::new("local-1").unwrap() }
}

#[test]
fn s16_a_tracked_run_has_the_spans_of_any_run() {
    let mut story = Story::track(tracked_root(1));
    let step = ActionSpec { tracked: tracked(None), ..ActionSpec::step("load", ActionName::ROOT) };
    story.wait(ms(1)).report("a0", 1, 0, Running).wait(ms(1));
    story.try_report("s", Some(step), Report { cache: CacheReport::Hit, ..report(1, 0, Running) }).unwrap();
    story.wait(ms(5)).report("s", 1, 1, Succeeded).wait(ms(1)).report("a0", 1, 1, failed());
    story.wait(ms(500)).report("a0", 2, 0, Running).wait(ms(3)).report("a0", 2, 1, Succeeded);
    let mut lifecycle = Lifecycle::new(run_id(), RunTrace::default());
    story.log.iter().for_each(|event| lifecycle.apply(event));
    let mut spans: Vec<_> =
        lifecycle.take().into_iter().map(|span| (span.part, span.start.0 / 1000, span.end.0 / 1000)).collect();
    spans.sort_unstable_by_key(|(part, start, end)| (*start, *end, part.as_str()));
    let expected = [
        (Part::Queued, 0, 1),
        (Part::Action, 0, 511),
        (Part::Run, 0, 511),
        (Part::Attempt, 1, 8),
        (Part::Step, 2, 7),
        (Part::Backoff, 8, 508),
        (Part::Attempt, 508, 511),
    ];
    assert_eq!(spans, expected);
    assert!(lifecycle.is_ended());
}

fn any_phase() -> impl Strategy<Value = ReportedPhase> {
    prop_oneof![
        1 => Just(Queued),
        1 => Just(WaitingForResources),
        1 => Just(Initializing),
        4 => Just(Running),
        2 => Just(Succeeded),
        3 => Just(failed()),
        1 => Just(ReportedPhase::TimedOut(oops())),
        1 => Just(aborted()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is reported, in whatever order and however often: the fold is the state, an end is final, nothing takes up a slot, and what was
    /// reported twice is as if it was reported once.
    #[test]
    fn s16_any_reports(
        reports in prop::collection::vec((0usize..4, 0usize..4, 1u32..4, 0u32..5, any_phase(), 0u64..90_000, any::<bool>()), 0..60)
    ) {
        const NAMES: [&str; 4] = ["a0", "b", "c", "d"];
        let mut story = Story::track(tracked_root(2));
        for (of, parent, attempt, version, phase, pause, is_step) in reports {
            story.wait(ms(pause / 10)).tick("a0");
            let ended: Vec<ActionName> =
                story.run.actions().filter(|(_, action)| action.is_finished()).map(|(name, _)| *name).collect();
            let spec = (of > 0).then(|| ActionSpec {
                kind: if is_step { ActionKind::Step } else { ActionKind::Task },
                ..tracked_child(NAMES[parent])
            });
            let report = Report { at: story.now, ..report(attempt, version, phase) };
            let first = story.try_report(NAMES[of], spec.clone(), report.clone());
            let (after, doubled) = (story.run.clone(), story.try_report(NAMES[of], spec, report));
            prop_assert!(first.is_err() || doubled == Ok(0), "{doubled:?}");
            prop_assert_eq!(&after, &story.run);
            prop_assert!(ended.iter().all(|name| story.run.action(name).is_some_and(|action| action.is_finished())));
            prop_assert_eq!(story.run.occupied(), 0);
        }
        prop_assert_eq!(&story.refold(), &story.run);
        for (_, action) in story.run.actions() {
            let live = action.children().iter().filter_map(|child| story.run.action(child));
            let live = live.filter(|child| !child.is_finished() && child.spec.kind == ActionKind::Task).count();
            prop_assert_eq!(action.live_children() as usize, live);
            prop_assert!(!story.run.is_finished() || action.is_finished());
        }
        let mut lifecycle = Lifecycle::new(run_id(), RunTrace::default());
        story.log.iter().for_each(|event| lifecycle.apply(event));
        prop_assert_eq!(lifecycle.is_ended(), story.run.is_finished());
        let spans = lifecycle.take();
        let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| span.context.span).collect();
        prop_assert_eq!(ids.len(), spans.len());
    }
}
