//! Where the files of runs are: one layout for servers, and for programs whose data directory a server may open later.

use crate::{ActionName, AttemptNo, RunId};

/// The directory of the blobs in a data directory. Keys are relative to it.
pub const BLOBS: &str = "blobs/spanwise";

/// Where blobs are written before they have their names, in a data directory. What unfinished writes leave there goes with the next start of a server.
pub const STAGING: &str = "blobs/staging";

/// Below it are the directories of runs.
pub const RUNS: &str = "runs";

/// The report for people that an attempt may leave in its directory.
pub const REPORT: &str = "report.html";

/// The key of a run's directory.
pub fn run_key(run: &RunId) -> String {
    format!("{RUNS}/{}/{}/{}/{}", run.org, run.project, run.domain, run.name)
}

/// The key of an attempt's directory, below that of its run.
pub fn attempt_key(run: &RunId, action: &ActionName, attempt: AttemptNo) -> String {
    format!("{}/{action}/{attempt}", run_key(run))
}
