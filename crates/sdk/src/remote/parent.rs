//! An attempt that a server has started in this process, as the parent of actions: its calls and steps become the server's.

use std::sync::Arc;

use bytes::Bytes;
use connectrpc::{ConnectError, ErrorCode};
use spanwise_core::{ActionName, AttemptNo, Failure, Phase, RunId, Scope, code};
use spanwise_engine::{Outcome, StepRecord};
use spanwise_proto::flyteidl2::actions::{AbortRequest, Action, EnqueueRequest, action};
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::task::OutputReferences;
use spanwise_proto::flyteidl2::workflow::{GetActionDetailsRequest, TaskAction, TraceAction};
use spanwise_wire::{failure, ids, times};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::children::{Children, Known};
use super::connection::{Connection, LONG, error, persist};
use super::now;
use super::program::Program;
use super::reference::Deployed;
use super::turns::{Dropped, Turns};
use crate::control::{Child, CompletedStep};
use crate::error::{Error, ErrorKind, Result};

/// So many requests are under way at one time, each on a connection of its own. A thousand children do not open a thousand.
const REQUESTS: usize = 20;

/// The attempt that this process runs.
pub(crate) struct Parent {
    connection: Connection,
    place: Scope,
    program: Program,
    run: RunId,
    action: ActionName,
    attempt: AttemptNo,
    /// The directory of the run's data.
    run_base: String,
    children: Arc<Children>,
    requests: Semaphore,
    turns: Turns,
    deployed: Deployed,
}

/// What a parent is made of.
pub(super) struct Parts {
    pub(super) connection: Connection,
    pub(super) place: Scope,
    pub(super) program: Program,
    pub(super) run: RunId,
    pub(super) action: ActionName,
    pub(super) attempt: AttemptNo,
    pub(super) run_base: String,
}

