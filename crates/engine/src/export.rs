//! The export of lifecycle spans: the journal is the queue. Each traced run has a position in its events; a loop reads on from there,
//! makes the spans, hands them to the exporter and, once they are acknowledged, moves the position. So nothing is lost by a crash, and
//! a receiver that is away delays nobody. Events that are new come from memory, where there is room for a bounded number of them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use spanwise_core::RunId;
use spanwise_core::lifecycle::{Lifecycle, Span};
use spanwise_store::{ExportState, RunKey, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::again::{Again, LONGEST_PAUSE};
pub(crate) use self::pending::Exports;
use crate::blocking::leave_runtime;
use crate::engine::Engine;
use crate::error::{Error, with_source};
use crate::settings::RunSettings;
use crate::unreadable::Unreadable;

mod again;
mod pending;
#[cfg(test)]
mod tests;

/// Events that are read at a time.
const SLICE: usize = 1024;

/// No new events for this long is a lull: then what has gathered is sent. Runs that end together share one request, and a run that needs the whole
/// machine for a moment has it.
const LULL: Duration = Duration::from_millis(50);

/// How long a lull is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes lifecycle spans to a receiver.
pub trait LifecycleExporter: Send + Sync + 'static {
    /// Sends spans; `Ok` means that the receiver has them. Called again with the same ones after an error.
    fn export(&self, spans: Arc<[Span]>) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>>;

    /// Spans could not be sent. With `given_up` they never will be: so many, or 0 if a run cannot be read and nobody can count them.
    /// Otherwise it is tried again.
    fn failed(&self, _error: &ExportError, _given_up: Option<usize>) {}
}

/// Spans could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExportError(pub String);

/// The bounds of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportLimits {
    /// Spans in one batch, about.
    pub batch: usize,
    /// A batch that could not be sent for this long is given up and counted.
    pub give_up_after: Duration,
    /// The pause after the first failure; it doubles up to 30 seconds.
    pub first_pause: Duration,
}

impl Default for ExportLimits {
    fn default() -> ExportLimits {
        ExportLimits { batch: 512, give_up_after: Duration::from_secs(3600), first_pause: Duration::from_millis(250) }
    }
}

