//! Starting runs: described with a [`RunContext`], given to the client's backend.

use spanwise_core::RunName;
use spanwise_core::notification::Notification;
use spanwise_engine::Relation;
use spanwise_proto::flyteidl2::task::NamedLiteral;
use spanwise_wire::CustomContext;

use crate::backend::{Again, NewRun, Root, RunOptions};
use crate::call::{Call, Callee};
use crate::client::{Client, default_client};
use crate::ctx::Ambient;
use crate::error::{Error, Result};
use crate::overrides::Overrides;
use crate::run::Run;
use crate::task::{AnyTask, TaskOutput, Untyped};

/// Starts to describe a run on the client of [`init`](crate::init).
pub fn with_runcontext() -> RunContext {
    RunContext::new(default_client())
}

/// Takes up a run by its name: one that was interrupted goes on, a finished one gives its result.
///
/// # Errors
/// See [`Client::resume`].
pub async fn resume<T: TaskOutput>(name: &str) -> Result<Run<T>> {
    default_client()?.resume(name).await
}

impl Client {
    /// Starts to describe a run.
    pub fn with_runcontext(&self) -> RunContext {
        RunContext::new(Ok(self.clone()))
    }

    /// Takes up a run by its name: one that was interrupted goes on, a finished one gives its result. Finished actions and
    /// steps are not run again. On a server no run is ever interrupted: this looks one up and waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such run, or its task is not in this program.
    pub async fn resume<T: TaskOutput>(&self, name: &str) -> Result<Run<T>> {
        let name = RunName::new(name)?;
        Ok(Run::new(self.clone(), self.backend().resume(name).await?))
    }
}

/// Describes a run: its name, its custom context, its limits. Made by [`with_runcontext`].
#[must_use = "a run begins with `run`"]
pub struct RunContext {
    client: Result<Client>,
    options: RunOptions,
}

impl RunContext {
    fn new(client: Result<Client>) -> RunContext {
        RunContext { client, options: RunOptions::default() }
    }

    /// Names the run: a DNS-1035 label of at most 30 characters. A name is one run, for ever: if the run of that name was
    /// interrupted and is the same task with the same inputs, it goes on with the custom context of its first start (the one
    /// given now is not used); otherwise the name is taken. On a server no run is interrupted: a name that is there is taken, and
    /// [`resume`](crate::resume) looks its run up.
    pub fn name(mut self, name: impl Into<String>) -> RunContext {
        self.options.name = Some(name.into());
        self
    }

    /// The map that the root action sees. A run that is started inside a task sees that task's map too; what is given here wins.
    pub fn custom_context(mut self, context: impl Into<CustomContext>) -> RunContext {
        self.options.context = Some(context.into());
        self
    }

    /// Everything that is chosen about the run, in place of what was chosen before.
    pub(crate) fn chosen(mut self, options: spanwise_core::RunOptions) -> RunContext {
        self.options.chosen = options;
        self
    }

    /// How many actions may run at one time; parents that only wait are not counted. 0 means no limit, 1 is refused.
    pub fn max_action_concurrency(mut self, limit: u32) -> RunContext {
        self.options.chosen.max_action_concurrency = Some(limit);
        self
    }

    /// The queue of its tasks on a server, of those that name none themselves: a name of the server's settings.
    pub fn queue(mut self, queue: impl Into<String>) -> RunContext {
        self.options.chosen.queue = Some(queue.into());
        self
    }

    /// How much of what the engine does for this run is traced: `off`, `lifecycle` (spans for the run, its actions, attempts, queues,
    /// pauses, cache lookups and waits) or `full` (API calls too). The spans belong to the trace in the custom context, if there is
    /// one, and each attempt is delivered its own span there, so that the task's spans hang under it. In this process it takes an
    /// exporter: `Config::lifecycle_exporter`.
    pub fn trace(mut self, level: impl Into<String>) -> RunContext {
        self.options.chosen.trace = Some(level.into());
        self
    }

