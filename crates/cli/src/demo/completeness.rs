//! Whether a trace is whole: one trace, one root, nobody's parent missing, and every attempt of the journal in it.

use std::collections::{BTreeMap, HashSet};

use opentelemetry::trace::{SpanId, SpanKind};
use spanwise::ActionView;

use crate::trace_tree::Span;

/// How many spans of each name the journal promises: one for each attempt of a task, one for each step.
pub(super) fn promised(actions: &[ActionView]) -> BTreeMap<String, usize> {
    let mut promised = BTreeMap::new();
    for action in actions {
        let function = action.task.as_str().rsplit('.').next().unwrap_or_default();
        // A step has no attempts; it ran once.
        *promised.entry(function.to_owned()).or_default() +=
            usize::try_from(action.attempts.max(1)).unwrap_or(usize::MAX);
    }
    promised
}

/// What is wrong with the trace; nothing if it is whole. `answered`: the spans of the service that was called are known too.
pub(super) fn problems(spans: &[Span], promised: &BTreeMap<String, usize>, answered: bool) -> Vec<String> {
    let mut problems = Vec::new();
    let ids: HashSet<SpanId> = spans.iter().map(|span| span.id).collect();
    let traces: HashSet<_> = spans.iter().map(|span| span.trace).collect();
    if traces.len() != 1 {
        problems.push(format!("there are {} trace ids instead of one", traces.len()));
    }
    let roots = spans.iter().filter(|span| span.parent.is_none()).count();
    if roots != 1 {
        problems.push(format!("there are {roots} roots instead of one"));
    }
    let orphans = spans.iter().filter(|span| span.parent.is_some_and(|parent| !ids.contains(&parent)));
    problems.extend(orphans.map(|span| format!("the parent of `{}` is missing", span.name)));
    for (name, expected) in promised {
        let found = spans.iter().filter(|span| span.name == *name).count();
        if found != *expected {
            problems.push(format!("`{name}` has {found} spans, the journal knows of {expected}"));
        }
    }
    if answered {
        let is_answered = |client: &Span| spans.iter().any(|span| is_server(span) && span.parent == Some(client.id));
        let clients = spans.iter().filter(|span| span.kind == SpanKind::Client && !is_answered(span));
        problems.extend(clients.map(|client| format!("the service has no span for `{}`", client.name)));
    }
    problems
}

fn is_server(span: &Span) -> bool {
    span.kind == SpanKind::Server
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use opentelemetry::trace::TraceId;

    use super::*;

    fn span(id: u64, parent: u64, name: &str, kind: SpanKind) -> Span {
        Span {
            trace: TraceId::from(1),
            id: SpanId::from(id),
            parent: (parent != 0).then(|| SpanId::from(parent)),
            name: name.to_owned(),
            kind,
            service: "home".into(),
            start: UNIX_EPOCH,
            end: UNIX_EPOCH,
            length: Duration::ZERO,
            error: None,
            notes: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn whole() -> (Vec<Span>, BTreeMap<String, usize>) {
        let spans = vec![
            span(1, 0, "root", SpanKind::Internal),
            span(2, 1, "fetch", SpanKind::Internal),
            span(3, 2, "GET", SpanKind::Client),
            span(4, 3, "GET /", SpanKind::Server),
        ];
        (spans, BTreeMap::from([("fetch".to_owned(), 1)]))
    }

    #[test]
    fn a_whole_trace_has_no_problems() {
        let (mut spans, promised) = whole();
        assert_eq!(problems(&spans, &promised, true), Vec::<String>::new());
        spans.pop();
        assert_eq!(problems(&spans, &promised, false), Vec::<String>::new());
        assert_eq!(problems(&spans, &promised, true), ["the service has no span for `GET`"]);
    }

    #[test]
    fn each_hole_is_named() {
        let (mut spans, mut promised) = whole();
        spans[3].trace = TraceId::from(2);
        promised.insert("fetch".to_owned(), 2);
        spans[1].parent = Some(SpanId::from(9));
        spans.push(span(5, 0, "other", SpanKind::Internal));
        let expected = [
            "there are 2 trace ids instead of one",
            "there are 2 roots instead of one",
            "the parent of `fetch` is missing",
            "`fetch` has 1 spans, the journal knows of 2",
        ];
        assert_eq!(problems(&spans, &promised, true), expected);
    }
}
