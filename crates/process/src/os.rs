//! What each system has in its own way: who a process is, when it ends, what it may use, what it has left, and when a file has grown.
//!
//! `linux` asks Linux (pidfd, `/proc`, prlimit, control groups, inotify). `portable` does with what every Unix has: the number of a process with the time
//! of its start, SIGCHLD for children, the shell's `ulimit`, and the crates `sysinfo` and `notify`; what is no child of this process is
//! looked at again and again, for nothing else exists. `--cfg spanwise_portable` chooses it on Linux too: so its tests run there.

#[cfg(all(target_os = "linux", not(spanwise_portable)))]
mod linux;
#[cfg(not(all(target_os = "linux", not(spanwise_portable))))]
mod portable;

#[cfg(all(target_os = "linux", not(spanwise_portable)))]
use linux as system;
#[cfg(not(all(target_os = "linux", not(spanwise_portable))))]
use portable as system;

use std::io;
use std::path::PathBuf;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

pub(crate) use system::{
    CAN_FORK, CLAIM, Changes, Watched, Watches, boot, cgroup, claimant, find, limit, limits_in_shell, marked, seen,
    signal_marked,
};

/// What a system says about the process with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When it was started, in the system's own measure; another process with this number has another one.
    pub(crate) started: u64,
    /// It has ended, and is there until somebody takes notice.
    pub(crate) has_ended: bool,
}

/// What a watch has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// This file was written to since its watch was set.
    Of(PathBuf),
    /// Any file may have been.
    OfAny,
}

/// The identity of a process: its number, when it was started and in which life of the machine. It can be stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number of the process, which is also that of its group.
    pub pid: u32,
    /// When it was started, in the system's own measure: on Linux clock ticks since the machine was, field 22 of `/proc/<pid>/stat`;
    /// elsewhere seconds since 1970.
    pub started: u64,
    /// The machine's boot, because ticks and numbers begin anew with each; empty where the system does not tell.
    pub boot: String,
}

impl ProcessId {
    /// The identity of the process that has this number now.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(pid: u32) -> io::Result<ProcessId> {
        Ok(ProcessId::started(pid, seen(pid)?.started))
    }

    /// The identity of a process of this boot.
    pub(crate) fn started(pid: u32, started: u64) -> ProcessId {
        ProcessId { pid, started, boot: boot().to_owned() }
    }

    /// Whether the machine is still in the life in which it was started.
    pub fn is_of_this_boot(&self) -> bool {
        self.boot == boot()
    }

    /// Whether it runs; a zombie does not.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_of_this_boot() && seen(self.pid).is_ok_and(|seen| seen.started == self.started && !seen.has_ended)
    }

    /// Whether its number is that of another process now.
    pub(crate) fn is_succeeded(&self) -> bool {
        !self.is_of_this_boot() || seen(self.pid).is_ok_and(|seen| seen.started != self.started)
    }

    pub(crate) fn raw(&self) -> io::Result<Pid> {
        let number = i32::try_from(self.pid).ok().filter(|number| *number > 1);
        number
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no process id", self.pid)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_signal_more_than_one_process_are_refused() {
        for pid in [0, 1, u32::MAX] {
            assert!(ProcessId { pid, started: 0, boot: String::new() }.raw().is_err(), "{pid}");
        }
    }
}
