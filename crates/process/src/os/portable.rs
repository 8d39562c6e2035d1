//! Any Unix: the number of a process with the time of its start, SIGCHLD, the shell's `ulimit`, `sysinfo` and `notify`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, waitid};
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{Change, ProcessId, Seen};
use crate::Limits;

/// A fork server reads what only Linux shows: every process is started from nothing.
pub(crate) const CAN_FORK: bool = false;

/// Between two looks at a process that is no child of this one. An end is seen that much later.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A process makes its claim so soon after its start, however busy the machine is; no number is used again as soon as that.
const CLAIMED_WITHIN: u64 = 60;

/// The machine's boot; empty where the system does not tell.
pub(crate) fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let of_linux = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let of_macos = || Command::new("sysctl").args(["-n", "kern.bootsessionuuid"]).output().ok();
        let text = of_linux.or_else(|| Some(String::from_utf8_lossy(&of_macos()?.stdout).into_owned()));
        text.unwrap_or_default().trim().to_owned()
    })
}

/// What `sysinfo` knows of one process.
fn look<T>(pid: u32, kind: ProcessRefreshKind, read: impl FnOnce(&sysinfo::Process) -> T) -> Option<T> {
    let (mut system, pid) = (System::new().ok()?, sysinfo::Pid::from_u32(pid));
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, kind);
    system.process(pid).map(read)
}

/// The process that has this number now; its start in seconds since 1970.
pub(crate) fn seen(pid: u32) -> io::Result<Seen> {
    let seen = look(pid, ProcessRefreshKind::nothing().without_tasks(), |process| Seen {
        started: process.start_time(),
        has_ended: matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead),
    });
    seen.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The first lines of a shell that claims the file `$0`: its number and the time, behind an empty line.
pub(crate) const CLAIM: &str = r#"now=$(/bin/date +%s)
printf '\n%s %s\n' "$$" "$now" > "$0" || exit 125
"#;

/// Who has written such lines; none if they are no such lines. If the process is gone, one that nobody is.
pub(crate) fn claimant(_: &str, line: &str) -> Option<ProcessId> {
    let (pid, claimed_at) = line.split_once(' ')?;
    let (pid, claimed_at): (u32, u64) = (pid.parse().ok()?, claimed_at.parse().ok()?);
    // The time of its start is rounded.
    let is_it = |seen: &Seen| (seen.started..=seen.started + CLAIMED_WITHIN).contains(&(claimed_at + 1));
    let started = seen(pid).ok().filter(is_it).map_or(0, |seen| seen.started);
    Some(ProcessId { pid, started, boot: boot().to_owned() })
}

/// There are no control groups: each process is held to its limit.
pub(crate) mod cgroup {
    use std::path::Path;

    /// Nobody has one.
    #[derive(Debug)]
    pub(crate) enum MemoryGroup {}

    impl MemoryGroup {
        pub(crate) fn processes(&self) -> &Path {
            match *self {}
        }
    }

    pub(crate) fn make(_: &str, _: u64) -> Option<MemoryGroup> {
        None
    }

    pub(crate) fn has_killed(_: &str) -> bool {
        false
    }

    pub(crate) fn remove(_: &str) {}

    pub(crate) fn described() -> String {
        "by the shell's ulimit: what each process reserves counts, where the system counts it".to_owned()
    }
}

/// Limits are set before the start, by the shell.
pub(crate) fn limit(_: Pid, _: Limits, _: Option<Rlimit>) -> io::Result<()> {
    Ok(())
}

/// What the shell that starts a process does for its limits.
pub(crate) fn limits_in_shell(limits: Limits, descriptors: Option<Rlimit>) -> String {
    let descriptors = descriptors.map(|limit| (Resource::Nofile, limit));
    let mut script = String::new();
    for (resource, Rlimit { current, maximum }) in limits.each().chain(descriptors) {
        let (flag, unit) = match resource {
            Resource::Data => ('d', 1024),
            _ => ('n', 1),
        };
        // The softer one first: it may not be above the harder one.
        for (which, limit) in [('S', current), ('H', maximum)] {
            let limit = limit.map_or("unlimited".to_owned(), |limit| limit.div_ceil(unit).to_string());
            script.push_str(&format!("ulimit -{which} -{flag} {limit} || exit 126\n"));
        }
    }
    script
}

/// A process whose end is learnt from SIGCHLD if it is a child of this one, and else by looking.
#[derive(Debug)]
pub(crate) struct Watched {
    id: ProcessId,
    raw: Pid,
}

impl Watched {
    /// A child of this process.
    pub(crate) fn child(id: &ProcessId, raw: Pid) -> io::Result<Watched> {
        Ok(Watched { id: id.clone(), raw })
    }

