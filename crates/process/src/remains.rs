//! What an attempt leaves outside of its process group: children in sessions of their own. They have the attempt's mark in
//! their environment, whoever their parent is by now, also for a server that came later.

use std::path::Path;
use std::time::Duration;

use data_encoding::HEXLOWER;
use rustix::process::{Pid, Signal, getpgid};
use sha2::{Digest, Sha256};

use crate::ProcessId;
use crate::os::{cgroup, marked, signal_marked};

/// The variable that holds the mark.
pub(super) const VARIABLE: &str = "SPANWISE_ATTEMPT";

/// A mark that nothing has, in the length of all marks: a fork server's children write theirs over it.
pub(super) const NO_MARK: &str = "00000000000000000000000000000000";

/// Whoever forks while it is killed may be one ahead; who is faster for longer is let go.
const ROUNDS: usize = 100;

const PAUSE: Duration = Duration::from_millis(5);

/// The mark of the attempt that has this claim.
pub(super) fn mark(claim: &Path) -> String {
    let claim = std::path::absolute(claim).unwrap_or_else(|_| claim.to_owned());
    let digest = Sha256::digest(claim.as_os_str().as_encoded_bytes());
    HEXLOWER.encode(&digest[..NO_MARK.len() / 2])
}

/// Asks the processes of an attempt that are not in the group of its `leader` to end.
pub fn ask_remains(claim: &Path, leader: &ProcessId) {
    let variable = variable(claim);
    let group = leader.raw().ok();
    let is_elsewhere = |pid: &Pid| getpgid(Some(*pid)).ok() != group;
    for pid in marked(&variable).into_iter().filter(is_elsewhere) {
        signal_marked(pid, &variable, Signal::TERM);
    }
}

/// Kills every process of an attempt whose leader has ended, and removes the control group that has counted their memory.
pub fn end_remains(claim: &Path) {
    kill_all(claim);
    cgroup::remove(&mark(claim));
}

fn kill_all(claim: &Path) {
    let variable = variable(claim);
    for _ in 0..ROUNDS {
        let left = marked(&variable);
        if left.is_empty() {
            return;
        }
        for pid in left {
            signal_marked(pid, &variable, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
    }
    tracing::warn!(claim = %claim.display(), "some processes of an attempt cannot be ended");
}

fn variable(claim: &Path) -> String {
    format!("{VARIABLE}={}", mark(claim))
}
