//! Reading a log while it is written.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, stream};
use tokio::sync::watch;

use super::read::{Lines, LogLine, LogStart};
use super::{Recording, Shared, blocking};

/// Batches of lines, none of them empty. After an error there are no more.
pub type LogBatches = Pin<Box<dyn Stream<Item = io::Result<Vec<LogLine>>> + Send>>;

struct Tail {
    lines: Lines,
    log: PathBuf,
    until: Until,
}

enum Until {
    /// Nothing is read yet, and nobody has asked whether the attempt has ended.
    Unknown { shared: Arc<Shared>, ended: BoxFuture<'static, ()> },
    /// The log may grow; its recording tells by how much.
    Growing { ended: BoxFuture<'static, ()>, length: watch::Receiver<u64>, recording: Recording },
    /// It is complete with this length. What is written later comes from stray processes, and is ignored.
    Complete(u64),
}

pub(super) fn batches(shared: Arc<Shared>, log: PathBuf, start: LogStart, ended: BoxFuture<'static, ()>) -> LogBatches {
    let tail = Tail { lines: Lines::new(&log, start), log, until: Until::Unknown { shared, ended } };
    Box::pin(stream::try_unfold(tail, Tail::next))
}

impl Tail {
    async fn next(mut self) -> io::Result<Option<(Vec<LogLine>, Tail)>> {
        if let Until::Unknown { shared, ended } = self.until {
            self.until = until(shared, ended, &self.log)?;
        }
        loop {
            let (length, complete) = match &mut self.until {
                Until::Growing { length, .. } => (*length.borrow_and_update(), false),
                Until::Complete(length) => (*length, true),
                Until::Unknown { .. } => (0, false),
            };
            let mut lines = self.lines;
            let (lines, batch) = blocking(move || {
                let batch = lines.read(length, complete);
                (lines, batch)
            })
            .await?;
            self.lines = lines;
            let batch = batch?;
            if !batch.is_empty() {
                return Ok(Some((batch, self)));
            }
            let Until::Growing { ended, length, recording } = &mut self.until else { return Ok(None) };
            // A recording that is gone is one of a `Logs` that is gone: then only the end is left to wait for.
            let grown = async {
                if length.changed().await.is_err() {
                    std::future::pending().await
                }
            };
            let has_ended = tokio::select! {
                biased;
                () = ended => true,
                () = grown => false,
            };
            if has_ended {
                self.until = complete_now(&recording.0.shared.clone(), &self.log)?;
            }
        }
    }
}

/// A log whose attempt has ended before is only read: no recording, no new times for what is old.
fn until(shared: Arc<Shared>, mut ended: BoxFuture<'static, ()>, log: &Path) -> io::Result<Until> {
    if (&mut ended).now_or_never().is_some() {
        return complete_now(&shared, log);
    }
    std::fs::metadata(log)?;
    let recording = shared.record(log)?;
    Ok(Until::Growing { ended, length: recording.length(), recording })
}

fn complete_now(shared: &Arc<Shared>, log: &Path) -> io::Result<Until> {
    Ok(Until::Complete(shared.readable_at_end(log)?))
}
