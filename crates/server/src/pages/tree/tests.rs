//! Trees of made-up actions.

use proptest::prelude::*;
use spanwise_core::ActionKind;
use spanwise_core::trace::SpanId;

use super::*;
use crate::pages::view::keys;
use crate::trace::timeline::{span_id, tests as spans};

fn view(name: &str, parent: Option<&str>, group: Option<&str>, phase: Phase) -> ActionView {
    ActionView {
        name: ActionName::new(name).unwrap(),
        parent: parent.map(|parent| ActionName::new(parent).unwrap()),
        kind: ActionKind::Task,
        task: format!("env.{name}").as_str().into(),
        group: group.map(str::to_owned),
        phase,
        attempts: 1,
        enqueued_at: Timestamp(1),
        started_at: Some(Timestamp(2)),
        ended_at: Some(Timestamp(3)),
        failure: None,
    }
}

fn shown(rows: &[Row]) -> Vec<String> {
    let text = |row: &Row| match row {
        Row::Node(node) => format!("{}{}", "  ".repeat(node.level - 1), node.name),
        Row::Pager { level, text, .. } => format!("{}{text}", "  ".repeat(level - 1)),
    };
    rows.iter().map(text).collect()
}

#[test]
fn groups_gather_their_members_and_levels_follow_parents() {
    let views = [
        view("a0", None, None, Phase::Succeeded),
        view("a1", Some("a0"), Some("map"), Phase::Succeeded),
        view("a2", Some("a0"), None, Phase::Succeeded),
        view("a3", Some("a0"), Some("map"), Phase::Failed),
        view("a4", Some("a3"), None, Phase::Failed),
    ];
    let timeline = Timeline::default();
    let tree = Tree::new(&views, &timeline, Timestamp(9));
    let rows = tree.rows(&View::default());
    assert_eq!(shown(&rows), ["a0", "  map", "    a1", "    a3", "      a4", "  a2"]);
    let failures: Vec<&str> = tree.first_failures(5).iter().map(|view| view.name.as_str()).collect();
    assert_eq!(failures, ["a4"]);
    let shut = View { shut: keys("a1~"), ..View::default() };
    let rows = tree.rows(&shut);
    assert_eq!(shown(&rows), ["a0", "  map", "  a2"]);
    let Row::Node(group) = &rows[1] else { panic!() };
    assert_eq!((group.failures, group.badge.unwrap().class), (1, "failed"));
    assert!(group.toggle.as_ref().unwrap().href.contains("open=a1%7E"));
}

#[test]
fn a_page_is_bounded_and_the_chosen_action_is_on_it() {
    let mut views = vec![view("a0", None, None, Phase::Running)];
    for child in 0..10_000 {
        views.push(view(&format!("c{child}"), Some("a0"), None, Phase::Succeeded));
    }
    let timeline = Timeline::default();
    let tree = Tree::new(&views, &timeline, Timestamp(9));
    let rows = tree.rows(&View::default());
    assert_eq!(rows.len(), 102);
    assert_eq!(shown(&rows)[101], "  1–100 of 10,000");
    let chosen = View { selected: Some(ActionName::new("c7777").unwrap()), ..View::default() };
    let rows = tree.rows(&chosen);
    assert!(rows.iter().any(|row| matches!(row, Row::Node(node) if node.selected && node.name == "c7777")));
    assert_eq!(shown(&rows)[101], "  7,701–7,800 of 10,000");
    let found = View { find: "C9999".into(), ..View::default() };
    assert_eq!(shown(&tree.rows(&found)), ["c9999"]);
    let none = View { show: "failed".into(), ..View::default() };
    assert!(tree.rows(&none).is_empty());
}

#[test]
fn deep_trees_stay_bounded_too() {
    let mut views = vec![view("a0", None, None, Phase::Running)];
    for level in 1..2000 {
        views.push(view(&format!("a{level}"), Some(&format!("a{}", level - 1)), None, Phase::Running));
    }
    let timeline = Timeline::default();
    let tree = Tree::new(&views, &timeline, Timestamp(9));
    assert!(tree.rows(&View::default()).len() <= MOST_ROWS);
    let deepest = View { selected: Some(ActionName::new("a1999").unwrap()), ..View::default() };
    assert!(tree.rows(&deepest).len() <= MOST_ROWS);
}

