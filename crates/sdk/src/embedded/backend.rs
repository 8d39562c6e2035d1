//! The engine of this process, and the runs that were started on it here.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::lifecycle::{RunTrace, TraceLevel};
use spanwise_core::trace::TRACESTATE;
use spanwise_core::{ActionName, CachePolicy, Failure, RunId, RunName, Scope, TaskName};
use spanwise_engine::{
    Call, Engine, EngineConfig, Export, ExportLimits, NewRun as NewEngineRun, RunHandle, RunSettings, Storage,
};
use spanwise_proto::flyteidl2::task::NamedLiteral;
use spanwise_wire::{CustomContext, shown};
use tokio::task::JoinHandle;

use super::executor::InProcess;
use super::run::EmbeddedRun;
use crate::backend::{Again, AnyRun, Backend, NewRun, Pending, Root, RunOptions};
use crate::config::{Exporter, Tracing};
use crate::effective::Effective;
use crate::error::{Error, ErrorKind, Result};
use crate::overrides::Overrides;
use crate::payload::{freeze, thaw};
use crate::task::{self, AnyTask};

/// How long a program that ends waits for the receiver of its lifecycle spans. What is left is sent by its next process.
const LAST_EXPORT: Duration = Duration::from_secs(5);

/// The tokio tasks that drive root actions.
type Drivers = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// The engine of this process.
pub(crate) struct Embedded {
    engine: Engine,
    /// Where new runs belong.
    scope: Scope,
    directory: Option<PathBuf>,
    tracing: Tracing,
    export: Mutex<Option<Export>>,
    /// The drivers of root actions.
    drivers: Drivers,
}

impl Embedded {
    /// Opens an engine.
    ///
    /// # Errors
    /// [`ErrorKind::System`] if the data directory cannot be used.
    pub(crate) fn open(
        config: EngineConfig,
        scope: Scope,
        tracing: Tracing,
        exporter: Option<Exporter>,
    ) -> Result<Embedded> {
        let directory = match &config.storage {
            Storage::Directory { path, .. } => Some(std::path::absolute(path)?),
            Storage::Memory => None,
        };
        let engine = Engine::open(config)?;
        super::reports::remove_of_pruned(&engine);
        let export = Mutex::new(exporter.map(|exporter| begin_export(&engine, exporter)).transpose()?);
        Ok(Embedded { engine, scope, directory, tracing, export, drivers: Drivers::default() })
    }

    fn run_id(&self, name: RunName) -> RunId {
        self.scope.clone().run(name)
    }

    /// Drives the root of a run that was there already in the background, unless it is at its end. What the call that started it said of
    /// secrets and variables is not kept: those of the task hold.
    fn drive(&self, handle: RunHandle) -> Result<AnyRun> {
        if !handle.is_finished() {
            let task = task::find(&handle.root_task().ok_or_else(no_root)?)?;
            let effective = task::effective(task, &Overrides::new())?;
            self.driving(task, effective, None)(&handle);
        }
        Ok(Box::new(EmbeddedRun(handle)))
    }

    /// What drives the root of a run of this task in the background. `inputs` are the root's, if they have just been frozen.
    fn driving(
        &self,
        task: &'static dyn AnyTask,
        effective: Arc<Effective>,
        inputs: Option<Bytes>,
    ) -> impl FnOnce(&RunHandle) + Send + use<> {
        let drivers = Arc::clone(&self.drivers);
        move |run: &RunHandle| {
            let driven = run.clone();
            let driver = tokio::spawn(async move {
                let call = Call { action: ActionName::ROOT, inputs, caller: None };
                // Whoever waits for the run learns of a failed journal from its own wait.
                let _ = driven.drive(call, &InProcess { task, depth: 0, effective }).await;
            });
            let mut drivers = drivers.lock().unwrap_or_else(PoisonError::into_inner);
            drivers.retain(|driver| !driver.is_finished());
            drivers.push(driver);
        }
    }

    /// How the root of a new run uses the cache.
    fn cache_policy(&self, effective: &Effective, task: &TaskName, inputs: &[NamedLiteral]) -> Option<CachePolicy> {
        let key = effective.cache_key(task.as_str(), inputs)?;
        Some(effective.cache_policy(&key, &self.scope))
    }

    /// How a run is traced.
    fn run_trace(&self, options: &RunOptions, run: &RunId, context: &CustomContext) -> Result<RunTrace> {
        let level = options.trace_level()?.unwrap_or(self.tracing.level);
        if level > TraceLevel::Off && !self.tracing.is_exported {
            return Err(Error::usage(format!(
                "trace is `{level}`, but nobody takes the spans: give `Config::lifecycle_exporter` an exporter (feature `otel-sdk`)"
            )));
        }
        let state = context.span().and_then(|_| context.get(TRACESTATE));
        Ok(RunTrace::decide(level, self.tracing.ratio, run, context.span()).with_state(state))
    }
}

