//! A trace as a tree of lines: a pure function from spans to text.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry_sdk::trace::SpanData;

use crate::terminal::{Line, Style};

/// So many siblings of one name are shown one by one; of more, [`SHOWN`] are.
const FOLD_ABOVE: usize = 5;
const SHOWN: usize = 3;

/// Levels that are drawn one to the right of the other.
const DEEPEST: usize = 40;

/// What the tree shows of a span.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    /// None for the root of a trace.
    pub(crate) parent: Option<SpanId>,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) service: Cow<'static, str>,
    /// From when to when it is drawn.
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
    /// How long it was.
    pub(crate) length: Duration,
    /// The text of an error status.
    pub(crate) error: Option<String>,
    /// What is worth a word: the HTTP status, the attempt, a step that was replayed.
    pub(crate) notes: Vec<String>,
    /// What is odd about it.
    pub(crate) remarks: Vec<String>,
}

impl Span {
    pub(crate) fn from_data(data: &SpanData, service: &'static str) -> Span {
        let error = match &data.status {
            Status::Error { description } => Some(description.to_string()),
            _ => None,
        };
        Span {
            trace: data.span_context.trace_id(),
            id: data.span_context.span_id(),
            parent: (data.parent_span_id != SpanId::INVALID).then_some(data.parent_span_id),
            name: data.name.to_string(),
            kind: data.span_kind.clone(),
            service: Cow::Borrowed(service),
            start: data.start_time,
            end: data.end_time,
            length: data.end_time.duration_since(data.start_time).unwrap_or_default(),
            error,
            notes: notes(data),
            remarks: Vec::new(),
        }
    }
}

fn notes(data: &SpanData) -> Vec<String> {
    let attribute = |attributes: &[opentelemetry::KeyValue], key: &str| -> Option<Value> {
        attributes.iter().find(|attribute| attribute.key.as_str() == key).map(|attribute| attribute.value.clone())
    };
    let mut notes = Vec::new();
    notes.extend(attribute(&data.attributes, "http.response.status_code").map(|status| format!("HTTP {status}")));
    notes.extend(attribute(&data.attributes, "flyte.attempt").map(|attempt| format!("attempt {attempt}")));
    for event in data.events.iter().filter(|event| event.name == "step replayed") {
        let step = attribute(&event.attributes, "flyte.step_name");
        let attempt = attribute(&event.attributes, "flyte.attempt");
        if let (Some(step), Some(attempt)) = (step, attempt) {
            notes.push(format!("{step} replayed from attempt {attempt}"));
        }
    }
    notes
}

/// The spans as trees, one for each span whose parent is not among them; siblings stand in the order of their starts. Spans of
/// `home` do not name their service.
pub(crate) fn render(spans: &[Span], home: &str) -> Vec<Line> {
    draw(spans, home).into_iter().map(|row| row.line).collect()
}

/// A line of the tree, and the spans that it stands for: one, or those that are folded.
struct Row<'a> {
    line: Line,
    spans: Vec<&'a Span>,
}

fn draw<'a>(spans: &'a [Span], home: &'a str) -> Vec<Row<'a>> {
    let ids: HashSet<SpanId> = spans.iter().map(|span| span.id).collect();
    let mut children: HashMap<Option<SpanId>, Vec<&Span>> = HashMap::new();
    for span in spans {
        children.entry(span.parent.filter(|parent| ids.contains(parent))).or_default().push(span);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|span| (span.start, span.id.to_bytes()));
    }
    let roots = children.remove(&None).unwrap_or_default();
    let mut tree = Tree { ids, children, home, rows: Vec::new() };
    tree.draw(roots);
    // Spans that are each other's parents are under no root: the first of them stands for one.
    while let Some(first) =
        tree.children.values().flatten().min_by_key(|span| (span.start, span.id.to_bytes())).copied()
    {
        tree.children.values_mut().for_each(|siblings| siblings.retain(|span| span.id != first.id));
        tree.children.retain(|_, siblings| !siblings.is_empty());
        tree.draw(vec![first]);
    }
    tree.rows
}

struct Tree<'a> {
    ids: HashSet<SpanId>,
    children: HashMap<Option<SpanId>, Vec<&'a Span>>,
    home: &'a str,
    rows: Vec<Row<'a>>,
}

/// A span, or the siblings of one name that are not shown one by one.
enum Branch<'a> {
    One(&'a Span),
    Folded(Vec<&'a Span>),
}

/// A branch that waits for its turn, with what stands before it and before what is below it.
struct Waiting<'a> {
    branch: Branch<'a>,
    first: String,
    rest: String,
    level: usize,
}

