//! Runs whose critical path is known, and the invariant on spans of every kind.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::RunId;
use crate::lifecycle::{Status, run_attributes};
use crate::trace::{SpanId, TraceId, TraceParent};

fn span(part: Part, action: &str, caller: Option<&str>, attempt: Option<u32>, start: i64, end: i64) -> Span {
    let name = |text: &str| ActionName::new(text).unwrap();
    let run =
        RunId { org: String::new(), project: "p".into(), domain: "d".into(), name: crate::RunName::new("r").unwrap() };
    Span {
        shared: run_attributes(&run),
        run: Arc::new(run),
        part,
        context: TraceParent { trace: TraceId([1; 16]), span: SpanId([1; 8]), flags: 1 },
        state: None,
        parent: None,
        name: "span".into(),
        action: name(action),
        caller: caller.map(name),
        task: format!("env.{action}").as_str().into(),
        attempt: attempt.map(AttemptNo),
        start: Timestamp(start),
        end: Timestamp(end.max(start)),
        status: Status::Unset,
        details: vec![("spanwise.attempt.result", Value::from("success"))],
        moments: Vec::new(),
        links: Vec::new(),
    }
}

fn told(explanation: &Explanation, spans: &[Span]) -> Vec<(Use, String, i64, i64)> {
    let stretch = |s: &Stretch| (s.used_for, spans[s.span].action.to_string(), s.from.0, s.to.0);
    explanation.path.iter().map(stretch).collect()
}

fn is_exact(explanation: &Explanation, spans: &[Span]) {
    let run = spans.iter().find(|span| span.part == Part::Run).unwrap();
    let mut cursor = run.start;
    for stretch in &explanation.path {
        assert_eq!(stretch.from, cursor);
        assert!(stretch.to > stretch.from);
        cursor = stretch.to;
    }
    assert_eq!(cursor, run.end);
    assert_eq!(explanation.wall, run.end.since(run.start));
    assert_eq!(explanation.shares.iter().map(|share| share.time).sum::<Duration>(), explanation.wall);
    assert!(explanation.retried <= explanation.wall);
}

/// A root that starts two children and a condition, one child with a retry.
fn family() -> Vec<Span> {
    vec![
        span(Part::Run, "a0", None, None, 0, 1000),
        span(Part::Action, "a0", None, None, 0, 1000),
        span(Part::Queued, "a0", None, None, 0, 10),
        span(Part::Attempt, "a0", None, Some(1), 10, 990),
        span(Part::Starting, "a0", None, Some(1), 10, 50),
        span(Part::Action, "short", Some("a0"), None, 60, 200),
        span(Part::Attempt, "short", None, Some(1), 60, 200),
        span(Part::Action, "long", Some("a0"), None, 70, 700),
        span(Part::Queued, "long", None, None, 70, 80),
        span(Part::Attempt, "long", None, Some(1), 80, 300),
        span(Part::Backoff, "long", None, None, 300, 400),
        span(Part::Queued, "long", None, None, 400, 410),
        span(Part::Attempt, "long", None, Some(2), 410, 690),
        span(Part::Wait, "gate", Some("a0"), None, 800, 900),
        span(Part::Action, "left", Some("a0"), None, 600, 995),
    ]
}

