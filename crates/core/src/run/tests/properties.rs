//! What must hold for every sequence of commands, sensible or not.

use proptest::prelude::*;
use std::sync::Arc;

use super::*;
use crate::{FailureKind, Source, Wake};

const NAMES: [&str; 6] = ["a0", "b", "c", "d", "e", "f"];

fn any_name() -> impl Strategy<Value = ActionName> {
    (0..NAMES.len()).prop_map(|index| name(NAMES[index]))
}

fn any_failure() -> impl Strategy<Value = Failure> {
    (any::<bool>(), any::<bool>()).prop_map(|(system, recoverable)| Failure {
        kind: if system { FailureKind::System } else { FailureKind::User },
        recoverable,
        ..oops()
    })
}

fn any_limit() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![Just(None), (0u64..40).prop_map(|millis| Some(ms(millis)))]
}

fn any_spec() -> impl Strategy<Value = ActionSpec> {
    let backoff = prop_oneof![
        Just(None),
        (0u64..30, 1.0f64..3.0).prop_map(|(base, factor)| Some(Backoff { base: ms(base), factor, cap: Some(ms(50)) }))
    ];
    let timeouts = (any_limit(), any_limit(), any_limit())
        .prop_map(|(max_runtime, max_queued_time, deadline)| Timeouts { max_runtime, max_queued_time, deadline });
    let kind = prop_oneof![4 => Just(ActionKind::Task), 1 => Just(ActionKind::Condition), 1 => Just(ActionKind::Timer)];
    let wake = (0u64..60, 0i64..60_000, any::<bool>()).prop_map(|(length, clock, moment)| {
        if moment { Wake::at(Timestamp(clock)) } else { Wake::after(ms(length), Timestamp(clock)) }
    });
    (any_name(), kind, wake, 0u32..4, backoff, timeouts).prop_map(|(parent, kind, wake, retries, backoff, timeouts)| {
        ActionSpec {
            parent: Some(parent),
            kind,
            wake: (kind == ActionKind::Timer).then_some(wake),
            retry: RetryPolicy { retries, backoff },
            timeouts,
            ..ActionSpec::task("env.child")
        }
    })
}

fn any_source() -> impl Strategy<Value = Source> {
    (any_name(), any::<bool>()).prop_map(|(action, recovery)| {
        let (run, attempt) = ("earlier".to_owned(), AttemptNo(1));
        if recovery { Source::Recovery { run, attempt } } else { Source::Cache { run, scope: None, action, attempt } }
    })
}

fn any_lookup() -> impl Strategy<Value = Lookup> {
    (0i64..200_000).prop_map(|at| Lookup { asked_at: Timestamp(at), ..Lookup::default() })
}

#[derive(Clone, Debug)]
enum Move {
    Send(Box<Command>),
    Wait(u64),
}

fn send(command: Command) -> Move {
    Move::Send(Box::new(command))
}

fn any_move() -> impl Strategy<Value = Move> {
    let attempt = (1u32..6).prop_map(AttemptNo);
    prop_oneof![
        1 => (0u64..30).prop_map(Move::Wait),
        3 => (any_name(), any_spec()).prop_map(|(action, mut spec)| {
            if action.is_root() || spec.parent == Some(action) {
                spec.parent = None;
                spec.kind = if spec.kind == ActionKind::Timer { ActionKind::Timer } else { ActionKind::Task };
            }
            send(Command::Enqueue { action, spec: Arc::new(spec) })
        }),
        4 => any_name().prop_map(|action| send(Command::Launch { action })),
        3 => (any_name(), attempt.clone())
            .prop_map(|(action, attempt)| send(Command::ReportStarted { action, attempt })),
        1 => (any_name(), attempt.clone())
            .prop_map(|(action, attempt)| send(Command::ReportSucceeded { action, attempt })),
        3 => (any_name(), attempt.clone(), any_failure())
            .prop_map(|(action, attempt, failure)| send(Command::ReportFailed { action, attempt, failure })),
        1 => (any_name(), attempt.clone(), any::<bool>()).prop_map(|(action, attempt, blamed)| {
            send(Command::ReportLost { action, attempt, reason: "killed".to_owned(), blamed })
        }),
        1 => (any_name(), attempt).prop_map(|(action, attempt)| send(Command::Release { action, attempt })),
        2 => (any_name(), 0i64..200_000)
            .prop_map(|(action, clock)| send(Command::Tick { action, clock: Timestamp(clock) })),
        1 => any_name().prop_map(|action| send(Command::Hold { action, wait: None })),
        1 => (any_name(), any_source(), any_lookup()).prop_map(|(action, source, lookup)| {
            send(Command::Reuse { action, source, lookup: Some(lookup) })
        }),
        1 => (any_name(), any_lookup()).prop_map(|(action, lookup)| send(Command::Miss { action, lookup })),
        1 => any_name().prop_map(|action| {
            send(Command::Signal { action, by: "ann".to_owned(), from: None })
        }),
        1 => any_name().prop_map(|action| {
            send(Command::Abort { action, by: "ann".to_owned(), reason: "enough".to_owned() })
        }),
        1 => (any_name(), prop_oneof![Just(name("step")), any_name()], prop_oneof![
                Just(StepOutcome::Succeeded),
                any_failure().prop_map(StepOutcome::Failed)
            ]).prop_map(|(parent, action, outcome)| send(Command::RecordStep {
                action,
                spec: Arc::new(ActionSpec::step("load", parent)),
                started: Timestamp(0),
                outcome,
                observed: false,
            })),
    ]
}

