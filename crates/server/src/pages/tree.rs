//! The actions of a run as rows of a tree on one axis of time: bounded, whatever the run is like.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use spanwise_core::{ActionName, Phase, Timestamp};
use spanwise_engine::ActionView;

use super::format::{Badge, Span, badge, span};
use super::view::View;
use crate::trace::timeline::{At, Timeline};

/// Children of one node on a page.
const PAGE: usize = 100;

/// Rows that are open without being asked for.
const OPEN_ROWS: usize = 150;

/// Rows of a page at most; what is beyond can be reached by closing something.
const MOST_ROWS: usize = 300;

/// Parts and spans of an action that stand before what it has asked for; more of them are paged with the rest.
const MOST_PARTS: usize = 24;

/// Levels of spans above the chosen one that are shown: the first of them and the last. What is between is left out.
const FIRST_LEVELS: usize = 10;
const LAST_LEVELS: usize = 20;

/// Failures on other pages that are shown before a page of children.
const FAILURES_FIRST: usize = 3;

mod bars;
mod parts;
mod rows;
#[cfg(test)]
mod tests;

pub(super) use rows::Row;
use rows::{full, pager};

/// A node: an action, a group of children of an action, or a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    Action(usize),
    /// Known by its first member.
    Group {
        parent: usize,
        first: usize,
    },
    /// A lifecycle span inside of an action.
    Part(usize),
    /// A span of the user's.
    User(usize),
}

/// Levels that are left out on the way to the chosen span: it would be too far down to be seen.
#[derive(Clone, Copy, Debug)]
struct Gap {
    from: usize,
    to: usize,
    levels: usize,
}

/// The actions of a run with who is under whom.
pub(super) struct Tree<'a> {
    views: &'a [ActionView],
    timeline: &'a Timeline,
    by_name: HashMap<ActionName, usize>,
    children: Vec<Vec<usize>>,
    failed_below: Vec<usize>,
    begin: Timestamp,
    end: Timestamp,
    now: Timestamp,
    gap: OnceCell<Option<Gap>>,
}

pub(super) fn is_failure(phase: Phase) -> bool {
    matches!(phase, Phase::Failed | Phase::TimedOut)
}

impl<'a> Tree<'a> {
    pub(super) fn new(views: &'a [ActionView], timeline: &'a Timeline, now: Timestamp) -> Tree<'a> {
        let by_name: HashMap<ActionName, usize> = views.iter().enumerate().map(|(at, view)| (view.name, at)).collect();
        let mut children = vec![Vec::new(); views.len()];
        for (at, view) in views.iter().enumerate() {
            if let Some(parent) = view.parent.and_then(|parent| by_name.get(&parent)) {
                children[*parent].push(at);
            }
        }
        let failed_below = vec![0; views.len()];
        let gap = OnceCell::new();
        let mut tree = Tree { views, timeline, by_name, children, failed_below, begin: now, end: now, now, gap };
        for at in (0..views.len()).filter(|at| is_failure(views[*at].phase)) {
            for ancestor in tree.ancestors(at) {
                tree.failed_below[ancestor] += 1;
            }
        }
        tree.begin = views.iter().map(|view| view.enqueued_at).min().unwrap_or(now);
        let ends = views.iter().map(|view| view.ended_at.unwrap_or(now)).max();
        tree.end = ends.unwrap_or(now);
        let (begin, end) = timeline.axis();
        if end > begin {
            (tree.begin, tree.end) = (tree.begin.min(begin), tree.end.max(end));
        }
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

    /// The actions under an action, those of a group gathered where the first of them is; the spans under a span.
    fn nodes_of(&self, node: Node) -> Vec<Node> {
        match node {
            Node::Action(at) => {
                let mut groups: HashSet<&str> = HashSet::new();
                let mut nodes = Vec::new();
                for child in &self.children[at] {
                    match self.views[*child].group.as_deref() {
                        None => nodes.push(Node::Action(*child)),
                        Some(group) if groups.insert(group) => nodes.push(Node::Group { parent: at, first: *child }),
                        Some(_) => {}
                    }
                }
                nodes
            }
            Node::Group { parent, first } => {
                let group = &self.views[first].group;
                let of_group = self.children[parent].iter().filter(|child| self.views[**child].group == *group);
                of_group.map(|child| Node::Action(*child)).collect()
            }
            Node::Part(at) => self.spans_of_part(at),
            Node::User(at) => match self.gap().filter(|gap| gap.from == at) {
                Some(gap) => vec![Node::User(gap.to)],
                None => self.timeline.under(At::User(at)).iter().map(|span| Node::User(*span)).collect(),
            },
        }
    }

