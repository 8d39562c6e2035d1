//! An attempt that a server has started in this process, as the parent of actions: its calls and steps become the server's.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use connectrpc::{ConnectError, ErrorCode};
use spanwise_core::{ActionName, AttemptNo, Failure, Phase, RunId, Scope, Timestamp, code, layout};
use spanwise_engine::{DroppedCalls, Executor, Outcome, StepRecord};
use spanwise_wire::requests::{self, children};
use spanwise_wire::{failure, task, times};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::attempt::Contract;
use super::children::{ChildState, Children};
use super::connection::{Connection, LONG, error, persist};
use super::deployed::Definitions;
use super::program::Program;
use super::reference::RemoteTask;
use crate::call_site::CallSite;
use crate::error::{Error, ErrorKind, Result};
use crate::overrides::Overrides;
use crate::parent::{self, Child, CompletedStep, NewCondition, NewTimer};
use crate::payload::{encode_outputs, freeze};
use crate::question::Question;
use crate::wait;

/// So many requests are under way at one time, each on a connection of its own. A thousand children do not open a thousand.
const REQUESTS: usize = 20;

/// The attempt that this process runs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Parent(Arc<Inner>);

struct Inner {
    connection: Connection,
    scope: Scope,
    program: Program,
    run: RunId,
    action: ActionName,
    attempt: AttemptNo,
    /// The directory of the run's data.
    run_base: String,
    /// Where the report goes.
    report: String,
    children: Arc<Children>,
    requests: Semaphore,
    dropped: DroppedCalls<Dropped>,
    definitions: Definitions,
}

/// A call that was dropped.
pub(super) struct Dropped {
    action: ActionName,
    /// The request that has it accepted, if that is under way: an abort has to come after it.
    accepting: Option<JoinHandle<Result<()>>>,
}

impl Parent {
    pub(super) fn new(connection: Connection, contract: &Contract) -> Parent {
        let Contract { run, action, .. } = contract;
        Parent(Arc::new(Inner {
            children: Arc::new(Children::new(connection.clone(), (run.clone(), *action))),
            connection,
            scope: run.scope(),
            program: Program::of_attempt(contract),
            run: run.clone(),
            action: *action,
            attempt: contract.attempt,
            run_base: contract.run_base.clone(),
            report: format!("{}/{}", contract.outputs, layout::REPORT),
            requests: Semaphore::new(REQUESTS),
            dropped: DroppedCalls::default(),
            definitions: Definitions::default(),
        }))
    }

    /// The calls that the body has dropped.
    pub(super) fn dropped(&self) -> &DroppedCalls<Dropped> {
        &self.0.dropped
    }

    /// Has a task run as a child, unless an earlier attempt has, and waits for its end.
    async fn call(&self, action: ActionName, group: String, task: children::What, inputs: Bytes) -> Result<Outcome> {
        self.0.children.complete().await?;
        let is_dropped = Arc::new(AtomicBool::new(false));
        let mut open =
            OpenCall { parent: self, action, accepting: None, is_dropped: Arc::clone(&is_dropped), is_over: false };
        if self.0.children.get(&action).is_none() {
            let parent = self.clone();
            let accept = async move { parent.accept(action, group, task, inputs, &is_dropped).await };
            open.accepted(tokio::spawn(accept)).await?;
        }
        let end = self.0.children.end(&action).await?;
        open.is_over = true;
        self.outcome(&action, end).await
    }

    /// Writes the inputs of an action and has it accepted. Both can be repeated, and are until `is_dropped` says that nobody wants it any more.
    async fn accept(
        &self,
        action: ActionName,
        group: String,
        what: children::What,
        inputs: Bytes,
        is_dropped: &AtomicBool,
    ) -> Result<()> {
        let input_uri = self.file(&action, "inputs.pb");
        self.put(&input_uri, inputs).await?;
        let new = children::NewChild {
            run: &self.0.run,
            parent: &self.0.action,
            action: &action,
            group: &group,
            input_uri: &input_uri,
            run_base: &self.0.run_base,
        };
        let request = children::enqueue(new, what);
        let client = self.0.connection.actions();
        let doing = || format!("enqueue action `{action}`");
        let enqueue = || async {
            if is_dropped.load(Ordering::Acquire) {
                return Err(ConnectError::new(ErrorCode::Aborted, "its caller dropped it"));
            }
            client.enqueue(request.clone()).await
        };
        let answer = loop {
            match self.ask(enqueue).await {
                // Its queue is full for longer than others are waited for: that is no trouble of the server's.
                Err(error) if error.code == ErrorCode::ResourceExhausted => {}
                answer => break answer,
            }
        };
        match answer {
            Err(error) if error.code == ErrorCode::AlreadyExists => Ok(()),
            answer => answer.map(drop).map_err(|source| error(&doing(), &source)),
        }
    }

