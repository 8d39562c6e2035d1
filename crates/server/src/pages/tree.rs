//! The actions of a run as rows of a tree on one axis of time: bounded, whatever the run is like.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use spanwise_core::{ActionKind, ActionName, Phase, Timestamp};
use spanwise_engine::ActionView;

use super::format::{Badge, Span, badge, count, span};
use super::run::View;

/// Children of one node on a page.
const PAGE: usize = 100;

/// Rows that are open without being asked for.
const OPEN_ROWS: usize = 150;

/// Rows of a page at most; what is beyond can be reached by closing something.
const MOST_ROWS: usize = 300;

/// Width of the axis of time, in units of the drawing.
const AXIS: f64 = 1000.0;

/// A row of the page.
pub(super) enum Row {
    Node(Box<NodeRow>),
    /// Which children of a node are shown, and the ways to the others.
    Pager {
        level: usize,
        text: String,
        previous: Option<String>,
        next: Option<String>,
    },
}

pub(super) struct NodeRow {
    pub(super) id: String,
    pub(super) level: usize,
    /// Leads to the action; none for a group.
    pub(super) href: Option<String>,
    pub(super) name: String,
    pub(super) title: String,
    pub(super) note: &'static str,
    pub(super) selected: bool,
    pub(super) toggle: Option<Toggle>,
    pub(super) badge: Badge,
    pub(super) attempts: u32,
    pub(super) length: Span,
    pub(super) bar: Bar,
    /// Failures under a node that is closed.
    pub(super) failures: usize,
}

pub(super) struct Toggle {
    pub(super) open: bool,
    pub(super) href: String,
    pub(super) children: String,
}

/// Waiting and running on the axis.
pub(super) struct Bar {
    pub(super) wait_x: String,
    pub(super) wait_width: String,
    pub(super) run_x: String,
    pub(super) run_width: String,
}

/// A node: an action, or a group of children of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    Action(usize),
    Group { parent: usize, ordinal: usize },
}

/// The actions of a run with who is under whom.
pub(super) struct Tree<'a> {
    views: &'a [ActionView],
    by_name: HashMap<ActionName, usize>,
    children: Vec<Vec<usize>>,
    failed_below: Vec<usize>,
    begin: Timestamp,
    end: Timestamp,
    now: Timestamp,
}

pub(super) fn is_failure(phase: Phase) -> bool {
    matches!(phase, Phase::Failed | Phase::TimedOut)
}

impl<'a> Tree<'a> {
    pub(super) fn new(views: &'a [ActionView], now: Timestamp) -> Tree<'a> {
        let by_name: HashMap<ActionName, usize> = views.iter().enumerate().map(|(at, view)| (view.name, at)).collect();
        let mut children = vec![Vec::new(); views.len()];
        for (at, view) in views.iter().enumerate() {
            if let Some(parent) = view.parent.and_then(|parent| by_name.get(&parent)) {
                children[*parent].push(at);
            }
        }
        let mut tree = Tree { views, by_name, children, failed_below: vec![0; views.len()], begin: now, end: now, now };
        for at in (0..views.len()).filter(|at| is_failure(views[*at].phase)) {
            for ancestor in tree.ancestors(at) {
                tree.failed_below[ancestor] += 1;
            }
        }
        tree.begin = views.iter().map(|view| view.enqueued_at).min().unwrap_or(now);
        let ends = views.iter().map(|view| view.ended_at.unwrap_or(now)).max();
        tree.end = ends.unwrap_or(now);
        tree
    }

    /// From the parent upwards.
    fn ancestors(&self, at: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut next = self.views[at].parent;
        while let Some(&parent) = next.as_ref().and_then(|name| self.by_name.get(name)) {
            // A parent is accepted before its children; anything else would be a circle.
            if found.len() > self.views.len() {
                break;
            }
            found.push(parent);
            next = self.views[parent].parent;
        }
        found
    }

    /// How long the axis is.
    pub(super) fn axis(&self) -> Span {
        let finished = self.views.first().is_some_and(|root| root.phase.is_terminal());
        span(self.begin, finished.then_some(self.end), self.now)
    }

    /// Actions that failed while nothing under them did, the first ones first: where to look.
    pub(super) fn first_failures(&self, most: usize) -> Vec<&'a ActionView> {
        let mut failed: Vec<&ActionView> = (0..self.views.len())
            .filter(|at| is_failure(self.views[*at].phase) && self.failed_below[*at] == 0)
            .map(|at| &self.views[at])
            .collect();
        failed.sort_by_key(|view| (view.ended_at, view.name));
        failed.truncate(most);
        failed
    }