    /// What is under a node: first what is always shown if it is open, then what is shown in pages.
    fn below(&self, node: Node) -> (Vec<Node>, Vec<Node>) {
        let nodes = self.nodes_of(node);
        let Node::Action(at) = node else { return (Vec::new(), nodes) };
        let mut head = self.parts_of_action(at);
        if head.len() <= MOST_PARTS {
            return (head, nodes);
        }
        head.extend(nodes);
        (Vec::new(), head)
    }

    fn has_children(&self, node: Node) -> bool {
        match node {
            Node::Action(at) => !self.children[at].is_empty() || self.has_parts(at),
            Node::Group { .. } => true,
            Node::Part(_) | Node::User(_) => !self.nodes_of(node).is_empty(),
        }
    }

    /// True for what is worth opening without being asked: what has actions under it, and the way to an error.
    fn opens_by_itself(&self, node: Node) -> bool {
        match node {
            Node::Action(at) => {
                let view = &self.views[at];
                !self.children[at].is_empty() || view.attempts > 1 || is_failure(view.phase)
            }
            Node::Group { .. } => true,
            Node::Part(_) | Node::User(_) => self.has_error(node),
        }
    }

    /// The name of a node in addresses: `~` and `.` are in no name of an action.
    fn key(&self, node: Node) -> String {
        match node {
            Node::Action(at) => self.views[at].name.to_string(),
            Node::Group { first, .. } => format!("{}~", self.views[first].name),
            Node::Part(_) | Node::User(_) => self.id_of(node).map(|id| format!(".{id}")).unwrap_or_default(),
        }
    }

    /// The nodes above what is chosen, so that it is seen.
    fn path_to(&self, view: &View) -> HashSet<Node> {
        let mut path = HashSet::new();
        let mut selected = view.selected;
        if let Some((action, spans)) = view.span.and_then(|span| self.way_to_span(span)) {
            selected = Some(action);
            path.extend(spans);
        }
        let Some(&at) = selected.as_ref().and_then(|name| self.by_name.get(name)) else { return path };
        let mut below = at;
        for ancestor in self.ancestors(at) {
            let group = &self.views[below].group;
            if group.is_some() {
                let first = self.children[ancestor].iter().find(|child| self.views[**child].group == *group);
                path.extend(first.map(|first| Node::Group { parent: ancestor, first: *first }));
            }
            path.insert(Node::Action(ancestor));
            below = ancestor;
        }
        path.insert(Node::Action(at));
        path
    }

    fn gap(&self) -> Option<Gap> {
        self.gap.get().copied().flatten()
    }

    /// The levels that are left out on the way to the chosen span.
    fn gap_of(&self, view: &View) -> Option<Gap> {
        let At::User(chosen) = self.timeline.find(view.span?)? else { return None };
        let above = self.timeline.chain(chosen).into_iter().filter_map(|at| match at {
            At::User(at) => Some(at),
            At::Lifecycle(_) => None,
        });
        let way: Vec<usize> = std::iter::once(chosen).chain(above).collect();
        let (from, to) = (way.len().checked_sub(FIRST_LEVELS)?, LAST_LEVELS);
        (from > to + 1).then(|| Gap { from: way[from], to: way[to], levels: from - to - 1 })
    }

