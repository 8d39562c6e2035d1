//! Whatever is received has its place in every view, or is counted; and whoever is not of the run moves nothing of it.

use std::collections::{HashMap, HashSet};

use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span as UserSpan;
use proptest::prelude::*;
use spanwise_core::RunName;
use spanwise_core::lifecycle::Status;
use spanwise_core::trace::{TraceId, TraceParent};

use super::*;
use crate::trace::{jaeger, otlp, tree};

/// The time of the run: two seconds.
pub(crate) const BEGIN: i64 = 1_700_000_000_000_000;
const END: i64 = BEGIN + 2_000_000;

/// Ids of lifecycle spans.
const RUN: u64 = 0xA000;
const ROOT: u64 = 0xA001;
const ROOT_ATTEMPT: u64 = 0xA002;
const CHILD: u64 = 0xA003;
const CHILD_ATTEMPT: u64 = 0xA004;
const CALLER: u64 = 0xCA11;

pub(crate) fn run_id() -> RunId {
    RunId { org: String::new(), project: "p".to_owned(), domain: "d".to_owned(), name: RunName::new("r1").unwrap() }
}

fn lifecycle(part: Part, id: u64, parent: Option<u64>, action: &str, caller: Option<&str>) -> Span {
    let name = |name: &str| ActionName::new(name).unwrap();
    let span = |id: u64| SpanId(id.to_be_bytes());
    Span {
        run: Arc::new(run_id()),
        shared: Arc::default(),
        part,
        context: TraceParent { trace: TraceId([7; 16]), span: span(id), flags: 1 },
        state: None,
        parent: parent.map(span),
        name: part.as_str().into(),
        action: name(action),
        caller: caller.map(name),
        task: "env.task".into(),
        attempt: (part == Part::Attempt).then_some(AttemptNo(1)),
        start: Timestamp(BEGIN),
        end: Timestamp(END),
        status: Status::Ok,
        details: Vec::new(),
        moments: Vec::new(),
        links: Vec::new(),
    }
}

/// A run with a child, whose span says that it is under `parent`.
pub(crate) fn lives(parent: u64) -> Vec<Span> {
    vec![
        lifecycle(Part::Run, RUN, Some(CALLER), "a0", None),
        lifecycle(Part::Action, ROOT, Some(RUN), "a0", None),
        lifecycle(Part::Attempt, ROOT_ATTEMPT, Some(ROOT), "a0", None),
        lifecycle(Part::Action, CHILD, Some(parent), "a1", Some("a0")),
        lifecycle(Part::Attempt, CHILD_ATTEMPT, Some(CHILD), "a1", None),
    ]
}

pub(crate) fn user(id: u64, parent: u64, times: (u64, u64), attributes: &[(&str, &str)]) -> UserSpan {
    let pair = |(key, text): &(&str, &str)| {
        let value = Some(AnyValue { value: Some(Value::StringValue((*text).to_owned())) });
        KeyValue { key: (*key).to_owned(), value, ..KeyValue::default() }
    };
    let bytes = |id: u64| if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
    UserSpan {
        trace_id: vec![7; 16],
        span_id: bytes(id),
        parent_span_id: bytes(parent),
        name: format!("span {id}"),
        start_time_unix_nano: times.0,
        end_time_unix_nano: times.1,
        attributes: attributes.iter().map(pair).collect(),
        ..UserSpan::default()
    }
}

pub(crate) fn timeline(lifecycle: Vec<Span>, spans: Vec<UserSpan>) -> Timeline {
    let (resource, scope) = (Arc::new(Resource::default()), Arc::new(InstrumentationScope::default()));
    let received = |span| Received { span, resource: Arc::clone(&resource), scope: Arc::clone(&scope) };
    let received = spans.into_iter().map(received).collect();
    let lifecycle =
        Arc::new(RunLifecycle { explanation: spanwise_core::lifecycle::explain(&lifecycle), spans: lifecycle });
    Timeline::new(
        &run_id(),
        Trace { id: TraceId([7; 16]), lifecycle, received, left_out: LeftOut::of(TraceId([7; 16])) },
    )
}

const fn at(millis: i64) -> u64 {
    (BEGIN + millis * 1000) as u64 * 1000
}

const NORMAL: (u64, u64) = (at(100), at(200));

