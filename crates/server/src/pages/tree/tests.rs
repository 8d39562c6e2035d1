//! Trees of made-up actions.

use spanwise_core::ActionKind;

use super::*;

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