#[test]
fn the_path_goes_through_what_ended_last() {
    let spans = family();
    let explanation = explain(&spans);
    is_exact(&explanation, &spans);
    let expected = [
        (Use::Queue, "a0", 0, 10),
        (Use::StartUp, "a0", 10, 50),
        (Use::Code, "a0", 50, 60),
        (Use::Code, "short", 60, 70),
        (Use::Queue, "long", 70, 80),
        (Use::Code, "long", 80, 300),
        (Use::Backoff, "long", 300, 400),
        (Use::Queue, "long", 400, 410),
        (Use::Code, "long", 410, 690),
        (Use::Engine, "long", 690, 700),
        (Use::Code, "a0", 700, 800),
        (Use::Waiting, "gate", 800, 900),
        (Use::Code, "a0", 900, 990),
        (Use::Engine, "a0", 990, 1000),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(used_for, a, from, to)| (*used_for, (*a).to_owned(), *from, *to)).collect();
    assert_eq!(told(&explanation, &spans), expected);
    assert_eq!(explanation.retried, Duration::from_micros(320));
    let code = &explanation.shares[0];
    assert_eq!((code.used_for, code.time), (Use::Code, Duration::from_micros(710)));
    let named: Vec<_> = code.largest.iter().map(|who| (who.task.as_str(), who.time.as_micros())).collect();
    assert_eq!(named, [("env.long", 500), ("env.a0", 200), ("env.short", 10)]);
}

#[test]
fn an_attempt_that_was_never_heard_of_was_starting() {
    let mut lost = span(Part::Attempt, "a0", None, Some(1), 0, 10);
    lost.details = vec![("spanwise.attempt.result", Value::from("error"))];
    let spans = [span(Part::Run, "a0", None, None, 0, 10), span(Part::Action, "a0", None, None, 0, 10), lost];
    assert_eq!(told(&explain(&spans), &spans), [(Use::StartUp, "a0".to_owned(), 0, 10)]);
}

#[test]
fn children_go_on_under_the_next_attempt() {
    let spans = [
        span(Part::Run, "a0", None, None, 0, 100),
        span(Part::Action, "a0", None, None, 0, 100),
        span(Part::Attempt, "a0", None, Some(1), 0, 40),
        span(Part::Attempt, "a0", None, Some(2), 40, 100),
        span(Part::Action, "c", Some("a0"), None, 20, 90),
        span(Part::Attempt, "c", None, Some(1), 20, 90),
    ];
    let expected = [(Use::Code, "a0", 0, 40), (Use::Code, "c", 40, 90), (Use::Code, "a0", 90, 100)];
    let expected: Vec<_> =
        expected.iter().map(|(used_for, a, from, to)| (*used_for, (*a).to_owned(), *from, *to)).collect();
    assert_eq!(told(&explain(&spans), &spans), expected);
}

#[test]
fn nothing_is_explained_without_a_run_and_depth_is_no_trouble() {
    assert_eq!(explain(&[]), Explanation::default());
    let mut spans = vec![span(Part::Run, "a0", None, None, 0, 100_000)];
    for level in 0..50_000i64 {
        let (name, caller) = (format!("a{level}"), format!("a{}", level - 1));
        let caller = (level > 0).then_some(caller.as_str());
        spans.push(span(Part::Action, &name, caller, None, level, 100_000));
        spans.push(span(Part::Attempt, &name, None, Some(1), level, 100_000));
    }
    let explanation = explain(&spans);
    is_exact(&explanation, &spans);
    assert_eq!(explanation.path.len(), 50_000);
}

fn any_span() -> impl Strategy<Value = Span> {
    let parts = [
        Part::Action,
        Part::Queued,
        Part::Lookup,
        Part::Attempt,
        Part::Starting,
        Part::Step,
        Part::Backoff,
        Part::Wait,
    ];
    let caller = prop_oneof![Just(None), (0..5u8).prop_map(Some)];
    (prop::sample::select(parts.to_vec()), 0..5u8, caller, prop::option::of(1..4u32), -20..120i64, -20..120i64)
        .prop_map(|(part, action, caller, attempt, start, end)| {
            let caller = caller.map(|caller| format!("a{caller}"));
            span(part, &format!("a{action}"), caller.as_deref(), attempt, start, end)
        })
}

proptest! {
    #[test]
    fn stretches_add_up_to_the_wall_time_whatever_the_spans_are(
        mut spans in prop::collection::vec(any_span(), 0..60),
        end in 0..100i64,
    ) {
        spans.push(span(Part::Run, "a0", None, None, 0, end));
        is_exact(&explain(&spans), &spans);
    }
}
