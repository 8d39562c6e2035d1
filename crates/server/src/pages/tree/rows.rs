//! The rows of a tree: what is written in each, and where it is on the axis of time.

use spanwise_core::{ActionKind, Phase};
use spanwise_engine::ActionView;

use super::bars::Bar;
use super::{Node, PAGE, Tree, is_failure};
use crate::pages::format::{Badge, Span, badge, count, span};
use crate::pages::view::View;

/// A row of the page.
pub(in crate::pages) enum Row {
    Node(Box<NodeRow>),
    /// Which children of a node are shown, and the ways to the others.
    Pager {
        level: usize,
        text: String,
        previous: Option<String>,
        next: Option<String>,
    },
}

pub(in crate::pages) struct NodeRow {
    pub(in crate::pages) id: String,
    pub(in crate::pages) level: usize,
    /// Leads to the action; none for a group.
    pub(in crate::pages) href: Option<String>,
    pub(in crate::pages) name: String,
    pub(in crate::pages) title: String,
    /// What kind of row it is, as a class: an action, a part of one, a span of the user's.
    pub(in crate::pages) kind: &'static str,
    pub(in crate::pages) notes: Vec<String>,
    pub(in crate::pages) warnings: Vec<String>,
    pub(in crate::pages) selected: bool,
    pub(in crate::pages) toggle: Option<Toggle>,
    pub(in crate::pages) badge: Option<Badge>,
    pub(in crate::pages) attempts: u32,
    pub(in crate::pages) length: Span,
    pub(in crate::pages) bar: Bar,
    /// Failures under a node that is closed.
    pub(in crate::pages) failures: usize,
}

pub(in crate::pages) struct Toggle {
    pub(in crate::pages) open: bool,
    pub(in crate::pages) href: String,
    /// How many actions or spans there are below; empty for one that has parts only.
    pub(in crate::pages) children: String,
}

impl Tree<'_> {
    pub(super) fn row(
        &self,
        node: Node,
        level: usize,
        (head, paged): (&[Node], &[Node]),
        open: bool,
        view: &View,
    ) -> NodeRow {
        let key = self.key(node);
        let toggle = (!head.is_empty() || !paged.is_empty()).then(|| Toggle {
            open,
            href: view.with(|view| {
                let (from, to) = if open { (&mut view.open, &mut view.shut) } else { (&mut view.shut, &mut view.open) };
                from.remove(&key);
                to.insert(key.clone());
            }),
            children: if paged.is_empty() { String::new() } else { count(paged.len()) },
        });
        match node {
            Node::Action(at) => NodeRow {
                toggle,
                failures: if open { 0 } else { self.failed_below[at] },
                ..self.action_row(at, level, view)
            },
            Node::Group { first, .. } => {
                let members: Vec<&ActionView> = paged
                    .iter()
                    .filter_map(|child| match child {
                        Node::Action(at) => Some(&self.views[*at]),
                        _ => None,
                    })
                    .collect();
                let name = self.views[first].group.as_deref().unwrap_or_default();
                self.group_row(name, key, level, &members, toggle, open)
            }
            Node::Part(at) => NodeRow { toggle, ..self.part_row(at, level, view) },
            Node::User(at) => NodeRow { toggle, ..self.user_row(at, level, view) },
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
            kind: "k-action",
            notes: vec!["group".to_owned()],
            warnings: Vec::new(),
            selected: false,
            toggle,
            badge: Some(badge(phase)),
            attempts: 0,
            length: span(begin, ended, self.now),
            bar: self.plain_bar(begin, started, ended, badge(phase).class),
            failures: if open { 0 } else { failures },
        }
    }

    fn action_row(&self, at: usize, level: usize, view: &View) -> NodeRow {
        let action = &self.views[at];
        let cached = action.phase == Phase::Succeeded && action.attempts == 0 && action.kind == ActionKind::Task;
        let note = match action.kind {
            ActionKind::Step => "step",
            ActionKind::Condition => "condition",
            ActionKind::Timer => "timer",
            ActionKind::Task if cached => "cached",
            ActionKind::Task => "",
        };
        NodeRow {
            id: format!("n-{}", action.name),
            level,
            href: Some(view.with(|view| {
                view.selected = Some(action.name);
                view.span = None;
                view.attempt = None;
                view.full = false;
            })),
            name: action.task.short().to_owned(),
            title: format!("{} ({})", action.task, action.name),
            kind: "k-action",
            notes: Some(note.to_owned()).filter(|note| !note.is_empty()).into_iter().collect(),
            warnings: Vec::new(),
            selected: view.span.is_none() && view.chosen() == action.name,
            toggle: None,
            badge: Some(badge(action.phase)),
            attempts: action.attempts,
            length: span(action.enqueued_at, action.ended_at, self.now),
            bar: self.action_bar(action),
            failures: 0,
        }
    }

    /// The actions that pass the filter, without the tree.
    pub(super) fn flat(&self, view: &View) -> Vec<Row> {
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

pub(super) fn pager(level: usize, from: usize, all: usize, to: impl Fn(usize) -> String) -> Row {
    let last = (from + PAGE).min(all);
    Row::Pager {
        level,
        text: format!("{}–{} of {}", count(from + 1), count(last), count(all)),
        previous: (from > 0).then(|| to(from.saturating_sub(PAGE))),
        next: (last < all).then(|| to(last)),
    }
}

/// What is said at the end of a page that has no room for more.
pub(super) fn full(beyond: usize) -> Row {
    let text = format!("{} more rows are open below than the page has room for: close some above", count(beyond));
    Row::Pager { level: 1, text, previous: None, next: None }
}
