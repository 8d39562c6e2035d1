//! Reports in a data directory, where a server finds them that has it later.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use spanwise_core::{ActionName, AttemptNo, Failure, RunId, layout};
use spanwise_engine::Engine;

use crate::error::{Error, ErrorKind};

/// The next name of a report that is being written.
static NEXT: AtomicU64 = AtomicU64::new(0);

fn directory_of(data: &Path, key: &str) -> PathBuf {
    data.join(layout::BLOBS).join(key)
}

/// Why a report cannot be written or read.
pub(super) fn failed(doing: &str, error: &io::Error) -> Error {
    Error::from_failure(ErrorKind::System, Failure::system("SystemError", format!("{doing} the report: {error}")))
}

/// Writes a report in the place of an earlier one of the attempt: whoever reads it has the one or the other.
pub(super) fn write(data: &Path, run: &RunId, action: &ActionName, attempt: AttemptNo, page: &str) -> io::Result<()> {
    let directory = directory_of(data, &layout::attempt_key(run, action, attempt));
    let staging = data.join(layout::STAGING);
    fs::create_dir_all(&directory)?;
    fs::create_dir_all(&staging)?;
    // One that nobody waits for any more may still be written.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let staged = staging.join(format!("report-{}-{action}-{attempt}-{number}", run.name));
    let written = fs::File::create(&staged).and_then(|mut file| {
        file.write_all(page.as_bytes())?;
        file.sync_all()
    });
    let written = written.and_then(|()| fs::rename(&staged, directory.join(layout::REPORT)));
    if written.is_err() {
        let _ = fs::remove_file(&staged);
    }
    written
}

/// The report of an attempt, if it has left one.
pub(super) fn read(data: &Path, run: &RunId, action: &ActionName, attempt: AttemptNo) -> io::Result<Option<String>> {
    let directory = directory_of(data, &layout::attempt_key(run, action, attempt));
    match fs::read_to_string(directory.join(layout::REPORT)) {
        Ok(page) => Ok(Some(page)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Before a run of a name is made: what a run has left that had the name and is gone is not shown as its own.
pub(super) fn make_way(engine: &Engine, run: &RunId) {
    let Some(data) = engine.directory() else { return };
    let directory = directory_of(data, &layout::run_key(run));
    if directory.is_dir() && matches!(engine.run_row(run), Ok(None)) {
        let _ = fs::remove_dir_all(directory);
    }
}

/// Removes the reports of the runs that retention has deleted since the last call. What stays for now, because this process is killed, goes with the next
/// server that has the directory.
pub(super) fn remove_of_pruned(engine: &Engine) {
    for run in engine.take_pruned().into_iter().filter_map(|pruned| pruned.id) {
        make_way(engine, &run);
    }
}
