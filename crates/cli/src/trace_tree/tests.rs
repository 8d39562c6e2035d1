//! The tree, span by span.

use std::time::UNIX_EPOCH;

use super::*;

fn span(id: u64, parent: u64, name: &str, start: u64, end: u64) -> Span {
    Span {
        trace: TraceId::from(1),
        id: SpanId::from(id),
        parent: (parent != 0).then(|| SpanId::from(parent)),
        name: name.to_owned(),
        kind: SpanKind::Internal,
        service: "home".into(),
        start: UNIX_EPOCH + Duration::from_micros(start),
        end: UNIX_EPOCH + Duration::from_micros(end),
        length: Duration::from_micros(end.saturating_sub(start)),
        error: None,
        notes: Vec::new(),
        remarks: Vec::new(),
    }
}

fn drawn(spans: &[Span]) -> Vec<String> {
    render(spans, "home").iter().map(|line| line.paint(false, usize::MAX)).collect()
}

#[test]
fn children_stand_under_their_parents_in_the_order_of_their_starts() {
    let server = Span { kind: SpanKind::Server, service: "away".into(), ..span(5, 4, "GET /get", 30, 40) };
    let client = Span { kind: SpanKind::Client, notes: vec!["HTTP 200".to_owned()], ..span(4, 3, "GET", 20, 1_500) };
    let spans = [
        server,
        client,
        span(6, 2, "later", 2_000, 14_000),
        span(3, 2, "fetch", 10, 1_600),
        span(2, 1, "main", 1, 15_000),
    ];
    let spans = [&spans[..], &[span(1, 0, "root", 0, 2_345_678)]].concat();
    let expected = [
        "root  2.35 s",
        "└─ main  15 ms",
        "   ├─ fetch  1.6 ms",
        "   │  └─ GET  1.5 ms  (CLIENT, HTTP 200)",
        "   │     └─ GET /get  10 µs  (away, SERVER)",
        "   └─ later  12 ms",
    ];
    assert_eq!(drawn(&spans), expected);
}

#[test]
fn many_siblings_of_one_name_are_folded_but_never_one_that_failed() {
    let mut spans = vec![span(1, 0, "root", 0, 100_000)];
    spans.extend((0..20).map(|item| span(10 + item, 1, "item", item * 100, item * 100 + 3_100 + item * 100)));
    spans[17].error = Some("no".to_owned());
    spans.push(span(40, 30 - 1, "deep", 0, 10));
    spans.push(span(50, 1, "end", 90_000, 90_500));
    let expected = [
        "root  100 ms",
        "├─ item  3.1 ms",
        "├─ item  3.2 ms",
        "├─ item  3.3 ms",
        "├─ … 16 more item  3.4 ms – 5.0 ms  (1 spans below them)",
        "├─ item  4.7 ms  ✗ no",
        "└─ end  500 µs",
    ];
    assert_eq!(drawn(&spans), expected);
}

#[test]
fn five_siblings_are_not_folded() {
    let mut spans = vec![span(1, 0, "root", 0, 10)];
    spans.extend((0..5).map(|item| span(10 + item, 1, "item", item, 10)));
    assert_eq!(drawn(&spans).len(), 6);
}

#[test]
fn an_orphan_is_a_root_that_says_so() {
    let spans = [span(1, 0, "root", 0, 10), span(2, 9, "lost", 1, 5)];
    assert_eq!(drawn(&spans), ["root  10 µs", "lost  4 µs  ! its parent 0000000000000009 is missing"]);
    assert_eq!(drawn(&[]), Vec::<String>::new());
}

#[test]
fn a_span_that_ends_before_it_starts_has_no_duration() {
    assert_eq!(drawn(&[span(1, 0, "skewed", 10, 5)]), ["skewed  0 µs"]);
}

#[test]
fn t10_rings_and_what_is_below_them_are_drawn_once() {
    let spans = [
        span(1, 0, "root", 0, 10),
        span(2, 3, "one", 1, 5),
        span(3, 2, "two", 2, 5),
        span(4, 3, "below", 3, 4),
        span(5, 5, "own", 6, 7),
    ];
    let expected = ["root  10 µs", "one  4 µs", "└─ two  3 µs", "   └─ below  1 µs", "own  1 µs"];
    assert_eq!(drawn(&spans), expected);
}

#[test]
fn a_chain_of_fifty_thousand_is_drawn_and_its_lines_stay_short() {
    let spans: Vec<Span> = (1..=50_000).map(|id| span(id, id - 1, "link", id, id + 1)).collect();
    let drawn = drawn(&spans);
    assert_eq!(drawn.len(), 50_000);
    assert!(drawn[49_999].ends_with("└─ (49959 levels further) link  1 µs"), "{}", drawn[49_999]);
    assert!(drawn.iter().all(|line| line.len() < 250));
}

#[test]
fn what_is_odd_about_a_span_stands_behind_it() {
    let odd =
        Span { remarks: vec!["parent not received".to_owned(), "without times".to_owned()], ..span(1, 0, "odd", 0, 0) };
    assert_eq!(drawn(&[odd]), ["odd  0 µs  ! parent not received  ! without times"]);
}