    /// A label, by which lists of runs can be filtered.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> RunContext {
        self.options.chosen.labels.insert(key.into(), value.into());
        self
    }

    /// A note about the run, shown on its page and by `spanwise get -o json`; unlike a label, nothing filters by it.
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> RunContext {
        self.options.chosen.annotations.insert(key.into(), value.into());
        self
    }

    /// A variable in the environment of the run's task processes on a server. Tasks in this process have the environment that it has.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> RunContext {
        self.options.chosen.env.insert(name.into(), value.into());
        self
    }

    /// Has somebody told of the end of the run: see [`notify`](crate::notify). May be called several times.
    pub fn notify(mut self, notification: Notification) -> RunContext {
        self.options.notifications.push(notification);
        self
    }

    /// Starts the run. After `Ok` it survives the process.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`](crate::ErrorKind::AlreadyExists) if the name is taken; [`ErrorKind::Value`](crate::ErrorKind::Value)
    /// and [`ErrorKind::Context`](crate::ErrorKind::Context) if an argument or the context does not fit.
    pub async fn run<T: TaskOutput>(self, call: Call<T>) -> Result<Run<T>> {
        let made = call.into_made()?;
        let ambient = Ambient::current();
        let given = self.options.context.clone().unwrap_or_default();
        let context = match &ambient {
            Some(ambient) => ambient.context.merged(&given),
            None => given,
        };
        let relation = ambient.map(|ambient| Relation::Spawn { run: ambient.task.run_id().name.clone() });
        let client = self.client?;
        let (callee, overrides) = made.into_parts()?;
        let root = match callee {
            Callee::Local { task, arguments } => Root::Local(task, arguments.encode()?),
            Callee::Deployed(task) => Root::Deployed(task),
            Callee::Condition(_) => {
                return Err(Error::usage("a run begins with a task: wait for a condition inside of one"));
            }
            Callee::Timer(_) => return Err(Error::usage("a run begins with a task: sleep inside of one")),
        };
        let new = NewRun { root, overrides, context, relation, options: self.options };
        let run = client.backend().start(new).await?;
        Ok(Run::new(client, run))
    }

    /// Starts a run of a task whose types are not known where it is started.
    pub(crate) async fn run_untyped(
        self,
        task: &'static dyn AnyTask,
        literals: Vec<NamedLiteral>,
    ) -> Result<Run<Untyped>> {
        let client = self.client?;
        let context = self.options.context.clone().unwrap_or_default();
        let (root, overrides) = (Root::Local(task, literals), Overrides::new());
        let new = NewRun { root, overrides, context, relation: None, options: self.options };
        let run = client.backend().start(new).await?;
        Ok(Run::new(client, run))
    }

    /// For [`recover`](RunContext::recover): actions that are run again although they have succeeded in the earlier run, by their names. One that calls others calls
    /// them again: name those, too, where they are to be run. Names that the earlier run does not have change nothing.
    pub fn rerun_actions(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> RunContext {
        self.options.chosen.rerun_actions.extend(names.into_iter().map(Into::into));
        self
    }

    /// Runs the task of an earlier run again, with the same inputs, and takes over what has succeeded there: the root is run, and each action that it calls
    /// again under the name that it had is at its end at once ([`Phase::Recovered`](crate::Phase::Recovered)). What failed there, was not
    /// reached or is called with other inputs is run. Calls of tasks and timers are taken over; steps run again with the task that makes them, and conditions
    /// are asked again. The map is treated as by [`rerun`](RunContext::rerun).
    ///
    /// # Errors
    /// As [`rerun`](RunContext::rerun).
    pub async fn recover<T: TaskOutput>(self, source: &str) -> Result<Run<T>> {
        let source = Again::Recover(RunName::new(source)?);
        self.run_again(source).await
    }

    /// Runs the task of an earlier run again, with the same inputs. Its map is reused without `traceparent`, `tracestate` and
    /// `baggage`, so the new run has a trace of its own; a map given here is used instead.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such run, or its task is not in this program.
    pub async fn rerun<T: TaskOutput>(self, source: &str) -> Result<Run<T>> {
        let source = Again::Rerun(RunName::new(source)?);
        self.run_again(source).await
    }

    async fn run_again<T: TaskOutput>(self, again: Again) -> Result<Run<T>> {
        let client = self.client?;
        let run = client.backend().rerun(again, self.options).await?;
        Ok(Run::new(client, run))
    }
}