/// An export under way. Dropping it stops it; what is not exported yet is exported by the next one.
#[derive(Debug)]
pub struct Export {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Engine {
    /// Exports the lifecycle spans of every traced run that is accepted from now on, and what an earlier export has left. One export
    /// at a time: a second one would send what the first one sends.
    ///
    /// # Errors
    /// [`Error::Store`] if the journal cannot be read.
    pub fn export_lifecycle(
        &self,
        exporter: Arc<dyn LifecycleExporter>,
        limits: ExportLimits,
    ) -> Result<Export, Error> {
        let store = Arc::clone(self.inner.journal.store());
        self.inner.exports.open();
        for run in store.unexported()? {
            self.inner.exports.add(run);
        }
        let (stop, stopping) = watch::channel(false);
        let exports = Arc::clone(&self.inner.exports);
        let unreadable = Arc::clone(&self.inner.unreadable);
        let task = tokio::spawn(Loop { store, exports, exporter, unreadable, limits, stopping }.run());
        Ok(Export { stop, task })
    }
}

impl Export {
    /// Exports what is in the journal now, for at most this long, and stops.
    pub async fn finish(mut self, patience: Duration) {
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(patience, &mut self.task).await;
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Loop {
    store: Arc<dyn Store>,
    exports: Arc<Exports>,
    exporter: Arc<dyn LifecycleExporter>,
    unreadable: Arc<Unreadable>,
    limits: ExportLimits,
    stopping: watch::Receiver<bool>,
}

/// The lifecycles of the runs that are not at their end.
type Live = HashMap<RunKey, Tracked>;

/// A run that is being exported.
struct Tracked {
    lifecycle: Lifecycle,
    state: ExportState,
}

/// A run that could not be read; without its name if that could not be read either.
struct Unread {
    run: Option<RunId>,
    key: RunKey,
    error: Error,
}

/// Spans of some runs, and the positions of these runs once the spans have arrived.
#[derive(Default)]
struct Batch {
    spans: Vec<Span>,
    moves: BTreeMap<RunKey, Move>,
}

/// A run's new position, and how many of the batch's spans are its own.
struct Move {
    state: ExportState,
    spans: u64,
}

impl Loop {
    async fn run(mut self) {
        let (mut live, mut is_behind) = (Live::new(), false);
        let mut again = Again::new(self.limits.first_pause);
        loop {
            let is_stopping = *self.stopping.borrow();
            let is_idle = self.exports.is_empty();
            if is_stopping && is_idle && again.is_empty() {
                return;
            }
            if !is_behind && (!is_stopping || is_idle) {
                tokio::select! {
                    () = self.exports.lull(LULL, PATIENCE), if !is_stopping => {}
                    () = again.due() => again.take().into_iter().for_each(|run| self.exports.add(run)),
                    _ = self.stopping.changed(), if !is_stopping => {}
                }
            }
            let (store, exports, limit) = (Arc::clone(&self.store), Arc::clone(&self.exports), self.limits.batch);
            let gathered = leave_runtime(move || {
                let (batch, unread) = gather(&*store, &exports, &mut live, limit);
                (live, batch, unread)
            });
            let Ok((back, batch, unread)) = gathered.await else { return };
            live = back;
            is_behind = batch.spans.len() >= self.limits.batch;
            again.note(unread.iter().filter(|unread| !unread.error.is_damage()).map(|unread| unread.key));
            unread.into_iter().for_each(|unread| self.tell(unread));
            self.send(batch, &mut live).await;
        }
    }

    /// Tells why a run could not be read. What cannot be understood now cannot be later either; everything else is tried again.
    fn tell(&self, Unread { run, key, error }: Unread) {
        let (is_damage, cause) = (error.is_damage(), with_source(&error));
        let named = run.as_ref().map_or_else(|| format!("number {}", key.0), |run| format!("`{}`", run.name));
        let failure = ExportError(format!("read run {named}: {cause}"));
        if let Some(run) = run.filter(|_| is_damage) {
            self.unreadable.note(run, cause);
        }
        self.exporter.failed(&failure, is_damage.then_some(0));
    }

    /// Sends a batch until it has arrived or is given up, then moves the positions.
    async fn send(&self, batch: Batch, live: &mut Live) {
        let arrived = batch.spans.is_empty() || self.deliver(batch.spans.into()).await;
        let settled = batch.moves.into_iter().map(|(run, Move { mut state, spans })| {
            *(if arrived { &mut state.exported } else { &mut state.dropped }) += spans;
            if let Some(tracked) = live.get_mut(&run) {
                tracked.state = state;
            }
            (run, state)
        });
        let (store, states) = (Arc::clone(&self.store), settled.collect::<Vec<_>>());
        // A store that cannot be written is found out by the journal; the same spans are sent again after a restart.
        let _ = leave_runtime(move || store.put_exports(&states)).await;
    }

    async fn deliver(&self, spans: Arc<[Span]>) -> bool {
        let (begun, mut pause) = (Instant::now(), self.limits.first_pause);
        loop {
            let Err(error) = self.exporter.export(Arc::clone(&spans)).await else { return true };
            if begun.elapsed() + pause > self.limits.give_up_after {
                self.exporter.failed(&error, Some(spans.len()));
                return false;
            }
            self.exporter.failed(&error, None);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Reads on in the runs that have new events until there is enough for a batch. An error is that of one run: the others are read on in.
fn gather(store: &dyn Store, exports: &Exports, live: &mut Live, enough: usize) -> (Batch, Vec<Unread>) {
    let (mut batch, mut unread) = (Batch::default(), Vec::new());
    while batch.spans.len() < enough
        && let Some(run) = exports.next()
    {
        match read_on(store, exports, run, live) {
            Ok(Some((spans, state, more))) => {
                let before = batch.moves.remove(&run).map_or(0, |earlier| earlier.spans);
                batch.moves.insert(run, Move { state, spans: before + spans.len() as u64 });
                batch.spans.extend(spans);
                if more {
                    exports.add(run);
                } else if state.done {
                    live.remove(&run);
                }
            }
            Ok(None) => exports.pass(run, u64::MAX),
            Err(error) => {
                live.remove(&run);
                exports.pass(run, u64::MAX);
                let row = store.run(run).ok().flatten();
                unread.push(Unread { run: row.map(|row| row.id), key: run, error });
            }
        }
    }
    (batch, unread)
}

/// The next spans of a run, where it is then, and whether there may be more. None if it is gone, or is not traced.
fn read_on(
    store: &dyn Store,
    exports: &Exports,
    run: RunKey,
    live: &mut Live,
) -> Result<Option<(Vec<Span>, ExportState, bool)>, Error> {
    let tracked = match live.entry(run) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => match Tracked::load(store, run)? {
            Some(tracked) => entry.insert(tracked),
            None => return Ok(None),
        },
    };
    let mut events = exports.take(run, tracked.state.next_seq, SLICE);
    if events.is_empty() {
        events = store.events_from(run, tracked.state.next_seq, SLICE)?;
    }
    events.iter().for_each(|event| tracked.lifecycle.apply(event));
    tracked.state.next_seq += events.len() as u64;
    exports.pass(run, tracked.state.next_seq);
    let more = events.len() >= SLICE;
    tracked.state.done = tracked.lifecycle.is_ended() && !more;
    Ok(Some((tracked.lifecycle.take(), tracked.state, more)))
}

impl Tracked {
    /// The lifecycle as the events before its position leave it.
    fn load(store: &dyn Store, run: RunKey) -> Result<Option<Tracked>, Error> {
        let Some(row) = store.run(run)? else { return Ok(None) };
        let Some(state) = row.export else { return Ok(None) };
        let mut lifecycle = RunSettings::read(&row)?.lifecycle(row.id.clone());
        let mut seq = 0;
        while seq < state.next_seq {
            let events = store.events_from(run, seq, SLICE)?;
            if events.is_empty() {
                break;
            }
            let exported = events.iter().take(usize::try_from(state.next_seq - seq).unwrap_or(usize::MAX));
            exported.for_each(|event| lifecycle.apply(event));
            seq += events.len() as u64;
            lifecycle.take();
        }
        Ok(Some(Tracked { lifecycle, state }))
    }
}
