//! Cutting a log that becomes too long, or whose rest nobody may see. The task writes the file itself and goes on; the server takes off what comes
//! on top.
//!
//! Writers append, so a file that is cut grows again from its new end. Between two looks it may be longer by what was written meanwhile;
//! its readers see nothing beyond the notice.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Where a log is cut, and whether it is.
#[derive(Debug)]
pub(super) struct Cut {
    most: Option<u64>,
    /// As it was set.
    limit: Option<u64>,
    /// Why nothing is shown from there on, unless it is because of its length.
    withheld: Option<String>,
    /// Its length with the notice, once it is cut.
    sealed: Option<u64>,
}

impl Cut {
    pub(super) fn at(most: Option<u64>) -> Cut {
        Cut { most, limit: most, withheld: None, sealed: None }
    }

    /// Nothing that comes from here on is kept.
    pub(super) fn withhold(&mut self, from: u64, why: &str) {
        *self = Cut { most: Some(from), limit: None, withheld: Some(why.to_owned()), sealed: None };
    }

    /// Where a log of this length is to be cut because of it, if it is not yet.
    pub(super) fn first_cut(&mut self, log: &Path, length: u64) -> io::Result<Option<u64>> {
        let most = self.most.filter(|most| length > *most && self.sealed.is_none() && self.withheld.is_none());
        let Some(most) = most else { return Ok(None) };
        let earlier = find_before(log, most, notice(most).as_bytes())?;
        // An earlier server has cut it.
        self.most = earlier.or(Some(most));
        Ok(Some(most).filter(|_| earlier.is_none()))
    }

    /// It is cut there, and no later.
    pub(super) fn cut_at(&mut self, most: u64) {
        self.most = Some(most);
    }

    /// How much of a log that could not be cut may be looked at.
    pub(super) fn uncut(&self, length: u64) -> u64 {
        if self.withheld.is_some() { length.min(self.most.unwrap_or(0)) } else { length }
    }

    /// Cuts a log of this length if that is too long; says how long it is then.
    pub(super) fn apply(&mut self, log: &Path, length: u64) -> io::Result<u64> {
        let Some(most) = self.most.filter(|most| length > *most) else { return Ok(length) };
        let file = OpenOptions::new().write(true).open(log)?;
        let sealed = match self.sealed {
            Some(sealed) => sealed,
            None => {
                let notice = match &self.withheld {
                    Some(why) => format!("\nspanwise: what was printed from here on is not shown: {why}\n"),
                    None => notice(self.limit.unwrap_or(most)),
                };
                // At its place, not at the end: the task may write meanwhile.
                file.write_all_at(notice.as_bytes(), most)?;
                *self.sealed.insert(most + notice.len() as u64)
            }
        };
        if length > sealed {
            file.set_len(sealed)?;
        }
        Ok(sealed)
    }
}

/// A log is cut before a value that its limit would cut through: so much before the limit at most.
const LONGEST_VALUE: u64 = 64 << 10;

/// Where a text stands that begins at `most`, or not long before.
fn find_before(log: &Path, most: u64, text: &[u8]) -> io::Result<Option<u64>> {
    let from = most.saturating_sub(LONGEST_VALUE);
    let mut near = Vec::new();
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    file.take(most - from + text.len() as u64).read_to_end(&mut near)?;
    Ok(near.windows(text.len()).position(|part| part == text).map(|at| from + at as u64))
}

fn notice(most: u64) -> String {
    format!("\nspanwise: the log is cut at {} (--max-log): what was printed after it is not kept\n", shown(most))
}

/// A size as the flag takes it.
fn shown(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{} {unit}", bytes / factor);
        }
    }
    format!("{bytes} bytes")
}
