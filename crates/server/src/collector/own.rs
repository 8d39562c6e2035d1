//! Spans of the server's own, kept beside those that it receives.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use prost::Message as _;
use spanwise_core::lifecycle::Span;
use spanwise_engine::{ExportError, LifecycleExporter};

use super::refused::Refused;
use super::{BATCH, BATCH_BYTES, Collector, decode};

impl LifecycleExporter for Collector {
    fn export(&self, spans: Arc<[Span]>) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        Box::pin(async move {
            let spans = spans.iter().map(spanwise_otel::span_data).collect();
            let resource = ResourceAttributesWithSchema::from(&spanwise_otel::resource());
            let resource_spans = group_spans_by_resource_and_scope(spans, &resource);
            let message = Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
            let (mut spans, mut refused) = (decode::Spans::of(message), Refused::default());
            loop {
                let batch = spans.next_batch(BATCH, BATCH_BYTES, &mut refused);
                if batch.is_empty() {
                    return Ok(());
                }
                self.inner.writer.write(batch).await.map_err(|refusal| ExportError(format!("{refusal:?}")))?;
            }
        })
    }

    fn failed(&self, error: &ExportError, given_up: Option<usize>) {
        tracing::warn!(%error, spans = given_up, "spans of API calls were not stored");
    }
}
