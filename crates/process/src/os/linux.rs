//! Linux: pidfd, `/proc`, prlimit, control groups and inotify.

pub(crate) mod cgroup;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::StreamExt as _;
use inotify::{EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal,
    prlimit, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Change, ProcessId, Seen};
use crate::Limits;

/// A fork server knows the system's own names for what it needs.
pub(crate) const CAN_FORK: bool = true;

/// The machine's boot; empty where the system does not tell.
pub(crate) fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().to_owned()
    })
}

/// The process that has this number now.
pub(crate) fn seen(pid: u32) -> io::Result<Seen> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat: {text}")))
}

/// When it was started is field 22: clock ticks since the machine was. The second field is the program's name in parentheses and may hold
/// blanks and parentheses itself, so fields count from the last one.
fn parse(stat: &str) -> Option<Seen> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let started = fields.nth(18)?.parse().ok()?;
    Some(Seen { started, has_ended })
}

/// The first lines of a shell that claims the file `$0`: the machine's boot and its own line of `/proc`.
pub(crate) const CLAIM: &str = r#"read -r boot < /proc/sys/kernel/random/boot_id
read -r stat < /proc/$$/stat
printf '%s\n%s\n' "$boot" "$stat" > "$0" || exit 125
"#;

/// Who has written such lines; none if they are no such lines.
pub(crate) fn claimant(boot: &str, stat: &str) -> Option<ProcessId> {
    let pid = stat.split_once(' ')?.0.parse().ok()?;
    Some(ProcessId { pid, started: parse(stat)?.started, boot: boot.to_owned() })
}

/// Holds a process to its limits. After the start, because nothing safe runs between fork and exec; a program does not get far in these
/// microseconds.
pub(crate) fn limit(raw: Pid, limits: Limits, descriptors: Option<Rlimit>) -> io::Result<()> {
    for (resource, limit) in limits.each() {
        prlimit(Some(raw), resource, limit)?;
    }
    if let Some(descriptors) = descriptors {
        prlimit(Some(raw), Resource::Nofile, descriptors)?;
    }
    Ok(())
}

/// What the shell that starts a process does for its limits: nothing.
pub(crate) fn limits_in_shell(_: Limits, _: Option<Rlimit>) -> String {
    String::new()
}

/// A process whose end is learnt from its pidfd.
#[derive(Debug)]
pub(crate) struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// A child of this process.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn child(_: &ProcessId, raw: Pid) -> io::Result<Watched> {
        Watched::by(pidfd_open(raw, PidfdFlags::empty())?)
    }

    #[expect(
        deprecated,
        reason = "its successor is unsafe for the sake of other types: an owned descriptor stays what it is"
    )]
    fn by(pidfd: OwnedFd) -> io::Result<Watched> {
        AsyncFd::with_interest(pidfd, Interest::READABLE).map(Watched)
    }

    /// Returns when it has ended. Its number is still its own then if it is a child of this process. False if nobody will know: the
    /// runtime is shutting down.
    pub(crate) async fn ended(&self) -> bool {
        self.0.readable().await.is_ok()
    }

    /// How it has ended, which frees its number; none if it was no child of this process.
    pub(crate) fn reap(&self) -> Option<WaitIdStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        waitid(WaitId::PidFd(self.0.get_ref().as_fd()), options).ok().flatten()
    }
}

/// Finds a process by its identity; none if it is gone.
pub(crate) fn find(id: &ProcessId, raw: Pid) -> io::Result<Option<Watched>> {
    let pidfd = match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Asked after the pidfd is there: from here on the number cannot pass to another process unnoticed.
    if !id.is_alive() {
        return Ok(None);
    }
    Watched::by(pidfd).map(Some)
}

/// The processes that have this in their environment, written as `NAME=value`.
pub(crate) fn marked(variable: &str) -> Vec<Pid> {
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
pub(crate) fn signal_marked(pid: Pid, variable: &str, signal: Signal) {
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if is_marked(pid, variable) {
        let _ = pidfd_send_signal(&descriptor, signal);
    }
}

type Paths = Arc<Mutex<HashMap<WatchDescriptor, PathBuf>>>;

fn lock(paths: &Paths) -> MutexGuard<'_, HashMap<WatchDescriptor, PathBuf>> {
    paths.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches of files: one inotify instance. A watch tells of one change and is gone.
#[derive(Debug)]
pub(crate) struct Watches {
    watches: inotify::Watches,
    paths: Paths,
}

/// What the watches tell.
#[derive(Debug)]
pub(crate) struct Changes {
    events: EventStream<Vec<u8>>,
    paths: Paths,
}

impl Watches {
    /// Opens the inotify instance.
    ///
    /// # Errors
    /// If the user's limit of instances is reached.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn open() -> io::Result<(Watches, Changes)> {
        let events = Inotify::init()?.into_event_stream(vec![0; 4096])?;
        let paths = Paths::default();
        Ok((Watches { watches: events.watches(), paths: paths.clone() }, Changes { events, paths }))
    }

    /// Asks for one change at the next write.
    ///
    /// # Errors
    /// If the user's limit of watches is reached, or the file is not there.
    pub(crate) fn arm(&self, path: &Path) -> io::Result<()> {
        let mut paths = lock(&self.paths);
        let watch = self.watches.clone().add(path, WatchMask::MODIFY | WatchMask::ONESHOT)?;
        paths.insert(watch, path.to_owned());
        Ok(())
    }

    /// Nobody is interested in a file any more.
    pub(crate) fn forget(&self, path: &Path) {
        let of_path: Vec<_> = lock(&self.paths).extract_if(|_, watched_path| watched_path == path).collect();
        for (watch, _) in of_path {
            // The kernel has removed it already if it has fired meanwhile.
            let _ = self.watches.clone().remove(watch);
        }
    }
}

impl Changes {
    /// The next change; none if there will be no more.
    ///
    /// # Cancellation
    /// Safe.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Change>> {
        loop {
            let event = match self.events.next().await? {
                Ok(event) => event,
                Err(error) => return Some(Err(error)),
            };
            if event.mask.contains(EventMask::Q_OVERFLOW) {
                return Some(Ok(Change::OfAny));
            }
            let mut paths = lock(&self.paths);
            if event.mask.contains(EventMask::IGNORED) {
                // The watch itself is gone, as it always is after its event.
                paths.remove(&event.wd);
            } else if let Some(path) = paths.get(&event.wd) {
                return Some(Ok(Change::Of(path.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let stat = parse(&format!("7 (a) b (c)) S {}", fields.join(" "))).unwrap();
        assert_eq!(stat.started, 22);
        assert!(!stat.has_ended);
        assert!(parse(&format!("7 (x) Z {}", fields.join(" "))).unwrap().has_ended);
        assert!(parse("7 (x)").is_none());
    }
}
