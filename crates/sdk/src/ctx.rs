//! What a task can ask about itself, and the scopes that change what its calls carry.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use spanwise_core::{ActionName, RunId, RunName, TaskName};
use spanwise_wire::CustomContext;
use tokio::task::JoinHandle;

use crate::any_parent::AnyParent;
use crate::call_site::{CallCounts, CallSite};
use crate::error::{Error, Result};
use crate::parent::Parent;
use crate::tabs::Report;

tokio::task_local! {
    static AMBIENT: Ambient;
}

/// What belongs to one attempt of a task in this process.
pub(crate) struct RunningTask {
    /// The attempt, towards whoever runs its run.
    pub(crate) parent: AnyParent,
    pub(crate) task: TaskName,
    /// How many tasks of this process stand above it; deep chains move to a stack of their own.
    pub(crate) depth: u32,
    calls: CallCounts,
    /// What it has made for people, once it makes something.
    pub(crate) report: OnceLock<Box<Report>>,
}

/// What the calls carry that are made by the code that runs now.
#[derive(Clone)]
pub(crate) struct Ambient {
    pub(crate) task: Arc<RunningTask>,
    pub(crate) context: CustomContext,
    pub(crate) group: Option<Arc<str>>,
    /// The step that runs now: it names what is called in it.
    pub(crate) step: Option<ActionName>,
}

impl RunningTask {
    pub(crate) fn new(parent: AnyParent, task: TaskName, depth: u32) -> RunningTask {
        RunningTask { parent, task, depth, calls: CallCounts::default(), report: OnceLock::new() }
    }

    /// The run.
    pub(crate) fn run_id(&self) -> &RunId {
        self.parent.run_id()
    }
}

impl Ambient {
    /// The context of the code that runs now, if it runs in a task.
    pub(crate) fn current() -> Option<Ambient> {
        AMBIENT.try_with(Clone::clone).ok()
    }

    pub(crate) async fn scope<F: Future>(self, future: F) -> F::Output {
        AMBIENT.scope(self, future).await
    }

    pub(crate) fn sync_scope<R>(self, work: impl FnOnce() -> R) -> R {
        AMBIENT.sync_scope(self, work)
    }

    /// The place of a call that is written here.
    pub(crate) fn call_site(&self) -> CallSite<'_> {
        let caller = self.step.unwrap_or(self.task.parent.action());
        CallSite { caller, group: self.group.as_ref(), context: &self.context, counts: &self.task.calls }
    }
}

/// The context of the code that runs now. See [`ctx`].
#[derive(Clone)]
pub struct Ctx(Option<Ambient>);

/// The context of the code that runs now. Outside a task its [`CustomContext`] is empty, and there is no [`Ctx::task`].
pub fn ctx() -> Ctx {
    Ctx(Ambient::current())
}

impl Ctx {
    /// True inside a task.
    pub fn is_task(&self) -> bool {
        self.0.is_some()
    }

    /// The custom context as it is here: a view that nobody changes any more. Empty outside a task.
    pub fn custom_context(&self) -> CustomContext {
        self.0.as_ref().map(|ambient| ambient.context.clone()).unwrap_or_default()
    }

    /// What runs: `ctx().task()?.attempt_number()`.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) outside a task.
    pub fn task(&self) -> Result<TaskContext> {
        let ambient = self.0.clone();
        ambient
            .map(TaskContext)
            .ok_or_else(|| Error::usage("no task runs here: `ctx().task()` is for the body of a task"))
    }
}

impl std::fmt::Debug for Ctx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Ctx");
        debug.field("task", &self.0.clone().map(TaskContext)).field("custom_context", &self.custom_context()).finish()
    }
}

/// What a task can ask about its own attempt: made by [`Ctx::task`].
#[derive(Clone)]
pub struct TaskContext(Ambient);

impl TaskContext {
    /// The name of the run.
    pub fn run_name(&self) -> &RunName {
        &self.0.task.run_id().name
    }

