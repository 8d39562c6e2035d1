//! A call of a task: a child action inside a task, the plain function anywhere else.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, Failure, FailureKind, code};
use spanwise_engine::{CallToken, Outcome};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::KeyValuePair;
use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral, Outputs};
use spanwise_proto::hash;

use crate::context::CustomContext;
use crate::control::Child;
#[cfg(feature = "remote")]
use crate::control::Control;
use crate::ctx::{Ambient, CallKey};
use crate::error::{Error, ErrorKind, Result};
use crate::overrides::Overrides;
use crate::task::{AnyTask, Arguments, Body, OUTPUT, TaskOutput, TypedTask};
use crate::value::ValueError;

/// Inputs and outputs of an action may have this many bytes (Flyte's inline limit, semantics S8).
pub(crate) const MAX_PAYLOAD: usize = 10 * 1024 * 1024;

/// A task with its arguments: what calling a `#[task]` function gives.
///
/// Awaited inside a task it is a child action; awaited anywhere else it runs the function; given to
/// [`RunContext::run`](crate::RunContext::run) it becomes a run. It carries the custom context and the group of the place where
/// it was made, whoever polls it.
///
/// # Cancellation
/// Dropping a call that has begun aborts its action. If it is dropped because the body around it fails in the same turn, the
/// action is kept for the next attempt of that body.
#[must_use = "a call does nothing until it is awaited or run"]
pub struct Call<T>(State<T>);

enum State<T> {
    Made(Option<Box<Made<T>>>),
    Running(Pin<Box<dyn Future<Output = Result<T>> + Send>>),
}

pub(crate) struct Made<T> {
    what: What<T>,
    ambient: Option<Ambient>,
    token: Option<CallToken>,
    overrides: Overrides,
}

/// What is called.
pub(crate) enum What<T> {
    /// A task of this program.
    Here {
        /// The task.
        task: &'static dyn AnyTask,
        /// Its arguments.
        arguments: Box<dyn Unstarted<T>>,
    },
    /// A task that is deployed on a server.
    #[cfg(feature = "remote")]
    Deployed(crate::remote::RemoteTask),
}

impl<T> What<T> {
    fn name(&self) -> &str {
        match self {
            What::Here { task, .. } => task.described().name.as_str(),
            #[cfg(feature = "remote")]
            What::Deployed(reference) => reference.name(),
        }
    }
}

/// Arguments with their types forgotten, before it is known where the call runs.
pub(crate) trait Unstarted<T>: Send {
    /// They as literals.
    fn encode(&self) -> Result<Vec<NamedLiteral>, ValueError>;
    /// The body with them.
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

impl<T: TaskOutput> Call<T> {
    pub(crate) fn new<A: Arguments>(task: &'static TypedTask<A, T>, arguments: A) -> Call<T> {
        Call::made(What::Here { task, arguments: Box::new(Typed { task, arguments }) })
    }

    #[cfg(feature = "remote")]
    pub(crate) fn deployed(reference: crate::remote::RemoteTask) -> Call<T> {
        Call::made(What::Deployed(reference))
    }

    fn made(what: What<T>) -> Call<T> {
        let ambient = Ambient::current();
        let token = ambient.as_ref().and_then(|ambient| ambient.task.control.count_call());
        Call(State::Made(Some(Box::new(Made { what, ambient, token, overrides: Overrides::new() }))))
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
            State::Made(Some(made)) => Some(made.what.name()),
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
        match (self.ambient, self.what) {
            (None, What::Here { arguments, .. }) => arguments.run(),
            #[cfg(feature = "remote")]
            (None, What::Deployed(reference)) => Box::pin(std::future::ready(Err(reference.not_here()))),
            (Some(ambient), what) => Box::pin(Made::child(what, ambient, self.token, self.overrides)),
        }
    }

    /// The call as a child action.
    async fn child(what: What<T>, ambient: Ambient, _token: Option<CallToken>, overrides: Overrides) -> Result<T> {
        if ambient.step.is_some() {
            let name = what.name();
            return Err(Error::usage(format!("task `{name}` is called inside a step: only other steps can be")));
        }
        overrides.check()?;
        let (task, literals) = match what {
            // The arguments go out of the way once they are literals: a child may run for long.
            What::Here { task, arguments } => (task, arguments.encode()?),
            #[cfg(feature = "remote")]
            What::Deployed(reference) => {
                let Control::Remote(parent) = &ambient.task.control else { return Err(reference.not_here()) };
                return read_outcome(Box::pin(parent.deployed_child(&ambient, reference, &overrides)).await?);
            }
        };
        let action = child_name(&ambient, &task.described().identity, &literals);
        let inputs = freeze(literals, &ambient.context)?;
        let control = &ambient.task.control;
        let spec = ActionSpec {
            traceparent: ambient.context.span().filter(|_| control.is_traced()),
            parent: Some(control.action()),
            group: ambient.group.as_deref().map(str::to_owned),
            ..spec(task, &overrides)
        };
        let child = Child { action, spec, inputs, task, depth: ambient.task.depth + 1 };
        read_outcome(control.child(child).await?)
    }

