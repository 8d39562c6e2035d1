//! The mark of a log in which values are hidden: an empty file beside it, made before the process writes. It outlives the server, so that the next one
//! shows no more of the log than what was looked at, until it knows the values itself.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

fn path_of(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".hides");
    path.into()
}

/// Whether values are hidden in a log. Where that cannot be seen, they may be.
pub(super) fn is_set(log: &Path) -> bool {
    path_of(log).try_exists().unwrap_or(true)
}

pub(super) fn set(log: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path_of(log)).map(drop)
}
