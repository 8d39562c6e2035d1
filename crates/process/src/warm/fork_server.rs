//! Our end of a fork server: requests go to it, starts and ends come back.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spanwise_core::text::seconds;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::script::Script;
use crate::os::cgroup::MemoryGroup;
use crate::{Ending, Launch, Limits, Process, ProcessId, REDIRECTION, cold, memory_group, own, remains, take_charge};

const SOURCE: &str = include_str!("../warm.py");

/// Reads the sources from the socket, so that they are in no file and in nobody's list of processes, and runs them in a
/// namespace of their own: the module `__main__` becomes the script's.
const BOOTSTRAP: &str = "import socket; channel = socket.socket(fileno=3); text = channel.makefile('rb'); \
     source = text.read(int(text.readline())); \
     scope = {'__name__': 'fork_server', 'channel': channel, 'SOURCE': source}; \
     exec(compile(source, '<attempt>', 'exec'), scope); \
     exec(compile(text.read(int(text.readline())), '<fork server>', 'exec'), scope)";

/// Far beyond what a start takes on a busy machine; one that hangs must not hold up its tasks for ever.
const START: Duration = Duration::from_secs(60);

/// Why there is no fork server.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("start a fork server")]
    Spawn(#[source] io::Error),
    #[error("talk to a fork server that starts")]
    Channel(#[source] io::Error),
    #[error("a fork server ended before it was ready")]
    Ended,
    #[error("a fork server was not ready after {}", seconds(START))]
    Slow,
    #[error("the script cannot be forked: {0}")]
    Unfit(String),
}

/// Why a launch was not forked. In all cases nothing has been started.
#[derive(Debug)]
pub(super) enum NotForked {
    /// This launch cannot be forked.
    Refused(String),
    /// The fork server has imported what is not installed any more.
    Stale,
    Ended,
}

#[derive(Debug)]
pub(super) struct ForkServer {
    requests: mpsc::Sender<Vec<u8>>,
    waiting: Arc<Waiting>,
    number: AtomicU64,
    retired: AtomicBool,
}

/// Who waits for what; `None` when the fork server is gone.
#[derive(Debug)]
struct Waiting(Mutex<Option<HashMap<u64, Await>>>);

#[derive(Debug)]
enum Await {
    Start(oneshot::Sender<Result<Process, NotForked>>),
    End(oneshot::Sender<Ending>),
}

#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    /// The script and its arguments.
    argv: &'a [String],
    env: Vec<(String, String)>,
    directory: &'a Path,
    log: &'a Path,
    claim: Option<PathBuf>,
    umask: Option<u32>,
    /// The limit of what it reserves, where no group counts what it uses.
    data: Option<u64>,
    /// The file of its control group that it writes its number to.
    group: Option<&'a Path>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Started {
        id: u64,
        pid: u32,
        started: u64,
    },
    Refused {
        id: u64,
        refused: String,
    },
    Stale {
        id: u64,
        #[expect(dead_code, reason = "its presence is the message")]
        stale: bool,
    },
    Exited {
        id: u64,
        code: i32,
    },
    Signalled {
        id: u64,
        signal: i32,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Greeting {
    Ready {
        #[expect(dead_code, reason = "its presence is the message")]
        ready: bool,
    },
    Unfit {
        unfit: String,
    },
}

impl ForkServer {
    /// Starts it and waits until it has imported what the script needs.
    pub(super) async fn start(script: &Script, env: &[(String, String)]) -> Result<Arc<ForkServer>, StartError> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(StartError::Spawn)?;
        let process = launch(script, env, theirs).map_err(StartError::Spawn)?;
        let greeted = tokio::time::timeout(START, greet(ours, script)).await.unwrap_or(Err(StartError::Slow));
        let (answers, write) = match greeted {
            Ok(halves) => halves,
            Err(error) => {
                process.stop(Duration::ZERO).await;
                return Err(error);
            }
        };
        // Enough that no launch waits for another, few enough that a stuck server does not collect them.
        let (requests, queue) = mpsc::channel(64);
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
        tokio::spawn(write_requests(queue, write));
        tokio::spawn(read_answers(answers, waiting.clone()));
        Ok(Arc::new(ForkServer { requests, waiting, number: AtomicU64::new(0), retired: AtomicBool::new(false) }))
    }

    /// Forks a child that runs `launch`: the script with these arguments, of which it is the first.
    pub(super) async fn fork(&self, argv: &[String], launch: &Launch) -> Result<Process, NotForked> {
        let id = self.number.fetch_add(1, Ordering::Relaxed);
        let group = memory_group(launch);
        let data = launch.limits.data();
        let refused = |error: &dyn std::error::Error| NotForked::Refused(error.to_string());
        // The fork server has a working directory of its own.
        let directory = std::path::absolute(&launch.directory).map_err(|error| refused(&error))?;
        let log = std::path::absolute(&launch.log).map_err(|error| refused(&error))?;
        let claim = launch.claim.as_deref().map(std::path::absolute).transpose().map_err(|error| refused(&error))?;
        let (umask, env) = (own::given().map(|given| given.umask), launch.variables().collect());
        let request = Request {
            id,
            argv,
            env,
            directory: &directory,
            log: &log,
            claim,
            umask,
            data,
            group: group.as_ref().map(MemoryGroup::processes),
        };
        let mut request = serde_json::to_vec(&request).map_err(|error| refused(&error))?;
        request.push(b'\n');
        let (answer, started) = oneshot::channel();
        if !self.waiting.expect(id, Await::Start(answer)) {
            return Err(NotForked::Ended);
        }
        if self.requests.send(request).await.is_err() {
            return Err(NotForked::Ended);
        }
        // A server that dies before its answer has started nothing: the child waits until the answer is sent, and all
        // answers are read.
        started.await.unwrap_or(Err(NotForked::Ended))
    }

    pub(super) fn takes_requests(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && self.waiting.lock().is_some()
    }

    /// Takes no more requests. It goes on until its children have ended, so that their ends are known.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

fn launch(script: &Script, env: &[(String, String)], channel: impl Into<OwnedFd>) -> io::Result<Process> {
    let directory = script.path.parent().unwrap_or(Path::new("/"));
    let child = Command::new("/bin/sh")
        .args(["-c", &format!(r#"exec "$@" {REDIRECTION}"#), "sh"])
        .arg(&script.interpreter)
        .args(&script.options)
        .args(["-c", BOOTSTRAP])
        .arg(&script.path)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value))))
        .env(remains::VARIABLE, remains::NO_MARK)
        .current_dir(directory)
        .stdin(Stdio::from(channel.into()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    take_charge(child.id(), Limits::default())
}

async fn greet(
    ours: std::os::unix::net::UnixStream,
    script: &Script,
) -> Result<(Lines<BufReader<OwnedReadHalf>>, OwnedWriteHalf), StartError> {
    ours.set_nonblocking(true).map_err(StartError::Channel)?;
    let (read, mut write) = UnixStream::from_std(ours).map_err(StartError::Channel)?.into_split();
    for source in [&cold::source(script), SOURCE] {
        let source = format!("{}\n{source}", source.len());
        write.write_all(source.as_bytes()).await.map_err(StartError::Channel)?;
    }
    let mut answers = BufReader::new(read).lines();
    let greeting = answers.next_line().await.map_err(StartError::Channel)?.ok_or(StartError::Ended)?;
    match serde_json::from_str(&greeting) {
        Ok(Greeting::Ready { .. }) => Ok((answers, write)),
        Ok(Greeting::Unfit { unfit }) => Err(StartError::Unfit(unfit)),
        Err(error) => Err(StartError::Channel(error.into())),
    }
}

/// A task of its own, because a request that is half written when its launch is given up would spoil the next ones.
async fn write_requests(mut queue: mpsc::Receiver<Vec<u8>>, mut channel: OwnedWriteHalf) {
    while let Some(request) = queue.recv().await {
        if channel.write_all(&request).await.is_err() {
            return;
        }
    }
}

async fn read_answers(mut answers: Lines<BufReader<OwnedReadHalf>>, waiting: Arc<Waiting>) {
    while let Ok(Some(line)) = answers.next_line().await {
        match serde_json::from_str(&line) {
            Ok(answer) => waiting.handle(answer),
            Err(error) => tracing::error!(%error, line, "a fork server answers what is no answer"),
        }
    }
    // Whoever waits learns from the end of its channel.
    waiting.lock().take();
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, Await>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False if the fork server is gone.
    fn expect(&self, id: u64, what: Await) -> bool {
        self.lock().as_mut().map(|waiting| waiting.insert(id, what)).is_some()
    }

    fn take(&self, id: u64) -> Option<Await> {
        self.lock().as_mut()?.remove(&id)
    }

    fn handle(&self, answer: Answer) {
        match answer {
            Answer::Started { id, pid, started } => {
                let Some(Await::Start(launch)) = self.take(id) else { return };
                let (end, ended) = oneshot::channel();
                self.expect(id, Await::End(end));
                let process = Process::reported(ProcessId::started(pid, started), ended);
                if let Err(Ok(process)) = launch.send(Ok(process)) {
                    tokio::spawn(async move { process.stop(Duration::ZERO).await });
                }
            }
            Answer::Refused { id, refused } => self.not_forked(id, NotForked::Refused(refused)),
            Answer::Stale { id, .. } => self.not_forked(id, NotForked::Stale),
            Answer::Exited { id, code } => self.ended(id, Ending::Exited(code)),
            Answer::Signalled { id, signal } => self.ended(id, Ending::Signalled(signal)),
        }
    }

    fn not_forked(&self, id: u64, why: NotForked) {
        if let Some(Await::Start(launch)) = self.take(id) {
            let _ = launch.send(Err(why));
        }
    }

    fn ended(&self, id: u64, ending: Ending) {
        if let Some(Await::End(process)) = self.take(id) {
            let _ = process.send(ending);
        }
    }
}
