//! Forwarding what was stored to another OTLP receiver: in the background, bounded, and as often as it takes.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

pub use self::target::{BadTarget, TeeTarget};

mod target;

/// What waits to be forwarded takes this much at most; what does not fit is dropped and counted.
const MAX_WAITING: usize = 32 << 20;

/// Requests that wait together are sent as one, up to this size.
const MAX_REQUEST: usize = 1 << 20;

/// A receiver that takes longer is tried again.
const SEND_LIMIT: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// At the end of the server: what is left has this long.
const LAST_SENDS: Duration = Duration::from_secs(3);

/// The way to the other receiver.
#[derive(Debug)]
pub(super) struct Tee {
    shared: Arc<Shared>,
    ended: Mutex<Receiver<()>>,
}

#[derive(Debug)]
struct Shared {
    target: TeeTarget,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Encoded requests, with how many spans each has.
    waiting: VecDeque<(Vec<u8>, usize)>,
    /// Of all that wait, and of what is being sent.
    bytes: usize,
    dropped: u64,
    closed: bool,
}

/// What became of a request.
enum Sent {
    Delivered,
    /// Worth another try, after a time that the receiver may have named.
    Later(String, Option<Duration>),
    Refused(String),
}

impl Tee {
    /// Starts the thread that sends.
    ///
    /// # Errors
    /// If the system refuses one.
    pub(super) fn start(target: TeeTarget) -> Result<Tee, std::io::Error> {
        let shared = Arc::new(Shared { target, queue: Mutex::default(), wake: Condvar::new() });
        let (end, ended) = sync_channel(1);
        let sending = Arc::clone(&shared);
        std::thread::Builder::new().name("spanwise-tee".to_owned()).spawn(move || {
            sending.send_until_closed();
            let _ = end.send(());
        })?;
        Ok(Tee { shared, ended: Mutex::new(ended) })
    }

    /// Forwards a request when its turn comes. Never waits.
    pub(super) fn offer(&self, request: Vec<u8>, spans: usize) {
        if spans == 0 {
            return;
        }
        let mut queue = self.shared.lock();
        if queue.closed || queue.bytes + request.len() > MAX_WAITING {
            drop(queue);
            self.shared.note_dropped(spans, "the receiver is too slow");
            return;
        }
        queue.bytes += request.len();
        queue.waiting.push_back((request, spans));
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Takes nothing more and sends what waits, each request once, for a moment at most.
    pub(super) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(LAST_SENDS) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the end of the server cuts off what waits to be forwarded");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs under this lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts, and says so the first time.
    fn note_dropped(&self, spans: usize, reason: &str) {
        let mut queue = self.lock();
        let is_first = queue.dropped == 0;
        queue.dropped += spans as u64;
        drop(queue);
        if is_first {
            let url = &self.target.url;
            tracing::warn!(%url, spans, "spans are stored here and not forwarded: {reason} (said once)");
        }
    }

    fn send_until_closed(&self) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(SEND_LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        while let Some((request, spans)) = self.next() {
            self.send(&agent, &request, spans);
            self.lock().bytes -= request.len();
        }
    }

    /// What waits, put together: a request is a list, and two lists in a row are one. None at the end.
    fn next(&self) -> Option<(Vec<u8>, usize)> {
        let mut queue = self.lock();
        loop {
            if let Some((mut request, mut spans)) = queue.waiting.pop_front() {
                while queue.waiting.front().is_some_and(|(next, _)| request.len() + next.len() <= MAX_REQUEST) {
                    let Some((next, more)) = queue.waiting.pop_front() else { break };
                    request.extend_from_slice(&next);
                    spans += more;
                }
                return Some((request, spans));
            }
            if queue.closed {
                return None;
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends a request until the receiver has it or does not want it. At the end of the server it is tried once more.
    fn send(&self, agent: &ureq::Agent, request: &[u8], spans: usize) {
        let mut pause = FIRST_PAUSE;
        let packed = pack(request);
        loop {
            let is_last = self.lock().closed;
            match post(agent, &self.target, &packed) {
                Sent::Delivered => return,
                Sent::Refused(reason) => return self.note_dropped(spans, &reason),
                Sent::Later(reason, _) if is_last => return self.note_dropped(spans, &reason),
                Sent::Later(reason, named) => {
                    let url = &self.target.url;
                    tracing::debug!(%url, reason, "spans will be forwarded later");
                    self.pause(named.unwrap_or(pause).min(LONGEST_PAUSE));
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Waits, but not for longer than the server lives.
    fn pause(&self, time: Duration) {
        let queue = self.lock();
        let waited = self.wake.wait_timeout_while(queue, time, |queue| !queue.closed);
        drop(waited);
    }
}

fn pack(request: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let _ = packed.write_all(request);
    packed.finish().unwrap_or_default()
}

fn post(agent: &ureq::Agent, target: &TeeTarget, packed: &[u8]) -> Sent {
    let mut request = agent.post(target.url.clone());
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    let request = request.header("content-type", "application/x-protobuf").header("content-encoding", "gzip");
    let mut response = match request.send(packed) {
        Ok(response) => response,
        Err(error) => return Sent::Later(error.to_string(), None),
    };
    let status = response.status();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let body = response.body_mut().with_config().limit(64 << 10).read_to_vec().unwrap_or_default();
    match status.as_u16() {
        200..300 => {
            match ExportTraceServiceResponse::decode(&body[..]).ok().and_then(|answer| answer.partial_success) {
                Some(partial) if partial.rejected_spans > 0 => {
                    Sent::Refused(format!("the receiver refused {}: {}", partial.rejected_spans, partial.error_message))
                }
                _ => Sent::Delivered,
            }
        }
        429 | 502 | 503 | 504 => {
            Sent::Later(format!("the receiver answers {status}"), retry_after.map(Duration::from_secs))
        }
        _ => Sent::Refused(format!("the receiver answers {status}")),
    }
}