impl Parent {
    pub(super) fn new(parts: Parts) -> Parent {
        let Parts { connection, place, program, run, action, attempt, run_base } = parts;
        let children = Arc::new(Children::new(connection.clone(), ids::to_action_identifier(&run, &action)));
        let (requests, turns, deployed) = (Semaphore::new(REQUESTS), Turns::default(), Deployed::default());
        Parent { connection, place, program, run, action, attempt, run_base, children, requests, turns, deployed }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn place(&self) -> &Scope {
        &self.place
    }

    pub(super) fn deployed(&self) -> &Deployed {
        &self.deployed
    }

    pub(crate) fn run_id(&self) -> &RunId {
        &self.run
    }

    pub(crate) fn action(&self) -> ActionName {
        self.action
    }

    pub(crate) fn attempt(&self) -> AttemptNo {
        self.attempt
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Has a task of this program run as a child.
    pub(crate) async fn child(self: &Arc<Self>, child: Child) -> Result<Outcome> {
        let Child { action, spec, inputs, task, .. } = child;
        let definition = self.program.task_spec(task, (&spec.retry, &spec.timeouts), &self.place);
        let id = ids::to_task_identifier(&self.place, task.described().name.as_str(), &self.program.version);
        let asked = TaskAction { id: id.into(), spec: definition.into(), ..TaskAction::default() };
        self.call(action, spec.group.unwrap_or_default(), asked, inputs).await
    }

    /// Has a task run as a child, unless an earlier attempt has, and waits for its end.
    pub(super) async fn call(
        self: &Arc<Self>,
        action: ActionName,
        group: String,
        asked: TaskAction,
        inputs: Bytes,
    ) -> Result<Outcome> {
        self.children.complete().await?;
        let mut open = OpenCall { parent: self, action, accepting: None, is_over: false };
        if self.children.get(&action).is_none() {
            let parent = Arc::clone(self);
            let accept = async move { parent.accept(action, group, action::Spec::Task(Box::new(asked)), inputs).await };
            open.accepted(tokio::spawn(accept)).await?;
        }
        let end = self.children.end(&action).await?;
        open.is_over = true;
        self.outcome(&action, end).await
    }

    /// Writes the inputs of an action and has it accepted. Both can be repeated.
    async fn accept(&self, action: ActionName, group: String, spec: action::Spec, inputs: Bytes) -> Result<()> {
        let input_uri = self.file(&action, "inputs.pb");
        self.put(&input_uri, inputs).await?;
        let asked = Action {
            action_id: ids::to_action_identifier(&self.run, &action).into(),
            parent_action_name: Some(self.action.to_string()),
            input_uri,
            run_output_base: self.run_base.clone(),
            group,
            spec: Some(spec),
            ..Action::default()
        };
        let request = EnqueueRequest { action: asked.into(), ..EnqueueRequest::default() };
        let client = self.connection.actions();
        let doing = || format!("enqueue action `{action}`");
        let asked = self.ask(|| client.enqueue(request.clone())).await;
        match asked {
            Err(known) if known.code == ErrorCode::AlreadyExists => Ok(()),
            asked => asked.map(drop).map_err(|source| error(&doing(), &source)),
        }
    }

    async fn outcome(&self, action: &ActionName, end: Known) -> Result<Outcome> {
        let failure = end.failure.unwrap_or_else(|| Failure::system("UnknownError", "the server gave no reason"));
        Ok(match end.phase {
            Phase::Succeeded | Phase::Recovered => {
                let uri = format!("{}/outputs.pb", end.output_uri.trim_end_matches('/'));
                let outputs = self.ask(|| self.connection.get(&uri)).await;
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
        let request = AbortRequest {
            action_id: ids::to_action_identifier(&self.run, &call.action).into(),
            reason: Some("its caller dropped it".to_owned()),
            ..AbortRequest::default()
        };
        let client = self.connection.actions();
        // It may have ended meanwhile, or never have been accepted.
        let _ = self.ask(|| client.abort(request.clone())).await;
    }

    /// What is recorded of a step, if it stands. A recoverable failure does not: the step runs again.
    pub(crate) async fn step(&self, action: ActionName) -> Result<Option<StepRecord>> {
        self.children.complete().await?;
        let Some(known) = self.children.get(&action) else { return Ok(None) };
        let outcome = match known.phase {
            Phase::Succeeded | Phase::Recovered => {
                let outputs = self.ask(|| self.connection.get(&known.output_uri)).await;
                match outputs.map_err(|source| error(&format!("read the outputs of step `{action}`"), &source))? {
                    Some(outputs) => Ok(outputs),
                    None => return Ok(None),
                }
            }
            Phase::Failed => match known.failure {
                Some(failure) if !failure.recoverable => Err(failure),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let request = GetActionDetailsRequest {
            action_id: ids::to_action_identifier(&self.run, &action).into(),
            ..GetActionDetailsRequest::default()
        };
        let client = self.connection.runs();
        let details = self.ask(|| client.get_action_details(request.clone())).await;
        let details = details.map_err(|source| error(&format!("read the times of step `{action}`"), &source))?;
        let status = details.into_owned().details.into_option().unwrap_or_default().status;
        let started = status.start_time.as_option().map(times::from_timestamp).unwrap_or_default();
        let ended = status.end_time.as_option().map_or(started, times::from_timestamp);
        Ok(Some(StepRecord { started, ended, outcome }))
    }

    /// Records a step that is done. The server's answer says that it is safe; Python's SDK waits for the echo on the stream
    /// instead, which comes after it.
    pub(crate) async fn record_step(&self, step: CompletedStep) -> Result<()> {
        // The wire has no place for `observed`.
        let CompletedStep { action, spec, started, inputs, outcome, observed: _ } = step;
        let output_uri = self.file(&action, "outputs.pb");
        let phase = match &outcome {
            Ok(outputs) => {
                self.put(&output_uri, outputs.clone()).await?;
                ActionPhase::ACTION_PHASE_SUCCEEDED
            }
            Err(failed) => {
                self.put(&self.file(&action, "error.pb"), failure::document(failed).into()).await?;
                ActionPhase::ACTION_PHASE_FAILED
            }
        };
        let trace = TraceAction {
            name: spec.task.to_string(),
            phase: phase.into(),
            start_time: times::timestamp(started).into(),
            end_time: times::timestamp(now()).into(),
            outputs: OutputReferences { output_uri: output_uri.clone(), ..OutputReferences::default() }.into(),
            ..TraceAction::default()
        };
        let group = spec.group.unwrap_or_default();
        self.accept(action, group, action::Spec::Trace(Box::new(trace)), inputs).await?;
        let phase = if outcome.is_ok() { Phase::Succeeded } else { Phase::Failed };
        self.children.note(action, Known { phase, failure: outcome.err(), output_uri });
        Ok(())
    }

    /// A file of an action that this process writes for it.
    fn file(&self, action: &ActionName, name: &str) -> String {
        format!("{}/{action}/{name}", self.run_base)
    }

    async fn put(&self, uri: &str, content: Bytes) -> Result<()> {
        let put = self.ask(|| self.connection.put(uri, content.clone())).await;
        put.map_err(|source| error("write to the blob store", &source))
    }

    /// Asks the server when it is its turn, and again until it answers.
    async fn ask<T, F>(&self, ask: impl FnMut() -> F) -> Result<T, ConnectError>
    where
        F: Future<Output = Result<T, ConnectError>>,
    {
        let _turn = self.requests.acquire().await.map_err(|error| ConnectError::internal(error.to_string()))?;
        persist(LONG, ask).await
    }
}

/// An abort as it was told: `aborted by {who}: {why}`.
fn aborted(failure: &Failure) -> Outcome {
    let told = failure.message.strip_prefix("aborted by ").and_then(|told| told.split_once(": "));
    let (by, reason) = match told {
        Some((by, reason)) if failure.code == code::ABORTED => (by, reason),
        _ => ("the server", failure.message.as_str()),
    };
    Outcome::Aborted { by: by.to_owned(), reason: reason.to_owned() }
}

/// A call from when the server may know of it until its end is known.
struct OpenCall<'a> {
    parent: &'a Arc<Parent>,
    action: ActionName,
    accepting: Option<JoinHandle<Result<()>>>,
    is_over: bool,
}

impl OpenCall<'_> {
    /// Waits until the action is accepted. Not cut short with the call: half an enqueue may be a whole one.
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
            self.parent.turns.dropped(Dropped { action: self.action, accepting: self.accepting.take() });
        }
    }
}
