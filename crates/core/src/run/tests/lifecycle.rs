//! The spans of stories: what the span table says, and what must hold for every story.

use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::event::Lookup;
use crate::lifecycle::{Lifecycle, Part, RunTrace, Span, Status, TraceLevel};
use crate::trace::TraceParent;
use crate::trigger::Firing;
use crate::{RunId, RunName, Source};

fn run_id() -> RunId {
    RunId { org: "acme".into(), project: "p".into(), domain: "d".into(), name: RunName::new("r1").unwrap() }
}

fn traced() -> RunTrace {
    RunTrace { level: TraceLevel::Lifecycle, sampled: true, ..RunTrace::default() }
}

fn caller() -> TraceParent {
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03".parse().unwrap()
}

pub(super) fn spans(story: &Story) -> Vec<Span> {
    let mut lifecycle = Lifecycle::new(run_id(), traced());
    story.log.iter().for_each(|event| lifecycle.apply(event));
    lifecycle.take()
}

fn of<'a>(spans: &'a [Span], action: &str, part: Part) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.action == name(action) && span.part == part).collect()
}

pub(super) fn one<'a>(spans: &'a [Span], action: &str, part: Part) -> &'a Span {
    match of(spans, action, part)[..] {
        [span] => span,
        ref other => panic!("one {part:?} of {action} is expected, not {}", other.len()),
    }
}

pub(super) fn detail(span: &Span, key: &str) -> String {
    let found = span.attributes().find(|(known, _)| *known == key);
    let value = found.unwrap_or_else(|| panic!("{key} of {span:?}")).1;
    value.as_text().map_or_else(|| format!("{value:?}"), str::to_owned)
}

/// What holds for the spans of any story: ids differ, each ended action has its span, and its parts cover it exactly.
pub(super) fn check(story: &Story) {
    let all = spans(story);
    let ids: HashSet<_> = all.iter().map(|span| span.context.span).collect();
    assert_eq!(ids.len(), all.len(), "{all:#?}");
    for (action, known) in story.run.actions().filter(|(name, action)| is_action(name, action)) {
        let own: Vec<&Span> = all.iter().filter(|span| span.action == *action).collect();
        let ended = own.iter().filter(|span| span.part == Part::Action).collect::<Vec<_>>();
        assert_eq!(ended.len(), usize::from(known.is_finished()), "{action}");
        let [span] = ended[..] else { continue };
        let mut parts: Vec<&&Span> = own
            .iter()
            .filter(|span| {
                matches!(span.part, Part::Queued | Part::Lookup | Part::Attempt | Part::Backoff | Part::Wait)
            })
            .filter(|part| part.end > part.start)
            .collect();
        parts.sort_by_key(|part| part.start);
        let mut reached = span.start;
        for part in parts {
            assert_eq!(part.start, reached, "{action}: {all:#?}");
            assert_eq!(part.parent, Some(span.context.span));
            reached = part.end;
        }
        assert_eq!(reached, span.end, "{action}: {:#?}", story.log);
    }
    split_anywhere_is_the_same(story, &all);
}

/// True for what has a span as an action: whatever is not only waited for.
fn is_action(name: &ActionName, action: &crate::Action) -> bool {
    action.spec.kind == ActionKind::Task || (name.is_root() && action.spec.kind != ActionKind::Step)
}

/// An export that was interrupted goes on with the same spans.
fn split_anywhere_is_the_same(story: &Story, all: &[Span]) {
    let mut lifecycle = Lifecycle::new(run_id(), traced());
    let mut again = Vec::new();
    for event in &story.log {
        lifecycle.apply(event);
        again.extend(lifecycle.take());
    }
    assert_eq!(again, all);
    let open: BTreeMap<_, _> = story.run.actions().filter(|(name, action)| is_action(name, action)).collect();
    let live = open.values().filter(|known| !known.is_finished()).count();
    let until = lifecycle.open_until(story.now);
    assert_eq!(until.iter().filter(|span| span.part == Part::Action).count(), live);
}

