//! From the bytes of a log to lines with a time, in bounded memory whatever is in the file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use spanwise_core::Timestamp;

use super::hidden::Hidden;
use super::times::{self, TimesOf};

/// A longer line is cut into several.
const LONGEST_LINE: usize = 64 * 1024;
/// What the lines of a batch may take in memory; the last line may be beyond it.
const LARGEST_BATCH: usize = 192 * 1024;
const CHUNK: usize = 64 * 1024;

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// When its first byte length_before been written at the latest, to about 100 ms.
    pub at: Timestamp,
    /// The text without the line's end; bytes that are not UTF-8 are replaced.
    pub message: String,
}

/// Where to begin reading a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStart {
    /// At this byte, which is best the beginning of a line.
    Offset(u64),
    /// After so many lines.
    Line(u64),
}

/// A reader of lines that stops wherever it is told to and can go on from there.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: Option<File>,
    times: TimesOf,
    buffer: Vec<u8>,
    /// Where in `buffer` the next line begins, and where in the file.
    begin: usize,
    offset: u64,
    /// Up to where `buffer` is known to hold no line's end after `begin`.
    searched: usize,
    skip: u64,
}

impl Lines {
    pub(super) fn new(log: &Path, start: LogStart) -> Lines {
        let (offset, skip) = match start {
            LogStart::Offset(offset) => (offset, 0),
            LogStart::Line(line) => (0, line),
        };
        let (path, times) = (log.to_owned(), TimesOf::log(log));
        Lines { path, file: None, times, buffer: Vec::new(), begin: 0, offset, searched: 0, skip }
    }

    /// The next lines within the first `length` bytes of the file, none if there are no more. A rest without a line's
    /// end is a line only if `last`.
    pub(super) fn read(&mut self, length: u64, last: bool) -> io::Result<Vec<LogLine>> {
        let mut batch = Vec::new();
        let mut size = 0;
        while size < LARGEST_BATCH {
            let (line, end) = match self.whole_line() {
                Some(found) => found,
                None if self.fill(length)? => continue,
                None if last && self.begin < self.buffer.len() => (self.buffer.len(), self.buffer.len()),
                None => break,
            };
            if let Some(line) = self.take(line, end)? {
                size += size_of::<LogLine>() + line.message.len();
                batch.push(line);
            }
        }
        Ok(batch)
    }

    /// Where in `buffer` the next line ends, without and with what ends it.
    fn whole_line(&mut self) -> Option<(usize, usize)> {
        let newline = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n').map(|at| self.searched + at);
        let most = self.begin + LONGEST_LINE;
        match newline {
            Some(at) if at <= most => {
                let line = if self.buffer[self.begin..at].ends_with(b"\r") { at - 1 } else { at };
                Some((line, at + 1))
            }
            None if self.buffer.len() <= most => {
                self.searched = self.buffer.len();
                None
            }
            Some(_) | None => {
                let cut = whole_characters(&self.buffer, most);
                Some((cut, cut))
            }
        }
    }

    /// Consumes a line. `None` if it is one to be skipped.
    fn take(&mut self, line: usize, end: usize) -> io::Result<Option<LogLine>> {
        let (begin, offset) = (self.begin, self.offset);
        self.begin = end;
        self.searched = end;
        self.offset += (end - begin) as u64;
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(None);
        }
        let at = match self.times.of(offset) {
            Some(at) => at,
            // The best guess where no time is written down.
            None => times::timestamp(self.file()?.metadata()?.modified()?),
        };
        let message = String::from_utf8_lossy(&self.buffer[begin..line]).into_owned();
        Ok(Some(LogLine { offset, at, message }))
    }

    /// Reads on. False if there is nothing before `length`.
    fn fill(&mut self, length: u64) -> io::Result<bool> {
        self.buffer.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        let length_before = self.buffer.len();
        let from = self.offset + length_before as u64;
        let room = usize::try_from(length.saturating_sub(from)).unwrap_or(CHUNK).min(CHUNK);
        if room == 0 {
            return Ok(false);
        }
        let mut chunk = std::mem::take(&mut self.buffer);
        chunk.resize(length_before + room, 0);
        let read = self.file().and_then(|file| file.read_at(&mut chunk[length_before..], from));
        chunk.truncate(length_before + *read.as_ref().unwrap_or(&0));
        self.buffer = chunk;
        Ok(read? > 0)
    }

    fn file(&mut self) -> io::Result<&File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(File::open(&self.path)?)),
        }
    }
}

/// The longest length up to `most` that cuts no UTF-8 character; `most` where the bytes are no UTF-8.
fn whole_characters(bytes: &[u8], most: usize) -> usize {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    (most.saturating_sub(3)..=most).rev().find(|at| !is_inside(*at)).unwrap_or(most)
}

/// All lines of a log that nobody writes any more.
///
/// # Errors
/// If the log cannot be read.
#[cfg(any(test, feature = "fuzzing"))]
pub fn read_all(log: &Path) -> io::Result<Vec<LogLine>> {
    let length = std::fs::metadata(log)?.len();
    let mut lines = Lines::new(log, LogStart::Offset(0));
    let mut all = Vec::new();
    loop {
        let batch = lines.read(length, true)?;
        if batch.is_empty() {
            return Ok(all);
        }
        all.extend(batch);
    }
}

/// The last lines of `log` that are within `most` bytes, for messages. Blocks; reads no more than that.
///
/// # Errors
///
/// If the log cannot be read.
pub fn last_lines(log: &Path, most: usize) -> io::Result<String> {
    last_lines_of(log, std::fs::metadata(log)?.len(), most)
}

/// The same without what is hidden: first that, then the cut, which would leave a part of a value.
pub(crate) fn last_lines_without(log: &Path, most: usize, hidden: &Hidden) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub((most + hidden.longest()) as u64)))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    let text = hidden.mask(&String::from_utf8_lossy(&bytes));
    let from = (text.len().saturating_sub(most)..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let line = text[from..].find('\n').map(|end| from + end + 1).filter(|line| from > 0 && *line < text.len());
    Ok(text[line.unwrap_or(from)..].to_owned())
}

/// The same of the first `length` bytes of a log.
pub(crate) fn last_lines_of(log: &Path, length: u64, most: usize) -> io::Result<String> {
    let mut file = File::open(log)?;
    let from = length.saturating_sub(most as u64);
    // One byte more tells whether the first line is whole.
    file.seek(SeekFrom::Start(from.saturating_sub(1)))?;
    let mut bytes = Vec::new();
    file.take(length.saturating_sub(from.saturating_sub(1))).read_to_end(&mut bytes)?;
    let mut text = bytes.as_slice();
    if from > 0 {
        let line = text.iter().position(|byte| *byte == b'\n').map(|at| &text[at + 1..]);
        // A single line that is longer than everything asked for: better its end than nothing.
        text = line.filter(|rest| !rest.is_empty()).unwrap_or(text.get(1..).unwrap_or_default());
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}
