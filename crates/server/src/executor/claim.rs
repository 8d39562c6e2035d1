//! The note of which process runs an attempt, from which a restarted server finds it again.

use std::io;
use std::path::Path;

use crate::process::ProcessId;

/// Notes the process. The file is whole or not there.
pub(super) fn write(path: &Path, id: &ProcessId) -> io::Result<()> {
    let staged = path.with_extension("process-new");
    std::fs::write(&staged, serde_json::to_vec(id)?)?;
    std::fs::rename(staged, path)
}

/// The process that was noted; none if none was.
pub(super) fn read(path: &Path) -> Option<ProcessId> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
