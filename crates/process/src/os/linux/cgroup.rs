//! Control groups: the kernel counts the memory that all processes of an attempt use together, and kills one of them where it is more than the
//! limit. Where this server may make no groups, each process is held to what it reserves (`RLIMIT_DATA`), which is more than it uses.
//!
//! Version 2 needs a group that was delegated (systemd: `Delegate=memory`, `DelegateSubgroup=spanwise-server`), version 1 one that this user may write to.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The group of the server itself, beside those of attempts: in version 2 a group that has others below it has no processes.
const SERVER: &str = "spanwise-server";

/// Who is as near to the limit as this has met it: memory is given in pieces.
const NEARLY: u64 = 1 << 20;

/// Before a group can be removed whose last process has just ended.
const PAUSE: Duration = Duration::from_millis(5);
const ROUNDS: usize = 40;

/// Where groups are made.
#[derive(Debug, PartialEq, Eq)]
struct Groups {
    directory: PathBuf,
    version: Version,
    /// It is the topmost group that this process sees.
    is_root: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    /// The files with the limits of memory, and of memory with swap.
    fn limits(self) -> [&'static str; 2] {
        match self {
            Version::One => ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
            Version::Two => ["memory.max", "memory.swap.max"],
        }
    }

    /// What is written to them.
    fn values(self, bytes: u64) -> [u64; 2] {
        match self {
            Version::One => [bytes, bytes],
            Version::Two => [bytes, 0],
        }
    }

    /// Where it is counted how many processes of a group were killed.
    fn killed(self) -> (&'static str, &'static str) {
        match self {
            Version::One => ("memory.oom_control", "oom_kill "),
            Version::Two => ("memory.events", "oom_kill "),
        }
    }

    /// Whether a group has met its own limit: others may have too little, too. In version 1 not every kernel counts that, but each knows the most that was used.
    fn has_met(self, group: &Path) -> bool {
        match self {
            Version::One => {
                let read = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
                let (most, limit) = (read("memory.max_usage_in_bytes"), read("memory.limit_in_bytes"));
                most.zip(limit).is_some_and(|(most, limit)| most.saturating_add(NEARLY) >= limit)
            }
            Version::Two => is_counted(group, ("memory.events.local", "oom ")),
        }
    }
}

/// A group of one attempt.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    processes: PathBuf,
}

impl MemoryGroup {
    /// The file that a process writes its number to, or has it written.
    pub(crate) fn processes(&self) -> &Path {
        &self.processes
    }
}

/// Makes a group that may use so much memory; none where none can be made.
pub(crate) fn make(name: &str, bytes: u64) -> Option<MemoryGroup> {
    let groups = groups().as_ref().ok()?;
    let made = groups.make(name, bytes);
    made.inspect_err(|error| tracing::warn!(%error, "make a control group: the limit of memory is one of each process"))
        .ok()
}

/// True if the kernel has killed a process of a group for its use of memory.
pub(crate) fn has_killed(name: &str) -> bool {
    groups().as_ref().is_ok_and(|groups| groups.has_killed(name))
}

/// Removes a group whose processes have ended.
pub(crate) fn remove(name: &str) {
    if let Ok(groups) = groups() {
        groups.remove(name);
    }
}

/// How memory is limited, for people.
pub(crate) fn described() -> String {
    match groups() {
        Ok(Groups { directory, version, .. }) => {
            let version = if *version == Version::One { 1 } else { 2 };
            format!(
                "by control groups (version {version}) in {}: what all processes of an attempt use counts",
                directory.display()
            )
        }
        Err(why) => format!("by RLIMIT_DATA: what each process reserves counts, as there are no control groups: {why}"),
    }
}

fn groups() -> &'static Result<Groups, String> {
    static GROUPS: OnceLock<Result<Groups, String>> = OnceLock::new();
    GROUPS.get_or_init(|| {
        let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let (own, mounts) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
        let mut problem = "this system has no control group that counts memory".to_owned();
        for groups in candidates(&own, &mounts) {
            match groups.open() {
                Ok(groups) => return Ok(groups),
                Err(why) => problem = why,
            }
        }
        Err(problem)
    })
}

/// The groups of this process in which others might be made.
fn candidates(own: &str, mounts: &str) -> Vec<Groups> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let version = match controllers {
            "" => Version::Two,
            names if names.split(',').any(|name| name == "memory") => Version::One,
            _ => continue,
        };
        let mount = mounts.lines().filter_map(Mount::of).find(|mount| mount.is_for(version));
        if let Some(directory) = mount.and_then(|mount| mount.directory_of(path)) {
            found.push(Groups { directory, version, is_root: path == "/" });
        }
    }
    found
}

