//! Log files that processes write themselves, and when what came: one watcher of the system's for all of them, a sidecar file of
//! times for each. A log that becomes too long is cut and says so; what is written after that is cut off at each look.
//!
//! A watch reports one change and is gone; it is set again when [`PAUSE`] has passed, so that a task
//! which writes without end costs the server ten looks a second and itself nothing. What a look finds is one entry of
//! the sidecar, however much was written. Values that are to be hidden (`hidden`) are so before a reader sees what was found: a log with values has
//! a mark (`mark`), and nothing of it is read that nobody has looked at, whichever server it was that hid them.

use std::collections::{HashMap, VecDeque};
use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::io::ReaderStream;
use tokio_util::task::AbortOnDropHandle;

use crate::os::{Change, Changes, Watches};
use cut::Cut;
use hidden::Looked;
pub use hidden::{Hidden, SHORTEST as SHORTEST_HIDDEN};
#[cfg(any(test, feature = "fuzzing"))]
pub use read::read_all;
pub use read::{LogLine, LogStart, last_lines};
pub(crate) use read::{last_lines_of, last_lines_without};
pub use tail::LogBatches;
use times::Times;

mod cut;
mod hidden;
mod mark;
mod read;
mod tail;
mod times;

/// The shortest time between two looks at a file that grows, which is also how exact the times of lines are.
const PAUSE: Duration = Duration::from_millis(100);

/// The logs that are being written, with their times; one for the whole server. Dropped, it records no more.
#[derive(Debug)]
pub struct LogFiles {
    shared: Arc<Shared>,
    _watcher: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    watches: Watches,
    /// Where logs are cut.
    most: Option<u64>,
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    by_path: HashMap<PathBuf, Weak<Growing>>,
}

/// Records the times of one log until the last handle to it is dropped.
#[derive(Clone, Debug)]
pub struct Recording(Arc<Growing>);

#[derive(Debug)]
struct Growing {
    log: PathBuf,
    shared: Arc<Shared>,
    /// How long the file is known to be; what readers of a live log wait for.
    length: watch::Sender<u64>,
    cut: Mutex<Cut>,
    times: Mutex<Times>,
    hiding: Mutex<Hiding>,
}

/// What is hidden in a log.
#[derive(Debug)]
enum Hiding {
    Nothing,
    /// Values that were not said yet. Up to here they were hidden by an earlier recording.
    Unknown(u64),
    /// These, and how far that is done.
    Values(Hidden, Looked),
}

impl LogFiles {
    /// Opens the watcher. Logs that are recorded are cut at `most` bytes.
    ///
    /// # Errors
    ///
    /// If the system gives no more of them.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(most: Option<u64>) -> io::Result<LogFiles> {
        let (watches, changes) = Watches::open()?;
        let shared = Arc::new(Shared { watches, most, files: Mutex::default() });
        let watcher = tokio::spawn(watch_files(Arc::downgrade(&shared), changes));
        Ok(LogFiles { shared, _watcher: AbortOnDropHandle::new(watcher) })
    }

    /// Records from now on when `log` grows; creates it if it is missing. To be called before the task is started.
    ///
    /// # Errors
    ///
    /// If the log or its sidecar cannot be opened, or the system gives no more watches.
    pub fn record(&self, log: &Path) -> io::Result<Recording> {
        self.shared.record(log)
    }

    /// The same, and hides values in the log before anybody reads them, as long as the log is there: also when another server has it. Of several
    /// recordings at a time the first says the values.
    ///
    /// # Errors
    ///
    /// As [`LogFiles::record`].
    pub async fn record_hiding(&self, log: &Path, hidden: Hidden) -> io::Result<Recording> {
        let (shared, log) = (Arc::clone(&self.shared), log.to_owned());
        blocking(move || shared.record_hiding(&log, hidden)).await?
    }

    /// Hides values in what an earlier server has left of a log whose process has ended. A log without values stays as it is.
    ///
    /// # Errors
    ///
    /// As [`LogFiles::record`].
    pub async fn hide_rest(&self, log: &Path, hidden: Hidden) -> io::Result<()> {
        let (shared, log) = (Arc::clone(&self.shared), log.to_owned());
        blocking(move || shared.hide_rest(&log, hidden)).await?
    }

    /// How much of a log may be read: of one with values that are hidden, what was looked at.
    ///
    /// # Errors
    ///
    /// If there is no such log.
    pub fn readable(&self, log: &Path) -> io::Result<u64> {
        self.shared.readable(log)
    }

    /// Reads `log` from `start` in batches of at most about 256 KiB, and goes on as it grows until `ended` is ready and
    /// all is read. The file must exist.
    pub fn tail(&self, log: &Path, start: LogStart, ended: impl Future<Output = ()> + Send + 'static) -> LogBatches {
        tail::batches(self.shared.clone(), log.to_owned(), start, Box::pin(ended))
    }
}

