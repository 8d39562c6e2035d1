//! A call of a task: a child action inside a task, the plain function anywhere else.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use spanwise_core::{ActionName, ActionSpec};
use spanwise_engine::CallToken;
use spanwise_proto::flyteidl2::task::NamedLiteral;

use crate::ctx::Ambient;
use crate::embedded::InProcess;
use crate::error::{Error, Result};
use crate::overrides::Overrides;
use crate::parent::{Child, NewCondition, NewTimer, Parent};
use crate::payload::{freeze, read_outcome, read_outputs};
use crate::question::Question;
use crate::remote::RemoteTask;
use crate::task::{AnyTask, Arguments, Body, TaskOutput, TypedTask, effective, spec};
use crate::value::ValueError;
use crate::wait::{self, Wait};

/// A task with its arguments: what calling a `#[task]` function gives.
///
/// Awaited inside a task it is a child action; awaited anywhere else it runs the function; given to
/// [`RunContext::run`](crate::RunContext::run) it becomes a run. It carries the custom context and the group of the place where
/// it was made, whoever polls it.
///
/// # Cancellation
/// Dropping a call that has begun aborts its action. If it is dropped because the body around it fails in the same poll, the
/// action is kept for the next attempt of that body.
#[must_use = "a call does nothing until it is awaited or run"]
pub struct Call<T>(State<T>);

enum State<T> {
    Made(Option<Box<Made<T>>>),
    Running(Pin<Box<dyn Future<Output = Result<T>> + Send>>),
}

pub(crate) struct Made<T> {
    callee: Callee<T>,
    ambient: Option<Ambient>,
    token: Option<CallToken>,
    overrides: Overrides,
}

/// What is called.
pub(crate) enum Callee<T> {
    /// A task of this program.
    Local {
        /// The task.
        task: &'static dyn AnyTask,
        /// Its arguments.
        arguments: Box<dyn Unstarted<T>>,
    },
    /// A task that is deployed on a server.
    Deployed(RemoteTask),
    /// A timer.
    Timer(Wait),
    /// A condition.
    Condition(Box<Question>),
}

impl<T> Callee<T> {
    fn name(&self) -> &str {
        match self {
            Callee::Local { task, .. } => task.described().name.as_str(),
            Callee::Deployed(task) => task.name(),
            Callee::Timer(_) => wait::NAME,
            Callee::Condition(question) => &question.name,
        }
    }
}

impl<T> From<RemoteTask> for Callee<T> {
    fn from(task: RemoteTask) -> Callee<T> {
        Callee::Deployed(task)
    }
}

/// Arguments with their types forgotten, before it is known where the call runs.
pub(crate) trait Unstarted<T>: Send {
    /// Encodes the arguments as literals.
    fn encode(&self) -> Result<Vec<NamedLiteral>, ValueError>;
    /// The body with the arguments.
    fn run(self: Box<Self>) -> Body<T>;
}

struct Typed<A: 'static, T: 'static> {
    task: &'static TypedTask<A, T>,
    arguments: A,
}

impl<A: Arguments, T: TaskOutput> Unstarted<T> for Typed<A, T> {
    fn encode(&self) -> Result<Vec<NamedLiteral>, ValueError> {
        self.arguments.encode(self.task.arguments)
    }

    fn run(self: Box<Self>) -> Body<T> {
        (self.task.body)(self.arguments)
    }
}

impl<A, T> TypedTask<A, T> {
    /// Makes a call.
    pub fn call(&'static self, arguments: A) -> Call<T>
    where
        A: Arguments,
        T: TaskOutput,
    {
        Call::new(Callee::Local { task: self, arguments: Box::new(Typed { task: self, arguments }) })
    }
}

impl<T: TaskOutput> Call<T> {
    pub(crate) fn new(callee: Callee<T>) -> Call<T> {
        let ambient = Ambient::current();
        let token = ambient.as_ref().and_then(|ambient| ambient.task.parent.count_call());
        Call(State::Made(Some(Box::new(Made { callee, ambient, token, overrides: Overrides::new() }))))
    }

    /// Replaces settings of the task for this call.
    pub fn override_with(mut self, overrides: Overrides) -> Call<T> {
        if let State::Made(Some(made)) = &mut self.0 {
            made.overrides = overrides;
        }
        self
    }

    /// Waits for the call without async: for tasks that are not async functions, and for plain programs.
    ///
    /// # Errors
    /// Those of the call; [`ErrorKind::Usage`] inside an async body on a single-threaded runtime, which it would block.
    pub fn wait(self) -> Result<T> {
        crate::blocking::block_on(self)?
    }

    /// What is called, before the call has begun.
    pub(crate) fn callee_mut(&mut self) -> Option<&mut Callee<T>> {
        match &mut self.0 {
            State::Made(Some(made)) => Some(&mut made.callee),
            _ => None,
        }
    }

    /// Puts the call into another group, unless it is in one.
    pub(crate) fn in_group(mut self, group: &std::sync::Arc<str>) -> Call<T> {
        if let State::Made(Some(made)) = &mut self.0
            && let Some(ambient) = &mut made.ambient
        {
            ambient.group = Some(std::sync::Arc::clone(group));
        }
        self
    }