    /// What is to be run, and with which settings.
    pub(crate) fn into_parts(self) -> Result<(What<T>, Overrides)> {
        self.overrides.check()?;
        Ok((self.what, self.overrides))
    }
}

/// A task action with the task's settings and those of one call.
pub(crate) fn spec(task: &'static dyn AnyTask, overrides: &Overrides) -> ActionSpec {
    let described = task.described();
    let mut spec = ActionSpec {
        retry: described.retry.clone(),
        timeouts: described.timeouts,
        ..ActionSpec::task(described.name.clone())
    };
    overrides.apply(&mut spec.retry, &mut spec.timeouts);
    spec
}

/// The name of the action that a call is (semantics S3). Called once a call: it counts equal ones.
pub(crate) fn child_name(ambient: &Ambient, identity: &std::sync::Arc<str>, literals: &[NamedLiteral]) -> ActionName {
    let key = CallKey {
        caller: ambient.caller(),
        identity: std::sync::Arc::clone(identity),
        inputs_hash: hash::inputs_hash(literals),
        group: ambient.group.clone(),
    };
    let (caller, inputs_hash, group) = (key.caller, key.inputs_hash.clone(), key.group.clone());
    let sequence = ambient.task.next_sequence(key);
    let name = hash::child_action_name(caller.as_str(), &inputs_hash, identity, sequence, group.as_deref());
    ActionName::new(&name).expect("base36 of 16 bytes has at most 25 characters")
}

/// Inputs with their context, as they are stored and never changed.
pub(crate) fn freeze(literals: Vec<NamedLiteral>, context: &CustomContext) -> Result<Bytes> {
    context.check()?;
    let pairs = context.pairs().iter().cloned();
    let context = pairs.map(|(key, value)| KeyValuePair { key, value, ..KeyValuePair::default() }).collect();
    let inputs = Inputs { literals, context, ..Inputs::default() };
    let bytes = inputs.encode_to_vec();
    if bytes.len() > MAX_PAYLOAD {
        return Err(too_large("inputs", bytes.len(), &inputs.literals).into());
    }
    Ok(bytes.into())
}

pub(crate) fn too_large(what: &str, size: usize, literals: &[NamedLiteral]) -> ValueError {
    let size_of = |literal: &&NamedLiteral| literal.value.as_option().map_or(0, |value| value.encode_to_vec().len());
    let largest = literals.iter().max_by_key(size_of);
    let error = ValueError::new(format!("the {what} have {size} bytes in all, the limit is {MAX_PAYLOAD}"));
    error.at(largest.map_or("", |literal| &literal.name))
}

/// Frozen inputs, read back.
pub(crate) fn thaw(bytes: &[u8]) -> Result<(Vec<NamedLiteral>, CustomContext)> {
    Ok(split(Inputs::decode_from_slice(bytes)?))
}

/// Inputs and their context.
pub(crate) fn split(inputs: Inputs) -> (Vec<NamedLiteral>, CustomContext) {
    let pairs = inputs.context.into_iter().map(|pair| (pair.key, pair.value)).collect();
    (inputs.literals, CustomContext::from_pairs(pairs))
}

/// What an action came to, as its caller sees it.
pub(crate) fn read_outcome<T: TaskOutput>(outcome: Outcome) -> Result<T> {
    match outcome {
        Outcome::Succeeded(bytes) => read_outputs(&bytes),
        Outcome::Failed(failure) => Err(Error::of_child(failed_kind(&failure), failure)),
        Outcome::TimedOut(failure) => Err(Error::of_child(ErrorKind::TimedOut, failure)),
        Outcome::Aborted { by, reason } => {
            let failure = Failure::user(code::ABORTED, format!("aborted by {by}: {reason}"));
            Err(Error::of_child(ErrorKind::Aborted, failure))
        }
    }
}

fn failed_kind(failure: &Failure) -> ErrorKind {
    match failure.kind {
        FailureKind::User | FailureKind::Unknown => ErrorKind::User,
        FailureKind::System => ErrorKind::System,
    }
}

/// The output of a task or a step.
pub(crate) fn read_outputs<T: TaskOutput>(bytes: &[u8]) -> Result<T> {
    let outputs = Outputs::decode_from_slice(bytes)?;
    let output = outputs.literals.iter().find(|literal| literal.name == OUTPUT);
    let output = output.and_then(|output| output.value.as_option());
    Ok(T::from_output(output).map_err(|error| error.at(OUTPUT))?)
}

impl<T> std::fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.0 {
            State::Made(Some(made)) => made.what.name(),
            _ => "begun",
        };
        f.debug_tuple("Call").field(&state).finish()
    }
}