    async fn outcome(&self, action: &ActionName, end: ChildState) -> Result<Outcome> {
        let failure = end.failure.unwrap_or_else(|| Failure::system("UnknownError", "the server gave no reason"));
        Ok(match end.phase {
            Phase::Succeeded if end.answer.is_some() => Outcome::Succeeded(encode_outputs(end.answer)?),
            // Of what only waits there are none.
            Phase::Succeeded | Phase::Recovered if end.output_uri.is_empty() => Outcome::Succeeded(Bytes::new()),
            Phase::Succeeded | Phase::Recovered => {
                let uri = format!("{}/outputs.pb", end.output_uri.trim_end_matches('/'));
                let outputs = self.ask(|| self.0.connection.get(&uri)).await;
                let outputs = outputs.map_err(|source| error(&format!("read the outputs of `{action}`"), &source))?;
                // A task without outputs may have written none.
                Outcome::Succeeded(outputs.unwrap_or_default())
            }
            Phase::TimedOut => Outcome::TimedOut(failure),
            Phase::Aborted => aborted(&failure),
            _ => Outcome::Failed(failure),
        })
    }

    /// Aborts a call that was dropped.
    pub(super) async fn abort(&self, call: Dropped) {
        if let Some(accepting) = call.accepting {
            let _ = accepting.await;
        }
        let request = children::abort(&self.0.run, &call.action, "its caller dropped it");
        let client = self.0.connection.actions();
        // It may have ended meanwhile, or never have been accepted.
        let _ = self.ask(|| client.abort(request.clone())).await;
    }