/// A span as somebody may send it, with ids from a few, so that rings, orphans and long chains come about.
fn any_span(ids: u64) -> impl Strategy<Value = (u64, (u64, u64), Vec<(&'static str, &'static str)>)> {
    let parent = prop_oneof![
        4 => 1..=ids,
        1 => Just(0),
        1 => Just(0xDEAD),
        1 => Just(CALLER),
        2 => RUN..=CHILD_ATTEMPT,
    ];
    let time = prop_oneof![
        6 => (0_i64..2000).prop_map(at),
        1 => Just(0),
        1 => Just(1),
        1 => Just(u64::MAX),
        1 => Just(1 << 63),
        1 => (-3000_i64..6000).prop_map(at),
    ];
    let run = prop_oneof![6 => Just(None), 2 => Just(Some("r1")), 1 => Just(Some("r2"))];
    let action = prop_oneof![4 => Just(None), 1 => Just(Some("a0")), 1 => Just(Some("a1")), 1 => Just(Some("a9")), 1 => Just(Some("!"))];
    (parent, time.clone(), time, run, action).prop_map(|(parent, from, to, run, action)| {
        let run = run.map(|run| ("flyte.run_name", run));
        (parent, (from, to), run.into_iter().chain(action.map(|action| ("flyte.action_name", action))).collect())
    })
}

pub(crate) fn any_spans() -> impl Strategy<Value = Vec<UserSpan>> {
    let spans = (1_u64..60).prop_flat_map(|ids| prop::collection::vec(any_span(ids), ids as usize));
    spans.prop_map(|spans| {
        let span = |(id, (parent, times, attributes)): (usize, (u64, (u64, u64), Vec<_>))| {
            user(id as u64 + 1, parent, times, &attributes)
        };
        spans.into_iter().enumerate().map(span).collect()
    })
}

/// What the action of the child may say that it is under.
fn any_parent() -> impl Strategy<Value = u64> {
    prop_oneof![1_u64..60, Just(ROOT_ATTEMPT), Just(CHILD_ATTEMPT), Just(CHILD), Just(CALLER), Just(0xDEAD)]
}

/// How often each id is among these.
fn counted<'a>(ids: impl Iterator<Item = &'a str>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    ids.for_each(|id| *counts.entry(id.to_owned()).or_default() += 1);
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn t10_every_span_is_in_every_view_once_or_is_counted(spans in any_spans(), parent in any_parent()) {
        let all: HashMap<String, usize> = spans.iter().map(|span| (HEXLOWER.encode(&span.span_id), 1)).collect();
        let timeline = timeline(lives(parent), spans.clone());
        let rows = timeline.rows();
        let (begin, end) = timeline.axis();

        // The tree: one root, each span once, after what it is under.
        prop_assert_eq!(rows.iter().filter(|row| row.above.is_none()).count(), 1);
        prop_assert_eq!(rows[0], Row { at: At::Lifecycle(0), above: None });
        let mut seen = HashSet::new();
        for row in &rows {
            prop_assert!(row.above.is_none_or(|above| seen.contains(&above)), "{:?} before what it is under", row);
            prop_assert!(seen.insert(row.at), "{:?} twice", row);
        }
        let placed = rows.iter().filter(|row| matches!(row.at, At::User(_))).count();
        prop_assert_eq!(placed + timeline.left_out().count(), spans.len());
        prop_assert_eq!(timeline.left_out().of_tree().is_empty(), placed == spans.len());

        // The terminal: the same rows, all of them on the axis.
        let document = tree::document(&timeline);
        let drawn = document["spans"].as_array().unwrap();
        prop_assert_eq!(drawn.len(), rows.len());
        for span in drawn {
            let (from, to) = (span["from_us"].as_i64().unwrap(), span["to_us"].as_i64().unwrap());
            prop_assert!(begin.0 <= from && from <= to && to <= end.0, "{}", span);
        }

        // The files: every span, also of other runs.
        let written = otlp::resource_spans(&timeline);
        let ids: Vec<String> = written.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans).map(|span| HEXLOWER.encode(&span.span_id)).collect();
        let of_life: HashSet<String> = (RUN..=CHILD_ATTEMPT).map(|id| format!("{id:016x}")).collect();
        let users = |ids: Vec<&str>| counted(ids.into_iter().filter(|id| !of_life.contains(*id)));
        prop_assert_eq!(&users(ids.iter().map(String::as_str).collect()), &all);
        let file = jaeger::file("07", &timeline);
        let in_file = file["data"][0]["spans"].as_array().unwrap();
        prop_assert_eq!(&users(in_file.iter().map(|span| span["spanID"].as_str().unwrap()).collect()), &all);
        let parents: HashMap<&str, &str> = in_file.iter().filter_map(|span| {
            let child_of = span["references"].as_array().unwrap().iter().find(|to| to["refType"] == "CHILD_OF")?;
            Some((span["spanID"].as_str().unwrap(), child_of["spanID"].as_str().unwrap()))
        }).collect();
        for span in in_file {
            let steps = std::iter::successors(span["spanID"].as_str(), |id| parents.get(id).copied());
            prop_assert!(steps.take(in_file.len() + 1).count() <= in_file.len(), "a ring: {}", span);
            let from = span["startTime"].as_i64().unwrap();
            let to = from + span["duration"].as_i64().unwrap();
            prop_assert!(begin.0 <= from && to <= end.0, "{}", span);
        }
        for (at, span) in spans.iter().enumerate() {
            prop_assert_eq!(timeline.chain(at).iter().filter(|at| matches!(at, At::Lifecycle(_))).count(), 1, "{:?}", span);
        }
    }

    #[test]
    fn t10_the_axis_is_the_runs_own(spans in any_spans(), parent in any_parent()) {
        let all = timeline(lives(parent), spans.clone());
        let own: Vec<UserSpan> = (0..spans.len()).filter(|at| all.own[*at]).map(|at| spans[at].clone()).collect();
        let (begin, end) = all.axis();
        // As if nobody else had sent anything.
        prop_assert_eq!(timeline(lives(ROOT_ATTEMPT), own).axis(), (begin, end));
        // As long as the run before it and after it, at most.
        prop_assert!(begin.0 >= 2 * BEGIN - END && begin.0 <= BEGIN && end.0 >= END && end.0 <= 2 * END - BEGIN);
        for at in (0..spans.len()).filter(|at| all.positions[*at] != Position::OtherRun) {
            let (from, to) = all.times(At::User(at));
            let is_on = spans[at].start_time_unix_nano > 0 && begin <= from && to <= end;
            prop_assert!(is_on || !all.remarks(at).is_empty(), "{:?} is drawn elsewhere, and nobody says so", spans[at]);
        }
    }
}