#[test]
fn s11_4_the_run_of_a_slot_says_what_has_fired_it_and_when_it_was_due() {
    let mut story = Story::new();
    story.enqueue("a0", root());
    story.wait(ms(2)).start("a0");
    story.wait(ms(1)).succeed("a0");
    let fired = |firing: Option<Firing>| {
        let mut lifecycle = Lifecycle::new(run_id(), traced()).fired_by(firing);
        story.log.iter().for_each(|event| lifecycle.apply(event));
        one(&lifecycle.take(), "a0", Part::Run).clone()
    };
    let of_slot = Firing {
        version: None,
        trigger: "daily".to_owned(),
        revision: 2,
        scheduled_at: Some(Timestamp(1_774_746_000_000_000)),
        late_ms: Some(1500),
        deployed_by: Some(caller()),
        previous: Some(Lifecycle::run_span(&run_id(), None)),
    };
    let run = fired(Some(of_slot.clone()));
    assert_eq!(detail(&run, "spanwise.trigger.name"), "daily");
    assert_eq!(detail(&run, "spanwise.scheduled_at"), "2026-03-29T01:00:00Z");
    assert_eq!(detail(&run, "spanwise.late_ms"), "Int(1500)");
    let links: Vec<_> = run.links.iter().map(|link| (link.why, link.to)).collect();
    assert_eq!(links, [("deploy", caller()), ("previous firing", Lifecycle::run_span(&run_id(), None))]);
    let by_request = Firing { scheduled_at: None, late_ms: None, deployed_by: None, previous: None, ..of_slot };
    let run = fired(Some(by_request));
    assert!(run.links.is_empty() && run.attributes().all(|(key, _)| key != "spanwise.scheduled_at"));
    assert!(fired(None).attributes().all(|(key, _)| !key.starts_with("spanwise.trigger")));
}

#[test]
fn t3_a_retried_child_under_its_callers_span() {
    let mut story = Story::new();
    story.enqueue("a0", ActionSpec { traceparent: Some(caller()), ..root() });
    story.wait(ms(2)).start("a0");
    let main = Lifecycle::attempt_span(&run_id(), caller(), &name("a0"), AttemptNo(1));
    let backoff = Some(Backoff::constant(ms(10)));
    let retry = RetryPolicy { retries: 1, backoff };
    story.wait(ms(1)).enqueue("c", ActionSpec { traceparent: Some(main), retry, ..child_of("a0") });
    story.wait(ms(1)).start("c");
    story.wait(ms(5)).fail("c", oops());
    story.wait(ms(10)).tick("c");
    story.wait(ms(1)).send(Command::Launch { action: name("c") }).unwrap();
    let attempt = story.attempt("c");
    story.wait(ms(3)).send(Command::ReportStarted { action: name("c"), attempt }).unwrap();
    story.wait(ms(4)).succeed("c");
    story.wait(ms(1)).succeed("a0");
    check(&story);
    let spans = spans(&story);

    let run = one(&spans, "a0", Part::Run);
    assert_eq!((&*run.name, run.parent, &run.status), ("RUN env.main", Some(caller().span), &Status::Ok));
    assert_eq!((run.context.trace, run.context.flags), (caller().trace, 3));
    let action = one(&spans, "a0", Part::Action);
    assert_eq!(action.parent, Some(run.context.span));
    assert_eq!(one(&spans, "a0", Part::Attempt).context, main);
    let child = one(&spans, "c", Part::Action);
    assert_eq!((&*child.name, child.parent), ("env.child", Some(main.span)));
    let [first, second] = of(&spans, "c", Part::Attempt)[..] else { panic!("two attempts") };
    assert_eq!((&*first.name, &*second.name), ("attempt 1", "attempt 2"));
    assert_eq!(first.status, Status::Error("it broke".into()));
    assert_eq!(detail(first, "error.type"), "Oops");
    assert_eq!(first.moments[0].name, "exception");
    assert_eq!(second.links[0].to, first.context);
    let pause = one(&spans, "c", Part::Backoff);
    assert_eq!(pause.links[0].to, second.context);
    assert_eq!(pause.end.since(pause.start), ms(10));
    let starting = one(&spans, "c", Part::Starting);
    assert_eq!((starting.parent, starting.end.since(starting.start)), (Some(second.context.span), ms(3)));
    assert_eq!(of(&spans, "c", Part::Queued).len(), 2);
    assert_eq!(detail(child, "flyte.run_name"), "r1");
    assert_eq!(detail(second, "flyte.attempt"), "Int(2)");
}