    /// What is recorded of a step, if it stands. A recoverable failure does not: the step runs again.
    async fn find_step(&self, action: ActionName) -> Result<Option<StepRecord>> {
        self.0.children.complete().await?;
        let Some(child) = self.0.children.get(&action) else { return Ok(None) };
        let outcome = match child.phase {
            Phase::Succeeded | Phase::Recovered => {
                let outputs = self.ask(|| self.0.connection.get(&child.output_uri)).await;
                match outputs.map_err(|source| error(&format!("read the outputs of step `{action}`"), &source))? {
                    Some(outputs) => Ok(outputs),
                    None => return Ok(None),
                }
            }
            Phase::Failed => match child.failure {
                Some(failure) if !failure.recoverable => Err(failure),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let request = requests::action_details(&self.0.run, &action);
        let client = self.0.connection.runs();
        let details = self.ask(|| client.get_action_details(request.clone())).await;
        let details = details.map_err(|source| error(&format!("read the times of step `{action}`"), &source))?;
        let status = details.into_owned().details.into_option().unwrap_or_default().status;
        let started = status.start_time.as_option().map(times::from_timestamp).unwrap_or_default();
        let ended = status.end_time.as_option().map_or(started, times::from_timestamp);
        Ok(Some(StepRecord { started, ended, outcome }))
    }

    /// Records a step that is done. The server's answer says that it is safe; Python's SDK waits for the echo on the stream
    /// instead, which comes after it.
    async fn complete_step(&self, step: CompletedStep) -> Result<()> {
        // The wire has no field for `observed`.
        let CompletedStep { action, spec, started, inputs, outcome, observed: _ } = step;
        let output_uri = self.file(&action, "outputs.pb");
        match &outcome {
            Ok(outputs) => self.put(&output_uri, outputs.clone()).await?,
            Err(failed) => self.put(&self.file(&action, "error.pb"), failure::document(failed).into()).await?,
        }
        let step = children::step(spec.task.as_str(), outcome.is_ok(), (started, now()), &output_uri);
        let is_dropped = AtomicBool::new(false);
        self.accept(action, spec.group.unwrap_or_default(), step, inputs, &is_dropped).await?;
        let phase = if outcome.is_ok() { Phase::Succeeded } else { Phase::Failed };
        self.0.children.note(action, ChildState { phase, failure: outcome.err(), output_uri, answer: None });
        Ok(())
    }

    /// A file of an action that this process writes for it.
    fn file(&self, action: &ActionName, name: &str) -> String {
        format!("{}/{action}/{name}", self.0.run_base)
    }

    async fn put(&self, uri: &str, content: Bytes) -> Result<()> {
        let put = self.ask(|| self.0.connection.put(uri, content.clone())).await;
        put.map_err(|source| error("write to the blob store", &source))
    }

    /// Asks the server when a request is free, and again until it answers.
    async fn ask<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T, ConnectError>
    where
        F: Future<Output = Result<T, ConnectError>>,
    {
        // Whoever is refused, or has no answer, waits without keeping a place from the others.
        let one_of_few = || {
            let request = ask();
            async move {
                let free = self.0.requests.acquire().await;
                let _request = free.map_err(|error| ConnectError::internal(error.to_string()))?;
                request.await
            }
        };
        persist(LONG, one_of_few).await
    }
}

impl parent::Parent for Parent {
    fn run_id(&self) -> &RunId {
        &self.0.run
    }

    fn action(&self) -> ActionName {
        self.0.action
    }

    fn attempt(&self) -> AttemptNo {
        self.0.attempt
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn child<E: Executor + 'static>(&self, child: Box<Child>, _: E) -> impl Future<Output = Result<Outcome>> + Send {
        let Child { action, spec, inputs, task, effective, cache_key } = *child;
        let Inner { program, scope, .. } = &*self.0;
        let definition = program.task_spec((task, &effective), (&spec.retry, &spec.timeouts), scope);
        let of = (task.described().name.as_str(), program.version.as_str());
        let task = children::task(scope, of, definition, cache_key, effective.settings.queue.as_deref());
        Box::pin(self.call(action, spec.group.unwrap_or_default(), task, inputs))
    }

    fn deployed_child(
        &self,
        site: CallSite<'_>,
        task: RemoteTask,
        overrides: &Overrides,
    ) -> impl Future<Output = Result<Outcome>> + Send {
        Box::pin(async move {
            let Inner { connection, scope, definitions, .. } = &*self.0;
            let definition = definitions.find(connection, scope, &task).await?.overridden(overrides)?;
            let literals = task.literals(&definition)?;
            let action = site.name_call(&definition.identity(), &literals);
            let task = definition.action(scope, &literals, overrides.settings.queue.as_deref());
            let group = site.group.map(|group| group.to_string()).unwrap_or_default();
            self.call(action, group, task, freeze(literals, site.context)?).await
        })
    }

    fn timer(&self, timer: NewTimer) -> impl Future<Output = Result<Outcome>> + Send {
        let NewTimer { action, group, wait, timeouts, inputs } = timer;
        let Inner { program, scope, .. } = &*self.0;
        let of = (wait::NAME, program.version.as_str());
        let task = children::task(scope, of, task::timer(scope, of, wait.interface(), &timeouts), None, None);
        Box::pin(self.call(action, group.unwrap_or_default(), task, inputs))
    }

    fn condition(&self, condition: NewCondition) -> impl Future<Output = Result<Outcome>> + Send {
        let NewCondition { action, group, question, inputs } = condition;
        let Question { name, prompt, description, timeout, declared, .. } = question;
        let what = children::condition(&name, declared, (&prompt, &description), timeout);
        Box::pin(self.call(action, group.unwrap_or_default(), what, inputs))
    }

    fn step(&self, action: ActionName) -> impl Future<Output = Result<Option<StepRecord>>> + Send {
        Box::pin(self.find_step(action))
    }

    fn record_step(&self, step: CompletedStep) -> impl Future<Output = Result<()>> + Send {
        Box::pin(self.complete_step(step))
    }

    async fn write_report(&self, page: String) -> Result<()> {
        let (connection, page) = (&self.0.connection, Bytes::from(page));
        let put = persist(LONG, || connection.put(&self.0.report, page.clone())).await;
        put.map_err(|source| error("write the report", &source))
    }
}

/// The time of this machine.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// An abort as the server writes it: `aborted by {who}: {why}`.
fn aborted(failure: &Failure) -> Outcome {
    let parts = failure.message.strip_prefix("aborted by ").and_then(|rest| rest.split_once(": "));
    let (by, reason) = match parts {
        Some((by, reason)) if failure.code == code::ABORTED => (by, reason),
        _ => ("the server", failure.message.as_str()),
    };
    Outcome::Aborted { by: by.to_owned(), reason: reason.to_owned() }
}

/// A call from when the server may know of it until its end is known.
struct OpenCall<'a> {
    parent: &'a Parent,
    action: ActionName,
    accepting: Option<JoinHandle<Result<()>>>,
    is_dropped: Arc<AtomicBool>,
    is_over: bool,
}

impl OpenCall<'_> {
    /// Waits until the action is accepted. It goes on if the call is dropped: the server may have taken the request already.
    async fn accepted(&mut self, accepting: JoinHandle<Result<()>>) -> Result<()> {
        let accepted = self.accepting.insert(accepting).await;
        self.accepting = None;
        let accepted = accepted.unwrap_or_else(|lost| {
            let failure = Failure::system("Interrupted", format!("enqueue action `{}`: {lost}", self.action));
            Err(Error::from_failure(ErrorKind::System, failure))
        });
        self.is_over = accepted.is_err();
        accepted
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.is_dropped.store(true, Ordering::Release);
            // One that falls after the body's end stays as it is: the process ends with the attempt.
            let _ = self.parent.dropped().add(Dropped { action: self.action, accepting: self.accepting.take() });
        }
    }
}
