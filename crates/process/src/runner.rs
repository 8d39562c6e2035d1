//! What the server asks for, wherever processes run: this machine today, other machines and pods next.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::logs::{self, ByteStream, Hidden, LogBatches, LogFiles, LogStart, Recording};
use crate::{Beginning, Claim, Error, Launch, Mounted, Process, ProcessId, Script, Warm};

/// Runs processes.
///
/// A launch names its process by the claim that it makes: whoever makes a claim first has what it is about, so nothing runs twice, whatever
/// becomes of the one who asked for it. What was started outlives the one who started it, and is found again by its claim.
#[async_trait]
pub trait Runner: Debug + Send + Sync + 'static {
    /// Makes ready what a script needs, so that its first process starts sooner. Whoever starts one meanwhile waits for it.
    async fn prepare(&self, script: &Script);

    /// Starts `launch`; if it runs `script`, with what the script has beside it.
    ///
    /// # Errors
    /// [`Error`]; nothing runs then, unless the process has made its claim.
    ///
    /// # Cancellation
    /// Safe: a process that was started for a call which is gone is killed before it runs for long.
    async fn start(&self, script: Option<&Script>, launch: &Launch) -> Result<Process, Error>;

    /// Whether a process can have files that only it sees ([`Launch::mounted`]), and if not, why.
    ///
    /// # Errors
    /// What is missing, for people.
    async fn can_mount(&self, mounted: &Mounted) -> Result<(), String>;

    /// Whether a process can have a root file system of its own ([`Launch::container`]), and if not, why.
    ///
    /// # Errors
    /// What is missing, for people.
    async fn can_contain(&self) -> Result<(), String>;

    /// Who has what a claim is about.
    ///
    /// # Errors
    /// If nobody can say now.
    async fn claim_of(&self, claim: &Path) -> io::Result<Claim>;

    /// How far the process of a claim came. Only after its end.
    ///
    /// # Errors
    /// If nobody can say now.
    async fn beginning_of(&self, claim: &Path) -> io::Result<Beginning>;

    /// Makes a claim in the place of a process, so that none begins any more. False if somebody has it.
    ///
    /// # Errors
    /// If it cannot be made.
    async fn give_up(&self, claim: &Path) -> io::Result<bool>;

    /// Finds a process that somebody else has started; none if it is gone.
    ///
    /// # Errors
    /// If nobody can say now.
    async fn adopt(&self, id: &ProcessId) -> io::Result<Option<Process>>;

    /// Asks what a process has left outside of its group to end.
    async fn ask_remains(&self, claim: &Path, leader: &ProcessId);

    /// True if a process of a claim was killed because of the memory that all of them use. Only before [`Runner::end_remains`].
    async fn ran_out_of_memory(&self, claim: &Path) -> bool;

    /// Ends everything that the process of a claim has left.
    async fn end_remains(&self, claim: &Path);
}

/// The logs of processes.
#[async_trait]
pub trait Logs: Debug + Send + Sync + 'static {
    /// Records from now on when a log grows. To be called before its process is started.
    ///
    /// # Errors
    /// If the log cannot be made or watched.
    fn record(&self, log: &Path) -> io::Result<Recording>;

    /// The same, and hides values in the log before anybody reads them, whichever server has the log.
    ///
    /// # Errors
    /// If the log cannot be made or watched.
    async fn record_hiding(&self, log: &Path, hidden: Hidden) -> io::Result<Recording>;

    /// Hides values in what an earlier server has left of a log whose process has ended. A log without values stays as it is.
    ///
    /// # Errors
    /// If the log cannot be watched.
    async fn hide_rest(&self, log: &Path, hidden: Hidden) -> io::Result<()>;

    /// The lines of a log from `start`, and those that come until `ended` is ready and all is read.
    fn tail(&self, log: &Path, start: LogStart, ended: BoxFuture<'static, ()>) -> LogBatches;

    /// How many bytes of a log may be read: of one in which values are hidden, what was looked at. Blocks.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none.
    fn length(&self, log: &Path) -> io::Result<u64>;

    /// A part of a log as it is, byte by byte.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn bytes(&self, log: &Path, range: Range<u64>) -> io::Result<ByteStream>;

    /// The last lines of a log that are within `most` bytes.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn last_lines(&self, log: &Path, most: usize) -> io::Result<String>;

    /// Appends a line of the server's own to a log.
    ///
    /// # Errors
    /// If it cannot be written.
    async fn append(&self, log: &Path, line: &str) -> io::Result<()>;
}

