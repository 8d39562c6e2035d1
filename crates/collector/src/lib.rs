//! The collector: OTLP in (gRPC, HTTP in protobuf and in JSON), spans stored beside the journal, and forwarded if asked.
//!
//! A request is answered when its spans are committed, so what was acknowledged survives the end of the process. What is
//! refused is said with its number and its reason. Metrics and logs are taken and not kept: a program whose exporters get
//! errors writes them to its log again and again.
//!
//! It knows nothing of runs: whose a span is, and where it is shown, is found out by whoever reads it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;
use spanwise_core::{Durability, Retention, Timestamp};
use tokio::sync::Semaphore;

mod body;
mod decode;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod grpc;
mod http;
mod json;
mod limits;
pub mod otlp_json;
mod refused;
pub mod spans;
mod tee;
mod writer;

use body::{Memory, Share};
use refused::{Refusal, Refused};
use spans::{SpanStore, StoredSpan, Wanted};
use tee::Tee;
pub use tee::{BadTarget, TeeTarget};
use writer::Writer;

/// The port of OTLP over gRPC.
pub const DEFAULT_PORT: u16 = 4317;

/// How many spans, and how many of their bytes, a request has in the queue of the writer at one time.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;

/// What the rows of a batch take beside the request, at most.
const ROWS: usize = 256 << 10;

/// How many requests are unpacked at one time: a small one can become a large one.
const UNPACKED_AT_ONCE: usize = 4;

/// How a collector is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The port of OTLP over gRPC beside that of the server; 0 lets the system choose one.
    pub port: u16,
    /// How long spans are kept, by the time of their arrival, and how much of them.
    pub retention: Retention,
    /// Another receiver that gets what arrives here.
    pub tee: Option<TeeTarget>,
}

impl Default for Config {
    /// 7 days and 512 MiB, forwarded to nobody.
    fn default() -> Config {
        Config {
            port: DEFAULT_PORT,
            retention: Retention { max_age: Some(Duration::from_secs(7 * 24 * 3600)), max_bytes: Some(512 << 20) },
            tee: None,
        }
    }
}

/// Why a collector could not start or a trace not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spans cannot be stored or read.
    #[error("use the stored spans")]
    Store(#[from] spanwise_sqlite::Error),
    /// The system refuses a thread.
    #[error("start a thread of the collector")]
    Thread(#[source] std::io::Error),
    /// Spans of this process's own are not stored, for a reason that may pass.
    #[error("{0}")]
    NotStored(String),
}

/// A span as it was received, with what made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The span, with the ids, the parent and the times that it was sent with.
    pub span: Span,
    /// What it was made in.
    pub resource: Arc<Resource>,
    /// Which library has made it.
    pub scope: Arc<InstrumentationScope>,
}

/// A collector. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Collector {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<SpanStore>,
    writer: Writer,
    tee: Option<Arc<Tee>>,
    memory: Memory,
    unpacking: Arc<Semaphore>,
    has_ignored: AtomicBool,
}

impl Collector {
    /// Opens the store of spans in a data directory. `now` says when spans arrive: wall time that never goes backwards.
    ///
    /// # Errors
    /// [`Error`]; nothing is left running then.
    pub fn open(
        directory: &std::path::Path,
        durability: Durability,
        config: &Config,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Result<Collector, Error> {
        let store = Arc::new(SpanStore::open(directory, durability)?);
        let tee = config.tee.clone().map(Tee::start).transpose().map_err(Error::Thread)?.map(Arc::new);
        let writer = Writer::start(Arc::clone(&store), config.retention.clone(), tee.clone(), Box::new(now));
        let writer = writer.map_err(Error::Thread)?;
        let unpacking = Arc::new(Semaphore::new(UNPACKED_AT_ONCE));
        let inner = Inner { store, writer, tee, memory: Memory::new(), unpacking, has_ignored: AtomicBool::new(false) };
        Ok(Collector { inner: Arc::new(inner) })
    }

    /// What to tell about stored spans that could not be read any more.
    pub fn set_aside(&self) -> Vec<String> {
        writer::set_aside_warnings(self.inner.store.set_aside())
    }

    /// The routes of OTLP: over HTTP, over gRPC, and of a trace that is read back. Their answers hold what others have sent: they are
    /// no documents for a browser, and whoever serves them says so.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/traces", post(http::traces))
            .route("/v1/traces/{trace_id}", get(http::trace))
            .route("/v1/metrics", post(http::ignored))
            .route("/v1/logs", post(http::ignored))
            // Endpoints are put together by hand.
            .route("/v1/traces/", post(http::traces))
            .route("/v1/metrics/", post(http::ignored))
            .route("/v1/logs/", post(http::ignored))
            .route(grpc::TRACES, post(grpc::traces))
            .route(grpc::METRICS, post(grpc::ignored))
            .route(grpc::LOGS, post(grpc::ignored))
            .with_state(self.clone())
    }

