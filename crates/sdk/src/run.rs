//! Runs: described with a [`RunContext`], held with a [`Run`].

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use spanwise_core::lifecycle::{RunTrace, TraceLevel};
use spanwise_core::trace::TRACESTATE;
use spanwise_core::{ActionName, ActionSpec, DEFAULT_ORG, RunId, RunName, TaskName};
use spanwise_engine::{ActionView, NewRun, Relation, RunHandle, RunSettings};
use spanwise_proto::flyteidl2::task::NamedLiteral;
use tokio::sync::watch;

use crate::call::{Call, What, freeze, read_outcome, spec, thaw};
use crate::client::{Backend, Client, Embedded};
use crate::context::CustomContext;
use crate::ctx::Ambient;
use crate::error::{Error, ErrorKind, Result};
use crate::overrides::Overrides;
use crate::task::{AnyTask, TaskOutput, Untyped};

/// Describes a run: its name, its custom context, its limits. Made by [`with_runcontext`](crate::with_runcontext).
#[must_use = "a run begins with `run`"]
pub struct RunContext {
    client: Result<Client>,
    name: Option<String>,
    context: Option<CustomContext>,
    max_action_concurrency: Option<u32>,
    trace: Option<String>,
    labels: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
}

impl RunContext {
    pub(crate) fn new(client: Result<Client>) -> RunContext {
        RunContext {
            client,
            name: None,
            context: None,
            max_action_concurrency: None,
            trace: None,
            labels: BTreeMap::new(),
            env: BTreeMap::new(),
        }
    }

    /// Names the run: a DNS-1035 label of at most 30 characters. A name is one run, for ever: if the run of that name was
    /// interrupted and is the same task with the same inputs, it goes on with the custom context of its first start (the one
    /// given now is not used); otherwise the name is taken. On a server no run is interrupted: a name that is there is taken, and
    /// [`resume`](crate::resume) looks its run up.
    pub fn name(mut self, name: impl Into<String>) -> RunContext {
        self.name = Some(name.into());
        self
    }

    /// The map that the root action sees. A run that is started inside a task sees that task's map too; what is given here wins.
    pub fn custom_context(mut self, context: impl Into<CustomContext>) -> RunContext {
        self.context = Some(context.into());
        self
    }

    /// How many actions may run at one time; parents that only wait are not counted. 0 means no limit, 1 is refused.
    pub fn max_action_concurrency(mut self, limit: u32) -> RunContext {
        self.max_action_concurrency = Some(limit);
        self
    }

    /// How much of what the engine does for this run is traced: `off`, `lifecycle` (spans for the run, its actions, attempts, queues,
    /// pauses, cache lookups and waits) or `full` (API calls too). The spans belong to the trace in the custom context, if there is
    /// one, and each attempt is delivered its own span there, so that the task's spans hang under it. In this process it takes an
    /// exporter: `Config::lifecycle_exporter`.
    pub fn trace(mut self, level: impl Into<String>) -> RunContext {
        self.trace = Some(level.into());
        self
    }

    /// A label, by which lists of runs can be filtered.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> RunContext {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// A variable in the environment of the run's task processes on a server. Tasks in this process have the environment that it has.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> RunContext {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Starts the run. After `Ok` it survives the process.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if the name is taken; [`ErrorKind::Value`] and [`ErrorKind::Context`] if an argument or
    /// the context does not fit.
    pub async fn run<T: TaskOutput>(mut self, call: Call<T>) -> Result<Run<T>> {
        let made = call.into_made()?;
        let ambient = Ambient::current();
        let context = match (&ambient, self.context.clone()) {
            (Some(ambient), explicit) => ambient.context.merged(&explicit.unwrap_or_default()),
            (None, explicit) => explicit.unwrap_or_default(),
        };
        let relation = ambient.map(|ambient| Relation::Spawn { run: ambient.task.run_id().name.clone() });
        let client = self.take_client()?;
        let (what, overrides) = made.into_parts()?;
        let (task, arguments) = match what {
            What::Here { task, arguments } => (task, arguments),
            #[cfg(feature = "remote")]
            What::Deployed(reference) => {
                let Backend::Remote(server) = client.backend() else { return Err(reference.not_here()) };
                let (task, literals) = server.deployed(reference, &overrides).await?;
                let new = self.on_server(task, &freeze(literals, &context)?, relation)?;
                return Ok(Run::on_server(client.clone(), server.create(new).await?));
            }
        };
        let inputs = (arguments.encode()?, context);
        Box::pin(self.run_here(client, (task, &overrides), inputs, relation)).await
    }