fn any_limits() -> impl Strategy<Value = RunLimits> {
    prop_oneof![Just(None), (2u32..4).prop_map(Some)]
        .prop_map(|max_action_concurrency| RunLimits { max_action_concurrency })
}

fn any_story() -> impl Strategy<Value = (RunLimits, Vec<Move>)> {
    (any_limits(), prop::collection::vec(any_move(), 0..120))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_story_keeps_the_invariants((limits, moves) in any_story()) {
        let mut story = Story::with_limits(limits);
        for step in moves {
            let command = match step {
                Move::Wait(millis) => { story.wait(ms(millis)); continue }
                Move::Send(command) => *command,
            };
            let before = story.run.clone();
            prop_assert_eq!(before.decide(&command, story.now), before.decide(&command, story.now));
            let _ = story.send(command);
            ends_are_final(&before, &story.run)?;
            attempts_are_bounded(&story)?;
            nothing_owed_is_lost(&story.run)?;
            places_are_counted(&story.run)?;
            nothing_under_an_ended_root_lives(&story.run)?;
        }
        prop_assert_eq!(&story.refold(), &story.run);
        super::lifecycle::check(&story);
    }

    #[test]
    fn stored_facts_read_back((_, moves) in any_story()) {
        let mut story = Story::new();
        for step in moves {
            if let Move::Send(command) = step { let _ = story.send(*command); }
        }
        for event in &story.log {
            let stored = serde_json::to_string(&event.fact).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Fact>(&stored).unwrap(), &event.fact);
        }
    }
}

fn ends_are_final(before: &Run, after: &Run) -> Result<(), TestCaseError> {
    for (name, action) in before.actions() {
        let may_change = action.spec.kind == ActionKind::Step
            && matches!(action.end(), Some(End::Failed(failure)) if failure.recoverable);
        if action.is_finished() && !may_change {
            prop_assert_eq!(action.end(), after.action(name).unwrap().end());
        }
    }
    Ok(())
}

/// Attempts are paid for by a retry, by the system's budget, or given back by an executor.
fn attempts_are_bounded(story: &Story) -> Result<(), TestCaseError> {
    for (name, action) in story.run.actions() {
        let count = |wanted: fn(&Fact) -> bool| {
            story.log.iter().filter(|event| event.action == *name && wanted(&event.fact)).count() as u32
        };
        let free = count(|fact| {
            matches!(fact, Fact::AttemptReleased { .. } | Fact::AttemptLost { .. })
                || matches!(fact, Fact::AttemptFailed { failure, .. } if failure.kind == FailureKind::System)
        });
        prop_assert!(action.failures <= action.spec.retry.retries + 1);
        prop_assert!(action.attempts <= action.spec.retry.retries + 1 + free);
        prop_assert!(action.system_failures <= SYSTEM_FAILURE_BUDGET);
    }
    Ok(())
}

/// Whatever is not at its end has a driver that launches it, has an attempt under way, a timer or a signal to wait for, or waits for
/// its turn behind others of which the same is true.
fn nothing_owed_is_lost(run: &Run) -> Result<(), TestCaseError> {
    for (name, action) in run.actions() {
        let queued = matches!(action.state, State::Queued { .. });
        match next(run, name) {
            Next::Finished(end) => prop_assert_eq!(Some(&end), action.end()),
            Next::Sleep { due, .. } => {
                prop_assert_eq!(due, action.due());
                let is_asleep = matches!(action.state, State::Asleep { .. });
                prop_assert!(is_asleep);
            }
            Next::Launch { attempt } => prop_assert!(queued && attempt.0 == action.attempts + 1),
            Next::Wait { due } => {
                prop_assert_eq!(due, action.due());
                if queued {
                    prop_assert!(run.queue.values().any(|queued| queued == name));
                    let is_launched = |other| matches!(next(run, other), Next::Launch { .. });
                    prop_assert!(run.occupied() > 0 || run.queue.values().any(is_launched));
                } else {
                    let ends_otherwise = action.attempt().is_some() || action.state == State::Paused;
                    prop_assert!(ends_otherwise || due.is_some(), "{:?}", action.state);
                }
            }
            other => prop_assert!(false, "{name}: {other:?}"),
        }
        prop_assert_ne!(&action.state, &State::Judged);
    }
    Ok(())
}

fn nothing_under_an_ended_root_lives(run: &Run) -> Result<(), TestCaseError> {
    let parent_of = |name: &ActionName| run.action(name).and_then(|action| action.spec.parent);
    let is_under_root =
        |name: &ActionName| std::iter::successors(parent_of(name), parent_of).any(|name| name.is_root());
    if run.is_finished() {
        for (name, action) in run.actions().filter(|(name, _)| is_under_root(name)) {
            prop_assert!(action.is_finished(), "{name} is {}", action.phase());
        }
    }
    Ok(())
}

fn places_are_counted(run: &Run) -> Result<(), TestCaseError> {
    let occupied = run.actions().filter(|(_, action)| action.occupies_slot()).count();
    prop_assert_eq!(run.occupied() as usize, occupied);
    for (name, action) in run.actions() {
        let is_live_child = |child: &&Action| child.spec.parent == Some(*name) && !child.is_finished();
        let live = run.actions().map(|(_, child)| child).filter(is_live_child).count();
        prop_assert_eq!(action.live_children() as usize, live);
    }
    Ok(())
}
