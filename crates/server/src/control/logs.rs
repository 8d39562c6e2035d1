//! The logs of attempts.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use spanwise_core::{ActionName, AttemptNo};
use spanwise_engine::RunHandle;
use spanwise_process::{ByteStream, LogBatches, LogStart};

use super::ControlPlane;
use crate::attempt::ProcessExecutor;

/// How much of the end of a log is shown at once.
const SHOWN: u64 = 24 << 10;

/// The log of an attempt, which may not be there.
pub(crate) struct AttemptLog {
    pub(crate) run: RunHandle,
    pub(crate) action: ActionName,
    pub(crate) attempt: AttemptNo,
    file: PathBuf,
    executor: ProcessExecutor,
}

impl ControlPlane {
    /// The log of an attempt.
    pub(crate) fn log(&self, run: &RunHandle, action: ActionName, attempt: AttemptNo) -> AttemptLog {
        let (run, executor) = (run.clone(), self.inner.executor.clone());
        let file = self.inner.data.log(run.key(), &action, attempt);
        AttemptLog { run, action, attempt, file, executor }
    }
}

impl AttemptLog {
    /// True if the attempt has printed something, or could have.
    pub(crate) fn exists(&self) -> bool {
        self.file.exists()
    }

    /// How many bytes it has.
    pub(crate) async fn length(&self) -> io::Result<u64> {
        self.executor.logs().length(&self.file)
    }

    /// A part of it, byte by byte.
    pub(crate) async fn bytes(&self, range: Range<u64>) -> io::Result<ByteStream> {
        self.executor.logs().bytes(&self.file, range).await
    }

    /// Its lines from a place on, and those that come until the attempt has ended.
    pub(crate) fn follow(&self, from: u64) -> LogBatches {
        let (run, action, attempt) = (self.run.clone(), self.action, self.attempt);
        let ended = async move {
            let watch = run.watch(action);
            while run.action(&action).is_some_and(|action| action.attempt() == Some(attempt)) {
                watch.changed().await;
            }
        };
        self.executor.logs().tail(&self.file, LogStart::Offset(from), Box::pin(ended))
    }

    /// Its end; of one that still grows whole lines only, so that the rest can follow. None if there is no log.
    pub(crate) fn end(&self, live: bool) -> Option<LogEnd> {
        end_of(&self.file, self.executor.logs().length(&self.file).ok()?, live)
    }
}

/// The end of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogEnd {
    pub(crate) text: String,
    /// True if there is more before it.
    pub(crate) is_cut: bool,
    /// Where the line begins that is not complete yet, or the next one.
    pub(crate) next: u64,
    pub(crate) size: u64,
}

/// Of the first `size` bytes of a log.
pub(super) fn end_of(log: &Path, size: u64, live: bool) -> Option<LogEnd> {
    let mut file = std::fs::File::open(log).ok()?;
    let from = size.saturating_sub(SHOWN);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(size - from).read_to_end(&mut bytes).ok()?;
    let begin = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(line) if from > 0 => line + 1,
        _ => 0,
    };
    let end = match bytes.iter().rposition(|byte| *byte == b'\n') {
        _ if !live => bytes.len(),
        Some(line) => line + 1,
        None => 0,
    };
    let text = String::from_utf8_lossy(bytes.get(begin..end).unwrap_or_default()).into_owned();
    Some(LogEnd { text, is_cut: from > 0, next: from + end as u64, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_whole_lines_and_says_where_the_rest_begins() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("1.log");
        let end_of = |live| end_of(&log, std::fs::metadata(&log).ok()?.len(), live);
        assert_eq!(end_of(true), None);
        std::fs::write(&log, "one\ntwo\nthr").unwrap();
        let live = end_of(true).unwrap();
        assert_eq!((live.text.as_str(), live.next, live.is_cut), ("one\ntwo\n", 8, false));
        assert_eq!(end_of(false).unwrap().text, "one\ntwo\nthr");
        let long: String = (0..10_000).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&log, &long).unwrap();
        let cut = end_of(true).unwrap();
        assert!(cut.is_cut && cut.text.starts_with("line ") && cut.text.ends_with("line 9999\n"));
        assert_eq!(cut.next, long.len() as u64);
    }
}
