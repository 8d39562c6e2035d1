//! The demo's own OpenTelemetry: one tracer provider for the program, one for the service, and every span that they make.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::global;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use tokio::task::spawn_blocking;
use ureq::Agent;
use url::Url;

use super::http;
use crate::trace_tree::Span;

/// The `service.name` of the program.
pub(super) const PROGRAM: &str = "spanwise-demo";
/// The `service.name` of the built-in service.
pub(super) const SERVICE: &str = "demo-service";

/// The longest answer of a collector, as with the clients that OpenTelemetry brings.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;
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
    spans: Kept,
}

type Kept = Arc<Mutex<Vec<SpanData>>>;

/// Keeps spans in memory.
#[derive(Debug)]
struct Keep(Kept);

impl SpanExporter for Keep {
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
        let endpoint = traces_url(endpoint);
        let client = Blocking(http::agent(&endpoint, SEND_TIMEOUT));
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
        let spans = Kept::default();
        // Always on, whatever OTEL_TRACES_SAMPLER says: the demo is there to show the whole trace.
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_simple_exporter(Keep(Arc::clone(&spans)))
            .build();
        Source { provider, name, resource, spans }
    }

    fn ended(&self) -> Vec<SpanData> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The exporter's way to the blocking client.
#[derive(Clone, Debug)]
struct Blocking(Agent);

impl HttpClient for Blocking {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let agent = self.0.clone();
        Box::pin(async move { spawn_blocking(move || send(&agent, request)).await? })
    }
}

fn send(agent: &Agent, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (parts, mut body) = agent.run(request.map(Vec::from))?.into_parts();
    match body.with_config().limit(MAX_ANSWER).read_to_vec() {
        Ok(body) => Ok(Response::from_parts(parts, body.into())),
        // The exporter does not send the spans again for this one.
        Err(ureq::Error::BodyExceedsLimit(_)) => Err(ResponseBodyTooLarge::new().into()),
        Err(error) => Err(error.into()),
    }
}

/// The address of traces at a collector: OTLP's path is added where it is missing.
fn traces_url(endpoint: &Url) -> Url {
    let mut url = endpoint.clone();
    let path = url.path().trim_end_matches('/');
    if !path.ends_with("/v1/traces") {
        url.set_path(&format!("{path}/v1/traces"));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_otlp_is_added_where_it_is_missing() {
        for (given, expected) in [
            ("http://c:4318", "http://c:4318/v1/traces"),
            ("http://c:4318/", "http://c:4318/v1/traces"),
            ("http://c/otlp/", "http://c/otlp/v1/traces"),
            ("http://c/v1/traces", "http://c/v1/traces"),
            ("http://c/v1/traces?key=1", "http://c/v1/traces?key=1"),
        ] {
            assert_eq!(traces_url(&Url::parse(given).unwrap()).as_str(), expected);
        }
    }
}