impl Recording {
    /// Writes down that everything which is in the log now was there by now. To be called at the end of the attempt.
    pub async fn finish(&self) {
        let growing = Arc::clone(&self.0);
        let _ = blocking(move || growing.look(true)).await;
    }

    fn length(&self) -> watch::Receiver<u64> {
        self.0.length.subscribe()
    }
}

impl Shared {
    fn record(self: &Arc<Self>, log: &Path) -> io::Result<Recording> {
        let mut files = self.lock();
        if let Some(growing) = files.by_path.get(log).and_then(Weak::upgrade) {
            return Ok(Recording(growing));
        }
        OpenOptions::new().append(true).create(true).open(log)?;
        let times = Times::open(log)?;
        let hiding = if mark::is_set(log) { Hiding::Unknown(times.covered()) } else { Hiding::Nothing };
        let growing = Arc::new(Growing {
            log: log.to_owned(),
            shared: self.clone(),
            length: watch::Sender::new(times.covered()),
            cut: Mutex::new(Cut::at(self.most)),
            times: Mutex::new(times),
            hiding: Mutex::new(hiding),
        });
        files.by_path.insert(log.to_owned(), Arc::downgrade(&growing));
        drop(files);
        growing.arm()?;
        growing.look(false);
        Ok(Recording(growing))
    }

    fn record_hiding(self: &Arc<Self>, log: &Path, mut hidden: Hidden) -> io::Result<Recording> {
        let is_marked = mark::is_set(log);
        if is_marked && hidden.is_empty() {
            hidden = Hidden::withheld("the secrets that were hidden in it have changed since");
        }
        // A log without a mark has no values that would have to be withheld.
        if hidden.is_empty() || (hidden.why_withheld().is_some() && !is_marked) {
            return self.record(log);
        }
        if !is_marked {
            mark::set(log)?;
        }
        let recording = self.record(log)?;
        recording.0.begin_to_hide(hidden);
        Ok(recording)
    }

    fn hide_rest(self: &Arc<Self>, log: &Path, hidden: Hidden) -> io::Result<()> {
        if mark::is_set(log) && log.exists() {
            self.record_hiding(log, hidden)?.0.look(true);
        }
        Ok(())
    }

    /// How much may be read of a log.
    fn readable(&self, log: &Path) -> io::Result<u64> {
        let growing = self.lock().by_path.get(log).and_then(Weak::upgrade);
        match growing {
            Some(growing) if growing.hides() => Ok(*growing.length.borrow()),
            None if mark::is_set(log) => Ok(Times::covered_of(log)?.min(std::fs::metadata(log)?.len())),
            Some(_) | None => Ok(std::fs::metadata(log)?.len()),
        }
    }