#[test]
fn spans_are_where_their_parents_and_their_names_put_them() {
    let named = |action: &'static str| vec![("flyte.run_name", "r1"), ("flyte.action_name", action)];
    let other = vec![("flyte.run_name", "r2"), ("flyte.action_name", "a0")];
    let cases = [
        // Under its parent, and under that one.
        (user(1, ROOT_ATTEMPT, NORMAL, &[]), Position::Found, Some(At::Lifecycle(2))),
        (user(2, 1, NORMAL, &[]), Position::Found, Some(At::User(0))),
        // The run is its root action on the page.
        (user(3, RUN, NORMAL, &[]), Position::Found, Some(At::Lifecycle(1))),
        // Nobody's child, and the child of somebody who is not here.
        (user(4, 0, NORMAL, &[]), Position::Outside, Some(At::Lifecycle(1))),
        (user(5, 0xDEAD, NORMAL, &[]), Position::Orphan, Some(At::Lifecycle(1))),
        // By its name: without a parent, with one of another action, and with one of another run.
        (user(6, 0xDEAD, NORMAL, &named("a1")), Position::Found, Some(At::Lifecycle(4))),
        (user(7, 6, NORMAL, &named("a0")), Position::Found, Some(At::Lifecycle(2))),
        (user(8, 9, NORMAL, &named("a0")), Position::Found, Some(At::Lifecycle(2))),
        // Another run's, and what is under it.
        (user(9, 0xDEAD, NORMAL, &other), Position::OtherRun, Some(At::Lifecycle(2))),
        (user(10, 9, NORMAL, &[]), Position::OtherRun, Some(At::User(8))),
        // Its own parent; two that are each other's, the first to begin taken out; what is below.
        (user(11, 11, NORMAL, &[]), Position::Ring, Some(At::Lifecycle(1))),
        (user(12, 13, (at(100), at(200)), &[]), Position::Found, Some(At::User(12))),
        (user(13, 12, (at(50), at(200)), &[]), Position::Ring, Some(At::Lifecycle(1))),
        (user(14, 12, NORMAL, &[]), Position::Found, Some(At::User(11))),
    ];
    let timeline = timeline(lives(ROOT_ATTEMPT), cases.iter().map(|(span, ..)| span.clone()).collect());
    for (at, (span, place, above)) in cases.iter().enumerate() {
        assert_eq!((timeline.position_of(at), timeline.above(at)), (*place, *above), "{}", span.name);
    }
    assert_eq!(timeline.left_out().of_tree(), ["2 received spans of other runs: they are on the pages of those runs"]);
}

