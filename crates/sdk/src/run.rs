//! A run, as the program that started it or took it up holds it.

use std::fmt;
use std::marker::PhantomData;

use spanwise_core::{ActionKind, ActionName, AttemptNo, DEFAULT_ORG, Failure, Phase, RunId, RunName};
use spanwise_engine::{ActionView, Outcome, Relation};
use tokio::sync::watch;

use crate::backend::{AnyRun, BackendRun, origin};
use crate::client::Client;
use crate::condition::Answer;
use crate::error::{Error, ErrorKind, Result};
use crate::payload::read_outcome;
use crate::task::TaskOutput;

/// A run: its name, its URL, its output. Dropping it does not end the run.
pub struct Run<T> {
    client: Client,
    run: AnyRun,
    output: PhantomData<fn() -> T>,
}

impl<T: TaskOutput> Run<T> {
    pub(crate) fn new(client: Client, run: AnyRun) -> Run<T> {
        Run { client, run, output: PhantomData }
    }

    pub(crate) fn id(&self) -> &RunId {
        self.run.id()
    }

    /// Its name.
    pub fn name(&self) -> &RunName {
        &self.run.id().name
    }

    /// The address of its page in the console: stable, in Flyte's shape.
    pub fn url(&self) -> RunUrl {
        let id = self.run.id();
        let (console, name) = (self.client.console(), &id.name);
        let org = if id.org == DEFAULT_ORG { String::new() } else { format!("?org={}", id.org) };
        let page = format!("{console}/v2/domain/{}/project/{}/runs/{name}{org}", id.domain, id.project);
        RunUrl { page, how_to_open: self.client.backend().how_to_open() }
    }

    /// Where the run comes from, if it comes from another one.
    pub fn relation(&self) -> Option<&Relation> {
        self.run.relation()
    }

    /// Waits for its end and returns the root's output.
    ///
    /// # Errors
    /// The root's error, which names the action that it began in ([`Error::action`]); [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) if the process is shutting down; [`ErrorKind::System`](crate::ErrorKind::System) if a server was
    /// away for an hour.
    pub async fn output(&self) -> Result<T> {
        let outcome = self.run.outcome().await?;
        let origin = match &outcome {
            Outcome::Failed(failure) | Outcome::TimedOut(failure) => origin(&*self.run, failure).await,
            Outcome::Succeeded(_) | Outcome::Aborted { .. } => None,
        };
        read_outcome(outcome).map_err(|error| match origin {
            Some((action, task)) => error.placed(action, task),
            None => error,
        })
    }

    /// Ends it and everything under it; who and why are recorded. A run that has ended stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::System`](crate::ErrorKind::System) if the journal failed.
    pub async fn abort(&self, reason: &str) -> Result<()> {
        self.run.abort(reason).await
    }

    /// Answers a condition that one of its tasks waits for: `run.signal("approve", true).await?`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if none of this name waits, [`ErrorKind::Usage`](crate::ErrorKind::Usage) if several
    /// do, [`ErrorKind::Value`](crate::ErrorKind::Value) if it waits for a value of another type.
    pub async fn signal(&self, condition: &str, value: impl Answer) -> Result<()> {
        async fn send<A: Answer>(run: &dyn BackendRun, condition: &str, value: A) -> Result<()> {
            let actions = run.actions().await?;
            let waits = |action: &&ActionView| action.kind == ActionKind::Condition && action.phase == Phase::Paused;
            let mut waiting = actions.iter().filter(waits).filter(|action| action.task.as_str() == condition);
            match (waiting.next(), waiting.next()) {
                (Some(action), None) => run.signal(action, A::KIND, value.to_literal()?).await,
                (Some(_), Some(_)) => {
                    Err(Error::usage(format!("several conditions `{condition}` of run `{}` wait", run.id().name)))
                }
                (None, _) => {
                    let message = format!("no condition `{condition}` of run `{}` waits", run.id().name);
                    let failure = Failure::user("ConditionNotFound", message).terminal();
                    Err(Error::from_failure(ErrorKind::NotFound, failure))
                }
            }
        }
        send(&*self.run, condition, value).await
    }

    /// The report that the last attempt of its root has made, as a page of HTML; none if it has made none.
    ///
    /// # Errors
    /// [`ErrorKind::System`](crate::ErrorKind::System) if it cannot be read.
    pub async fn report(&self) -> Result<Option<String>> {
        self.report_of(&ActionName::ROOT).await
    }

    /// The same of one of its actions.
    ///
    /// # Errors
    /// As [`Run::report`]; [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if it has no such action.
    pub async fn report_of(&self, action: &ActionName) -> Result<Option<String>> {
        let actions = self.run.outline().await?;
        let Some(found) = actions.iter().find(|other| other.name == *action) else {
            let failure = Failure::user("NotFound", format!("run `{}` has no action `{action}`", self.run.id().name));
            return Err(Error::from_failure(ErrorKind::NotFound, failure.terminal()));
        };
        match found.attempts {
            0 => Ok(None),
            attempts => self.run.report(*action, AttemptNo(attempts)).await,
        }
    }

    /// Its actions as they are now, in the order in which they were accepted.
    ///
    /// # Errors
    /// [`ErrorKind::System`](crate::ErrorKind::System) if a server does not answer.
    pub async fn actions(&self) -> Result<Vec<ActionView>> {
        self.run.actions().await
    }

    /// Tells when anything about it has changed; of a run on a server, when its root has.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.run.watch()
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("name", &self.run.id().name.as_str()).finish_non_exhaustive()
    }
}

/// The address of a run's page. Prints as the address alone; [`RunUrl::how_to_open`] says what serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunUrl {
    page: String,
    how_to_open: String,
}

impl RunUrl {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.page
    }

    /// What has to run for the page to open: the server that runs it; for an engine in this process `spanwise dev` on the
    /// same data directory, once this process has ended: one process at a time has it.
    pub fn how_to_open(&self) -> String {
        self.how_to_open.clone()
    }
}

impl fmt::Display for RunUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.page)
    }
}
