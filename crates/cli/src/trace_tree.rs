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
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
    /// The text of an error status.
    pub(crate) error: Option<String>,
    /// What is worth a word: the HTTP status, the attempt, a step that was replayed.
    pub(crate) notes: Vec<String>,
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
            error,
            notes: notes(data),
        }
    }

    fn duration(&self) -> Duration {
        self.end.duration_since(self.start).unwrap_or_default()
    }
}

fn notes(data: &SpanData) -> Vec<String> {
    let attribute = |attributes: &[opentelemetry::KeyValue], key: &str| -> Option<Value> {
        attributes.iter().find(|known| known.key.as_str() == key).map(|known| known.value.clone())
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
    let known: HashSet<SpanId> = spans.iter().map(|span| span.id).collect();
    let mut children: HashMap<Option<SpanId>, Vec<&Span>> = HashMap::new();
    for span in spans {
        children.entry(span.parent.filter(|parent| known.contains(parent))).or_default().push(span);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|span| (span.start, span.id.to_bytes()));
    }
    let roots = children.remove(&None).unwrap_or_default();
    let mut tree = Tree { known, children, home, rows: Vec::new() };
    for root in roots {
        tree.draw(root, "", "");
    }
    tree.rows
}

struct Tree<'a> {
    known: HashSet<SpanId>,
    children: HashMap<Option<SpanId>, Vec<&'a Span>>,
    home: &'a str,
    rows: Vec<Row<'a>>,
}

/// A span, or the siblings of one name that are not shown one by one.
enum Branch<'a> {
    One(&'a Span),
    Folded(Vec<&'a Span>),
}

impl<'a> Tree<'a> {
    fn draw(&mut self, span: &'a Span, first: &str, rest: &str) {
        let line = self.line(span, first);
        self.rows.push(Row { line, spans: vec![span] });
        // Each span is drawn once, also if somebody's spans are each other's parents.
        let branches = fold(&self.children.remove(&Some(span.id)).unwrap_or_default());
        let last = branches.len().saturating_sub(1);
        for (index, branch) in branches.iter().enumerate() {
            let (tee, bar) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            match branch {
                Branch::One(child) => self.draw(child, &format!("{rest}{tee}"), &format!("{rest}{bar}")),
                Branch::Folded(children) => {
                    let line = self.folded(children, &format!("{rest}{tee}"));
                    self.rows.push(Row { line, spans: children.clone() });
                }
            }
        }
    }

    fn line(&self, span: &Span, prefix: &str) -> Line {
        let mut line = Line::new().add(Style::Dim, prefix).add(Style::Strong, &span.name);
        line = line.add(Style::Plain, format!("  {}", human(span.duration())));
        let missing = span.parent.filter(|parent| !self.known.contains(parent));
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
        match &span.error {
            Some(text) if text.is_empty() => line.add(Style::Bad, "  ✗"),
            Some(text) => line.add(Style::Bad, format!("  ✗ {text}")),
            None => line,
        }
    }

    fn folded(&self, spans: &[&Span], prefix: &str) -> Line {
        let durations = || spans.iter().map(|span| span.duration());
        let (least, most) = (durations().min().unwrap_or_default(), durations().max().unwrap_or_default());
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

    fn below(&self, span: &Span) -> usize {
        let children = self.children.get(&Some(span.id)).map(Vec::as_slice).unwrap_or_default();
        children.iter().map(|child| 1 + self.below(child)).sum()
    }
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
        let place = *folds.entry(name).or_insert_with(|| {
            branches.push(Branch::Folded(Vec::new()));
            branches.len() - 1
        });
        if let Branch::Folded(folded) = &mut branches[place] {
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

pub(crate) mod otlp;
pub(crate) mod waterfall;

#[cfg(test)]
mod tests;