    /// The task's full name, before the call has begun.
    pub(crate) fn task_name(&self) -> Option<&str> {
        match &self.0 {
            State::Made(Some(made)) => Some(made.callee.name()),
            _ => None,
        }
    }

    pub(crate) fn into_made(self) -> Result<Made<T>> {
        match self.0 {
            State::Made(Some(made)) => Ok(*made),
            _ => Err(Error::usage("the call has begun already")),
        }
    }
}

impl<T: TaskOutput> Future for Call<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        loop {
            match &mut self.0 {
                State::Running(future) => return future.as_mut().poll(cx),
                State::Made(made) => {
                    let made = made.take().expect("a call that has not begun has its arguments");
                    self.0 = State::Running(made.start());
                }
            }
        }
    }
}

impl<T: TaskOutput> Made<T> {
    fn start(self) -> Pin<Box<dyn Future<Output = Result<T>> + Send>> {
        match (self.ambient, self.callee) {
            (None, Callee::Local { arguments, .. }) => arguments.run(),
            (None, Callee::Deployed(task)) => Box::pin(std::future::ready(Err(task.not_here()))),
            (None, Callee::Timer(wait)) => Box::pin(async move {
                wait.in_process().await;
                read_outputs(&[])
            }),
            (None, Callee::Condition(question)) => {
                let message = format!(
                    "condition `{}` is waited for outside of a task, where nobody can answer it",
                    question.name
                );
                Box::pin(std::future::ready(Err(Error::usage(message))))
            }
            (Some(ambient), callee) => Box::pin(Made::child(callee, ambient, self.token, self.overrides)),
        }
    }

    /// The call as a child action.
    async fn child(callee: Callee<T>, ambient: Ambient, _token: Option<CallToken>, overrides: Overrides) -> Result<T> {
        if ambient.step.is_some() {
            let name = callee.name();
            return Err(Error::usage(format!("task `{name}` is called inside a step: only other steps can be")));
        }
        overrides.check()?;
        let parent = &ambient.task.parent;
        let child = match callee {
            Callee::Local { task, arguments } => local_child(&ambient, task, &overrides, arguments.encode()?)?,
            Callee::Deployed(task) => {
                return read_outcome(parent.deployed_child(ambient.call_site(), task, &overrides).await?);
            }
            Callee::Timer(wait) => return Box::pin(timer(&ambient, wait, &overrides)).await,
            Callee::Condition(question) => return Box::pin(ask(&ambient, *question, &overrides)).await,
        };
        let (task, effective) = (child.task, std::sync::Arc::clone(&child.effective));
        let in_process = InProcess { task, depth: ambient.task.depth + 1, effective };
        read_outcome(parent.child(child, in_process).await?)
    }

    /// What is to be run, and with which settings.
    pub(crate) fn into_parts(self) -> Result<(Callee<T>, Overrides)> {
        self.overrides.check()?;
        Ok((self.callee, self.overrides))
    }
}

/// A call of a task of this program, named and frozen.
fn local_child(
    ambient: &Ambient,
    task: &'static dyn AnyTask,
    overrides: &Overrides,
    literals: Vec<NamedLiteral>,
) -> Result<Box<Child>> {
    let parent = &ambient.task.parent;
    let effective = effective(task, overrides)?;
    let action = ambient.call_site().name_call(&effective.identity, &literals);
    let cache_key = effective.cache_key(task.described().name.as_str(), &literals);
    let inputs = freeze(literals, &ambient.context)?;
    let spec = ActionSpec {
        traceparent: ambient.context.span().filter(|_| parent.is_traced()),
        parent: Some(parent.action()),
        group: ambient.group.as_deref().map(str::to_owned),
        ..spec(task, &effective, overrides)
    };
    Ok(Box::new(Child { action, spec, inputs, task, effective, cache_key }))
}

impl<T> std::fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.0 {
            State::Made(Some(made)) => made.callee.name(),
            _ => "begun",
        };
        f.debug_tuple("Call").field(&state).finish()
    }
}

/// Waits inside a task, by an action of its own.
async fn timer<T: TaskOutput>(ambient: &Ambient, wait: Wait, overrides: &Overrides) -> Result<T> {
    overrides.only(&["timeout", "max_queued_time", "deadline"], "a timer")?;
    let timeouts = overrides.timeouts();
    let literals = vec![wait.input()?];
    let action: ActionName = ambient.call_site().name_call(wait.identity(), &literals);
    let group = ambient.group.as_deref().map(str::to_owned);
    let inputs = freeze(literals, &ambient.context)?;
    read_outcome(ambient.task.parent.timer(NewTimer { action, group, wait, timeouts, inputs }).await?)
}

/// Waits inside a task until somebody answers.
async fn ask<T: TaskOutput>(ambient: &Ambient, mut question: Question, overrides: &Overrides) -> Result<T> {
    question.check()?;
    overrides.only(&["deadline"], &format!("condition `{}`", question.name))?;
    if let Some(limit) = overrides.timeouts().deadline {
        question.timeout = Some(limit).filter(|limit| !limit.is_zero());
    }
    let action = ambient.call_site().name_condition(&question.name);
    let group = ambient.group.as_deref().map(str::to_owned);
    let inputs = freeze(question.inputs()?, &ambient.context)?;
    read_outcome(ambient.task.parent.condition(NewCondition { action, group, question, inputs }).await?)
}
