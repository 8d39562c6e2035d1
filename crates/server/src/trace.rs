//! The trace of a run: the lifecycle that its journal tells of, and what the collector has received of the same trace.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;
use spanwise_collector::spans::Wanted;
use spanwise_collector::{Collector, Received};
use spanwise_core::ActionName;
use spanwise_core::lifecycle::{Explanation, Part, Span, explain};
use spanwise_core::trace::{TraceId, TraceParent};
use spanwise_engine::{RunHandle, RunKey};
use spanwise_wire::{CustomContext, values};
use tokio::sync::watch;

use crate::control;

pub(crate) mod jaeger;
mod left_out;
pub(crate) mod otlp;
pub(crate) mod text;
pub(crate) mod timeline;
pub(crate) mod tree;

pub(crate) use left_out::LeftOut;

/// Received spans of one trace that are looked at.
const MOST_RECEIVED: usize = 20_000;

/// Runs whose lifecycle is kept for the next page.
const MOST_CACHED: usize = 8;

/// The lifecycle of a run that goes on is kept for this many times what it took to make, if nothing happens meanwhile: what is
/// under way would be too short on the page otherwise.
const KEPT_FOR: u32 = 5;

/// The lifecycle of a run with what it says about its time.
#[derive(Debug, Default)]
pub(crate) struct RunLifecycle {
    pub(crate) spans: Vec<Span>,
    pub(crate) explanation: Explanation,
}

/// Everything of a run's trace.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) id: TraceId,
    pub(crate) lifecycle: Arc<RunLifecycle>,
    /// Spans of others, the first to begin first.
    pub(crate) received: Vec<Received>,
    /// What was received and is not among them.
    pub(crate) left_out: LeftOut,
}

/// Makes traces. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    collector: Option<Collector>,
    cache: Arc<Mutex<VecDeque<CachedLifecycle>>>,
}

/// A lifecycle that is kept.
#[derive(Debug)]
struct CachedLifecycle {
    run: RunKey,
    lifecycle: Arc<RunLifecycle>,
    changes: watch::Receiver<()>,
    /// None for a finished run: it does not change any more.
    until: Option<Instant>,
}

impl CachedLifecycle {
    fn is_good(&self) -> bool {
        // A sender that is gone is one of a run that nobody can change.
        self.until.is_none_or(|until| Instant::now() < until && !self.changes.has_changed().unwrap_or(false))
    }
}

impl Traces {
    pub(crate) fn new(collector: Option<Collector>) -> Traces {
        Traces { collector, cache: Arc::default() }
    }

    /// The trace of a run as it is now.
    pub(crate) async fn of(&self, run: &RunHandle) -> Result<Trace, control::Error> {
        let lifecycle = self.lifecycle(run).await?;
        let id = lifecycle.spans.iter().find(|span| span.part == Part::Run).map(|span| span.context.trace);
        let id = id.unwrap_or_else(|| spanwise_core::trace::derived_trace_id(run.id()));
        let mut left_out = LeftOut::of(id);
        let mut received = match &self.collector {
            Some(collector) => {
                let wanted = wanted(Arc::clone(&lifecycle), run);
                let read = collector.spans_of(id.0, MOST_RECEIVED, wanted).await;
                let (received, count) = read.unwrap_or_else(|error| {
                    tracing::error!(error = &error as &dyn std::error::Error, "received spans are not shown");
                    left_out.is_unreadable = true;
                    Default::default()
                });
                left_out.received = count;
                left_out.beyond = count.saturating_sub(received.len() as u64);
                received
            }
            None => Vec::new(),
        };
        // The engine's own spans may have been sent here as well; what else has an id of theirs is no span that could be told apart.
        let ids: HashSet<&[u8]> = lifecycle.spans.iter().map(|span| &span.context.span.0[..]).collect();
        received.retain(|received| {
            let is_known = ids.contains(&received.span.span_id[..]);
            left_out.same_ids += usize::from(is_known && received.scope.name != spanwise_otel::SCOPE);
            !is_known
        });
        Ok(Trace { id, lifecycle, received, left_out })
    }

    async fn lifecycle(&self, run: &RunHandle) -> Result<Arc<RunLifecycle>, control::Error> {
        let key = run.key();
        let cached = self
            .lock()
            .iter()
            .find(|entry| entry.run == key && entry.is_good())
            .map(|entry| Arc::clone(&entry.lifecycle));
        if let Some(lifecycle) = cached {
            return Ok(lifecycle);
        }
        let (begun, changes, is_finished) = (Instant::now(), run.subscribe(), run.is_finished());
        let mut spans = run.lifecycle().await?;
        if !run.is_traced()
            && let Some(inbound) = inbound(run).await?
        {
            move_to(&mut spans, inbound);
        }
        let explained = tokio::task::spawn_blocking(move || RunLifecycle { explanation: explain(&spans), spans }).await;
        let lifecycle = Arc::new(explained.unwrap_or_default());
        let until = (!is_finished).then(|| Instant::now() + begun.elapsed() * KEPT_FOR);
        let mut cache = self.lock();
        cache.retain(|entry| entry.run != key);
        cache.push_front(CachedLifecycle { run: key, lifecycle: Arc::clone(&lifecycle), changes, until });
        cache.truncate(MOST_CACHED);
        Ok(lifecycle)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<CachedLifecycle>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The span that a run was started under.
async fn inbound(run: &RunHandle) -> Result<Option<TraceParent>, control::Error> {
    let (inputs, _) = run.payloads(&ActionName::ROOT).await?;
    Ok(inputs.and_then(|inputs| CustomContext::from_message(values::inputs(&inputs).ok()?.context).span()))
}

/// The lifecycle of a run that is not traced has been sent to nobody: it is shown in the trace that the run's tasks were given.
fn move_to(spans: &mut [Span], inbound: TraceParent) {
    for span in spans {
        let from = span.context.trace;
        span.context.trace = inbound.trace;
        for link in span.links.iter_mut().filter(|link| link.to.trace == from) {
            link.to.trace = inbound.trace;
        }
        if span.part == Part::Run {
            span.parent = Some(inbound.span);
        }
    }
}

/// Of a trace with more spans than are looked at, a run sees its own first: those under its lifecycle, those that name it, and those
/// of its time.
fn wanted(lifecycle: Arc<RunLifecycle>, run: &RunHandle) -> impl FnOnce() -> Wanted + Send + 'static {
    let name = Some(AnyValue { value: Some(Value::StringValue(run.id().name.to_string())) });
    let mark = KeyValue { key: "flyte.run_name".to_owned(), value: name, ..KeyValue::default() }.encode_to_vec();
    let nanos = |at: spanwise_core::Timestamp| at.0.saturating_mul(1000);
    let (from, to) = (nanos(run.accepted_at()), nanos(run.now()));
    move || {
        let end = lifecycle.spans.iter().map(|span| nanos(span.end)).max();
        Wanted {
            under: lifecycle.spans.iter().map(|span| span.context.span.0).collect(),
            mark,
            from,
            to: end.unwrap_or(to),
        }
    }
}
