//! How old something is that the journal does not know.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use spanwise_core::Timestamp;

/// When a directory that the journal does not know may go: if all in it was written between these times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    pub(super) after: Option<Timestamp>,
    pub(super) before: Option<Timestamp>,
}

impl Age {
    pub(super) fn allows(self, newest: Timestamp) -> bool {
        let is_before = self.before.is_some_and(|before| newest < before);
        is_before && self.after.is_none_or(|after| newest > after)
    }
}

/// A time of the system's.
pub(super) fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::default().after(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// When the newest thing in a directory was written.
pub(super) fn newest(path: &Path) -> io::Result<Timestamp> {
    let metadata = std::fs::symlink_metadata(path)?;
    let mut newest_at = timestamp(metadata.modified()?);
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            newest_at = newest_at.max(newest(&entry?.path())?);
        }
    }
    Ok(newest_at)
}
