//! Questions about received spans.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
pub(crate) use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

/// The spans of one program and what they say together.
pub(crate) struct Spans {
    pub(crate) all: Vec<Span>,
    /// The `service.name` of each resource.
    pub(crate) services: BTreeSet<String>,
}

impl Spans {
    pub(crate) fn of(requests: impl IntoIterator<Item = ExportTraceServiceRequest>) -> Spans {
        let mut spans = Spans { all: Vec::new(), services: BTreeSet::new() };
        for part in requests.into_iter().flat_map(|request| request.resource_spans) {
            let resource = part.resource.unwrap_or_default();
            spans.services.extend(texts(&resource.attributes).remove("service.name"));
            spans.all.extend(part.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        spans
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.all.iter().map(|span| span.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// All spans of this name, in the order in which they started.
    pub(crate) fn named(&self, name: &str) -> Vec<&Span> {
        let mut named: Vec<_> = self.all.iter().filter(|span| span.name == name).collect();
        named.sort_by_key(|span| span.start_time_unix_nano);
        named
    }

    /// The only span of this name.
    pub(crate) fn one(&self, name: &str) -> &Span {
        match self.named(name)[..] {
            [span] => span,
            ref found => panic!("{} spans named `{name}` in {:?}", found.len(), self.names()),
        }
    }

    /// The names from the root of what was received down to the only span of this name: `main > fetch`.
    pub(crate) fn path(&self, name: &str) -> String {
        let mut span = self.one(name);
        let mut names = vec![span.name.as_str()];
        while let Some(parent) = self.all.iter().find(|other| other.span_id == span.parent_span_id) {
            names.push(&parent.name);
            span = parent;
        }
        names.reverse();
        names.join(" > ")
    }

    /// The only trace id, as text.
    pub(crate) fn trace_id(&self) -> String {
        let ids: BTreeSet<_> = self.all.iter().map(|span| hex(&span.trace_id)).collect();
        assert_eq!(ids.len(), 1, "one trace is expected: {ids:?}");
        ids.into_iter().next().unwrap()
    }

    /// Every id is there and is no other span's; every span starts before it ends.
    pub(crate) fn check(&self) {
        let ids: BTreeSet<_> = self.all.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
        assert_eq!(ids.len(), self.all.len(), "a span was sent twice");
        for span in &self.all {
            assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{}", span.name);
        }
    }
}

/// The `traceparent` that stands for a span.
pub(crate) fn traceparent(span: &Span) -> String {
    format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn kind(span: &Span) -> SpanKind {
    SpanKind::try_from(span.kind).unwrap()
}

pub(crate) fn attributes(span: &Span) -> BTreeMap<String, String> {
    texts(&span.attributes)
}

/// `Ok`, `Error: message` or `Unset`.
pub(crate) fn status(span: &Span) -> String {
    let status = span.status.clone().unwrap_or_default();
    match status.code() {
        StatusCode::Ok => "Ok".to_owned(),
        StatusCode::Unset => "Unset".to_owned(),
        StatusCode::Error => format!("Error: {}", status.message),
    }
}

/// `type: message` of each exception event.
pub(crate) fn exceptions(span: &Span) -> Vec<String> {
    let exceptions = span.events.iter().filter(|event| event.name == "exception").map(|event| texts(&event.attributes));
    exceptions.map(|texts| format!("{}: {}", texts["exception.type"], texts["exception.message"])).collect()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        other => format!("{other:?}"),
    };
    let value = |pair: &KeyValue| pair.value.as_ref()?.value.as_ref().map(text);
    attributes.iter().filter_map(|pair| Some((pair.key.clone(), value(pair)?))).collect()
}
