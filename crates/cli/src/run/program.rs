//! A program with tasks: asked what it can do, and asked to start a run.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use spanwise::__private::launch::{ARGUMENT, Event, Request, Started, VERSION};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::interface::{Described, RunSupport};
use super::{Chosen, Misuse, end};
use crate::client::Target;

/// A program describes itself within this time, and with this many bytes at most.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_DESCRIPTION: u64 = 64 << 20;

/// Asks a program for its tasks.
pub(super) fn describe(program: &Path) -> anyhow::Result<Described> {
    let shown = program.display();
    let mut command = Command::new(program);
    command.arg("describe").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(|error| Misuse(format!("start {shown}: {error}")))?;
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut printed = Vec::new();
        let read = stdout.map(|stdout| stdout.take(MAX_DESCRIPTION).read_to_end(&mut printed));
        read.transpose().map(|_| printed)
    });
    let status = wait(&mut child).with_context(|| format!("wait for `{shown} describe`"))?;
    let printed = reader.join().map_err(|_| anyhow!("read what `{shown} describe` prints"))?;
    let no_tasks = |why: String| {
        Misuse(format!(
            "`{shown} describe` does not print its tasks, {why}: is it a program that uses `spanwise::main`?"
        ))
    };
    match status {
        Some(status) if status.success() => {
            let printed = printed.with_context(|| format!("read what `{shown} describe` prints"))?;
            Ok(Described::read(&printed).map_err(|error| no_tasks(format!("{error:#}")))?)
        }
        Some(status) => Err(no_tasks(status.to_string()).into()),
        None => Err(no_tasks(format!("it has not ended within {PATIENCE:?}")).into()),
    }
}

/// Its end; none if it takes too long, then it is ended.
fn wait(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Whether a program can do what is asked for.
pub(super) fn check(program: &Path, support: Option<&RunSupport>, is_local: bool) -> Result<(), Misuse> {
    let shown = program.display();
    match support {
        None => Err(Misuse(format!(
            "{shown} is built with a version of the crate `spanwise` that this command cannot start"
        ))),
        Some(support) if support.version != VERSION => Err(Misuse(format!(
            "{shown} is built with another version of the crate `spanwise`: it takes version {} of what this command says in version {VERSION}",
            support.version
        ))),
        Some(support) if !support.on_servers && !is_local => Err(Misuse(format!(
            "{shown} is built without the feature `remote` of the crate `spanwise`, so no server can run it: build it with that, or run it here with --local"
        ))),
        Some(_) => Ok(()),
    }
}

/// What a run is asked for with.
pub(super) fn request(chosen: Chosen) -> Request {
    let Chosen { options, task, inputs } = chosen;
    let (target, how) = (options.target, options.how);
    Request {
        task,
        inputs,
        project: target.project,
        domain: target.domain,
        options: how.options(),
        context: how.context().pairs().to_vec(),
        name: how.name,
        ..Request::default()
    }
}

/// What is heard of a program that was asked to start a run.
pub(super) enum Heard {
    /// It tells something about the run.
    Event(Event),
    /// It prints a line, to its standard output or error.
    Line(String),
    /// It has ended.
    Ended(std::io::Result<ExitStatus>),
}

/// A program that was asked to start a run. Dropped, it is killed unless it has ended.
pub(super) struct Asking {
    child: Arc<Mutex<Child>>,
    socket: UnixStream,
    heard: UnboundedReceiver<Heard>,
}

impl Asking {
    /// Starts a program and asks it.
    pub(super) fn start(program: &Path, request: &Request, env: &[(String, String)]) -> anyhow::Result<Asking> {
        let doing = || format!("start {}", program.display());
        let (mut socket, its_end) = UnixStream::pair().with_context(doing)?;
        let mut command = Command::new(program);
        command.arg(ARGUMENT).envs(env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(OwnedFd::from(its_end))).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(doing)?;
        // The command holds the other end of the socket too, whose end would not be seen.
        drop(command);
        let (sender, heard) = unbounded_channel();
        let outputs = [child.stdout.take().map(boxed), child.stderr.take().map(boxed)];
        let readers = outputs.into_iter().flatten().map(|output| relay(output, sender.clone())).collect();
        let child = Arc::new(Mutex::new(child));
        let reading = socket.try_clone().with_context(doing)?;
        listen(reading, readers, Arc::clone(&child), sender);
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        // A program that does not read ends, and says why.
        let _ = socket.write_all(&line);
        Ok(Asking { child, socket, heard })
    }

    /// What is heard next; none after its end.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    /// Tells it that nobody waits for it any more: it ends in good order.
    pub(super) fn leave(&self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

fn boxed(output: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(output)
}

fn relay(output: Box<dyn Read + Send>, sender: UnboundedSender<Heard>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let _ = sender.send(Heard::Line(String::from_utf8_lossy(&line).into_owned()));
        }
    })
}

/// Reads events until the program closes its end, and waits for its own end.
fn listen(
    socket: UnixStream,
    readers: Vec<std::thread::JoinHandle<()>>,
    child: Arc<Mutex<Child>>,
    sender: UnboundedSender<Heard>,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(socket).lines().map_while(Result::ok) {
            // What a newer program says beyond this is not for us.
            if let Ok(event) = serde_json::from_str(&line) {
                let _ = sender.send(Heard::Event(event));
            }
        }
        let status = loop {
            match child.lock().unwrap_or_else(PoisonError::into_inner).try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => break Ok(status),
                Err(error) => break Err(error),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // A process that it has left behind may hold its output: then not everything is waited for.
        let deadline = Instant::now() + Duration::from_millis(200);
        while Instant::now() < deadline && !readers.iter().all(std::thread::JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = sender.send(Heard::Ended(status));
    });
}

/// Has a program start a run on a server.
pub(super) async fn start_on(target: &Target, program: &Path, chosen: Chosen) -> anyhow::Result<Started> {
    // Refuses what cannot be spoken to, with its reason.
    target.server()?;
    let shown = program.display();
    let request = Request {
        endpoint: Some(target.endpoint.clone()),
        org: Some(target.org.clone()),
        project: Some(target.project.clone()),
        domain: Some(target.domain.clone()),
        ..request(chosen)
    };
    let mut asking = Asking::start(program, &request, &[])?;
    let (mut started, mut refused) = (None, None);
    while let Some(heard) = asking.next().await {
        match heard {
            Heard::Line(line) => eprintln!("{line}"),
            Heard::Event(Event::Started(run)) => started = Some(run),
            Heard::Event(Event::Refused(trouble)) => refused = Some(trouble),
            Heard::Event(_) => {}
            Heard::Ended(status) => {
                return match (started, refused) {
                    (Some(started), _) => Ok(started),
                    (None, Some(trouble)) if trouble.is_unreachable() => Err(target.unreachable(trouble.message)),
                    (None, Some(trouble)) => Err(end::refused(&trouble)),
                    (None, None) => Err(anyhow!("{shown} ended without starting the run: {}", end::said(&status))),
                };
            }
        }
    }
    Err(anyhow!("{shown} ended without starting the run"))
}