    /// The name of the action: `a0` for the root.
    pub fn action_name(&self) -> ActionName {
        self.0.task.parent.action()
    }

    /// The full name of the task, `environment.function`.
    pub fn task_name(&self) -> &str {
        self.0.task.task.as_str()
    }

    /// The number of this attempt, from 0 as in Flyte's `ctx().attempt_number`.
    pub fn attempt_number(&self) -> u32 {
        self.0.task.parent.attempt().0.saturating_sub(1)
    }

    /// The group that calls made here are shown in, if they are in one.
    pub fn group(&self) -> Option<&str> {
        self.0.group.as_deref()
    }

    /// The organisation of the run, `local` unless something says otherwise.
    pub fn org(&self) -> &str {
        &self.0.task.run_id().org
    }

    /// The project of the run.
    pub fn project(&self) -> &str {
        &self.0.task.run_id().project
    }

    /// The domain of the run.
    pub fn domain(&self) -> &str {
        &self.0.task.run_id().domain
    }
}

impl std::fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("TaskContext");
        debug.field("run", self.run_name()).field("action", &self.action_name()).field("task", &self.task_name());
        debug.field("attempt_number", &self.attempt_number()).finish()
    }
}

/// Overrides keys of the custom context for a part of a task's body: `custom_context(map).scope(..)`.
///
/// Scopes nest and the innermost wins; leaving one restores what was before, also by an error, a panic or cancellation. A key
/// can be overridden, not deleted. Outside a task a scope changes nothing.
pub fn custom_context(context: impl Into<CustomContext>) -> CustomContextScope {
    CustomContextScope(context.into())
}

/// Made by [`custom_context`].
#[derive(Clone, Debug)]
#[must_use = "a scope does something only with `scope` or `sync_scope`"]
pub struct CustomContextScope(CustomContext);

impl CustomContextScope {
    /// Runs a future with the keys set. Calls written in it carry them.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        match self.ambient() {
            Some(ambient) => ambient.scope(future).await,
            None => future.await,
        }
    }

    /// Runs a closure with the keys set, in a task that is not async.
    pub fn sync_scope<R>(self, work: impl FnOnce() -> R) -> R {
        match self.ambient() {
            Some(ambient) => ambient.sync_scope(work),
            None => work(),
        }
    }

    fn ambient(&self) -> Option<Ambient> {
        let ambient = Ambient::current()?;
        Some(Ambient { context: ambient.context.merged(&self.0), ..ambient })
    }
}

/// Shows the calls made in it as one group: `group("name").scope(..)`. The group is part of their names, as in Flyte.
pub fn group(name: impl Into<String>) -> Group {
    Group(name.into().into())
}

/// Made by [`group`].
#[derive(Clone, Debug)]
#[must_use = "a group does something only with `scope` or `sync_scope`"]
pub struct Group(Arc<str>);

impl Group {
    /// Runs a future in the group.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        match Ambient::current() {
            Some(ambient) => Ambient { group: Some(self.0), ..ambient }.scope(future).await,
            None => future.await,
        }
    }

    /// Runs a closure in the group, in a task that is not async.
    pub fn sync_scope<R>(self, work: impl FnOnce() -> R) -> R {
        match Ambient::current() {
            Some(ambient) => Ambient { group: Some(self.0), ..ambient }.sync_scope(work),
            None => work(),
        }
    }
}

/// `tokio::spawn` that takes the task's context along, for futures that make calls. (A call itself carries its context: it
/// can be given to `tokio::spawn` directly.)
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match Ambient::current() {
        Some(ambient) => tokio::spawn(ambient.scope(future)),
        None => tokio::spawn(future),
    }
}

/// `tokio::task::spawn_blocking` that takes the task's context along.
pub fn spawn_blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let ambient = Ambient::current();
    tokio::task::spawn_blocking(move || match ambient {
        Some(ambient) => ambient.sync_scope(work),
        None => work(),
    })
}
