//! Who runs runs: the engine of this process, or a server. What a client and a run ask of it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use spanwise_core::lifecycle::TraceLevel;
use spanwise_core::notification::Notification;
use spanwise_core::{ActionName, AttemptNo, Failure, Phase, RunId, RunName, TaskName};
use spanwise_engine::{ActionView, Outcome, Relation, random_bits};
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::task::NamedLiteral;
use spanwise_wire::CustomContext;
use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::overrides::Overrides;
use crate::remote::RemoteTask;
use crate::task::AnyTask;

/// An answer that a backend is still to give.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A run of whichever backend.
pub(crate) type AnyRun = Box<dyn BackendRun>;

/// Runs runs.
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// Starts a run. After `Ok` it survives the process.
    fn start(&self, new: NewRun) -> Pending<'_, AnyRun>;

    /// Runs the task of an earlier run again, from the beginning or with what has succeeded there. With no map given, its map is reused without
    /// what carries the trace.
    fn rerun(&self, again: Again, options: RunOptions) -> Pending<'_, AnyRun>;

    /// Takes up a run: one that was interrupted goes on.
    fn resume(&self, name: RunName) -> Pending<'_, AnyRun>;

    /// Deploys the tasks of this program: their version, and their names in order.
    fn deploy(&self) -> Pending<'_, (String, Vec<String>)>;

    /// Ends gracefully, where runs end with this process.
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// What has to run for the page of a run to open.
    fn how_to_open(&self) -> String;
}

/// How an earlier run is run again.
#[derive(Clone, Debug)]
pub(crate) enum Again {
    /// All of it.
    Rerun(RunName),
    /// What has succeeded there counts.
    Recover(RunName),
}

impl Again {
    /// The earlier run, and what the new one is to it.
    pub(crate) fn source(self) -> (RunName, Relation) {
        match self {
            Again::Rerun(run) => (run.clone(), Relation::Rerun { run }),
            Again::Recover(run) => (run.clone(), Relation::Recover { run }),
        }
    }
}

/// One run.
pub(crate) trait BackendRun: Send + Sync {
    /// Its full name.
    fn id(&self) -> &RunId;

    /// Where it comes from, if it comes from another one.
    fn relation(&self) -> Option<&Relation>;

    /// Waits for the end of its root.
    fn outcome(&self) -> Pending<'_, Outcome>;

    /// Ends it and everything under it. A run that has ended stays as it is.
    fn abort<'a>(&'a self, reason: &'a str) -> Pending<'a, ()>;

    /// Answers a condition of it that waits, with a value of this kind.
    fn signal<'a>(&'a self, condition: &'a ActionView, kind: &'static str, value: Literal) -> Pending<'a, ()>;

    /// The report of an attempt, if it has left one.
    fn report(&self, action: ActionName, attempt: AttemptNo) -> Pending<'_, Option<String>>;

    /// Its actions as they are now, in the order in which they were accepted.
    fn actions(&self) -> Pending<'_, Vec<ActionView>>;

    /// The same, where it is to be had for less: why an action failed may be left out.
    fn outline(&self) -> Pending<'_, Vec<ActionView>> {
        self.actions()
    }

    /// Why an action failed, if the outline leaves it out.
    fn failure(&self, _action: ActionName) -> Pending<'_, Option<Failure>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Tells when something about it has changed.
    fn watch(&self) -> watch::Receiver<()>;
}

/// Failed actions that are asked why, at most, where each of them is a request.
const MOST_QUESTIONS: usize = 32;

/// Where the failure of a root began: the lowest action, down from the root, that failed with the same message or with one of its causes. None
/// if nobody can say.
pub(crate) async fn origin(run: &dyn BackendRun, failure: &Failure) -> Option<(ActionName, TaskName)> {
    let actions = run.outline().await.ok()?;
    let mut lowest = actions.iter().find(|action| action.name.is_root())?;
    let mut left = MOST_QUESTIONS;
    loop {
        let has_failed = |action: &&ActionView| matches!(action.phase, Phase::Failed | Phase::TimedOut);
        let mut below = None;
        for action in actions.iter().filter(has_failed).filter(|action| action.parent == Some(lowest.name)) {
            let own = match &action.failure {
                Some(own) => Some(own.clone()),
                None if left > 0 => {
                    left -= 1;
                    run.failure(action.name).await.ok()?
                }
                None => None,
            };
            if own.is_some_and(|own| own.message == failure.message || failure.causes.contains(&own.message)) {
                below = Some(action);
                break;
            }
        }
        match below {
            Some(action) => lowest = action,
            None => return Some((lowest.name, lowest.task.clone())),
        }
    }
}

/// A run that is to be started.
pub(crate) struct NewRun {
    pub(crate) root: Root,
    /// Settings of the root that replace those of its task.
    pub(crate) overrides: Overrides,
    /// The map that the root sees.
    pub(crate) context: CustomContext,
    pub(crate) relation: Option<Relation>,
    pub(crate) options: RunOptions,
}

/// What the root of a run runs.
pub(crate) enum Root {
    /// A task of this program, and its inputs.
    Local(&'static dyn AnyTask, Vec<NamedLiteral>),
    /// A task that is deployed on a server.
    Deployed(RemoteTask),
}

/// What a run is started with beside its task: see [`RunContext`](crate::RunContext).
#[derive(Clone, Default)]
pub(crate) struct RunOptions {
    /// The name that somebody has chosen.
    pub(crate) name: Option<String>,
    pub(crate) context: Option<CustomContext>,
    /// What a server, or the journal, gets as it was chosen.
    pub(crate) chosen: spanwise_core::RunOptions,
    /// Who is told of its end.
    pub(crate) notifications: Vec<Notification>,
}

impl RunOptions {
    /// The name that was chosen, or a random one.
    pub(crate) fn new_name(&self) -> Result<RunName> {
        match &self.name {
            Some(name) => Ok(RunName::new(name)?),
            None => Ok(RunName::from_random(random_bits())),
        }
    }

    /// How the lifecycle is traced, if the options say it.
    pub(crate) fn trace_level(&self) -> Result<Option<TraceLevel>> {
        let level = self.chosen.trace.as_deref().map(str::parse::<TraceLevel>).transpose();
        level.map_err(|error| Error::usage(format!("trace: {error}")))
    }
}

/// Who it is that asks for something by this program.
pub(crate) fn user() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "user".to_owned())
}
