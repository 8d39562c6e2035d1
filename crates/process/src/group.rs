//! The process group of an attempt: signals go to all of it, and never to a stranger that got its number later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitIdStatus, kill_process_group};

use crate::os::Watched;
use crate::{Ending, ProcessId};

/// A group that is signalled until its leader is reaped.
#[derive(Debug)]
pub(super) struct Group {
    id: ProcessId,
    leader: Pid,
    /// Held while signalling and while reaping: the number stays the leader's as long as that one is not reaped.
    /// Whoever else may reap it, the identity is asked as well.
    ended: Mutex<bool>,
}

impl Group {
    pub(super) fn new(id: ProcessId, leader: Pid) -> Arc<Group> {
        Arc::new(Group { id, leader, ended: Mutex::new(false) })
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signals every process of the group; a group that has ended is what the caller wants.
    pub(super) fn signal(&self, signal: Signal) {
        let ended = self.lock();
        if *ended || self.id.is_succeeded() {
            return;
        }
        match kill_process_group(self.leader, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => {
                tracing::warn!(group = self.leader.as_raw_nonzero(), ?signal, %error, "signal a process group")
            }
        }
    }

    /// Somebody else has reaped the leader: the number is no longer the group's.
    pub(super) fn is_over(&self) {
        *self.lock() = true;
    }

    /// The leader has ended: kills what is left of the group, then reaps the leader if it is ours to reap.
    pub(super) fn end(&self, watched: &Watched) -> Ending {
        let mut ended = self.lock();
        *ended = true;
        // A child of ours is a zombie here and keeps its number; another's may be reaped, and with an empty group the
        // number is free.
        if !self.id.is_succeeded() {
            let _ = kill_process_group(self.leader, Signal::KILL);
        }
        watched.reap().map_or(Ending::Gone, |status| Ending::of(&status))
    }
}

impl Ending {
    fn of(status: &WaitIdStatus) -> Ending {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ending::Exited(code),
            (None, Some(signal)) => Ending::Signalled(signal),
            (None, None) => Ending::Gone,
        }
    }
}