impl Backend for Embedded {
    fn start(&self, new: NewRun) -> Pending<'_, AnyRun> {
        Box::pin(async move {
            let NewRun { root, overrides, context, relation, options } = new;
            let (task, literals) = match root {
                Root::Local(task, literals) => (task, literals),
                Root::Deployed(task) => return Err(task.not_here()),
            };
            let effective = task::effective(task, &overrides)?;
            let mut spec = task::spec(task, &effective, &overrides);
            spec.cache = self.cache_policy(&effective, &spec.task, &literals);
            let inputs = freeze(literals, &context)?;
            let begin = self.driving(task, Arc::clone(&effective), Some(inputs.clone()));
            let id = self.run_id(options.new_name()?);
            let trace = self.run_trace(&options, &id, &context)?;
            spec.traceparent = context.span().filter(|_| trace.is_exported());
            let settings =
                RunSettings { options: options_of_run(&options)?, relation, trace, ..RunSettings::default() };
            let name = spec.task.clone();
            let definitions = Vec::new();
            super::reports::make_way(&self.engine, &id);
            let new = NewEngineRun { id: id.clone(), spec, inputs: inputs.clone(), settings, definitions };
            match self.engine.accept_run(new, begin).await {
                Ok(begun) => Ok(Box::new(EmbeddedRun(begun)) as AnyRun),
                Err(taken @ spanwise_engine::Error::AlreadyExists(_)) => {
                    let existing = self.engine.resume(&id)?;
                    same_run(&existing, &name, &inputs).await.map_err(|why| already_exists(&taken, &why))?;
                    // As this call has it: what it says of secrets and variables is not in the journal.
                    self.driving(task, effective, None)(&existing);
                    Ok(Box::new(EmbeddedRun(existing)) as AnyRun)
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    fn rerun(&self, again: Again, options: RunOptions) -> Pending<'_, AnyRun> {
        Box::pin(async move {
            let (source, relation) = again.source();
            let source = self.engine.resume(&self.run_id(source))?;
            let inputs = source.payloads(&ActionName::ROOT).await?.0.unwrap_or_default();
            let (literals, context) = thaw(&inputs)?;
            let context = options.context.clone().unwrap_or_else(|| context.without_trace());
            let mut spec = source.root_spec().ok_or_else(no_root)?;
            let task = task::find(&spec.task)?;
            let effective = task::effective(task, &Overrides::new())?;
            // This program's code computes it.
            spec.cache = spec.cache.and_then(|_| self.cache_policy(&effective, &spec.task, &literals));
            let id = self.run_id(options.new_name()?);
            let links = source.span().into_iter().collect();
            let trace = RunTrace { links, ..self.run_trace(&options, &id, &context)? };
            spec.traceparent = context.span().filter(|_| trace.is_exported());
            let mut limited = options_of_run(&options)?;
            let limit = source.settings().options.max_action_concurrency;
            limited.max_action_concurrency = limited.max_action_concurrency.or(limit);
            limited.rerun_actions = options.chosen.rerun_actions;
            let settings = RunSettings { options: limited, relation: Some(relation), trace, ..RunSettings::default() };
            let inputs = freeze(literals, &context)?;
            let definitions = Vec::new();
            let begin = self.driving(task, effective, Some(inputs.clone()));
            super::reports::make_way(&self.engine, &id);
            let new = NewEngineRun { id, spec, inputs, settings, definitions };
            Ok(Box::new(EmbeddedRun(self.engine.accept_run(new, begin).await?)) as AnyRun)
        })
    }

    fn resume(&self, name: RunName) -> Pending<'_, AnyRun> {
        Box::pin(async move { self.drive(self.engine.resume(&self.run_id(name))?) })
    }

    fn deploy(&self) -> Pending<'_, (String, Vec<String>)> {
        Box::pin(std::future::ready(Err(Error::usage(
            "tasks are deployed on a server: set an endpoint (`Config::endpoint`, SPANWISE_ENDPOINT)",
        ))))
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            self.engine.interrupt();
            let drivers = std::mem::take(&mut *self.drivers.lock().unwrap_or_else(PoisonError::into_inner));
            for driver in &drivers {
                driver.abort();
            }
            for driver in drivers {
                let _ = driver.await;
            }
            // What a failed journal refused was not acknowledged to anyone.
            let _ = self.engine.flush().await;
            let export = self.export.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(export) = export {
                export.finish(LAST_EXPORT).await;
            }
        })
    }

    fn how_to_open(&self) -> String {
        match &self.directory {
            Some(directory) => {
                format!("served, once this program has ended, by: spanwise dev --data-dir {}", directory.display())
            }
            None => "the run is kept in memory only: there is no page to open".to_owned(),
        }
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("directory", &self.directory).finish_non_exhaustive()
    }
}

fn begin_export(engine: &Engine, exporter: Exporter) -> Result<Export> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(Error::usage("a client with a lifecycle exporter is opened inside a tokio runtime"));
    }
    Ok(engine.export_lifecycle(exporter.0, ExportLimits::default())?)
}

/// What is kept with a run whose tasks run in this process.
fn options_of_run(options: &RunOptions) -> Result<spanwise_core::RunOptions> {
    if let Some(label) = options.chosen.labels_with_nul().next() {
        return Err(Error::usage(format!("the label `{}` holds a NUL", shown(label))));
    }
    if let Some(queue) = &options.chosen.queue {
        return Err(Error::usage(format!(
            "the queue `{}` is one of a server's, but the run's tasks run in this process",
            shown(queue)
        )));
    }
    if !options.notifications.is_empty() {
        let why = "notifications are sent by a server, and the run's tasks run in this process";
        return Err(Error::usage(format!(
            "{why}: set an endpoint, or tell who is to know when `run.output()` is there"
        )));
    }
    match options.chosen.env.keys().next() {
        Some(name) => Err(Error::usage(format!(
            "the variable `{name}` is given to the run's processes, but its tasks run in this one: set it here"
        ))),
        None => Ok(options.chosen.shown()),
    }
}

/// Whether an existing run is the interrupted one that is meant; else why not.
async fn same_run(existing: &RunHandle, task: &TaskName, inputs: &Bytes) -> Result<(), String> {
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
    let failure = Failure::user("RunAlreadyExists", format!("{taken}: {why}")).terminal();
    Error::from_failure(ErrorKind::AlreadyExists, failure)
}

fn no_root() -> Error {
    Error::usage("the run has no root action")
}
