//! OpenTelemetry, the user's own: carriers, `#[traced]` and the observer.
//!
//! Nothing here installs a provider, an exporter or a propagator. Spans are made with the tracer provider that the program
//! has set (`opentelemetry::global`); with none they cost next to nothing and ids still flow through the custom context.
//! The global propagator is used if one is set; otherwise W3C `traceparent` and `tracestate` are read and written here, because a
//! program that forgot `set_text_map_propagator` would lose its trace without a word.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::{FutureExt, SpanContext, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use spanwise_wire::CustomContext;

use crate::ctx::{Ambient, RunningTask};
use crate::parent::Parent;

mod observer;
#[cfg(feature = "otel-sdk")]
mod run_ids;
mod w3c;

pub use observer::observe;
#[cfg(feature = "otel-sdk")]
pub use run_ids::RunScopedIdGenerator;

pub(crate) use observer::{around_step, around_task, is_observing, replayed_step};

/// Set once a [`RunScopedIdGenerator`] exists: then a root span can have the trace id of its run.
static RUN_IDS: AtomicBool = AtomicBool::new(false);

/// Reads the caller's context out of a carrier. One that is missing or malformed gives no parent, never an error.
pub fn extract(carrier: &CustomContext) -> Context {
    let parent = Context::new();
    global::get_text_map_propagator(|propagator| match propagator.fields().next() {
        Some(_) => propagator.extract_with_context(&parent, carrier),
        None => w3c::extract(&parent, carrier),
    })
}

/// Writes a context into a carrier.
pub fn inject(context: &Context, carrier: &mut CustomContext) {
    global::get_text_map_propagator(|propagator| match propagator.fields().next() {
        Some(_) => propagator.inject_context(context, carrier),
        None => w3c::inject(context, carrier),
    });
}

/// Tells whoever looks at the program of trouble with its lifecycle spans.
#[cfg(feature = "otel-sdk")]
pub(crate) fn warn(trouble: &str) {
    eprintln!("spanwise: {trouble}");
}

/// The parent of a span that starts here: the span that is active in this attempt, else what the custom context says.
fn parent() -> Context {
    let current = Context::current();
    if has_parent(&current) {
        return current;
    }
    match Ambient::current() {
        Some(ambient) => extract(&ambient.context),
        None => current,
    }
}

/// Runs a future in a span of the user's tracer: extract, start, inject, scope. What `#[traced("name")]` expands to.
pub async fn traced<T, E: fmt::Display + 'static>(
    scope: &'static str,
    name: &'static str,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = OpenSpan::start(scope, name);
    let result = crate::custom_context(span.carrier()).scope(future.with_context(span.context.clone())).await;
    span.finish(|context| {
        if let Err(error) = &result {
            record_error(context, error);
        }
    });
    result
}

/// The same for a function that is not async.
pub fn traced_sync<T, E: fmt::Display + 'static>(
    scope: &'static str,
    name: &'static str,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let span = OpenSpan::start(scope, name);
    let result = crate::custom_context(span.carrier()).sync_scope(|| {
        let _active = span.context.clone().attach();
        work()
    });
    span.finish(|context| {
        if let Err(error) = &result {
            record_error(context, error);
        }
    });
    result
}

/// A span that ends when it is dropped, with what cut it short.
struct OpenSpan {
    context: Context,
    task: Option<Arc<RunningTask>>,
    cut: bool,
}

impl OpenSpan {
    fn new(context: Context, task: Option<Arc<RunningTask>>) -> OpenSpan {
        OpenSpan { context, task, cut: true }
    }

    /// A span of the user's tracer, under the span that is active here or the caller's.
    fn start(scope: &'static str, name: &'static str) -> OpenSpan {
        let parent = parent();
        let tracer = global::tracer(scope);
        let span = tracer.span_builder(name).with_kind(SpanKind::Internal).start_with_context(&tracer, &parent);
        OpenSpan::new(parent.with_span(span), Ambient::current().map(|ambient| ambient.task))
    }

    /// What calls made in the span carry.
    fn carrier(&self) -> CustomContext {
        let mut carrier = CustomContext::new();
        inject(&self.context, &mut carrier);
        carrier
    }

    /// Ends a span whose body came to its end; `report` says how.
    fn finish(mut self, report: impl FnOnce(&Context)) {
        self.cut = false;
        report(&self.context);
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if self.cut {
            record_cut(&self.context, self.task.as_deref());
        }
        self.context.span().end();
    }
}

/// An error of a traced body: of a task's with its code and causes, of any other with its type.
fn record_error<E: fmt::Display + 'static>(context: &Context, error: &E) {
    match (error as &dyn Any).downcast_ref::<crate::Error>() {
        Some(error) => record_exception(context, error.code(), &format!("{error:#}")),
        None => record_exception(context, std::any::type_name::<E>(), &error.to_string()),
    }
}

/// What cut a span short: a panic, a timeout of the attempt, or something that is no error (an abort, a shutdown).
fn record_cut(context: &Context, task: Option<&RunningTask>) {
    if std::thread::panicking() {
        record_exception(context, spanwise_core::code::PANIC, &crate::panic::message());
    } else if let Some(code) = task.and_then(|task| task.parent.timeout()) {
        record_exception(context, &code, "the attempt was cut short by its timeout");
    }
}

/// An exception event and the status ERROR, by the semantic conventions for exceptions.
fn record_exception(context: &Context, kind: &str, message: &str) {
    let attributes =
        vec![KeyValue::new("exception.type", kind.to_owned()), KeyValue::new("exception.message", message.to_owned())];
    context.span().add_event("exception", attributes);
    context.span().set_status(Status::error(message.to_owned()));
}

/// True if the carrier names a parent.
fn has_parent(context: &Context) -> bool {
    context.span().span_context().is_valid()
}

fn run_ids_installed() -> bool {
    RUN_IDS.load(Ordering::Acquire)
}

/// A context whose span is somebody else's.
fn remote(span: SpanContext) -> Context {
    Context::new().with_remote_span_context(span)
}