    /// Returns when it has ended. Its number is still its own then if it is a child of this process.
    pub(crate) async fn ended(&self) -> bool {
        // Before the first look, so that no child ends unnoticed.
        let mut children = signal(SignalKind::child()).ok();
        loop {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match (waitid(WaitId::Pid(self.raw), options), &mut children) {
                (Ok(Some(_)), _) => return true,
                (Ok(None), Some(children)) => drop(children.recv().await),
                (Err(_), _) if !self.id.is_alive() => return true,
                (Err(_) | Ok(None), _) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// How it has ended, which frees its number; none if it was no child of this process.
    pub(crate) fn reap(&self) -> Option<WaitIdStatus> {
        waitid(WaitId::Pid(self.raw), WaitIdOptions::EXITED | WaitIdOptions::NOHANG).ok().flatten()
    }
}

/// Finds a process by its identity; none if it is gone.
pub(crate) fn find(id: &ProcessId, raw: Pid) -> io::Result<Option<Watched>> {
    Ok(id.is_alive().then(|| Watched { id: id.clone(), raw }))
}

fn has(process: &sysinfo::Process, variable: &str) -> bool {
    process.environ().iter().any(|entry| entry == OsStr::new(variable))
}

fn with_environment() -> ProcessRefreshKind {
    ProcessRefreshKind::nothing().without_tasks().with_environ(UpdateKind::Always)
}

/// The processes that have this in their environment, written as `NAME=value`.
pub(crate) fn marked(variable: &str) -> Vec<Pid> {
    let Ok(mut system) = System::new() else { return Vec::new() };
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, with_environment());
    let of_attempt = system.processes().values().filter(|process| has(process, variable));
    of_attempt.filter_map(|process| Pid::from_raw(i32::try_from(process.pid().as_u32()).ok()?)).collect()
}

/// Looks once more right before: its number may have passed to another process.
pub(crate) fn signal_marked(pid: Pid, variable: &str, signal: Signal) {
    let number = u32::try_from(pid.as_raw_nonzero().get()).unwrap_or_default();
    if look(number, with_environment(), |process| has(process, variable)) == Some(true) {
        let _ = kill_process(pid, signal);
    }
}

/// The files of which one more change is to be told.
type Armed = Arc<Mutex<HashSet<PathBuf>>>;

fn lock(armed: &Armed) -> MutexGuard<'_, HashSet<PathBuf>> {
    armed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches of files. A watch tells of one change until it is set again.
#[derive(Debug)]
pub(crate) struct Watches {
    watcher: Mutex<RecommendedWatcher>,
    watched: Mutex<HashSet<PathBuf>>,
    armed: Armed,
}

/// What the watches tell.
#[derive(Debug)]
pub(crate) struct Changes(mpsc::UnboundedReceiver<io::Result<Change>>);

impl Watches {
    /// Starts the watcher.
    ///
    /// # Errors
    /// If the system refuses one.
    pub(crate) fn open() -> io::Result<(Watches, Changes)> {
        let (tell, changes) = mpsc::unbounded_channel();
        let armed = Armed::default();
        let waiting = armed.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            Ok(event) if event.need_rescan() => drop(tell.send(Ok(Change::OfAny))),
            Ok(event) if event.kind.is_modify() => {
                for path in event.paths {
                    if lock(&waiting).remove(&path) {
                        let _ = tell.send(Ok(Change::Of(path)));
                    }
                }
            }
            Ok(_) => {}
            Err(error) => drop(tell.send(Err(io::Error::other(error)))),
        });
        let watcher = Mutex::new(watcher.map_err(io::Error::other)?);
        Ok((Watches { watcher, watched: Mutex::default(), armed }, Changes(changes)))
    }

    /// Asks for one change at the next write.
    ///
    /// # Errors
    /// If the system refuses a watch, or the file is not there.
    pub(crate) fn arm(&self, path: &Path) -> io::Result<()> {
        lock(&self.armed).insert(path.to_owned());
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if !watched.contains(path) {
            let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
            watcher.watch(path, RecursiveMode::NonRecursive).map_err(io::Error::other)?;
            watched.insert(path.to_owned());
        }
        Ok(())
    }

    /// Nobody is interested in a file any more.
    pub(crate) fn forget(&self, path: &Path) {
        lock(&self.armed).remove(path);
        if self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(path) {
            let _ = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).unwatch(path);
        }
    }
}

impl Changes {
    /// The next change; none if there will be no more.
    ///
    /// # Cancellation
    /// Safe.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Change>> {
        self.0.recv().await
    }
}