    /// Starts a run of a task whose types are not known where it is started.
    pub(crate) async fn run_untyped(
        mut self,
        task: &'static dyn AnyTask,
        literals: Vec<NamedLiteral>,
    ) -> Result<Run<Untyped>> {
        let client = self.take_client()?;
        let context = self.context.clone().unwrap_or_default();
        self.run_here(client, (task, &Overrides::new()), (literals, context), None).await
    }

    /// Starts a run of a task of this program.
    async fn run_here<T: TaskOutput>(
        self,
        client: Client,
        (task, overrides): (&'static dyn AnyTask, &Overrides),
        (literals, context): (Vec<NamedLiteral>, CustomContext),
        relation: Option<Relation>,
    ) -> Result<Run<T>> {
        let inputs = freeze(literals, &context)?;
        let spec = spec(task, overrides);
        match client.backend() {
            Backend::Embedded(embedded) => {
                let handle = self.start(embedded, spec, (inputs, &context), relation).await?;
                Ok(Run::new(client, handle))
            }
            #[cfg(feature = "remote")]
            Backend::Remote(server) => {
                let task = server.task_spec(task, &spec.retry, &spec.timeouts).await?;
                let new = self.on_server(task, &inputs, relation)?;
                Ok(Run::on_server(client.clone(), server.create(new).await?))
            }
        }
    }

    /// How this run is traced by an engine of this process.
    fn run_trace(&self, embedded: &Embedded, run: &RunId, context: &CustomContext) -> Result<RunTrace> {
        let level = match self.trace_level()? {
            Some(level) => level,
            None => embedded.tracing.level,
        };
        if level > TraceLevel::Off && !embedded.tracing.is_exported {
            return Err(Error::usage(format!(
                "trace is `{level}`, but nobody takes the spans: give `Config::lifecycle_exporter` an exporter (feature `otel-sdk`)"
            )));
        }
        let state = context.span().and_then(|_| context.get(TRACESTATE));
        Ok(RunTrace::decide(level, embedded.tracing.ratio, run, context.span()).with_state(state))
    }

    /// The labels of a run that an engine of this process runs.
    fn embedded_labels(&self) -> Result<BTreeMap<String, String>> {
        match self.env.keys().next() {
            Some(name) => Err(Error::usage(format!(
                "the variable `{name}` is given to the run's processes, but its tasks run in this one: set it here"
            ))),
            None => Ok(self.labels.clone()),
        }
    }

    fn trace_level(&self) -> Result<Option<TraceLevel>> {
        let level = self.trace.as_deref().map(str::parse::<TraceLevel>).transpose();
        level.map_err(|error| Error::usage(format!("trace: {error}")))
    }

    fn take_client(&mut self) -> Result<Client> {
        std::mem::replace(&mut self.client, Err(Error::usage("the run has been started")))
    }

    #[cfg(feature = "remote")]
    fn on_server(
        &self,
        task: spanwise_proto::flyteidl2::task::TaskSpec,
        inputs: &[u8],
        relation: Option<Relation>,
    ) -> Result<crate::remote::NewRun> {
        use spanwise_proto::Message;
        Ok(crate::remote::NewRun {
            name: new_name(self.name.as_deref())?,
            is_named: self.name.is_some(),
            task,
            inputs: spanwise_proto::flyteidl2::task::Inputs::decode_from_slice(inputs)?,
            max_action_concurrency: self.max_action_concurrency,
            relation,
            trace: self.trace_level()?,
            labels: self.labels.clone(),
            env: self.env.clone(),
        })
    }

    /// Runs the task of an earlier run again, with the same inputs. Its map is reused without `traceparent`, `tracestate` and
    /// `baggage`, so the new run has a trace of its own; a map given here is used instead.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such run, or its task is not in this program.
    pub async fn rerun<T: TaskOutput>(mut self, source: &str) -> Result<Run<T>> {
        let client = self.take_client()?;
        let source = RunName::new(source)?;
        match client.backend() {
            Backend::Embedded(embedded) => {
                let handle = self.rerun_here(embedded, source).await?;
                Ok(Run::new(client, handle))
            }
            #[cfg(feature = "remote")]
            Backend::Remote(server) => {
                let (task, inputs, limit) = server.source(source.clone()).await?;
                let (literals, context) = crate::call::split(inputs);
                let context = self.context.clone().unwrap_or_else(|| context.without_trace());
                let relation = Some(Relation::Rerun { run: source });
                let mut new = self.on_server(task, &freeze(literals, &context)?, relation)?;
                new.max_action_concurrency = new.max_action_concurrency.or(limit);
                Ok(Run::on_server(client.clone(), server.create(new).await?))
            }
        }
    }

    async fn rerun_here(self, embedded: &Embedded, source: RunName) -> Result<RunHandle> {
        let source = embedded.engine().resume(&embedded.run_id(source))?;
        let inputs = source.payloads(&ActionName::ROOT).await?.0.unwrap_or_default();
        let (literals, context) = thaw(&inputs)?;
        let context = self.context.clone().unwrap_or_else(|| context.without_trace());
        let mut spec = source.root_spec().ok_or_else(|| Error::usage("the run has no root action"))?;
        crate::task::find(&spec.task)?;
        let id = embedded.run_id(new_name(self.name.as_deref())?);
        let trace = RunTrace { links: source.span().into_iter().collect(), ..self.run_trace(embedded, &id, &context)? };
        spec.traceparent = context.span().filter(|_| trace.is_exported());
        let new = NewRun {
            id,
            spec,
            inputs: freeze(literals, &context)?,
            settings: RunSettings {
                max_action_concurrency: self.max_action_concurrency.or(source.settings().max_action_concurrency),
                relation: Some(Relation::Rerun { run: source.id().name.clone() }),
                trace,
                labels: self.embedded_labels()?,
                ..RunSettings::default()
            },
        };
        let handle = embedded.engine().create_run(new)?;
        embedded.drive(&handle)?;
        Ok(handle)
    }

    async fn start(
        self,
        embedded: &Embedded,
        mut spec: ActionSpec,
        (inputs, context): (bytes::Bytes, &CustomContext),
        relation: Option<Relation>,
    ) -> Result<RunHandle> {
        crate::task::find(&spec.task)?;
        let id = embedded.run_id(new_name(self.name.as_deref())?);
        let trace = self.run_trace(embedded, &id, context)?;
        spec.traceparent = context.span().filter(|_| trace.is_exported());
        let max_action_concurrency = self.max_action_concurrency;
        let labels = self.embedded_labels()?;
        let settings = RunSettings { max_action_concurrency, relation, trace, labels, ..RunSettings::default() };
        let new = NewRun { id: id.clone(), spec: spec.clone(), inputs: inputs.clone(), settings };
        let handle = match embedded.engine().create_run(new) {
            Ok(handle) => handle,
            Err(taken @ spanwise_engine::Error::AlreadyExists(_)) => {
                let existing = embedded.engine().resume(&id)?;
                same_run(&existing, &spec.task, &inputs).await.map_err(|why| already_exists(&taken, &why))?;
                existing
            }
            Err(error) => return Err(error.into()),
        };
        embedded.drive(&handle)?;
        Ok(handle)
    }
}

/// Whether an existing run is the interrupted one that is meant; else why not.
async fn same_run(existing: &RunHandle, task: &TaskName, inputs: &bytes::Bytes) -> Result<(), String> {
    let name = &existing.id().name;
    // First: a run that ends between the two questions is still driven at the first, or has ended at the second.
    if existing.is_driven(&ActionName::ROOT) {
        return Err("it is running in this process".to_owned());
    }
    if existing.is_finished() {
        return Err(format!(
            "it has ended; `spanwise::resume(\"{name}\")` gives its result, `.rerun(\"{name}\")` under another name repeats it"
        ));
    }
    if existing.root_task().as_ref() != Some(task) {
        return Err("it is a run of another task".to_owned());
    }
    let stored = existing.payloads(&ActionName::ROOT).await.ok().and_then(|(inputs, _)| inputs);
    let literals = |bytes: &[u8]| thaw(bytes).map(|(literals, _)| literals).ok();
    if stored.as_deref().map(literals) != Some(literals(inputs)) {
        return Err("it has other inputs".to_owned());
    }
    Ok(())
}

fn already_exists(taken: &spanwise_engine::Error, why: &str) -> Error {
    let failure = spanwise_core::Failure::user("RunAlreadyExists", format!("{taken}: {why}")).terminal();
    Error::from_failure(ErrorKind::AlreadyExists, failure)
}

/// The name that was given, or a random one.
fn new_name(given: Option<&str>) -> Result<RunName> {
    match given {
        Some(name) => Ok(RunName::new(name)?),
        None => Ok(RunName::from_random(spanwise_engine::random_bits())),
    }
}

/// A run: its name, its URL, its output. Dropping it does not end the run.
pub struct Run<T> {
    client: Client,
    held: Held,
    output: PhantomData<fn() -> T>,
}

/// A run where it is run.
enum Held {
    Embedded(RunHandle),
    #[cfg(feature = "remote")]
    Remote(crate::remote::RemoteRun),
}

impl Held {
    fn id(&self) -> &spanwise_core::RunId {
        match self {
            Held::Embedded(handle) => handle.id(),
            #[cfg(feature = "remote")]
            Held::Remote(run) => run.id(),
        }
    }
}

impl<T: TaskOutput> Run<T> {
    pub(crate) fn new(client: Client, handle: RunHandle) -> Run<T> {
        Run { client, held: Held::Embedded(handle), output: PhantomData }
    }

