//! Processes: starting one, finding it again after a restart of the server, waiting for its end and stopping it, with its log and its
//! interpreter. What a process is for, nothing here knows.
//!
//! [`Runner`] and [`Logs`] are what the server asks for; [`Machine`] and [`LogFiles`] give it on this machine. What a system has in its own
//! way is in `os`: Linux, and any other Unix.
//!
//! A process leads a group of its own, and the whole group belongs to the attempt: what is left of it when the leader
//! has ended is killed; so is, with the attempt's claim, what has left the group. It writes its log file itself, through no pipe of ours, so that it goes on undisturbed when the
//! server dies.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal};
use tokio::sync::{oneshot, watch};

pub use claim::{Beginning, Claim, beginning_of, claim_of, give_up};
pub use cold::spawn_script;
pub use container::{Container, can_contain, exit_code};
use group::Group;
pub use inherited::{Inherited, with_programs};
#[cfg(any(test, feature = "fuzzing"))]
pub use logs::read_all;
pub use logs::{
    ByteStream, Hidden, LogBatches, LogFiles, LogLine, LogStart, Recording, SHORTEST_HIDDEN, append, last_lines,
};
pub use mounted::{Mounted, can_mount};
pub use name::random_name;
pub use os::ProcessId;
use os::cgroup::MemoryGroup;
use os::{Watched, find};
pub use remains::{ask_remains, end_remains};
pub use remove::remove_tree;
pub use runner::{Logs, Machine, Runner};
pub use warm::{Script, Warm};

mod claim;
mod cold;
mod container;
pub mod environments;
mod fit;
mod group;
mod inherited;
mod logs;
mod mounted;
mod name;
mod os;
pub mod own;
mod remains;
mod remove;
pub mod roots;
mod runner;
mod step;
mod unfinished;
mod warm;

/// What is to be started, in full: nothing is inherited from the server.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program and its arguments. A program without a slash is searched in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// The working directory, which must exist.
    pub directory: PathBuf,
    /// The file that standard output and standard error are appended to; its directory must exist.
    pub log: PathBuf,
    /// What the process may use.
    pub limits: Limits,
    /// The claim that the process makes before it begins, see [`Claim`]; one that is there keeps it from beginning, with
    /// code 125.
    pub claim: Option<PathBuf>,
    /// Files that only it sees. Such a process is started for itself, not forked.
    pub mounted: Option<Mounted>,
    /// Its root file system; none for that of the machine. The program and its environment are those of the container, and it starts where that says.
    pub container: Option<Container>,
}

impl Launch {
    /// The environment of the process, with the mark of its attempt.
    fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let mark = self.claim.as_deref().map(|claim| (remains::VARIABLE.to_owned(), remains::mark(claim)));
        self.env.iter().cloned().chain(mark)
    }

    /// The environment of the program that is started: that of the process, or what makes its container.
    fn outer_variables(&self) -> Vec<(String, String)> {
        match self.container {
            None => self.variables().collect(),
            Some(_) => {
                let mark = self.variables().filter(|(name, _)| name == remains::VARIABLE);
                std::iter::once(Container::outer_env()).chain(mark).collect()
            }
        }
    }
}

/// What the processes of an attempt may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory. Of a launch with a claim, what all its processes use together is counted by a control group, where this server may make one. Else each process is
    /// held to the private writable memory that it reserves (`RLIMIT_DATA`). Address space would be the wrong measure: allocator arenas and mapped
    /// libraries reserve far more of it than they use.
    pub memory_bytes: Option<u64>,
    /// What is added to that where what is reserved counts: what an interpreter has reserved before its program begins.
    pub reserved_bytes: u64,
}

/// How the memory of an attempt is limited on this machine, for people.
pub fn memory_limits() -> String {
    os::cgroup::described()
}

