//! What an attempt leaves outside of its process group: children in sessions of their own. They have the attempt's mark in
//! their environment, whoever their parent is by now, also for a server that came later.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, getpgid, pidfd_open, pidfd_send_signal};
use sha2::{Digest, Sha256};

use super::ProcessId;

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
    digest.iter().take(NO_MARK.len() / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// Asks the processes of an attempt that are not in the group of its `leader` to end.
pub fn ask_remains(claim: &Path, leader: &ProcessId) {
    let variable = variable(claim);
    let group = leader.raw().ok();
    let is_elsewhere = |pid: &Pid| getpgid(Some(*pid)).ok() != group;
    for pid in marked(&variable).into_iter().filter(is_elsewhere) {
        signal(pid, &variable, Signal::TERM);
    }
}

/// Kills every process of an attempt whose leader has ended.
pub fn end_remains(claim: &Path) {
    let variable = variable(claim);
    for _ in 0..ROUNDS {
        let left = marked(&variable);
        if left.is_empty() {
            return;
        }
        for pid in left {
            signal(pid, &variable, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
    }
    tracing::warn!(claim = %claim.display(), "some processes of an attempt cannot be ended");
}

fn variable(claim: &Path) -> String {
    format!("{VARIABLE}={}", mark(claim))
}

fn marked(variable: &str) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    pids.filter(|pid| is_marked(*pid, variable)).collect()
}

/// False for a zombie, and for the processes of others: neither shows an environment.
fn is_marked(pid: Pid, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
}

/// Looks once more after it is held: its number may have passed to another process.
fn signal(pid: Pid, variable: &str, signal: Signal) {
    let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if is_marked(pid, variable) {
        let _ = pidfd_send_signal(&held, signal);
    }
}
