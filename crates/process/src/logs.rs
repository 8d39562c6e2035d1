//! Log files that processes write themselves, and when what came: one watcher of the system's for all of them, a sidecar file of
//! times for each. A log that becomes too long is cut and says so; what is written after that is cut off at each look.
//!
//! A watch reports one change and is gone; it is set again when [`PAUSE`] has passed, so that a task
//! which writes without end costs the server ten looks a second and itself nothing. What a look finds is one entry of
//! the sidecar, however much was written. Values that are to be hidden (`hidden`) are so before a reader sees what was found.

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
pub(crate) use read::last_lines_of;
#[cfg(any(test, feature = "fuzzing"))]
pub use read::read_all;
pub use read::{LogLine, LogStart, last_lines};
pub use tail::LogBatches;
use times::Times;

mod cut;
mod hidden;
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
    /// What is hidden in it, and how far that is done.
    hidden: Mutex<(Hidden, Looked)>,
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

    /// The same, and hides values in the log before anybody reads them.
    ///
    /// # Errors
    ///
    /// As [`LogFiles::record`].
    pub fn record_hiding(&self, log: &Path, hidden: Hidden) -> io::Result<Recording> {
        let recording = self.shared.record(log)?;
        if !hidden.is_empty() {
            recording.0.begin_to_hide(hidden);
        }
        Ok(recording)
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
    pub fn finish(&self) {
        self.0.look(true);
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
        let growing = Arc::new(Growing {
            log: log.to_owned(),
            shared: self.clone(),
            length: watch::Sender::new(times.covered()),
            cut: Mutex::new(Cut::at(self.most)),
            times: Mutex::new(times),
            hidden: Mutex::default(),
        });
        files.by_path.insert(log.to_owned(), Arc::downgrade(&growing));
        drop(files);
        growing.arm()?;
        growing.look(false);
        Ok(Recording(growing))
    }

    fn readable(&self, log: &Path) -> io::Result<u64> {
        let growing = self.lock().by_path.get(log).and_then(Weak::upgrade);
        match growing.filter(|growing| growing.hides()) {
            Some(growing) => Ok(*growing.length.borrow()),
            None => Ok(std::fs::metadata(log)?.len()),
        }
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
        let Ok(written) = std::fs::metadata(&self.log).map(|metadata| metadata.len()) else { return false };
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner).apply(&self.log, written);
        let left = cut.unwrap_or_else(|error| {
            tracing::warn!(log = %self.log.display(), %error, "cut a log that is too long");
            written
        });
        let length = self.hide(left, last);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = times.note(length, last) {
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
        let mut current = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        *current = (hidden, Looked::default());
        self.length.send_replace(0);
        drop(current);
        self.look(false);
    }

    fn hides(&self) -> bool {
        !self.hidden.lock().unwrap_or_else(PoisonError::into_inner).0.is_empty()
    }

    /// Hides what is to be hidden in what was written; says how much may be read.
    fn hide(&self, length: u64, last: bool) -> u64 {
        let mut current = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let (hidden, looked) = &mut *current;
        if let Err(error) = hidden.hide_in(&self.log, looked, length, last) {
            // What could not be looked at is not shown.
            tracing::warn!(log = %self.log.display(), %error, "hide the secrets in a log");
        }
        looked.at.min(length)
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.look(true);
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
                changed(&shared, &change)
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
                // File system calls, which a slow disk may hold up.
                tokio::task::spawn_blocking(move || due.into_iter().filter(still_growing).collect())
                    .await
                    .unwrap_or_default()
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
