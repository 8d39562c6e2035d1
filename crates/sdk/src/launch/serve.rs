//! The program's side: it reads the request where it would set itself up, starts the run, and says how it goes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use spanwise_core::{ActionName, Phase};
use spanwise_engine::ActionView;
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::task::NamedLiteral;
use spanwise_wire::CustomContext;
use tokio::sync::Notify;

use super::{ARGUMENT, Event, Request, Started, Trouble};
use crate::client::{self, Client};
use crate::config::Config;
use crate::entry;
use crate::error::{Error, Result};
use crate::run::Run;
use crate::task::{self, AnyTask, Untyped};
use crate::value::ValueError;

/// A request of this many bytes holds inputs at their limit, written as JSON.
const MAX_REQUEST: u64 = 64 << 20;

/// The shortest time between two messages about changes of a run.
const PAUSE: Duration = Duration::from_millis(80);

/// Nothing was started.
const REFUSED: u8 = 2;

/// Starts the task that the launcher names and ends the program; does not return. What stands before it in the program has run by then.
pub(crate) async fn take_over(config: Config) {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return std::future::pending().await;
    }
    let opened = tokio::task::spawn_blocking(Launcher::open).await.map_err(Error::from).and_then(|opened| opened);
    let code = match opened {
        Err(error) => {
            eprintln!("error: {error:?}");
            1
        }
        Ok((mut launcher, request)) => {
            let code = serve(&launcher, config, request).await;
            launcher.finish().await;
            code
        }
    };
    entry::end(code).await
}

/// The launcher, as this program sees it.
struct Launcher {
    events: Option<mpsc::Sender<Event>>,
    writer: Option<JoinHandle<()>>,
    gone: Arc<Notify>,
}

impl Launcher {
    /// Reads the request. Two threads keep the socket: they end with it.
    fn open() -> Result<(Launcher, Request)> {
        let doing = |what: &str, error: std::io::Error| {
            let message = format!("{ARGUMENT}: {what}: {error}; this argument is for `spanwise run` alone");
            Error::usage(message)
        };
        let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| doing("take the socket", error))?;
        let mut writing = UnixStream::from(socket);
        let reading = writing.try_clone().map_err(|error| doing("take the socket", error))?;
        let (mut line, mut reading) = (String::new(), BufReader::new(reading));
        let read = (&mut reading).take(MAX_REQUEST).read_line(&mut line);
        read.map_err(|error| doing("read the request", error))?;
        let request = serde_json::from_str(&line).map_err(|error| doing("understand the request", error.into()))?;

