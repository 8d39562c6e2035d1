//! Root spans with the trace id of their run.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use super::RUN_IDS;

thread_local! {
    /// The trace id of the root span that is being started on this thread.
    static PINNED: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// An id generator that gives a task span without a caller the trace id derived from its run, so that all attempts and all
/// processes of the run meet in one trace. Everything else is the wrapped generator's.
///
/// ```
/// use spanwise::otel::RunScopedIdGenerator;
/// let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()
///     .with_id_generator(RunScopedIdGenerator::default())
///     .build();
/// # drop(provider);
/// ```
#[derive(Debug)]
pub struct RunScopedIdGenerator<G = RandomIdGenerator> {
    wrapped: G,
}

impl<G> RunScopedIdGenerator<G> {
    /// Wraps a generator.
    pub fn new(wrapped: G) -> RunScopedIdGenerator<G> {
        RUN_IDS.store(true, Ordering::Release);
        RunScopedIdGenerator { wrapped }
    }
}

impl Default for RunScopedIdGenerator {
    fn default() -> RunScopedIdGenerator {
        RunScopedIdGenerator::new(RandomIdGenerator::default())
    }
}

impl<G: IdGenerator> IdGenerator for RunScopedIdGenerator<G> {
    fn new_trace_id(&self) -> TraceId {
        PINNED.get().unwrap_or_else(|| self.wrapped.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.wrapped.new_span_id()
    }
}

/// Starts a span while the trace id is pinned.
pub(super) fn pinned<S>(trace_id: TraceId, start: impl FnOnce() -> S) -> S {
    PINNED.set(Some(trace_id));
    let span = start();
    PINNED.set(None);
    span
}