    #[cfg(feature = "remote")]
    pub(crate) fn on_server(client: Client, run: crate::remote::RemoteRun) -> Run<T> {
        Run { client, held: Held::Remote(run), output: PhantomData }
    }

    pub(crate) fn id(&self) -> &RunId {
        self.held.id()
    }

    /// Its name.
    pub fn name(&self) -> &RunName {
        &self.held.id().name
    }

    /// The address of its page in the console: stable, in Flyte's shape.
    pub fn url(&self) -> RunUrl {
        let id = self.held.id();
        let (console, name) = (self.client.console(), &id.name);
        let org = if id.org == DEFAULT_ORG { String::new() } else { format!("?org={}", id.org) };
        let page = format!("{console}/v2/domain/{}/project/{}/runs/{name}{org}", id.domain, id.project);
        let served_by = match self.client.backend() {
            Backend::Embedded(embedded) => match embedded.directory() {
                Some(path) => ServedBy::Console { directory: path.display().to_string() },
                None => ServedBy::Nobody,
            },
            #[cfg(feature = "remote")]
            Backend::Remote(_) => ServedBy::TheServer,
        };
        RunUrl { page, served_by }
    }

    /// Where the run comes from, if it comes from another one.
    pub fn relation(&self) -> Option<&Relation> {
        match &self.held {
            Held::Embedded(handle) => handle.settings().relation.as_ref(),
            #[cfg(feature = "remote")]
            Held::Remote(run) => run.relation(),
        }
    }