#[test]
fn t10_a_run_that_exports_no_lifecycle_is_one_tree() {
    // Every span says that it is under the caller's, which nobody has received.
    let timeline = timeline(lives(CALLER), vec![user(1, CALLER, NORMAL, &[]), user(2, 1, NORMAL, &[])]);
    let above: Vec<(At, Option<At>)> = timeline.rows().iter().map(|row| (row.at, row.above)).collect();
    let expected = [
        (At::Lifecycle(0), None),
        (At::Lifecycle(1), Some(At::Lifecycle(0))),
        (At::Lifecycle(2), Some(At::Lifecycle(1))),
        (At::Lifecycle(3), Some(At::Lifecycle(2))),
        (At::Lifecycle(4), Some(At::Lifecycle(3))),
        (At::User(0), Some(At::Lifecycle(1))),
        (At::User(1), Some(At::User(0))),
    ];
    assert_eq!(above, expected);
    // With the caller's own span it is the same tree, with that one in it.
    let spans = vec![user(1, CALLER, NORMAL, &[]), user(CALLER, 0, (at(-60_000), at(60_000)), &[])];
    let timeline = super::tests::timeline(lives(CALLER), spans);
    let rows = timeline.rows();
    assert_eq!(rows.iter().filter(|row| row.above.is_none()).count(), 1);
    assert_eq!(timeline.axis(), (Timestamp(BEGIN), Timestamp(END)), "the caller does not set the axis");
    assert_eq!((timeline.remarks(0), timeline.remarks(1)), (Vec::new(), vec!["outside the run"]));
    // An action under the span of its own run that called it.
    let timeline = super::tests::timeline(lives(1), vec![user(1, ROOT_ATTEMPT, NORMAL, &[])]);
    assert!(timeline.rows().contains(&Row { at: At::Lifecycle(3), above: Some(At::User(0)) }));
}

#[test]
fn times_that_cannot_be_are_drawn_at_the_edge_with_a_remark() {
    let (begin, end) = (Timestamp(BEGIN), Timestamp(END));
    let near = Timestamp(END + 500_000);
    let cases = [
        (NORMAL, (Timestamp(BEGIN + 100_000), Timestamp(BEGIN + 200_000)), vec![]),
        // An own span near the run sets the axis.
        ((at(1900), at(2500)), (Timestamp(BEGIN + 1_900_000), near), vec![]),
        ((0, 0), (begin, begin), vec!["without times"]),
        ((0, at(500)), (Timestamp(BEGIN + 500_000), Timestamp(BEGIN + 500_000)), vec!["without times"]),
        ((at(500), 0), (Timestamp(BEGIN + 500_000), Timestamp(BEGIN + 500_000)), vec!["without times"]),
        ((at(500), at(400)), (Timestamp(BEGIN + 500_000), Timestamp(BEGIN + 500_000)), vec!["ends before it begins"]),
        ((1, 2), (begin, begin), vec!["not in the time of the run"]),
        ((1, at(500)), (begin, Timestamp(BEGIN + 500_000)), vec!["not in the time of the run"]),
        ((1 << 63, u64::MAX), (near, near), vec!["not in the time of the run"]),
        ((at(500), u64::MAX), (Timestamp(BEGIN + 500_000), near), vec!["not in the time of the run"]),
    ];
    let spans = cases.iter().zip(1..).map(|((times, ..), id)| user(id, ROOT_ATTEMPT, *times, &[])).collect();
    let timeline = timeline(lives(ROOT_ATTEMPT), spans);
    assert_eq!(timeline.axis(), (begin, end.max(near)));
    for (at, (times, drawn, remarks)) in cases.iter().enumerate() {
        assert_eq!((timeline.drawn(At::User(at)), timeline.remarks(at)), (*drawn, remarks.clone()), "{times:?}");
    }
}

#[test]
fn a_chain_of_fifty_thousand_and_a_hundred_thousand_beside_each_other_are_placed() {
    const CHAIN: u64 = 1_000_000;
    const RING: u64 = 2_000_000;
    const BESIDE: u64 = 3_000_000;
    // The last one first.
    let above = |id: u64| if id == 0 { ROOT_ATTEMPT } else { CHAIN + id - 1 };
    let chain = (0..50_000).rev().map(|id| user(CHAIN + id, above(id), NORMAL, &[]));
    let ring = (0..50_000).map(|id| user(RING + id, RING + (id + 1) % 50_000, NORMAL, &[]));
    let beside = (0..100_000).map(|id| user(BESIDE + id, ROOT_ATTEMPT, NORMAL, &[]));
    let timeline = timeline(lives(ROOT_ATTEMPT), chain.chain(ring).chain(beside).collect());
    assert_eq!(timeline.rows().len(), 5 + 200_000);
    assert_eq!(timeline.chain(0).len(), 50_000);
    assert_eq!((0..timeline.count()).filter(|at| timeline.position_of(*at) == Position::Ring).count(), 1);
}

#[test]
fn without_a_lifecycle_spans_are_counted() {
    let timeline = timeline(Vec::new(), vec![user(1, 0, NORMAL, &[]), user(2, 1, NORMAL, &[])]);
    assert_eq!(timeline.rows(), []);
    assert_eq!(timeline.left_out().count(), 2);
    assert!(timeline.left_out().of_tree()[0].contains("cannot be read"));
}