        let gone = Arc::new(Notify::new());
        let notify = Arc::clone(&gone);
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut reading, &mut std::io::sink());
            notify.notify_one();
        });
        let (events, unwritten) = mpsc::channel::<Event>();
        let writer = std::thread::spawn(move || {
            for event in unwritten {
                let Ok(mut line) = serde_json::to_string(&event) else { continue };
                line.push('\n');
                if writing.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Ok((Launcher { events: Some(events), writer: Some(writer), gone }, request))
    }

    fn tell(&self, event: Event) {
        if let Some(events) = &self.events {
            // A launcher that has gone reads no more.
            let _ = events.send(event);
        }
    }

    /// Waits until everything is written.
    async fn finish(&mut self) {
        drop(self.events.take());
        if let Some(writer) = self.writer.take() {
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }
}

async fn serve(launcher: &Launcher, config: Config, request: Request) -> u8 {
    let is_here = request.endpoint.is_none();
    let run = tokio::select! {
        biased;
        () = launcher.gone.notified() => return 130,
        started = Box::pin(start(config, request)) => match started {
            Ok(run) => run,
            Err(error) => {
                launcher.tell(Event::Refused(Trouble::of(&error)));
                return REFUSED;
            }
        },
    };
    launcher.tell(Event::Started(started(&run)));
    if !is_here {
        return 0;
    }
    tokio::select! {
        biased;
        () = launcher.gone.notified() => {
            eprintln!("interrupted: unfinished runs go on when they are resumed");
            130
        }
        code = follow(launcher, &run) => code,
    }
}

async fn start(config: Config, request: Request) -> Result<Run<Untyped>> {
    let task = task::find(&request.task.as_str().into())?;
    let literals = literals(task, &request)?;
    let client = Client::open(config.launched(&request))?;
    client::set_default(client.clone());
    let context = CustomContext::from_pairs(request.context).without_empty();
    let mut run = client.with_runcontext().custom_context(context).chosen(request.options);
    if let Some(name) = request.name {
        run = run.name(name);
    }
    Box::pin(run.run_untyped(task, literals)).await
}

/// The inputs as literals in the order of the signature; each is decoded once, so that the program's own types have their say.
fn literals(task: &dyn AnyTask, request: &Request) -> Result<Vec<NamedLiteral>> {
    let interface = task.interface();
    let variables = &interface.inputs.variables;
    if let Some(unknown) = request.inputs.keys().find(|name| variables.iter().all(|variable| variable.key != **name)) {
        let names: Vec<&str> = variables.iter().map(|variable| variable.key.as_str()).collect();
        let message = format!("task `{}` has no such input; it has {names:?}", request.task);
        return Err(ValueError::new(message).at(unknown).into());
    }
    let mut literals = Vec::with_capacity(variables.len());
    for variable in variables {
        let name = &variable.key;
        let kind = variable.value.r#type.as_option().cloned().unwrap_or_default();
        let given = request.inputs.get(name).cloned();
        let is_optional = kind.union_type.variants.iter().any(|variant| variant.default_tag() == Some("none"));
        let value = given.or_else(|| is_optional.then_some(serde_json::Value::Null));
        let value = value.ok_or_else(|| ValueError::new("the input is missing").at(name))?;
        let literal = Literal::from_json(&kind, &value);
        let literal = literal.map_err(|misfit| ValueError::new(misfit.to_string()).at(name))?;
        literals.push(NamedLiteral::new(name.clone(), literal));
    }
    task.check(&literals)?;
    Ok(literals)
}

fn started(run: &Run<Untyped>) -> Started {
    let id = run.id();
    Started {
        run: id.name.to_string(),
        org: id.org.clone(),
        project: id.project.clone(),
        domain: id.domain.clone(),
        url: run.url().to_string(),
    }
}

/// Tells how the run goes until it has ended.
async fn follow(launcher: &Launcher, run: &Run<Untyped>) -> u8 {
    let mut seen = HashMap::new();
    let mut changes = run.subscribe();
    let output = run.output();
    tokio::pin!(output);
    let done = loop {
        tell_changes(launcher, run, &mut seen).await;
        tokio::select! {
            biased;
            done = &mut output => break done,
            changed = async { tokio::join!(changes.changed(), tokio::time::sleep(PAUSE)).0 } => {
                if changed.is_err() {
                    break (&mut output).await;
                }
            }
        }
    };
    tell_changes(launcher, run, &mut seen).await;
    match done {
        Ok(Untyped(output)) => {
            launcher
                .tell(Event::Succeeded { output: output.map_or(serde_json::Value::Null, |output| output.to_json()) });
            0
        }
        Err(error) => {
            launcher.tell(Event::Failed(Trouble::of(&error)));
            1
        }
    }
}

async fn tell_changes(launcher: &Launcher, run: &Run<Untyped>, seen: &mut HashMap<ActionName, (Phase, u32)>) {
    let actions = run.actions().await.unwrap_or_default();
    let mut is_new = |action: &ActionView| {
        let now = (action.phase, action.attempts);
        seen.insert(action.name, now) != Some(now)
    };
    let actions: Vec<_> = actions.into_iter().filter(|action| is_new(action)).collect();
    if !actions.is_empty() {
        launcher.tell(Event::Actions { actions });
    }
}
