//! The sidecar of a log: what was in the log by when. Pairs of a length in bytes and a time in microseconds, 16 bytes
//! each, only ever appended.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spanwise_core::Timestamp;

use super::PAUSE;

const ENTRY: usize = 16;

/// After so many entries the shortest time between two doubles, and again after as many: the first 27 minutes of
/// writing without rest are recorded to 100 ms, and a month of it takes 4 MiB.
const ENTRIES_AT_ONE_PACE: u64 = 16 * 1024;

fn path_of(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".times");
    path.into()
}

pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The writing end. It holds no file open: a server has thousands of logs.
#[derive(Debug)]
pub(super) struct Times {
    path: PathBuf,
    entries: u64,
    last: (u64, Timestamp),
}

impl Times {
    /// Goes on where an earlier server stopped. Half an entry at the end is what a crash of the machine can leave; it
    /// is cut off.
    pub(super) fn open(log: &Path) -> io::Result<Times> {
        let path = path_of(log);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        let entries = file.metadata()?.len() / ENTRY as u64;
        file.set_len(entries * ENTRY as u64)?;
        let mut last = (0, Timestamp::default());
        if entries > 0 {
            file.seek(SeekFrom::End(-(ENTRY as i64)))?;
            let mut entry = [0; ENTRY];
            file.read_exact(&mut entry)?;
            last = decode(entry);
        }
        Ok(Times { path, entries, last })
    }

    /// The length of the log that a note has: of one in which values are hidden, what was looked at. Reads nothing else, and makes nothing.
    pub(super) fn covered_of(log: &Path) -> io::Result<u64> {
        let mut file = match File::open(path_of(log)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            file => file?,
        };
        let entries = file.metadata()?.len() / ENTRY as u64;
        if entries == 0 {
            return Ok(0);
        }
        let mut entry = [0; ENTRY];
        file.seek(SeekFrom::Start((entries - 1) * ENTRY as u64))?;
        file.read_exact(&mut entry)?;
        Ok(decode(entry).0)
    }

    /// The length of the log that has a time.
    pub(super) fn covered(&self) -> u64 {
        self.last.0
    }

    /// Notes that the log is this long, unless the last note is too recent and this one is not the last.
    pub(super) fn note(&mut self, length: u64, last: bool) -> io::Result<()> {
        let now = timestamp(SystemTime::now());
        if length <= self.last.0 || (!last && now.since(self.last.1) < self.pause()) {
            return Ok(());
        }
        let mut entry = [0; ENTRY];
        entry[..8].copy_from_slice(&length.to_le_bytes());
        entry[8..].copy_from_slice(&now.0.to_le_bytes());
        OpenOptions::new().append(true).open(&self.path)?.write_all(&entry)?;
        self.entries += 1;
        self.last = (length, now);
        Ok(())
    }

    /// Half of [`PAUSE`] as long as the looks themselves keep the pace: they come a little early or late.
    fn pause(&self) -> Duration {
        let doublings = u32::try_from(self.entries / ENTRIES_AT_ONE_PACE).unwrap_or(u32::MAX).min(20);
        PAUSE / 2 * (1 << doublings)
    }
}

fn decode(entry: [u8; ENTRY]) -> (u64, Timestamp) {
    let (length, at) = entry.split_at(8);
    let length = length.try_into().map_or(0, u64::from_le_bytes);
    let at = at.try_into().map_or(0, i64::from_le_bytes);
    (length, Timestamp(at))
}

/// The reading end, for ascending offsets.
#[derive(Debug)]
pub(super) struct TimesOf {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    position: usize,
    current: (u64, Timestamp),
}

impl TimesOf {
    pub(super) fn log(log: &Path) -> TimesOf {
        TimesOf { path: path_of(log), file: None, buffer: Vec::new(), position: 0, current: (0, Timestamp::default()) }
    }

    /// When the byte at `offset` was there, if that is written down.
    pub(super) fn of(&mut self, offset: u64) -> Option<Timestamp> {
        while self.current.0 <= offset {
            self.current = self.next()?;
        }
        Some(self.current.1)
    }

    fn next(&mut self) -> Option<(u64, Timestamp)> {
        if self.buffer.len() - self.position < ENTRY {
            self.fill().ok()?;
        }
        let entry = self.buffer.get(self.position..self.position + ENTRY)?.try_into().ok()?;
        self.position += ENTRY;
        Some(decode(entry))
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(File::open(&self.path)?);
        }
        self.buffer.drain(..self.position);
        self.position = 0;
        if let Some(file) = &mut self.file {
            file.take(256 * ENTRY as u64).read_to_end(&mut self.buffer)?;
        }
        Ok(())
    }
}