#[test]
fn s2_a_run_without_a_caller_has_the_derived_trace() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    story.wait(ms(1)).succeed("a0");
    let spans = spans(&story);
    let run = one(&spans, "a0", Part::Run);
    assert_eq!(run.parent, None);
    assert_eq!(run.context.trace, crate::trace::derived_trace_id(&run_id()));
}

#[test]
fn s5_a_hit_links_to_who_made_the_outputs_and_a_wait_to_whom_it_waited_for() {
    let mut story = Story::new();
    let policy = crate::CachePolicy { key: "k".into(), overwrite: false, serialize: true, max_age_seconds: None };
    story.enqueue("a0", ActionSpec { cache: Some(policy.clone()), ..root() });
    let (producer, other) = (caller(), caller().at(crate::trace::SpanId([9; 8])));
    let lookup = Lookup { asked_at: story.wait(ms(2)).now, waited_for: Some(other), producer: Some(producer) };
    let source = Source::Cache { run: "r0".into(), scope: None, action: ActionName::ROOT, attempt: AttemptNo(1) };
    story.wait(ms(5));
    story.send(Command::Reuse { action: name("a0"), source, lookup: Some(lookup) }).unwrap();
    check(&story);
    let spans = spans(&story);
    let lookup = one(&spans, "a0", Part::Lookup);
    let links: Vec<_> = lookup.links.iter().map(|link| (link.why, link.to)).collect();
    assert_eq!(links, [("waited for", other), ("producer", producer)]);
    assert_eq!(detail(lookup, "spanwise.cache.status"), "hit");
    assert_eq!(lookup.end.since(lookup.start), ms(5));
    let action = one(&spans, "a0", Part::Action);
    assert_eq!(detail(action, "spanwise.reused.run"), "r0");
    assert_eq!(action.status, Status::Ok);
    assert!(!action.details.iter().any(|(key, _)| *key == "spanwise.reused.project"));
}

#[test]
fn s5_a_hit_of_another_project_says_where_the_outputs_come_from() {
    let mut story = Story::new();
    story.enqueue("a0", root()).wait(ms(1));
    let (org, project, domain) = (String::new(), "q".to_owned(), "staging".to_owned());
    let scope = Some(Box::new(crate::Scope { org, project, domain }));
    let source = Source::Cache { run: "r0".into(), scope, action: ActionName::ROOT, attempt: AttemptNo(1) };
    story.send(Command::Reuse { action: name("a0"), source, lookup: None }).unwrap();
    check(&story);
    let spans = spans(&story);
    let action = one(&spans, "a0", Part::Action);
    for (key, value) in [("run", "r0"), ("org", ""), ("project", "q"), ("domain", "staging")] {
        assert_eq!(detail(action, &format!("spanwise.reused.{key}")), value);
    }
}

