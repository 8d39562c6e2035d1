//! Rows that are no actions: the parts of an action, and spans of the user's.

use spanwise_core::ActionName;
use spanwise_core::lifecycle::{Part, Status};
use spanwise_core::trace::SpanId;

use super::rows::NodeRow;
use super::{Node, Tree};
use crate::pages::format::{Badge, count, cut, detail, result_of, span};
use crate::pages::view::View;
use crate::trace::text::{self, is_error};
use crate::trace::timeline::{At, span_id};

/// The longest name that is written in a row: it may come from anybody.
const LONGEST_NAME: usize = 160;

impl Tree<'_> {
    pub(super) fn has_parts(&self, at: usize) -> bool {
        let name = &self.views[at].name;
        !self.timeline.parts(name).is_empty()
            || self.timeline.action(name).is_some_and(|span| !self.timeline.under(At::Lifecycle(span)).is_empty())
    }

    /// The parts of an action, and the user's spans that are directly under it.
    pub(super) fn parts_of_action(&self, at: usize) -> Vec<Node> {
        let name = &self.views[at].name;
        let of_user =
            self.timeline.action(name).map(|span| self.timeline.under(At::Lifecycle(span))).unwrap_or_default();
        let parts = self.timeline.parts(name).iter().map(|part| Node::Part(*part));
        parts.chain(of_user.iter().map(|span| Node::User(*span))).collect()
    }

    pub(super) fn spans_of_part(&self, at: usize) -> Vec<Node> {
        let part = self.timeline.lifecycle_span(at);
        let is_attempt = part.part == Part::Attempt;
        let attempt = part.attempt.filter(|_| is_attempt);
        let starting = attempt.and_then(|attempt| self.timeline.starting(&part.action, attempt));
        let of_user = self.timeline.under(At::Lifecycle(at)).iter().map(|span| Node::User(*span));
        starting.map(Node::Part).into_iter().chain(of_user).collect()
    }

    pub(super) fn has_error(&self, node: Node) -> bool {
        match node {
            Node::Part(at) => matches!(self.timeline.lifecycle_span(at).status, Status::Error(_)),
            Node::User(at) => is_error(&self.timeline.received(at).span),
            Node::Action(_) | Node::Group { .. } => false,
        }
    }

    pub(super) fn id_of(&self, node: Node) -> Option<SpanId> {
        match node {
            Node::Part(at) => Some(self.timeline.lifecycle_span(at).context.span),
            Node::User(at) => span_id(&self.timeline.received(at).span.span_id),
            Node::Action(_) | Node::Group { .. } => None,
        }
    }

    /// True if the panel shows this node: it is not opened only because it is looked at.
    pub(super) fn is_chosen(&self, node: Node, view: &View) -> bool {
        match (node, view.span) {
            (Node::Action(at), None) => view.selected == Some(self.views[at].name),
            (Node::Part(_) | Node::User(_), Some(span)) => self.id_of(node) == Some(span),
            _ => false,
        }
    }

    /// The action of a span, and the nodes from the span up to it.
    pub(super) fn way_to_span(&self, id: SpanId) -> Option<(ActionName, Vec<Node>)> {
        let (mut nodes, lifecycle) = match self.timeline.find(id)? {
            At::Lifecycle(at) => (Vec::new(), at),
            At::User(at) => {
                let chain = self.timeline.chain(at);
                let mut nodes = vec![Node::User(at)];
                let mut lifecycle = None;
                for above in chain {
                    match above {
                        At::User(user) => nodes.push(Node::User(user)),
                        At::Lifecycle(at) => lifecycle = Some(at),
                    }
                }
                (nodes, lifecycle?)
            }
        };
        let span = self.timeline.lifecycle_span(lifecycle);
        nodes.push(Node::Part(lifecycle));
        if span.part == Part::Starting {
            let is_it = |part: &&usize| {
                let part = self.timeline.lifecycle_span(**part);
                part.part == Part::Attempt && part.attempt == span.attempt
            };
            nodes.extend(self.timeline.parts(&span.action).iter().find(is_it).map(|attempt| Node::Part(*attempt)));
        }
        Some((span.action, nodes))
    }

    pub(super) fn part_row(&self, at: usize, level: usize, view: &View) -> NodeRow {
        let part = self.timeline.lifecycle_span(at);
        let badge = if part.part == Part::Attempt { result_of(part) } else { None };
        let is_last = self.timeline.parts(&part.action).last() == Some(&at);
        let action = self.by_name.get(&part.action).map(|at| &self.views[*at]);
        let goes_on = is_last && action.is_some_and(|action| !action.phase.is_terminal());
        let note = match part.part {
            Part::Queued if detail(part, "spanwise.queued.reason") == Some("concurrency") => "too much was running",
            Part::Lookup => detail(part, "spanwise.cache.status").unwrap_or_default(),
            Part::Attempt => detail(part, "error.type").unwrap_or_default(),
            _ => "",
        };
        NodeRow {
            id: format!("s-{}", part.context.span),
            level,
            href: Some(self.to_span(part.context.span, view)),
            name: part.name.to_string(),
            title: format!("{} of {}", part.name, part.task),
            kind: "k-part",
            notes: Some(cut(note, LONGEST_NAME)).filter(|note| !note.is_empty()).into_iter().collect(),
            warnings: Vec::new(),
            selected: view.span == Some(part.context.span),
            toggle: None,
            badge,
            attempts: 0,
            length: span(part.start, (!goes_on).then_some(part.end), self.now),
            bar: self.part_bar(part),
            failures: 0,
        }
    }

    pub(super) fn user_row(&self, at: usize, level: usize, view: &View) -> NodeRow {
        let received = self.timeline.received(at);
        let (start, end) = self.timeline.drawn(At::User(at));
        let (begun, ended) = self.timeline.length_of(at);
        let id = span_id(&received.span.span_id).unwrap_or(SpanId([0; 8]));
        let failed = is_error(&received.span);
        let service = text::attribute(&received.resource.attributes, "service.name").unwrap_or_default();
        let name = if received.span.name.is_empty() { text::NO_NAME } else { &received.span.name };
        NodeRow {
            id: format!("s-{id}"),
            level,
            href: Some(self.to_span(id, view)),
            name: cut(name, LONGEST_NAME),
            title: cut(&format!("{name} ({service})"), LONGEST_NAME),
            kind: "k-user",
            notes: Vec::new(),
            warnings: self.warnings_of(at),
            selected: view.span == Some(id),
            toggle: None,
            badge: failed.then_some(Badge { class: "failed", word: "Error" }),
            attempts: 0,
            length: span(begun, Some(ended), self.now),
            bar: self.span_bar(if failed { "f-failed" } else { "f-user" }, start, end),
            failures: 0,
        }
    }

    /// What is odd about a span, and how many levels are not shown above it.
    fn warnings_of(&self, at: usize) -> Vec<String> {
        let gap = self.gap().filter(|gap| gap.to == at);
        let gap = gap.map(|gap| format!("{} levels above are not shown", count(gap.levels)));
        gap.into_iter().chain(self.timeline.remarks(at).into_iter().map(str::to_owned)).collect()
    }

    fn to_span(&self, id: SpanId, view: &View) -> String {
        view.with(|view| {
            view.span = Some(id);
            view.selected = None;
            view.attempt = None;
        })
    }
}