    /// The spans of a trace, the first to begin first; if there are more than `limit`, the wanted ones rather than others. And how
    /// many there are.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn spans_of(
        &self,
        trace_id: [u8; 16],
        limit: usize,
        wanted: impl FnOnce() -> Wanted + Send + 'static,
    ) -> Result<(Vec<Received>, u64), Error> {
        let read = move |store: &SpanStore| {
            let (spans, count) = store.of_trace_wanted(trace_id, limit, wanted)?;
            Ok((spans.iter().scan(None, received).collect(), count))
        };
        self.read(read).await
    }

    /// Stores spans of this process's own beside those that arrive. After `Ok` they are committed.
    ///
    /// # Errors
    /// [`Error::NotStored`]; the same may succeed later.
    pub async fn store(&self, resource_spans: Vec<ResourceSpans>) -> Result<(), Error> {
        let message = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let stored = self.write(message.into(), &mut Refused::default()).await;
        stored.map_err(|refusal| Error::NotStored(refusal.to_string()))
    }

    /// Takes nothing more; returns when what was taken is stored, and forwarded if that takes a moment only.
    pub async fn close(&self) {
        let collector = self.clone();
        let closing = tokio::task::spawn_blocking(move || {
            collector.inner.writer.close();
            if let Some(tee) = &collector.inner.tee {
                tee.close();
            }
        });
        let _ = closing.await;
    }

    /// Stores the spans of a request and says what was refused. What it takes in memory is given back at the end.
    async fn take(
        &self,
        message: Bytes,
        mut share: Share,
        mut refused: Refused,
    ) -> Result<ExportTraceServiceResponse, Refusal> {
        let unreadable = |error| Refusal::Malformed(format!("the request is no ExportTraceServiceRequest: {error}"));
        decode::check(&message).map_err(unreadable)?;
        share.grow(ROWS.min(4 * message.len()))?;
        self.write(message, &mut refused).await?;
        Ok(refused.answer())
    }

    /// Stores the spans of a request that has been checked, a batch at a time.
    async fn write(&self, message: Bytes, refused: &mut Refused) -> Result<(), Refusal> {
        let mut spans = decode::Spans::of(message);
        loop {
            let batch = spans.next_batch(BATCH, BATCH_BYTES, refused);
            if batch.is_empty() {
                return Ok(());
            }
            self.inner.writer.write(batch).await?;
        }
    }

    /// Reads from the store on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SpanStore) -> Result<T, spanwise_sqlite::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = Arc::clone(&self.inner.store);
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(read) => Ok(read?),
            Err(error) => Err(Error::Thread(error.into())),
        }
    }

    /// Says once that something of this kind was thrown away.
    fn note_ignored(&self, path: &str) {
        if !self.inner.has_ignored.swap(true, Ordering::Relaxed) {
            tracing::warn!(path, "metrics and logs are taken and not kept: the collector is for traces (said once)");
        }
    }
}

type Origin = ([u8; 32], Arc<Resource>, Arc<InstrumentationScope>);

/// Decodes a stored span; what made it is decoded once for all that follow each other and have it in common.
fn received(last: &mut Option<Origin>, stored: &StoredSpan) -> Option<Received> {
    let digest = stored.origin.digest;
    if last.as_ref().is_none_or(|(digest_before, ..)| *digest_before != digest) {
        // What was stored has been decoded before, but for what a program put in the place of a resource.
        let mut origin = ResourceSpans::decode(&stored.origin.body[..]).unwrap_or_default();
        let scope = origin.scope_spans.pop().and_then(|spans| spans.scope).unwrap_or_default();
        *last = Some((digest, Arc::new(origin.resource.unwrap_or_default()), Arc::new(scope)));
    }
    let (_, resource, scope) = last.as_ref()?;
    let span = Span::decode(&stored.body[..]).unwrap_or_default();
    Some(Received { span, resource: Arc::clone(resource), scope: Arc::clone(scope) })
}

/// 32 hexadecimal digits, not all zero.
fn trace_id(text: &str) -> Option<[u8; 16]> {
    let is_hexadecimal = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = u128::from_str_radix(text, 16).ok().filter(|id| is_hexadecimal && *id != 0)?;
    Some(id.to_be_bytes())
}

#[cfg(test)]
mod tests;