#[test]
fn a_lost_attempt_an_abort_and_steps_that_are_kept() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    let record = |story: &mut Story, outcome| {
        let (action, spec) = (name("s"), Arc::new(ActionSpec::step("load", name("a0"))));
        let started = story.now;
        story.wait(ms(3));
        story.send(Command::RecordStep { action, spec, started, outcome, observed: false }).unwrap();
    };
    record(&mut story, StepOutcome::Failed(oops()));
    record(&mut story, StepOutcome::Succeeded);
    story.wait(ms(1)).lose("a0");
    story.wait(ms(1)).start("a0");
    story.wait(ms(1)).enqueue("w", ActionSpec::condition("approve", name("a0")));
    let signal = Command::Signal { action: name("w"), by: "ann".into(), from: Some(caller()) };
    story.wait(ms(1)).send(signal).unwrap();
    story.wait(ms(1)).abort("a0");
    check(&story);
    let spans = spans(&story);
    let [lost, aborted] = of(&spans, "a0", Part::Attempt)[..] else { panic!("two attempts") };
    assert_eq!(detail(lost, "error.type"), "AttemptLost");
    assert_eq!(detail(aborted, "spanwise.attempt.result"), "cancellation");
    assert_eq!(aborted.status, Status::Unset);
    assert_eq!(aborted.moments[0].name, "recorded step");
    let [failed, done] = of(&spans, "s", Part::Step)[..] else { panic!("two steps") };
    assert_eq!((failed.parent, done.parent), (Some(lost.context.span), Some(lost.context.span)));
    assert_eq!((&failed.status, &done.status), (&Status::Error("it broke".into()), &Status::Ok));
    assert_eq!(done.end.since(done.start), ms(3));
    let wait = one(&spans, "w", Part::Wait);
    assert_eq!((&*wait.name, wait.parent), ("wait approve", Some(aborted.context.span)));
    assert_eq!(wait.links[0].to, caller());
    assert_eq!(detail(wait, "spanwise.signal.by"), "ann");
    let run = one(&spans, "a0", Part::Run);
    assert_eq!(detail(run, "cicd.pipeline.result"), "cancellation");
    assert_eq!(run.status, Status::Unset);
}

#[test]
fn a_child_of_another_trace_stays_there_and_an_unrecorded_one_is_under_its_callers_attempt() {
    let mut story = Story::new();
    story.enqueue("a0", root()).start("a0");
    let foreign = ActionSpec { traceparent: Some(caller()), ..child_of("a0") };
    let unrecorded = TraceParent { flags: 2, ..Lifecycle::run_span(&run_id(), None).at(crate::trace::SpanId([7; 8])) };
    story.wait(ms(1)).enqueue("f", foreign);
    story.enqueue("u", ActionSpec { traceparent: Some(unrecorded), ..child_of("a0") });
    story.wait(ms(1)).succeed("a0");
    let spans = spans(&story);
    let attempt = one(&spans, "a0", Part::Attempt).context;
    let foreign = one(&spans, "f", Part::Action);
    assert_eq!((foreign.context.trace, foreign.parent), (caller().trace, Some(caller().span)));
    assert_eq!(foreign.links[0].to, attempt);
    let unrecorded = one(&spans, "u", Part::Action);
    assert_eq!((unrecorded.context.trace, unrecorded.parent), (attempt.trace, Some(attempt.span)));
}

#[test]
fn s14_4_a_wait_says_which_pool_was_full_and_links_to_who_had_it() {
    let mut story = Story::with_limits(RunLimits { max_action_concurrency: Some(2) });
    story.enqueue("a0", root()).start("a0");
    let elsewhere: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01".parse().unwrap();
    for (action, parent) in [("a1", "a0"), ("a2", "a0"), ("a3", "a0")] {
        story.enqueue(action, child_of(parent));
        if action == "a1" {
            let wait =
                crate::Wait { pool: "gpu 1 of 1".to_owned(), holders: vec![elsewhere], ..crate::Wait::default() };
            story.send(Command::Hold { action: name("a1"), wait: Some(wait) }).unwrap();
            story.wait(ms(5));
        }
        if action != "a3" {
            story.start(action);
        }
    }
    story.wait(ms(5)).succeed("a1").start("a3");
    story.succeed("a2").succeed("a3").succeed("a0");
    check(&story);
    let spans = spans(&story);
    let waits = |action| {
        let span = one(&spans, action, Part::Queued);
        assert!(span.links.iter().all(|link| link.why == "waited for"));
        (detail(span, "spanwise.queued.pool"), span.links.iter().map(|link| link.to).collect::<Vec<_>>())
    };
    let attempt = |action| one(&spans, action, Part::Attempt).context;
    assert_eq!(waits("a1"), ("gpu 1 of 1".to_owned(), vec![elsewhere]));
    // The parent is no longer among them: it waits for its children.
    assert_eq!(waits("a3"), ("run 2 of 2".to_owned(), vec![attempt("a1"), attempt("a2")]));
}