    /// How much may be read of a log whose process has ended. If nobody is left who hides the values in it, its rest is not shown, which it says.
    fn readable_at_end(self: &Arc<Self>, log: &Path) -> io::Result<u64> {
        let is_recorded = self.lock().by_path.get(log).is_some_and(|growing| growing.strong_count() > 0);
        if !is_recorded && mark::is_set(log) && self.readable(log)? < std::fs::metadata(log)?.len() {
            self.hide_rest(log, Hidden::withheld("whoever hid the secrets in it was gone by then"))?;
        }
        self.readable(log)
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Growing {
    /// Asks for one change at the next write.
    fn arm(&self) -> io::Result<()> {
        self.shared.watches.arm(&self.log)
    }

    /// Looks how long the file is, and whether it has grown since the last look.
    fn look(&self, last: bool) -> bool {
        self.look_at(last, last)
    }

    /// `is_complete` says that nothing comes any more, `is_noted` that its time is written down although the last one is recent.
    fn look_at(&self, is_complete: bool, is_noted: bool) -> bool {
        let Ok(written) = std::fs::metadata(&self.log).map(|metadata| metadata.len()) else { return false };
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        // One that cannot be read is not cut either, which is said below.
        if let Ok(Some(most)) = cut.first_cut(&self.log, written) {
            cut.cut_at(self.hide_up_to(most));
        }
        let left = cut.apply(&self.log, written).unwrap_or_else(|error| {
            tracing::warn!(log = %self.log.display(), %error, "cut a log that is too long");
            cut.uncut(written)
        });
        drop(cut);
        let length = self.hide(left, is_complete);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = times.note(length, is_noted) {
            tracing::warn!(log = %self.log.display(), %error, "write the times of a log");
        }
        drop(times);
        // One that is written on is looked at again in a moment, although its length stays.
        self.length.send_if_modified(|longest| std::mem::replace(longest, length.max(*longest)) < length)
            || written > left
    }
}

impl Growing {
    /// Nobody knows how far an earlier server had looked: nothing is read until all of it was looked at.
    fn begin_to_hide(&self, hidden: Hidden) {
        let mut hiding = self.lock_hiding();
        if matches!(*hiding, Hiding::Values(..)) {
            return;
        }
        if let Some(why) = hidden.why_withheld() {
            let seen = self.times.lock().unwrap_or_else(PoisonError::into_inner).covered();
            self.cut.lock().unwrap_or_else(PoisonError::into_inner).withhold(seen, why);
        }
        *hiding = Hiding::Values(hidden, Looked::default());
        self.length.send_replace(0);
        drop(hiding);
        self.look(false);
    }

    fn hides(&self) -> bool {
        !matches!(*self.lock_hiding(), Hiding::Nothing)
    }

    /// Hides what is to be hidden in what was written; says how much may be read.
    fn hide(&self, length: u64, is_complete: bool) -> u64 {
        match &mut *self.lock_hiding() {
            Hiding::Nothing => length,
            Hiding::Unknown(seen) => length.min(*seen),
            Hiding::Values(hidden, looked) => {
                if let Err(error) = hidden.hide_in(&self.log, looked, length, is_complete) {
                    // What could not be looked at is not shown.
                    tracing::warn!(log = %self.log.display(), %error, "hide the secrets in a log");
                }
                looked.at.min(length)
            }
        }
    }

    /// Hides what is to be hidden before the log is cut there; says where to cut it, as a value that is cut through would not be found.
    fn hide_up_to(&self, most: u64) -> u64 {
        let at = self.hide(most, false);
        if let Hiding::Values(_, looked) = &mut *self.lock_hiding() {
            looked.forget_open();
        }
        at
    }

    fn lock_hiding(&self) -> MutexGuard<'_, Hiding> {
        self.hiding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        // The process may go on without this server: what looks like the beginning of a value may become one.
        self.look_at(false, true);
        let mut files = self.shared.lock();
        // A new recording of the same log may have begun: only entries whose recording is gone are removed.
        files.by_path.retain(|_, growing| growing.strong_count() > 0);
        if !files.by_path.contains_key(&self.log) {
            self.shared.watches.forget(&self.log);
        }
    }
}

enum Wake {
    Changed(Option<io::Result<Change>>),
    Due,
}

/// Looks at each file that a watch reports, and again after each pause until it has stopped growing; then sets the
/// watch again.
async fn watch_files(shared: Weak<Shared>, mut changes: Changes) {
    let mut resting: VecDeque<(Instant, Weak<Growing>)> = VecDeque::new();
    loop {
        let due = resting.front().map(|(due, _)| *due);
        let wake = tokio::select! {
            change = changes.next() => Wake::Changed(change),
            () = sleep_until(due) => Wake::Due,
        };
        let grown = match wake {
            Wake::Changed(Some(Ok(change))) => {
                let Some(shared) = shared.upgrade() else { return };
                // File system calls, which a slow disk may hold up, and values that are looked for.
                blocking(move || changed(&shared, &change)).await.unwrap_or_default()
            }
            Wake::Changed(Some(Err(error))) => {
                tracing::error!(%error, "watch files: the logs of processes that run now get no more times");
                return;
            }
            Wake::Changed(None) => return,
            Wake::Due => {
                let now = Instant::now();
                let due = resting.partition_point(|(due, _)| *due <= now);
                let due: Vec<_> = resting.drain(..due).filter_map(|(_, growing)| growing.upgrade()).collect();
                blocking(move || due.into_iter().filter(still_growing).collect()).await.unwrap_or_default()
            }
        };
        let due = Instant::now() + PAUSE;
        resting.extend(grown.iter().map(|growing| (due, Arc::downgrade(growing))));
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Looks at the files that a change is about.
fn changed(shared: &Shared, change: &Change) -> Vec<Arc<Growing>> {
    let files = shared.lock();
    let changed: Vec<Arc<Growing>> = match change {
        Change::OfAny => files.by_path.values().filter_map(Weak::upgrade).collect(),
        Change::Of(path) => files.by_path.get(path).and_then(Weak::upgrade).into_iter().collect(),
    };
    drop(files);
    for growing in &changed {
        growing.look(false);
    }
    changed
}

/// Whether the file has grown in the pause; if not, its watch is set.
fn still_growing(growing: &Arc<Growing>) -> bool {
    if growing.look(false) {
        return true;
    }
    if let Err(error) = growing.arm() {
        tracing::warn!(log = %growing.log.display(), %error, "watch a log");
        return false;
    }
    // What was written between the look and the watch would be noticed by neither.
    growing.look(false);
    false
}

/// The bytes of a log.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<bytes::Bytes>> + Send>>;

/// Opens a log for the bytes of a range.
pub(crate) async fn bytes(log: &Path, range: Range<u64>) -> io::Result<ByteStream> {
    use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
    let mut file = tokio::fs::File::open(log).await?;
    file.seek(io::SeekFrom::Start(range.start)).await?;
    Ok(Box::pin(ReaderStream::new(file.take(range.end - range.start))))
}

/// Appends a line of the server's own to a log, which is made if it is not there. Blocks.
///
/// # Errors
/// If the file cannot be written.
pub fn append(log: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(log)?;
    file.write_all(format!("spanwise: {line}\n").as_bytes())
}