    pub(super) fn failures(&self) -> usize {
        self.views.iter().filter(|view| is_failure(view.phase)).count()
    }

    /// The children of an action, those of a group gathered where the first of them is.
    fn nodes_of(&self, node: Node) -> Vec<Node> {
        match node {
            Node::Action(at) => {
                let mut groups: HashMap<&str, usize> = HashMap::new();
                let mut nodes = Vec::new();
                for child in &self.children[at] {
                    match self.views[*child].group.as_deref() {
                        None => nodes.push(Node::Action(*child)),
                        Some(group) => {
                            let ordinal = groups.len();
                            if let std::collections::hash_map::Entry::Vacant(new) = groups.entry(group) {
                                new.insert(ordinal);
                                nodes.push(Node::Group { parent: at, ordinal });
                            }
                        }
                    }
                }
                nodes
            }
            Node::Group { parent, ordinal } => {
                let name = self.group_name(parent, ordinal);
                let of_group = |child: &&usize| self.views[**child].group.as_deref() == Some(name);
                self.children[parent].iter().filter(of_group).map(|child| Node::Action(*child)).collect()
            }
        }
    }

    fn group_name(&self, parent: usize, ordinal: usize) -> &'a str {
        let mut seen: Vec<&str> = Vec::new();
        for child in &self.children[parent] {
            if let Some(group) = self.views[*child].group.as_deref()
                && !seen.contains(&group)
            {
                seen.push(group);
                if seen.len() > ordinal {
                    return group;
                }
            }
        }
        ""
    }

    fn has_children(&self, node: Node) -> bool {
        match node {
            Node::Action(at) => !self.children[at].is_empty(),
            Node::Group { .. } => true,
        }
    }

    /// The name of a node in addresses: `~` is in no name of an action.
    fn key(&self, node: Node) -> String {
        match node {
            Node::Action(at) => self.views[at].name.to_string(),
            Node::Group { parent, ordinal } => format!("{}~{ordinal}", self.views[parent].name),
        }
    }

    /// The nodes above the chosen action, so that it is seen.
    fn path_to(&self, selected: Option<ActionName>) -> HashSet<Node> {
        let mut path = HashSet::new();
        let Some(&at) = selected.as_ref().and_then(|name| self.by_name.get(name)) else { return path };
        let mut below = at;
        for ancestor in self.ancestors(at) {
            if let Some(group) = self.views[below].group.as_deref() {
                let nodes = self.nodes_of(Node::Action(ancestor));
                let is_it = |node: &&Node| match node {
                    Node::Group { parent, ordinal } => self.group_name(*parent, *ordinal) == group,
                    Node::Action(_) => false,
                };
                path.extend(nodes.iter().find(is_it));
            }
            path.insert(Node::Action(ancestor));
            below = ancestor;
        }
        path.insert(Node::Action(at));
        path
    }

    /// The rows of the page that a view asks for.
    pub(super) fn rows(&self, view: &View) -> Vec<Row> {
        if view.is_flat() {
            return self.flat(view);
        }
        let path = self.path_to(view.selected);
        let open = self.open(view, &path);
        let mut rows = Vec::new();
        let roots = (0..self.views.len()).filter(|at| self.views[*at].parent.is_none());
        for root in roots {
            self.add(Node::Action(root), 1, view, &path, &open, &mut rows);
        }
        rows
    }

    /// Which nodes are open: as asked, and as many from the top as there is room for.
    fn open(&self, view: &View, path: &HashSet<Node>) -> HashSet<Node> {
        let mut open = HashSet::new();
        let mut room = OPEN_ROWS;
        let mut waiting: VecDeque<(Node, bool)> = (0..self.views.len())
            .filter(|at| self.views[*at].parent.is_none())
            .map(|at| (Node::Action(at), true))
            .collect();
        while let Some((node, is_root)) = waiting.pop_front() {
            if !self.has_children(node) || open.len() > MOST_ROWS {
                continue;
            }
            let key = self.key(node);
            let children = self.nodes_of(node);
            let on_path = path.contains(&node) && view.selected.is_some_and(|name| name.as_str() != key);
            let asked = is_root || on_path || view.open.contains(&key);
            let fits = children.len() <= room.min(PAGE);
            if view.shut.contains(&key) || !(asked || fits) {
                continue;
            }
            room = room.saturating_sub(children.len());
            open.insert(node);
            let from = self.first_shown(node, &children, view, path);
            waiting.extend(children.into_iter().skip(from).take(PAGE).map(|child| (child, false)));
        }
        open
    }

    /// Where the page of children begins: as asked, else with the chosen one on it.
    fn first_shown(&self, node: Node, children: &[Node], view: &View, path: &HashSet<Node>) -> usize {
        if let Some(at) = view.at.get(&self.key(node)) {
            return (*at).min(children.len().saturating_sub(1)) / PAGE * PAGE;
        }
        let chosen = children.iter().position(|child| path.contains(child));
        chosen.map_or(0, |at| at / PAGE * PAGE)
    }

    fn add(
        &self,
        node: Node,
        level: usize,
        view: &View,
        path: &HashSet<Node>,
        open: &HashSet<Node>,
        rows: &mut Vec<Row>,
    ) {
        if rows.len() >= MOST_ROWS {
            return;
        }
        let is_open = open.contains(&node);
        let children = if self.has_children(node) { self.nodes_of(node) } else { Vec::new() };
        rows.push(Row::Node(Box::new(self.row(node, level, &children, is_open, view))));
        if !is_open {
            return;
        }
        let from = self.first_shown(node, &children, view, path);
        for child in children.iter().skip(from).take(PAGE) {
            self.add(*child, level + 1, view, path, open, rows);
        }
        if children.len() > PAGE {
            let key = self.key(node);
            let to = |at: usize| {
                view.with(|view| {
                    view.at.insert(key.clone(), at);
                })
            };
            rows.push(pager(level + 1, from, children.len(), to));
        }
    }

    fn row(&self, node: Node, level: usize, children: &[Node], open: bool, view: &View) -> NodeRow {
        let key = self.key(node);
        let toggle = (!children.is_empty()).then(|| Toggle {
            open,
            href: view.with(|view| {
                let (from, to) = if open { (&mut view.open, &mut view.shut) } else { (&mut view.shut, &mut view.open) };
                from.remove(&key);
                to.insert(key.clone());
            }),
            children: count(children.len()),
        });
        match node {
            Node::Action(at) => NodeRow {
                toggle,
                failures: if open { 0 } else { self.failed_below[at] },
                ..self.action_row(at, level, view)
            },
            Node::Group { parent, ordinal } => {
                let members: Vec<&ActionView> = children
                    .iter()
                    .filter_map(|child| match child {
                        Node::Action(at) => Some(&self.views[*at]),
                        Node::Group { .. } => None,
                    })
                    .collect();
                self.group_row(self.group_name(parent, ordinal), key, level, &members, toggle, open)
            }
        }
    }

    fn group_row(
        &self,
        name: &str,
        key: String,
        level: usize,
        members: &[&ActionView],
        toggle: Option<Toggle>,
        open: bool,
    ) -> NodeRow {
        let failures = members.iter().filter(|view| is_failure(view.phase)).count();
        let unfinished = members.iter().find(|view| !view.phase.is_terminal());
        let phase = match unfinished {
            Some(_) if members.iter().any(|view| view.phase == Phase::Running) => Phase::Running,
            Some(view) => view.phase,
            None if failures > 0 => Phase::Failed,
            None if members.iter().any(|view| view.phase == Phase::Aborted) => Phase::Aborted,
            None => Phase::Succeeded,
        };
        let begin = members.iter().map(|view| view.enqueued_at).min().unwrap_or(self.begin);
        let started = members.iter().filter_map(|view| view.started_at).min();
        let ended = if unfinished.is_some() { None } else { members.iter().filter_map(|view| view.ended_at).max() };
        NodeRow {
            id: format!("n-{key}"),
            level,
            href: None,
            name: name.to_owned(),
            title: format!("group {name}"),
            note: "group",
            selected: false,
            toggle,
            badge: badge(phase),
            attempts: 0,
            length: span(begin, ended, self.now),
            bar: self.bar(begin, started, ended),
            failures: if open { 0 } else { failures },
        }
    }

    fn action_row(&self, at: usize, level: usize, view: &View) -> NodeRow {
        let action = &self.views[at];
        let cached = action.phase == Phase::Succeeded && action.attempts == 0 && action.kind == ActionKind::Task;
        let note = match action.kind {
            ActionKind::Step => "step",
            ActionKind::Condition => "condition",
            ActionKind::Task if cached => "cached",
            ActionKind::Task => "",
        };
        NodeRow {
            id: format!("n-{}", action.name),
            level,
            href: Some(view.with(|view| {
                view.selected = Some(action.name);
                view.attempt = None;
                view.full = false;
            })),
            name: action.task.short().to_owned(),
            title: format!("{} ({})", action.task, action.name),
            note,
            selected: view.chosen() == action.name,
            toggle: None,
            badge: badge(action.phase),
            attempts: action.attempts,
            length: span(action.enqueued_at, action.ended_at, self.now),
            bar: self.bar(action.enqueued_at, action.started_at, action.ended_at),
            failures: 0,
        }
    }

    fn bar(&self, begin: Timestamp, started: Option<Timestamp>, ended: Option<Timestamp>) -> Bar {
        let whole = (self.end.0 - self.begin.0).max(1) as f64;
        let x = |at: Timestamp| ((at.0 - self.begin.0) as f64 / whole * AXIS).clamp(0.0, AXIS);
        let end = ended.unwrap_or(self.end);
        let run = started.unwrap_or(if ended.is_some() { begin } else { end });
        let width = (x(end) - x(run)).max(3.0);
        let number = |value: f64| format!("{value:.1}");
        Bar {
            wait_x: number(x(begin)),
            wait_width: number((x(run) - x(begin)).max(0.0)),
            run_x: number(x(run).min(AXIS - width)),
            run_width: number(width),
        }
    }

    /// The actions that pass the filter, without the tree.
    fn flat(&self, view: &View) -> Vec<Row> {
        let wanted = view.find.to_lowercase();
        let passes = |action: &&ActionView| {
            (view.show.is_empty() || badge(action.phase).class == view.show)
                && (wanted.is_empty()
                    || action.task.as_str().to_lowercase().contains(&wanted)
                    || action.name.as_str().contains(&wanted)
                    || action.group.as_deref().is_some_and(|group| group.to_lowercase().contains(&wanted)))
        };
        let found: Vec<usize> = (0..self.views.len()).filter(|at| passes(&&self.views[*at])).collect();
        let from = view.from.min(found.len().saturating_sub(1)) / PAGE * PAGE;
        let mut rows: Vec<Row> = found
            .iter()
            .skip(from)
            .take(PAGE)
            .map(|at| {
                Row::Node(Box::new(NodeRow { failures: self.failed_below[*at], ..self.action_row(*at, 1, view) }))
            })
            .collect();
        if found.len() > PAGE {
            rows.push(pager(1, from, found.len(), |at| view.with(|view| view.from = at)));
        }
        rows
    }
}

