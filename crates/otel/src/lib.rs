//! Lifecycle spans in OpenTelemetry's terms: [`span_data`] has a span with its own ids and times, and [`Exporting`] makes any
//! `SpanExporter` an exporter of the engine's.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, TraceFlags, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};
use spanwise_core::Timestamp;
use spanwise_core::lifecycle::{self, Attribute, Part, Span, Status};
use spanwise_core::trace::{self, TraceParent};
use spanwise_engine::{ExportError, LifecycleExporter};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

#[cfg(feature = "otlp")]
pub mod otlp;

/// The instrumentation scope of lifecycle spans.
pub const SCOPE: &str = "spanwise.engine";

static SCOPE_DATA: LazyLock<InstrumentationScope> =
    LazyLock::new(|| InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build());

/// The resource of lifecycle spans: `service.name=spanwise`, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` say otherwise.
pub fn resource() -> Resource {
    let named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty());
    let builder = Resource::builder();
    if named { builder.build() } else { builder.with_service_name("spanwise").build() }
}

/// A lifecycle span as exporters take it, with its derived ids and its recorded times.
pub fn span_data(span: &Span) -> SpanData {
    SpanData {
        span_context: context(&span.context, span.state.as_ref(), false),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.0)),
        parent_span_is_remote: matches!(span.part, Part::Run | Part::Call) && span.parent.is_some(),
        span_kind: match span.part {
            Part::Run | Part::Call => SpanKind::Server,
            Part::Attempt => SpanKind::Consumer,
            _ => SpanKind::Internal,
        },
        name: span.name.clone(),
        start_time: time(span.start),
        end_time: time(span.end),
        attributes: key_values(span.attributes()),
        dropped_attributes_count: 0,
        events: events(span),
        links: links(span),
        status: match &span.status {
            Status::Unset => opentelemetry::trace::Status::Unset,
            Status::Ok => opentelemetry::trace::Status::Ok,
            Status::Error(reason) => opentelemetry::trace::Status::error(reason.clone()),
        },
        instrumentation_scope: SCOPE_DATA.clone(),
    }
}

fn context(span: &TraceParent, state: Option<&trace::TraceState>, remote: bool) -> SpanContext {
    let (trace, id) = (TraceId::from_bytes(span.trace.0), SpanId::from_bytes(span.span.0));
    let state = state.and_then(|state| state.as_str().parse().ok()).unwrap_or_default();
    SpanContext::new(trace, id, TraceFlags::new(span.flags), remote, state)
}

fn events(span: &Span) -> SpanEvents {
    let mut events = SpanEvents::default();
    events.events = span
        .moments
        .iter()
        .map(|moment| Event::new(moment.name, time(moment.at), key_values(moment.attributes.iter().cloned()), 0))
        .collect();
    events
}

fn links(span: &Span) -> SpanLinks {
    let mut links = SpanLinks::default();
    links.links = span
        .links
        .iter()
        .map(|link| Link::new(context(&link.to, None, true), vec![KeyValue::new("spanwise.link", link.why)], 0))
        .collect();
    links
}

fn key_values(attributes: impl Iterator<Item = Attribute>) -> Vec<KeyValue> {
    let value = |value: lifecycle::Value| match value {
        lifecycle::Value::Text(text) => Value::String(text.into()),
        lifecycle::Value::Word(word) => Value::String(word.into()),
        lifecycle::Value::Int(number) => Value::I64(number),
        lifecycle::Value::Bool(truth) => Value::Bool(truth),
    };
    attributes.map(|(key, given)| KeyValue::new(key, value(given))).collect()
}

fn time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(at.0).unwrap_or(0))
}

/// Exports lifecycle spans with an exporter of OpenTelemetry's.
pub struct Exporting<E> {
    exporter: Arc<E>,
    log: Box<dyn Fn(&str) + Send + Sync>,
    /// What was said last: one trouble is told once.
    last: Mutex<Option<String>>,
}

impl<E: SpanExporter> Exporting<E> {
    /// Wraps an exporter. `log` is told when spans cannot be sent, once for each reason, and of each batch that is given up.
    pub fn new(mut exporter: E, log: impl Fn(&str) + Send + Sync + 'static) -> Exporting<E> {
        exporter.set_resource(&resource());
        Exporting { exporter: Arc::new(exporter), log: Box::new(log), last: Mutex::default() }
    }
}

impl<E: SpanExporter + 'static> LifecycleExporter for Exporting<E> {
    fn export(&self, spans: Arc<[Span]>) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        Box::pin(async move {
            let exporter = Arc::clone(&self.exporter);
            // Off the runtime's own threads: an exporter with a blocking client must not be polled there. Nor on one of those that wait for the
            // disk: it may wait for another one of them, and they are few.
            let (done, sent) = oneshot::channel();
            let runtime = Handle::current();
            let send = move || {
                let _entered = runtime.enter();
                let batch = spans.iter().map(span_data).collect();
                drop(done.send(futures_executor::block_on(exporter.export(batch))));
            };
            let thread = std::thread::Builder::new().name("export".to_owned()).spawn(send);
            thread.map_err(|error| ExportError(format!("no thread for the exporter: {error}")))?;
            let sent = sent.await.map_err(|_| ExportError("the exporter panicked".to_owned()))?;
            sent.map_err(|error| ExportError(error.to_string()))?;
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
            Ok(())
        })
    }

    fn failed(&self, error: &ExportError, given_up: Option<usize>) {
        match given_up {
            Some(0) => return (self.log)(&format!("lifecycle spans were given up: {error}")),
            Some(count) => return (self.log)(&format!("{count} lifecycle spans were given up: {error}")),
            None => {}
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() != Some(&error.0) {
            (self.log)(&format!("lifecycle spans cannot be sent, which is tried again: {error}"));
            *last = Some(error.0.clone());
        }
    }
}

impl<E: Debug> Debug for Exporting<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporting").field("exporter", &self.exporter).finish_non_exhaustive()
    }
}
