//! Spans for every task attempt and every step, without touching a body: what Flyte's OpenTelemetry plugin does, with its
//! names (`flyteplugins.otel._observer`).

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    FutureExt, Span, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState,
};
use opentelemetry::{Context, KeyValue, global};
use spanwise_core::{ActionName, Timestamp, trace};
use spanwise_engine::StepRecord;

use super::{OpenSpan, extract, has_parent, record_error, remote, run_ids_installed};
use crate::ctx::{Ambient, RunningTask};
use crate::error::Result;
use crate::parent::Parent;

/// The instrumentation scope of the observer's spans.
const SCOPE: &str = "spanwise";

static OBSERVING: AtomicBool = AtomicBool::new(false);

/// Turns every task attempt and every step of this process into a span of the program's tracer provider. Off until called.
///
/// Spans are named after the task (`env.fn`) or the step, have the attributes `flyte.run_name`, `flyte.action_name`,
/// `flyte.project`, `flyte.domain`, `flyte.org`, `flyte.task_name` and `flyte.attempt`, or for a step `flyte.step_name`,
/// `flyte.task_action_name` and `flyte.replayed`. A step that is replayed appears with the times it really had.
///
/// A task's parent is what its custom context says. Without one it is the root of a trace whose id is derived from the run, if
/// the provider has a `RunScopedIdGenerator` (feature `otel-sdk`); else the child of a span with such an id that nobody exports.
pub fn observe() {
    OBSERVING.store(true, Ordering::Release);
}

pub(crate) fn is_observing() -> bool {
    OBSERVING.load(Ordering::Acquire)
}

/// Runs a task's body apart from the caller's spans, as if it were another process, and in a span if observed.
pub(crate) async fn around_task<T>(ambient: Ambient, body: impl Future<Output = Result<T>>) -> Result<T> {
    if !is_observing() {
        return ambient.scope(body).with_context(Context::new()).await;
    }
    let span = OpenSpan::new(start_task_span(&ambient), Some(Arc::clone(&ambient.task)));
    let inside = Ambient { context: ambient.context.merged(&span.carrier()), ..ambient };
    let result = inside.scope(body).with_context(span.context.clone()).await;
    span.finish(|context| record_outcome(context, &result));
    result
}

/// Runs a step's body, in a span if observed.
pub(crate) async fn around_step<T>(
    inside: Ambient,
    name: &'static str,
    action: ActionName,
    body: impl Future<Output = Result<T>>,
) -> Result<T> {
    if !is_observing() {
        return inside.scope(body).await;
    }
    let parent = Context::current();
    let builder = step_span(&inside, name, action, false);
    let span = builder.start_with_context(&global::tracer(SCOPE), &parent);
    let span = OpenSpan::new(parent.with_span(span), Some(Arc::clone(&inside.task)));
    let result = inside.scope(body).with_context(span.context.clone()).await;
    span.finish(|context| record_outcome(context, &result));
    result
}

/// A step that was not run again: a span with the times that it really had.
pub(crate) fn replayed_step(ambient: &Ambient, name: &'static str, action: ActionName, record: &StepRecord) {
    if !is_observing() {
        return;
    }
    let parent = Context::current();
    let builder = step_span(ambient, name, action, true).with_start_time(system_time(record.started));
    let mut span = builder.start_with_context(&global::tracer(SCOPE), &parent);
    match &record.outcome {
        Ok(_) => span.set_status(Status::Ok),
        Err(failure) => {
            let attributes = vec![
                KeyValue::new("exception.type", failure.code.clone()),
                KeyValue::new("exception.message", failure.message.clone()),
            ];
            span.add_event_with_timestamp("exception", system_time(record.ended), attributes);
            span.set_status(Status::error(failure.message.clone()));
        }
    }
    span.end_with_timestamp(system_time(record.ended));
}

fn start_task_span(ambient: &Ambient) -> Context {
    let task = &ambient.task;
    let mut attributes = run_attributes(task, task.parent.action());
    attributes.push(KeyValue::new("flyte.task_name", task.task.as_str().to_owned()));
    attributes.push(KeyValue::new("flyte.attempt", i64::from(task.parent.attempt().0)));
    let builder =
        SpanBuilder::from_name(task.task.as_str().to_owned()).with_kind(SpanKind::Internal).with_attributes(attributes);
    let tracer = global::tracer(SCOPE);
    let parent = extract(&ambient.context);
    if has_parent(&parent) {
        return parent.with_span(builder.start_with_context(&tracer, &parent));
    }
    let run = task.run_id();
    let trace_id = TraceId::from_bytes(trace::derived_trace_id(run).0);
    #[cfg(feature = "otel-sdk")]
    if run_ids_installed() {
        let start = || builder.start_with_context(&tracer, &Context::new());
        return parent.with_span(super::run_ids::pinned(trace_id, start));
    }
    debug_assert!(cfg!(feature = "otel-sdk") || !run_ids_installed());
    let span_id = SpanId::from_bytes(trace::derived_span_id(run, &ActionName::ROOT, "run", 0, 0).0);
    let run_span = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::default());
    parent.with_span(builder.start_with_context(&tracer, &remote(run_span)))
}

fn step_span(ambient: &Ambient, name: &'static str, action: ActionName, replayed: bool) -> SpanBuilder {
    let mut attributes = run_attributes(&ambient.task, action);
    attributes.push(KeyValue::new("flyte.step_name", name));
    attributes.push(KeyValue::new("flyte.task_action_name", ambient.task.parent.action().as_str().to_owned()));
    attributes.push(KeyValue::new("flyte.replayed", replayed));
    SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_attributes(attributes)
}

fn run_attributes(task: &RunningTask, action: ActionName) -> Vec<KeyValue> {
    let run = task.run_id();
    let all = [
        ("flyte.action_name", action.as_str()),
        ("flyte.run_name", run.name.as_str()),
        ("flyte.project", &run.project),
        ("flyte.domain", &run.domain),
        ("flyte.org", &run.org),
    ];
    let present = all.into_iter().filter(|(_, value)| !value.is_empty());
    present.map(|(key, value)| KeyValue::new(key, value.to_owned())).collect()
}

/// OK, or ERROR with the exception event.
fn record_outcome<T>(context: &Context, result: &Result<T>) {
    match result {
        Ok(_) => context.span().set_status(Status::Ok),
        Err(error) => record_error(context, error),
    }
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(at.0).unwrap_or(0))
}
