//! The demo's own OpenTelemetry: one tracer provider for the program, one for the service, and every span that they make.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::global;
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use spanwise_otel::otlp;
use url::Url;

use super::http;
use crate::trace_tree::Span;

/// The `service.name` of the program.
pub(super) const PROGRAM: &str = "spanwise-demo";
/// The `service.name` of the built-in service.
pub(super) const SERVICE: &str = "demo-service";

/// A collector that does not answer holds the demo up for this long at its very end.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Both providers and their spans.
pub(super) struct Telemetry {
    pub(super) program: Source,
    pub(super) service: Source,
}

/// A provider and the spans it has ended so far.
pub(super) struct Source {
    pub(super) provider: SdkTracerProvider,
    name: &'static str,
    resource: Resource,
    spans: SharedSpans,
}

type SharedSpans = Arc<Mutex<Vec<SpanData>>>;

/// Keeps spans in memory.
#[derive(Debug)]
struct SpanMemory(SharedSpans);

impl SpanExporter for SpanMemory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch);
        Ok(())
    }
}

impl Telemetry {
    /// Makes the program's provider the process's own, and W3C Trace Context its propagator.
    pub(super) fn install() -> Telemetry {
        let telemetry = Telemetry { program: Source::new(PROGRAM), service: Source::new(SERVICE) };
        global::set_tracer_provider(telemetry.program.provider.clone());
        global::set_text_map_propagator(TraceContextPropagator::new());
        telemetry
    }

    /// Every span that has ended, as the tree shows it.
    pub(super) fn spans(&self) -> Vec<Span> {
        let of = |source: &Source| -> Vec<Span> {
            source.ended().iter().map(|span| Span::from_data(span, source.name)).collect()
        };
        [of(&self.program), of(&self.service)].concat()
    }

    /// Sends every span to a collector (OTLP, http/protobuf); gives back where and how many.
    pub(super) async fn send(&self, endpoint: &Url) -> anyhow::Result<(Url, usize)> {
        let endpoint = Url::parse(&otlp::traces_url(endpoint.as_str()))?;
        let client = otlp::Blocking(http::agent(&endpoint, SEND_TIMEOUT));
        let mut sent = 0;
        for source in [&self.program, &self.service] {
            let spans = source.ended();
            if spans.is_empty() {
                continue;
            }
            sent += spans.len();
            let mut exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_http()
                .with_protocol(Protocol::HttpBinary)
                .with_http_client(client.clone())
                .with_endpoint(endpoint.as_str())
                .build()?;
            exporter.set_resource(&source.resource);
            let export = tokio::time::timeout(SEND_TIMEOUT, exporter.export(spans));
            export.await.with_context(|| format!("no answer within {SEND_TIMEOUT:?}"))??;
        }
        Ok((endpoint, sent))
    }
}

impl Source {
    fn new(name: &'static str) -> Source {
        let resource = Resource::builder().with_service_name(name).build();
        let spans = SharedSpans::default();
        // Always on, whatever OTEL_TRACES_SAMPLER says: the demo is there to show the whole trace.
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_simple_exporter(SpanMemory(Arc::clone(&spans)))
            .build();
        Source { provider, name, resource, spans }
    }

    fn ended(&self) -> Vec<SpanData> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