/// A line of `/proc/self/mountinfo`, as far as it matters.
struct Mount<'a> {
    root: &'a str,
    at: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl Mount<'_> {
    fn of(line: &str) -> Option<Mount<'_>> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, at) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let kind = after.next()?;
        Some(Mount { root, at, kind, options: after.nth(1).unwrap_or_default() })
    }

    fn is_for(&self, version: Version) -> bool {
        match version {
            Version::Two => self.kind == "cgroup2",
            Version::One => self.kind == "cgroup" && self.options.split(',').any(|option| option == "memory"),
        }
    }

    /// Where a group is seen here: below the one that is mounted.
    fn directory_of(&self, path: &str) -> Option<PathBuf> {
        let below = match self.root {
            "/" => path,
            root => path.strip_prefix(root)?,
        };
        Some(Path::new(self.at).join(below.trim_start_matches('/')))
    }
}

impl Groups {
    /// Itself, if groups can be made there, which is tried.
    fn open(self) -> Result<Groups, String> {
        let groups = match self.version {
            Version::One => self,
            Version::Two => self.delegated()?,
        };
        let probe = format!("probe-{}", std::process::id());
        let failed = |error: io::Error| format!("{}: {error}", groups.directory.display());
        groups.sweep();
        let tried = groups.try_to_make(&probe, 64 << 20);
        let _ = fs::remove_dir(groups.group(&probe));
        tried.map_err(failed)?;
        Ok(groups)
    }

    /// In version 2, the group below which others may count memory. This server leaves it, if nobody else is in it.
    fn delegated(mut self) -> Result<Groups, String> {
        match self.directory.ends_with(SERVER) {
            true => drop(self.directory.pop()),
            // The root of a container's own is its own; any other belongs to somebody who counts on what happens in it.
            false if self.is_root => {}
            false => return Err(format!("{}: it was not delegated", self.directory.display())),
        }
        let read = |name: &str| fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        let has = |file: &str| read(file).split_whitespace().any(|controller| controller == "memory");
        if !has("cgroup.controllers") {
            return Err(format!("{}: memory is not counted there", self.directory.display()));
        }
        if has("cgroup.subtree_control") {
            return Ok(self);
        }
        let own = std::process::id().to_string();
        if let Some(other) = read("cgroup.procs").lines().find(|process| *process != own) {
            return Err(format!(
                "{}: process {other} is in it, too, so that it can have no groups below it",
                self.directory.display()
            ));
        }
        let server = self.directory.join(SERVER);
        let made = fs::create_dir_all(&server)
            .and_then(|()| fs::write(server.join("cgroup.procs"), own))
            .and_then(|()| fs::write(self.directory.join("cgroup.subtree_control"), "+memory"));
        made.map_err(|error| format!("{}: {error}", self.directory.display()))?;
        Ok(self)
    }

    fn group(&self, name: &str) -> PathBuf {
        self.directory.join(format!("spanwise-{name}"))
    }

    fn make(&self, name: &str, bytes: u64) -> io::Result<MemoryGroup> {
        let group = self.try_to_make(name, bytes)?;
        // Where one process is killed all are: the others would wait for it, some of them for ever.
        match self.version {
            Version::One => end_together(&group)?,
            Version::Two => drop(fs::write(group.join("memory.oom.group"), "1")),
        }
        Ok(MemoryGroup { processes: group.join("cgroup.procs") })
    }

    fn try_to_make(&self, name: &str, bytes: u64) -> io::Result<PathBuf> {
        let group = self.group(name);
        match fs::create_dir(&group) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let ([memory, swap], [most, most_swap]) = (self.version.limits(), self.version.values(bytes));
        if let Err(error) = fs::write(group.join(memory), most.to_string()) {
            let _ = fs::remove_dir(&group);
            return Err(error);
        }
        // A kernel that does not count swap has no such file.
        let _ = fs::write(group.join(swap), most_swap.to_string());
        Ok(group)
    }

    fn has_killed(&self, name: &str) -> bool {
        let group = self.group(name);
        is_counted(&group, self.version.killed()) && self.version.has_met(&group)
    }

    fn remove(&self, name: &str) {
        let group = self.group(name);
        for _ in 0..ROUNDS {
            match fs::remove_dir(&group) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    kill_all(&group);
                    std::thread::sleep(PAUSE);
                }
                _ => return,
            }
        }
    }

    /// Removes the groups that servers have left which were killed; those with a process in them stay.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for group in entries.flatten().map(|entry| entry.path()) {
            let name = group.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("spanwise-") && name != SERVER {
                let _ = fs::remove_dir(&group);
            }
        }
    }
}

/// True if a file of a group has counted something.
fn is_counted(group: &Path, (file, key): (&str, &str)) -> bool {
    let counts = fs::read_to_string(group.join(file)).unwrap_or_default();
    let count = counts.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
    count.is_some_and(|count| count > 0)
}