    /// The rows of the page that a view asks for.
    pub(super) fn rows(&self, view: &View) -> Vec<Row> {
        if view.is_flat() {
            return self.flat(view);
        }
        self.gap.get_or_init(|| self.gap_of(view));
        let path = self.path_to(view);
        let open = self.open(view, &path);
        let mut page = Page { view, path: &path, open: &open, rows: Vec::new(), beyond: 0 };
        let roots = (0..self.views.len()).filter(|at| self.views[*at].parent.is_none());
        for root in roots {
            self.add(Node::Action(root), 1, &mut page);
        }
        if page.beyond > 0 {
            page.rows.push(full(page.beyond));
        }
        page.rows
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
            if open.len() > MOST_ROWS || !self.has_children(node) {
                continue;
            }
            let key = self.key(node);
            let on_path = path.contains(&node) && !self.is_chosen(node, view);
            let is_wanted = is_root || on_path || view.open.contains(&key);
            if view.shut.contains(&key) || !(is_wanted || (room > 0 && self.opens_by_itself(node))) {
                continue;
            }
            let (head, paged) = self.below(node);
            let count = head.len() + paged.len();
            if !is_wanted && count > room.min(PAGE) {
                continue;
            }
            room = room.saturating_sub(count);
            open.insert(node);
            let from = self.first_shown(node, &paged, view, path);
            let shown = paged.into_iter().skip(from).take(PAGE);
            waiting.extend(head.into_iter().chain(shown).map(|child| (child, false)));
        }
        open
    }

    /// Where the page of children begins: as asked, else with the chosen one on it.
    fn first_shown(&self, node: Node, children: &[Node], view: &View, path: &HashSet<Node>) -> usize {
        if children.len() <= PAGE {
            return 0;
        }
        if let Some(at) = view.at.get(&self.key(node)) {
            return (*at).min(children.len().saturating_sub(1)) / PAGE * PAGE;
        }
        let chosen = children.iter().position(|child| path.contains(child));
        chosen.map_or(0, |at| at / PAGE * PAGE)
    }

    fn add(&self, node: Node, level: usize, page: &mut Page<'_>) {
        let is_open = page.open.contains(&node);
        let (head, paged) = if self.has_children(node) { self.below(node) } else { Default::default() };
        if page.has_room() {
            page.rows.push(Row::Node(Box::new(self.row(node, level, (&head, &paged), is_open, page.view))));
        } else {
            page.beyond += 1;
        }
        if !is_open {
            return;
        }
        for child in head {
            self.add(child, level + 1, page);
        }
        let from = self.first_shown(node, &paged, page.view, page.path);
        let key = self.key(node);
        if paged.len() > PAGE && !page.view.at.contains_key(&key) {
            for child in self.failing_elsewhere(&paged, from) {
                self.add(child, level + 1, page);
            }
        }
        for child in paged.iter().skip(from).take(PAGE) {
            self.add(*child, level + 1, page);
        }
        if paged.len() > PAGE && !page.has_room() {
            page.beyond += 1;
        } else if paged.len() > PAGE {
            let to = |at: usize| {
                page.view.with(|view| {
                    view.at.insert(key.clone(), at);
                })
            };
            let pager = pager(level + 1, from, paged.len(), to);
            page.rows.push(pager);
        }
    }

    /// The first failures among children, those on the page that is shown anyway left out.
    fn failing_elsewhere(&self, children: &[Node], from: usize) -> Vec<Node> {
        let fails = |node: &Node| match node {
            Node::Action(at) => is_failure(self.views[*at].phase),
            Node::Group { .. } => false,
            Node::Part(_) | Node::User(_) => self.has_error(*node),
        };
        let elsewhere = children.iter().enumerate().filter(|(at, _)| !(from..from + PAGE).contains(at));
        elsewhere.map(|(_, node)| *node).filter(fails).take(FAILURES_FIRST).collect()
    }
}

/// A page that is being filled.
struct Page<'a> {
    view: &'a View,
    path: &'a HashSet<Node>,
    open: &'a HashSet<Node>,
    rows: Vec<Row>,
    /// Rows that there is no room for.
    beyond: usize,
}

impl Page<'_> {
    /// The last row says what there is no room for.
    fn has_room(&self) -> bool {
        self.rows.len() + 1 < MOST_ROWS
    }
}

/// How many actions there are in each state, those to look at first.
pub(super) fn counts(views: &[ActionView]) -> Vec<(Badge, usize)> {
    const ORDER: [&str; 7] = ["failed", "aborted", "running", "starting", "paused", "queued", "succeeded"];
    let mut counts: BTreeMap<usize, (Badge, usize)> = BTreeMap::new();
    for view in views {
        let badge = badge(view.phase);
        let position = ORDER.iter().position(|class| *class == badge.class).unwrap_or(ORDER.len());
        counts.entry(position).or_insert((badge, 0)).1 += 1;
    }
    counts.into_values().collect()
}