/// True if the kernel has killed a process of an attempt because of the memory that they use together.
pub fn ran_out_of_memory(claim: &Path) -> bool {
    os::cgroup::has_killed(&remains::mark(claim))
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// It is gone, and nobody can know how it ended: it was not a child of this server.
    Gone,
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no program to start.
    #[error("start a process: argv is empty")]
    NoProgram,
    /// The system can start no process with such arguments or such an environment.
    #[error("{0}")]
    Unfit(String),
    /// The log file cannot be opened.
    #[error("open log `{}`", path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refused to start the program.
    #[error("start `{program}` in `{}`", directory.display())]
    Start {
        /// The program.
        program: String,
        /// The working directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program was started, but could not be taken charge of; it has been killed.
    #[error("take charge of `{program}` (process {pid})")]
    TakeCharge {
        /// The program.
        program: String,
        /// Its process id.
        pid: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// True if another try with the same launch would fail in the same way.
    pub fn is_final(&self) -> bool {
        match self {
            Error::NoProgram | Error::Unfit(_) => true,
            Error::Start { source, .. } => {
                matches!(source.kind(), io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput)
            }
            // A limit that is above the server's own.
            Error::TakeCharge { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Error::Log { .. } => false,
        }
    }
}

/// A process that leads the group of an attempt. Clones are handles to the same process; dropping them stops nothing.
#[derive(Clone, Debug)]
pub struct Process {
    id: ProcessId,
    /// None if its number is that of no single process.
    group: Option<Arc<Group>>,
    ending: watch::Receiver<Option<Ending>>,
}

/// Starts `launch` in a process group of its own, with `/dev/null` as standard input.
///
/// # Errors
///
/// If the log cannot be opened, or the system refuses the program, the directory or a limit. Nothing runs then.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn spawn(launch: &Launch) -> Result<Process, Error> {
    let argv: Vec<OsString> = launch.argv.iter().map(OsString::from).collect();
    start(launch, &argv, None)
}

/// Before a process is looked for again that could not be found for want of descriptors.
const FIND_AGAIN: Duration = Duration::from_millis(100);

/// What makes standard input descriptor 3, and `/dev/null` standard input: a program finds what a task's finds.
const REDIRECTION: &str = "3<&0 </dev/null";

/// Starts `argv` as `launch` says, with `input` as descriptor 3 if there is one.
fn start(launch: &Launch, argv: &[OsString], input: Option<&str>) -> Result<Process, Error> {
    if argv.is_empty() {
        return Err(Error::NoProgram);
    }
    fit::check(launch)?;
    let failed_to_start = |source| Error::Start {
        program: launch.argv.first().cloned().unwrap_or_default(),
        directory: launch.directory.clone(),
        source,
    };
    let (argv, input) = match &launch.container {
        Some(container) => contained(container, argv, launch).map_err(failed_to_start)?,
        None => (argv.to_vec(), input.map(str::to_owned)),
    };
    let argv = match &launch.mounted {
        Some(mounted) => mounted.around(&argv, input.is_some()),
        None => argv,
    };
    let text = launch.mounted.iter().map(Mounted::text).chain(input).reduce(|a, b| a + &b);
    let input = text.map(filled).transpose().map_err(failed_to_start)?;
    let (program, arguments) = argv.split_first().ok_or(Error::NoProgram)?;
    let (output, errors) = open_log(&launch.log).map_err(|source| Error::Log { path: launch.log.clone(), source })?;
    let mut command = Command::new(program);
    let group = memory_group(launch);
    let mut limits = os::limits_in_shell(launch.limits, own::given().map(|given| given.descriptors));
    if let Some(group) = &group {
        // Before it can start others.
        limits.push_str(&format!("{{ echo $$ >| '{}'; }} 2>/dev/null\n", group.processes().display()));
    }
    if launch.claim.is_some() || input.is_some() || !limits.is_empty() {
        let redirection = input.as_ref().map(|_| REDIRECTION).unwrap_or_default();
        // The shell's own variable is not the launch's.
        let unset = if launch.env.iter().any(|(name, _)| name == "PWD") { "" } else { "unset PWD\n" };
        command = Command::new("/bin/sh");
        let exec = format!(r#"{limits}{unset}exec "$@" {redirection}"#);
        let script = if launch.claim.is_some() { claim::script(&exec) } else { exec };
        command.arg("-c").arg(script).arg(launch.claim.as_deref().unwrap_or(Path::new("sh"))).arg(program);
    }
    let name = launch.argv.first().cloned().unwrap_or_default();
    let child = command
        .args(arguments)
        .env_clear()
        .envs(launch.outer_variables().into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
        .current_dir(&launch.directory)
        .stdin(input.map_or_else(Stdio::null, Stdio::from))
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .inspect_err(|_| forget_group(launch))
        .map_err(failed_to_start)?;
    // The child is not waited for through its handle: its end is seen as the system tells it, and reaped then.
    take_charge(child.id(), enforced(launch.limits, group.as_ref(), child.id())).map_err(|source| {
        let mut child = child;
        let _ = child.kill();
        let _ = child.wait();
        Error::TakeCharge { program: name.clone(), pid: child.id(), source }
    })
}

/// The control group of a launch whose memory is limited; none where there can be none, or nobody would find it again.
fn memory_group(launch: &Launch) -> Option<MemoryGroup> {
    let (bytes, claim) = (launch.limits.memory_bytes?, launch.claim.as_deref()?);
    os::cgroup::make(&remains::mark(claim), bytes)
}

/// Nothing has been started that would be in it.
pub(crate) fn forget_group(launch: &Launch) {
    if let (Some(_), Some(claim)) = (launch.limits.memory_bytes, &launch.claim) {
        os::cgroup::remove(&remains::mark(claim));
    }
}

/// What a process is still to be held to: not to the memory that its group counts.
fn enforced(limits: Limits, group: Option<&MemoryGroup>, pid: u32) -> Limits {
    let is_counted = group.is_some_and(|group| std::fs::write(group.processes(), pid.to_string()).is_ok());
    if is_counted { Limits { memory_bytes: None, ..limits } } else { limits }
}

/// The command of a container, and what it reads from descriptor 3.
fn contained(container: &Container, argv: &[OsString], launch: &Launch) -> io::Result<(Vec<OsString>, Option<String>)> {
    container.prepare()?;
    let files = launch.mounted.as_ref().map(|mounted| mounted.directory.as_path());
    Ok((container.around(argv)?, Some(container.options(launch.variables(), files)?)))
}

/// A pipe with a text in it. What does not fit into it is written as it is read; a reader that ends takes the rest with it.
fn filled(text: String) -> io::Result<io::PipeReader> {
    use std::io::Write as _;
    let (reader, mut writer) = io::pipe()?;
    std::thread::Builder::new().name("spanwise-input".to_owned()).spawn(move || writer.write_all(text.as_bytes()))?;
    Ok(reader)
}

fn open_log(log: &Path) -> io::Result<(File, File)> {
    let output = OpenOptions::new().append(true).create(true).open(log)?;
    let errors = output.try_clone()?;
    Ok((output, errors))
}

fn take_charge(pid: u32, limits: Limits) -> io::Result<Process> {
    let id = ProcessId::of(pid)?;
    let raw = id.raw()?;
    os::limit(raw, limits, own::given().map(|given| given.descriptors))?;
    let watched = Watched::child(&id, raw)?;
    Ok(Process::watched(id.clone(), Group::new(id, raw), watched))
}

impl Limits {
    fn each(self) -> impl Iterator<Item = (Resource, Rlimit)> {
        let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
        self.data().map(|bytes| (Resource::Data, limit(bytes))).into_iter()
    }

    /// What each process may reserve, where that is what counts.
    fn data(self) -> Option<u64> {
        self.memory_bytes.map(|bytes| bytes.saturating_add(self.reserved_bytes))
    }
}

/// Finds the process that `id` names, which an earlier server has started. `None` if it is gone, or if its number
/// belongs to another one now. Processes that it may have left behind are found by [`end_remains`]: a group's number alone
/// proves nothing.
///
/// # Errors
///
/// If the machine cannot say now, for instance because this process has no descriptor left.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn adopt(id: &ProcessId) -> io::Result<Option<Process>> {
    let Ok(raw) = id.raw() else { return Ok(None) };
    let found = find(id, raw)?;
    Ok(found.map(|watched| Process::watched(id.clone(), Group::new(id.clone(), raw), watched)))
}

impl Process {
    /// A process whose end the system tells, with a task that waits for it: it is reaped even if nobody asks how it ended.
    fn watched(id: ProcessId, group: Arc<Group>, watched: Watched) -> Process {
        let (report, ending) = watch::channel(None);
        let process = Process { id, group: Some(group.clone()), ending };
        tokio::spawn(async move {
            if watched.ended().await {
                report.send_replace(Some(group.end(&watched)));
            }
        });
        process
    }

    /// A child of a process that reaps it and then reports how it ended, unless it ends before.
    fn reported(id: ProcessId, ended: oneshot::Receiver<Ending>) -> Process {
        Process::reported_by(id, ended, find)
    }

    fn reported_by<F>(id: ProcessId, mut ended: oneshot::Receiver<Ending>, find: F) -> Process
    where
        F: Fn(&ProcessId, Pid) -> io::Result<Option<Watched>> + Send + 'static,
    {
        let (report, ending) = watch::channel(None);
        // It can be signalled before it is found: its number is looked at each time.
        let group = id.raw().ok().map(|raw| (raw, Group::new(id.clone(), raw)));
        let process = Process { id: id.clone(), group: group.clone().map(|(_, group)| group), ending };
        tokio::spawn(async move {
            let ending = loop {
                let Some((raw, group)) = &group else { break (&mut ended).await };
                match find(&id, *raw) {
                    Ok(Some(watched)) => {
                        watched.ended().await;
                        match group.end(&watched) {
                            Ending::Gone => break (&mut ended).await,
                            ending => break Ok(ending),
                        }
                    }
                    // So short that it is gone already. Its group is ended by whoever reaps it.
                    Ok(None) => {
                        group.is_over();
                        break (&mut ended).await;
                    }
                    // No descriptor is left, for instance.
                    Err(_) => {
                        if let Ok(ended) = tokio::time::timeout(FIND_AGAIN, &mut ended).await {
                            group.is_over();
                            break ended;
                        }
                    }
                }
            };
            report.send_replace(Some(ending.unwrap_or(Ending::Gone)));
        });
        process
    }

    /// Which process it is, in a form that outlives the server.
    pub fn id(&self) -> &ProcessId {
        &self.id
    }

    /// Waits until the leader has ended. What was left of its group is killed by then.
    ///
    /// # Cancellation
    ///
    /// Safe: the next call returns the same.
    pub async fn wait(&self) -> Ending {
        let mut ending = self.ending.clone();
        let ended = ending.wait_for(Option::is_some).await.map(|ending| *ending);
        match ended {
            Ok(ending) => ending.unwrap_or(Ending::Gone),
            // The watching task is gone without a report: its runtime is shutting down.
            Err(_) => std::future::pending().await,
        }
    }

    /// How it ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        *self.ending.borrow()
    }

    /// Asks the group to end (SIGTERM), and kills it after `grace`. Returns when the leader has ended.
    ///
    /// # Cancellation
    ///
    /// Dropped in the time of grace, it does not kill. It may be called again, also by several callers at once.
    pub async fn stop(&self, grace: Duration) -> Ending {
        self.signal(Signal::TERM);
        if let Ok(ending) = tokio::time::timeout(grace, self.wait()).await {
            return ending;
        }
        self.signal(Signal::KILL);
        self.wait().await
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = &self.group {
            group.signal(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_process_is_stopped_also_while_no_descriptor_is_left_to_see_its_end() {
        for misses in [3, u32::MAX] {
            let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
            let id = ProcessId::of(child.id()).unwrap();
            let (report, ended) = oneshot::channel();
            let calls = AtomicU32::new(0);
            let process = Process::reported_by(id, ended, move |id, raw| {
                if calls.fetch_add(1, Ordering::Relaxed) < misses {
                    return Err(rustix::io::Errno::MFILE.into());
                }
                find(id, raw)
            });
            let reaped = std::thread::spawn(move || {
                let _ = child.wait();
                report.send(Ending::Signalled(15))
            });
            assert_eq!(process.stop(Duration::from_secs(60)).await, Ending::Signalled(15), "{misses}");
            let _ = reaped.join().unwrap();
        }
    }
}