/// In version 1 the kernel kills one process and tells that there was too little memory, or that the group is gone.
fn end_together(group: &Path) -> io::Result<()> {
    let control = group.join("cgroup.event_control");
    if !control.exists() {
        return Ok(());
    }
    let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
    let limit = fs::File::open(group.join("memory.oom_control"))?;
    fs::write(control, format!("{} {}", event.as_raw_fd(), limit.as_raw_fd()))?;
    let (event, group) = (readable(event)?, group.to_owned());
    tokio::spawn(async move {
        while let Ok(mut ready) = event.readable().await {
            if !group.exists() {
                return;
            }
            // It tells before it does so, and what it has done is asked for later.
            for _ in 0..ROUNDS {
                if is_counted(&group, Version::One.killed()) {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
            kill_all(&group);
            let _ = rustix::io::read(event.get_ref(), &mut [0; 8]);
            ready.clear_ready();
        }
    });
    Ok(())
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for the sake of other types: an owned descriptor stays what it is"
)]
fn readable(event: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(event, Interest::READABLE)
}

fn kill_all(group: &Path) {
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        let _ = kill_process(process, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
25 1 0:22 / /sys rw - sysfs sysfs rw
30 25 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
31 25 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
32 25 0:28 /a/b /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

    #[test]
    fn the_groups_of_a_process_are_found_where_they_are_mounted() {
        let found = candidates("9:name=systemd:/\n4:cpuset,memory:/x/y\n1:cpu:/\n0::/a/b/c.service\n", MOUNTS);
        let groups = |directory: &str, version| Groups { directory: directory.into(), version, is_root: false };
        let expected = [
            groups("/sys/fs/cgroup/memory/x/y", Version::One),
            groups("/sys/fs/cgroup/unified/c.service", Version::Two),
        ];
        assert_eq!(found, expected);
        assert_eq!(candidates("0::/elsewhere\n", MOUNTS), [], "it is not below what is mounted");
        assert_eq!(candidates("", MOUNTS), []);
        assert_eq!(candidates("4:memory:/\n0::/\n", "damaged"), []);
    }

    /// The rules of version 2, on files that are none of the kernel's: what is read and written, and in which order it would have to work.
    #[test]
    fn a_server_leaves_a_group_that_it_is_alone_in() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let groups = || Groups { directory: folder.path().to_owned(), version: Version::Two, is_root: true };
        let own = std::process::id().to_string();
        write("cgroup.controllers", "cpu io\n");
        assert!(groups().delegated().unwrap_err().contains("memory is not counted"));
        write("cgroup.controllers", "cpu memory\n");
        write("cgroup.subtree_control", "");
        write("cgroup.procs", &format!("{own}\n1\n"));
        assert!(groups().delegated().unwrap_err().contains("process 1 is in it"));
        write("cgroup.procs", &format!("{own}\n"));
        assert_eq!(groups().delegated().unwrap(), groups());
        assert_eq!((read("spanwise-server/cgroup.procs"), read("cgroup.subtree_control")), (own, "+memory".to_owned()));
        // The next server is started in the group of the one before.
        let of_server = Groups { directory: folder.path().join(SERVER), version: Version::Two, is_root: false };
        let of_others = Groups { is_root: false, ..groups() };
        assert!(of_others.delegated().unwrap_err().contains("it was not delegated"));
        write("cgroup.subtree_control", "memory\n");
        assert_eq!(of_server.delegated().unwrap().directory, groups().directory);
    }

    #[test]
    fn the_kernels_counts_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for (version, counts) in [
            (Version::One, ["oom_kill_disable 0\nunder_oom 0\noom_kill ", ""]),
            (Version::Two, ["low 0\nmax 7\noom 2\noom_kill ", "low 0\noom "]),
        ] {
            let groups = Groups { directory: folder.path().to_owned(), version, is_root: false };
            assert!(!groups.has_killed("nobody"));
            let group = groups.make("some", 4 << 20).unwrap();
            assert!(group.processes().starts_with(folder.path()));
            // Somebody else may have too little memory: then the group's own limit was not met.
            // The most that was used, in version 1; how often there was too little, in version 2.
            let met = if version == Version::One { ["70000", "4190208"] } else { ["0", "3"] };
            for (found, expected) in
                [(["0", met[0]], false), (["1", met[0]], false), (["0", met[1]], false), (["1", met[1]], true)]
            {
                let of_limit =
                    if version == Version::One { "memory.max_usage_in_bytes" } else { "memory.events.local" };
                let files = [version.killed().0, of_limit];
                for (at, file) in files.into_iter().enumerate() {
                    fs::write(groups.group("some").join(file), format!("{}{}\n", counts[at], found[at])).unwrap();
                }
                assert_eq!(groups.has_killed("some"), expected, "{version:?} {found:?}");
            }
        }
    }
}