/// Processes of this machine.
#[derive(Debug, Default)]
pub struct Machine {
    warm: Option<Warm>,
    /// Set once files could be mounted: until then it is tried again, as somebody may have seen to it.
    mounts: OnceCell<()>,
    /// The same of containers.
    containers: OnceCell<()>,
}

impl Machine {
    /// Processes of scripts are forked from a warm interpreter where that can be, if there is one.
    pub fn new(warm: Option<Warm>) -> Machine {
        Machine { warm, mounts: OnceCell::new(), containers: OnceCell::new() }
    }
}

#[async_trait]
impl Runner for Machine {
    async fn prepare(&self, script: &Script) {
        if let Some(warm) = &self.warm {
            warm.prepare(script).await;
        }
    }

    async fn start(&self, script: Option<&Script>, launch: &Launch) -> Result<Process, Error> {
        match (script, &self.warm) {
            (Some(script), Some(warm)) => warm.spawn(script, launch).await,
            (Some(script), None) => crate::spawn_script(script, launch),
            (None, _) => crate::spawn(launch),
        }
    }

    async fn can_mount(&self, mounted: &Mounted) -> Result<(), String> {
        self.mounts.get_or_try_init(|| crate::can_mount(mounted)).await.copied()
    }

    async fn can_contain(&self) -> Result<(), String> {
        self.containers.get_or_try_init(crate::can_contain).await.copied()
    }

    async fn claim_of(&self, claim: &Path) -> io::Result<Claim> {
        crate::claim_of(claim).await
    }

    async fn beginning_of(&self, claim: &Path) -> io::Result<Beginning> {
        crate::beginning_of(claim).await
    }

    async fn give_up(&self, claim: &Path) -> io::Result<bool> {
        crate::give_up(claim)
    }

    async fn adopt(&self, id: &ProcessId) -> io::Result<Option<Process>> {
        crate::adopt(id)
    }

    async fn ask_remains(&self, claim: &Path, leader: &ProcessId) {
        let (claim, leader) = (claim.to_owned(), leader.clone());
        let _ = tokio::task::spawn_blocking(move || crate::ask_remains(&claim, &leader)).await;
    }

    async fn ran_out_of_memory(&self, claim: &Path) -> bool {
        let claim = claim.to_owned();
        tokio::task::spawn_blocking(move || crate::ran_out_of_memory(&claim)).await.unwrap_or_default()
    }

    async fn end_remains(&self, claim: &Path) {
        let claim = claim.to_owned();
        let _ = tokio::task::spawn_blocking(move || crate::end_remains(&claim)).await;
    }
}

#[async_trait]
impl Logs for LogFiles {
    fn record(&self, log: &Path) -> io::Result<Recording> {
        LogFiles::record(self, log)
    }

    async fn record_hiding(&self, log: &Path, hidden: Hidden) -> io::Result<Recording> {
        LogFiles::record_hiding(self, log, hidden).await
    }

    async fn hide_rest(&self, log: &Path, hidden: Hidden) -> io::Result<()> {
        LogFiles::hide_rest(self, log, hidden).await
    }

    fn tail(&self, log: &Path, start: LogStart, ended: BoxFuture<'static, ()>) -> LogBatches {
        LogFiles::tail(self, log, start, ended)
    }

    fn length(&self, log: &Path) -> io::Result<u64> {
        self.readable(log)
    }

    async fn bytes(&self, log: &Path, range: Range<u64>) -> io::Result<ByteStream> {
        logs::bytes(log, range).await
    }

    async fn last_lines(&self, log: &Path, most: usize) -> io::Result<String> {
        let (log, length) = (log.to_owned(), self.readable(log)?);
        let read = tokio::task::spawn_blocking(move || logs::last_lines_of(&log, length, most)).await;
        read.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    async fn append(&self, log: &Path, line: &str) -> io::Result<()> {
        let (log, line) = (log.to_owned(), line.to_owned());
        let written = tokio::task::spawn_blocking(move || logs::append(&log, &line)).await;
        written.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}