/// The spans of others under a node, however deep.
fn reached(tree: &Tree<'_>, from: Node) -> Vec<usize> {
    let (mut found, mut waiting) = (Vec::new(), vec![from]);
    while let Some(node) = waiting.pop() {
        if let Node::User(at) = node {
            found.push(at);
        }
        let (head, paged) = tree.below(node);
        waiting.extend(head.into_iter().chain(paged));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn t10_every_span_is_on_the_page_once_or_is_counted(given in spans::any_spans()) {
        let views = [view("a0", None, None, Phase::Succeeded), view("a1", Some("a0"), None, Phase::Succeeded)];
        let count = given.len();
        let timeline = spans::timeline(spans::lives(0xA002), given);
        let tree = Tree::new(&views, &timeline, Timestamp(spans::BEGIN));
        let mut found = reached(&tree, Node::Action(0));
        found.sort_unstable();
        let is_once = found.windows(2).all(|pair| pair[0] != pair[1]);
        prop_assert!(is_once, "a span is there twice: {:?}", found);
        prop_assert_eq!(found.len() + timeline.left_out().count(), count);
        // Each of them can be looked at, with the way to it open.
        for at in found {
            let id = span_id(&timeline.received(at).span.span_id);
            let rows = tree.rows(&View { span: id, ..View::default() });
            let is_shown = rows.iter().any(|row| matches!(row, Row::Node(node) if node.selected));
            prop_assert!(is_shown, "{:?} is chosen and not there", id);
        }
    }
}

#[test]
fn a_span_fifty_thousand_levels_down_is_shown_with_the_levels_around_it() {
    let views = [view("a0", None, None, Phase::Succeeded), view("a1", Some("a0"), None, Phase::Succeeded)];
    let time = (spans::BEGIN as u64 * 1000, spans::BEGIN as u64 * 1000 + 1);
    // Their ids are those of no lifecycle span.
    const FIRST: u64 = 1_000_000;
    let parent = |id: u64| if id == 1 { 0xA002 } else { FIRST + id - 1 };
    let chain = (1..=50_000).map(|id| spans::user(FIRST + id, parent(id), time, &[]));
    let timeline = spans::timeline(spans::lives(0xA002), chain.collect());
    let chosen = View { span: Some(SpanId((FIRST + 50_000).to_be_bytes())), ..View::default() };
    let tree = Tree::new(&views, &timeline, Timestamp(spans::BEGIN));
    let rows = tree.rows(&chosen);
    let names = shown(&rows);
    assert!(rows.len() < 60, "{}", rows.len());
    for name in ["span 1000001", "span 1000010", "span 1049980", "span 1050000"] {
        assert!(names.iter().any(|row| row.trim() == name), "{name}: {names:?}");
    }
    let said = rows.iter().find_map(|row| match row {
        Row::Node(node) => node.warnings.iter().find(|said| said.contains("levels")),
        Row::Pager { .. } => None,
    });
    assert_eq!(said.map(String::as_str), Some("49,969 levels above are not shown"));
}

#[test]
fn a_page_without_room_says_how_much_is_open_below() {
    let mut views = vec![view("a0", None, None, Phase::Running)];
    for group in 0..5 {
        views.push(view(&format!("g{group}"), Some("a0"), None, Phase::Succeeded));
        views.extend(
            (0..90).map(|child| view(&format!("g{group}c{child}"), Some(&format!("g{group}")), None, Phase::Succeeded)),
        );
    }
    let timeline = Timeline::default();
    let tree = Tree::new(&views, &timeline, Timestamp(9));
    let rows = tree.rows(&View { open: keys("g0,g1,g2,g3,g4"), ..View::default() });
    assert_eq!(rows.len(), MOST_ROWS);
    let all = 1 + 5 + 5 * 90;
    let expected =
        format!("{} more rows are open below than the page has room for: close some above", all - (MOST_ROWS - 1));
    assert_eq!(shown(&rows)[MOST_ROWS - 1], expected);
}