fn pager(level: usize, from: usize, all: usize, to: impl Fn(usize) -> String) -> Row {
    let last = (from + PAGE).min(all);
    Row::Pager {
        level,
        text: format!("{}–{} of {}", count(from + 1), count(last), count(all)),
        previous: (from > 0).then(|| to(from.saturating_sub(PAGE))),
        next: (last < all).then(|| to(last)),
    }
}

/// How many actions there are in each state, those to look at first.
pub(super) fn counts(views: &[ActionView]) -> Vec<(Badge, usize)> {
    const ORDER: [&str; 7] = ["failed", "aborted", "running", "starting", "paused", "queued", "succeeded"];
    let mut counts: BTreeMap<usize, (Badge, usize)> = BTreeMap::new();
    for view in views {
        let badge = badge(view.phase);
        let place = ORDER.iter().position(|class| *class == badge.class).unwrap_or(ORDER.len());
        counts.entry(place).or_insert((badge, 0)).1 += 1;
    }
    counts.into_values().collect()
}

/// Keys of nodes in an address.
pub(super) fn keys(text: &str) -> BTreeSet<String> {
    const MOST: usize = 100;
    text.split(',').filter(|key| !key.is_empty()).take(MOST).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
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
        let tree = Tree::new(&views, Timestamp(9));
        let rows = tree.rows(&View::default());
        assert_eq!(shown(&rows), ["a0", "  map", "    a1", "    a3", "      a4", "  a2"]);
        let failures: Vec<&str> = tree.first_failures(5).iter().map(|view| view.name.as_str()).collect();
        assert_eq!(failures, ["a4"]);
        let shut = View { shut: keys("a0~0"), ..View::default() };
        let rows = tree.rows(&shut);
        assert_eq!(shown(&rows), ["a0", "  map", "  a2"]);
        let Row::Node(group) = &rows[1] else { panic!() };
        assert_eq!((group.failures, group.badge.class), (1, "failed"));
        assert!(group.toggle.as_ref().unwrap().href.contains("open=a0%7E0"));
    }

    #[test]
    fn a_page_is_bounded_and_the_chosen_action_is_on_it() {
        let mut views = vec![view("a0", None, None, Phase::Running)];
        for child in 0..10_000 {
            views.push(view(&format!("c{child}"), Some("a0"), None, Phase::Succeeded));
        }
        let tree = Tree::new(&views, Timestamp(9));
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
        let tree = Tree::new(&views, Timestamp(9));
        assert!(tree.rows(&View::default()).len() <= MOST_ROWS);
        let deepest = View { selected: Some(ActionName::new("a1999").unwrap()), ..View::default() };
        assert!(tree.rows(&deepest).len() <= MOST_ROWS);
    }
}
