//! A trace as OTLP has it: every span with the ids, the parent and the times that it was sent with.

use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use spanwise_collector::Received;

use super::timeline::{At, Timeline};

/// The lifecycle, then the spans of the run in the order of its tree, then those of other runs.
pub(crate) fn resource_spans(timeline: &Timeline) -> Vec<ResourceSpans> {
    let lifecycle = timeline.explained().spans.iter().map(spanwise_otel::span_data).collect();
    let mut resource_spans = group_spans_by_resource_and_scope(lifecycle, &(&spanwise_otel::resource()).into());
    let mut last: Option<&Received> = None;
    for at in in_order(timeline) {
        let received = timeline.received(at);
        let follows = last.is_some_and(|last| {
            Arc::ptr_eq(&last.resource, &received.resource) && Arc::ptr_eq(&last.scope, &received.scope)
        });
        if !follows {
            resource_spans.push(ResourceSpans {
                resource: Some((*received.resource).clone()),
                scope_spans: vec![ScopeSpans { scope: Some((*received.scope).clone()), ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            });
        }
        let scope = resource_spans.last_mut().and_then(|resource| resource.scope_spans.last_mut());
        scope.into_iter().for_each(|scope| scope.spans.push(received.span.clone()));
        last = Some(received);
    }
    resource_spans
}

/// All received spans: those of the tree from its top, then those that are not in it.
pub(super) fn in_order(timeline: &Timeline) -> Vec<usize> {
    let mut order: Vec<usize> = timeline
        .rows()
        .iter()
        .filter_map(|row| match row.at {
            At::User(at) => Some(at),
            At::Lifecycle(_) => None,
        })
        .collect();
    order.extend((0..timeline.count()).filter(|at| !timeline.position_of(*at).is_here()));
    order
}