    /// Waits for its end and returns the root's output.
    ///
    /// # Errors
    /// The root's error; [`ErrorKind::Interrupted`] if the process is shutting down; [`ErrorKind::System`] if a server was
    /// away for an hour.
    pub async fn output(&self) -> Result<T> {
        match &self.held {
            Held::Embedded(handle) => {
                let ambient = Ambient::current();
                let _waits = ambient.as_ref().and_then(|ambient| ambient.task.control.wait_for(handle.id()));
                match handle.wait(ActionName::ROOT).await {
                    // A task that waits for another run must not take the interruption for an answer, as with a call.
                    Err(spanwise_engine::Error::Interrupted) if ambient.is_some() => std::future::pending().await,
                    outcome => read_outcome(outcome?),
                }
            }
            #[cfg(feature = "remote")]
            Held::Remote(run) => read_outcome(Box::pin(run.wait()).await?),
        }
    }

    /// Ends it and everything under it; who and why are recorded. A run that has ended stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::System`] if the journal failed.
    pub async fn abort(&self, reason: &str) -> Result<()> {
        let by = std::env::var("USER").unwrap_or_else(|_| "user".to_owned());
        match &self.held {
            Held::Embedded(handle) => {
                handle.abort(ActionName::ROOT, &by, reason).await?;
                Ok(())
            }
            #[cfg(feature = "remote")]
            Held::Remote(run) => Box::pin(run.abort(reason)).await,
        }
    }

    /// Its actions as they are now, in the order in which they were accepted.
    ///
    /// # Errors
    /// [`ErrorKind::System`] if a server does not answer.
    pub async fn actions(&self) -> Result<Vec<ActionView>> {
        match &self.held {
            Held::Embedded(handle) => Ok(handle.actions()),
            #[cfg(feature = "remote")]
            Held::Remote(run) => Box::pin(run.actions()).await,
        }
    }

    /// Tells when anything about it has changed; of a run on a server, when its root has.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        match &self.held {
            Held::Embedded(handle) => handle.subscribe(),
            #[cfg(feature = "remote")]
            Held::Remote(run) => run.subscribe(),
        }
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("name", &self.held.id().name.as_str()).finish_non_exhaustive()
    }
}

/// The address of a run's page. Prints as the address alone; [`RunUrl::how_to_open`] says what serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunUrl {
    page: String,
    served_by: ServedBy,
}

/// Whose page it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ServedBy {
    /// A console on the run's data directory.
    Console {
        directory: String,
    },
    /// The server that runs it.
    #[cfg(feature = "remote")]
    TheServer,
    Nobody,
}

impl RunUrl {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.page
    }

    /// What has to run for the page to open: the server that runs it; for an engine in this process `spanwise dev` on the
    /// same data directory, once this process has ended: one process at a time has it.
    pub fn how_to_open(&self) -> String {
        match &self.served_by {
            ServedBy::Console { directory } => {
                format!("served, once this program has ended, by: spanwise dev --data-dir {directory}")
            }
            #[cfg(feature = "remote")]
            ServedBy::TheServer => "served by the server that runs it".to_owned(),
            ServedBy::Nobody => "the run is kept in memory only: there is no page to open".to_owned(),
        }
    }
}

impl fmt::Display for RunUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.page)
    }
}