impl<'a> Tree<'a> {
    /// Draws spans with all that is below them. There may be as many levels as spans: nothing recurses.
    fn draw(&mut self, roots: Vec<&'a Span>) {
        let root = |span| Waiting { branch: Branch::One(span), first: String::new(), rest: String::new(), level: 0 };
        let mut waiting: Vec<Waiting<'a>> = roots.into_iter().rev().map(root).collect();
        while let Some(Waiting { branch, first, rest, level }) = waiting.pop() {
            match branch {
                Branch::One(span) => {
                    let line = self.line(span, &first);
                    self.rows.push(Row { line, spans: vec![span] });
                    // Each span is drawn once, also if somebody's spans are each other's parents.
                    let below = self.children.remove(&Some(span.id)).unwrap_or_default();
                    let below = branches(&below, &rest, level + 1);
                    waiting.extend(below.into_iter().rev());
                }
                Branch::Folded(spans) => {
                    let line = self.folded(&spans, &first);
                    self.rows.push(Row { line, spans });
                }
            }
        }
    }

    fn line(&self, span: &Span, prefix: &str) -> Line {
        let mut line = Line::new().add(Style::Dim, prefix).add(Style::Strong, &span.name);
        line = line.add(Style::Plain, format!("  {}", human(span.length)));
        let missing = span.parent.filter(|parent| !self.ids.contains(parent));
        let kind = match span.kind {
            SpanKind::Internal => None,
            ref kind => Some(format!("{kind:?}").to_uppercase()),
        };
        let service = (span.service != self.home).then(|| span.service.to_string());
        let about: Vec<String> = service.into_iter().chain(kind).chain(span.notes.iter().cloned()).collect();
        if !about.is_empty() {
            line = line.add(Style::Dim, format!("  ({})", about.join(", ")));
        }
        if let Some(parent) = missing {
            line = line.add(Style::Bad, format!("  ! its parent {parent} is missing"));
        }
        for remark in &span.remarks {
            line = line.add(Style::Bad, format!("  ! {remark}"));
        }
        match &span.error {
            Some(text) if text.is_empty() => line.add(Style::Bad, "  ✗"),
            Some(text) => line.add(Style::Bad, format!("  ✗ {text}")),
            None => line,
        }
    }

    fn folded(&mut self, spans: &[&Span], prefix: &str) -> Line {
        let lengths = || spans.iter().map(|span| span.length);
        let (least, most) = (lengths().min().unwrap_or_default(), lengths().max().unwrap_or_default());
        let below: usize = spans.iter().map(|span| self.below(span)).sum();
        let name = spans.first().map(|span| span.name.as_str()).unwrap_or_default();
        let text = format!("… {} more {name}", spans.len());
        let mut line = Line::new().add(Style::Dim, prefix).add(Style::Plain, text);
        line = line.add(Style::Plain, format!("  {} – {}", human(least), human(most)));
        if below > 0 {
            line = line.add(Style::Dim, format!("  ({below} spans below them)"));
        }
        line
    }

    /// How many spans there are below one; they are not drawn any more.
    fn below(&mut self, span: &Span) -> usize {
        let (mut count, mut waiting) = (0, vec![span.id]);
        while let Some(id) = waiting.pop() {
            let children = self.children.remove(&Some(id)).unwrap_or_default();
            count += children.len();
            waiting.extend(children.iter().map(|child| child.id));
        }
        count
    }
}

/// What is below a span. Deeper than people see, levels are counted and the tree goes no further to the right.
fn branches<'a>(children: &[&'a Span], rest: &str, level: usize) -> Vec<Waiting<'a>> {
    let branches = fold(children);
    let last = branches.len().saturating_sub(1);
    let waiting = |(index, branch)| {
        let (tee, bar) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let (first, rest) = match level.checked_sub(DEEPEST) {
            None => (format!("{rest}{tee}"), format!("{rest}{bar}")),
            Some(deeper) => (format!("{rest}{tee}({deeper} levels further) "), rest.to_owned()),
        };
        Waiting { branch, first, rest, level }
    };
    branches.into_iter().enumerate().map(waiting).collect()
}

/// Folds what there are many of; a span with an error is always shown.
fn fold<'a>(siblings: &[&'a Span]) -> Vec<Branch<'a>> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for span in siblings {
        *counts.entry(&span.name).or_default() += 1;
    }
    let mut branches = Vec::new();
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    let mut folds: BTreeMap<&str, usize> = BTreeMap::new();
    for span in siblings {
        let name = span.name.as_str();
        let seen = shown.entry(name).or_default();
        if counts[name] <= FOLD_ABOVE || *seen < SHOWN || span.error.is_some() {
            *seen += 1;
            branches.push(Branch::One(span));
            continue;
        }
        let position = *folds.entry(name).or_insert_with(|| {
            branches.push(Branch::Folded(Vec::new()));
            branches.len() - 1
        });
        if let Branch::Folded(folded) = &mut branches[position] {
            folded.push(span);
        }
    }
    branches
}

/// A duration with about three digits.
pub(crate) fn human(duration: Duration) -> String {
    let micros = duration.as_micros();
    let millis = duration.as_secs_f64() * 1e3;
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{millis:.1} ms"),
        10_000..1_000_000 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

pub(crate) mod document;
pub(crate) mod waterfall;

#[cfg(test)]
mod tests;
