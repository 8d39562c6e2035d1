//! Spans of API calls, stored beside those that the collector receives.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use spanwise_collector::Collector;
use spanwise_core::lifecycle::Span;
use spanwise_engine::{ExportError, LifecycleExporter};

/// The collector as a receiver of the server's own spans.
#[derive(Debug)]
pub(crate) struct Stored(pub(crate) Collector);

impl LifecycleExporter for Stored {
    fn export(&self, spans: Arc<[Span]>) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        Box::pin(async move {
            let spans = spans.iter().map(spanwise_otel::span_data).collect();
            let resource = ResourceAttributesWithSchema::from(&spanwise_otel::resource());
            let stored = self.0.store(group_spans_by_resource_and_scope(spans, &resource)).await;
            stored.map_err(|error| ExportError(error.to_string()))
        })
    }

    fn failed(&self, error: &ExportError, given_up: Option<usize>) {
        tracing::warn!(%error, spans = given_up, "spans of API calls were not stored");
    }
}
