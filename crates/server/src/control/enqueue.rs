//! Enqueueing what a running task asks for: child tasks, steps that it has completed, conditions.

use bytes::Bytes;
use spanwise_blobs::BlobUri;
use spanwise_core::lifecycle::STEPS_LABEL;
use spanwise_core::{ActionName, ActionSpec, Failure, RunId, Timestamp};
use spanwise_engine::{NewStep, RunHandle};
use spanwise_wire::actions::{AskedCondition, AskedStep, AskedTask, NewKind, TaskSource};
use spanwise_wire::task::{RunRules, TaskDefinition};
use spanwise_wire::{Invalid, TaskInputs, failure, inputs, title};

use super::{ControlPlane, Error, MAX_INPUTS, blob_uri};
use crate::definitions::to_store;
use crate::layout;
use crate::queues;

/// Where the action belongs that a running task asks for.
pub(crate) struct NewAction {
    pub(crate) run: RunId,
    pub(crate) name: ActionName,
    pub(crate) parent: ActionName,
    pub(crate) input_uri: String,
    pub(crate) group: String,
}

impl ControlPlane {
    /// Accepts an action. After `Ok` it survives the process. A name that is there already stays as it is.
    pub(crate) async fn enqueue(&self, new: NewAction, what: NewKind) -> Result<(), Error> {
        let run = self.run(&new.run)?;
        let is_known = run.action(&new.name).is_some();
        match what {
            NewKind::Step(step) => self.record_step(&run, &new, step).await,
            _ if is_known => Ok(run.committed().await?),
            NewKind::Task(new_task) => {
                self.inner.readiness.check().await?;
                self.enqueue_task(&run, &new, new_task).await
            }
            NewKind::Condition(new_condition) => {
                self.inner.readiness.check().await?;
                self.enqueue_condition(&run, &new, new_condition).await
            }
        }
    }

    async fn enqueue_task(&self, run: &RunHandle, new: &NewAction, new_task: AskedTask) -> Result<(), Error> {
        let new_task = new_task.read()?;
        let task = match new_task.task {
            TaskSource::Sent(task) => *task,
            TaskSource::Deployed(key) => self.deployed(&key)?,
        };
        self.tell(run, new, &task)?;
        self.tell_queue(run, new, new_task.queue.as_deref())?;
        let inputs = self.read_inputs("input_uri", &new.input_uri).await?;
        let context = inputs::context(&inputs)?;
        context.check().map_err(Invalid::from)?;
        let (options, defaults) = (self.options(run)?, self.defaults(run)?);
        let scope = run.id().scope();
        let rules = RunRules { scope: &scope, options: &options, defaults: &defaults };
        let mut spec = task.action_spec(Some(new.parent), &new.group, new_task.cache_key.as_deref(), &rules)?;
        spec.queue = new_task.queue.map(Into::into).or(spec.queue);
        spec.traceparent = context.span().filter(|_| run.is_traced());
        if task.only_waits {
            spec = as_timer(spec, &task, &task.with_defaults(TaskInputs::read(&inputs)?), run.machine_time());
        }
        let definition = Some(to_store(task.stored.clone()));
        let is_new = run.enqueue(new.name, spanwise_engine::NewAction { spec, definition }, inputs.clone())?;
        self.inner.definitions.remember(task);
        // Driven whatever becomes of this request, and before it is safe: whoever asks again only learns that it is there.
        if is_new {
            self.drive(run, new.name, Some(inputs));
        }
        Ok(run.committed().await?)
    }

    /// What of a child's task and of its image is not honoured: a strict server refuses it, another one has it in its log, once a task. What
    /// the task itself asks for is in the log of each attempt and with the action as well (semantics S10).
    fn tell(&self, run: &RunHandle, new: &NewAction, task: &TaskDefinition) -> Result<(), Error> {
        if self.inner.definitions.knows(&task.stored.digest) && !self.inner.strict {
            return Ok(());
        }
        for warning in self.not_honoured(task)? {
            tracing::warn!(run = %run.id().name, action = %new.name, task = task.name, warning);
        }
        Ok(())
    }

    /// A queue that is not there: a strict server refuses it, another one has it in its log, in that of the attempts and with the action.
    fn tell_queue(&self, run: &RunHandle, new: &NewAction, queue: Option<&str>) -> Result<(), Error> {
        let Some(warning) = queues::not_there(&self.inner.engine, queue) else { return Ok(()) };
        if self.inner.strict {
            return Err(Invalid::field(format!("action.task.queue: {warning}")).into());
        }
        tracing::warn!(run = %run.id().name, action = %new.name, warning);
        Ok(())
    }

    /// Remembers why an action was refused that somebody has asked for: it may be what its attempt fails by.
    pub(crate) fn note_refusal(&self, run: &RunId, parent: ActionName, said: &str) {
        if let Ok(run) = self.run(run) {
            self.inner.executor.refusals().note(run.key(), parent, said);
        }
    }

    async fn enqueue_condition(
        &self,
        run: &RunHandle,
        new: &NewAction,
        new_condition: AskedCondition,
    ) -> Result<(), Error> {
        title("group", &new.group)?;
        let condition = new_condition.read()?;
        let mut spec = ActionSpec::condition(condition.name.as_str(), new.parent);
        spec.definition = Some(condition.definition.digest.as_str().into());
        spec.group = (!new.group.is_empty()).then(|| new.group.clone());
        spec.timeouts.deadline = condition.deadline;
        let definition = Some(to_store(condition.definition));
        let is_new = run.enqueue(new.name, spanwise_engine::NewAction { spec, definition }, Bytes::new())?;
        if is_new {
            self.drive(run, new.name, None);
        }
        Ok(run.committed().await?)
    }

    /// Records a completed step, with what it left in the blob store.
    async fn record_step(&self, run: &RunHandle, new: &NewAction, new_step: AskedStep) -> Result<(), Error> {
        title("group", &new.group)?;
        let step = new_step.read()?;
        let mut spec = ActionSpec::step(step.name.as_str(), new.parent);
        spec.definition = Some(step.definition.digest.as_str().into());
        spec.group = (!new.group.is_empty()).then(|| new.group.clone());
        let directory = layout::run_base(run.id())?.join(new.name.as_str())?;
        let inputs = match new.input_uri.as_str() {
            "" => Bytes::new(),
            uri => self.read_inputs("input_uri", uri).await?,
        };
        let outcome = match step.has_failed {
            true => Err(self.step_failure(&directory).await?),
            false => Ok(self.step_outputs(&step.output_uri).await?),
        };
        let started = step.started.unwrap_or_else(|| run.now());
        // The protocol has no word for a span that the program has made of the step itself: the run says it for all of them.
        let observed = run.settings().options.labels.get(STEPS_LABEL).is_some_and(|steps| steps == "off");
        let definition = Some(to_store(step.definition));
        Ok(run.record_step(new.name, NewStep { spec, started, inputs, outcome, observed, definition }).await?)
    }

    async fn step_outputs(&self, uri: &str) -> Result<Bytes, Error> {
        if uri.is_empty() {
            return Ok(Bytes::new());
        }
        let uri = blob_uri("outputs.output_uri", uri)?;
        let found = self.inner.blobs.get(&uri, MAX_INPUTS).await?;
        // A step without outputs names none: one that names them and has none is no success.
        found.ok_or_else(|| Error::NotFound(format!("the outputs `{uri}` of the step are not in the blob store")))
    }

    async fn step_failure(&self, directory: &BlobUri) -> Result<Failure, Error> {
        match self.inner.blobs.skim(&directory.join("error.pb")?, failure::skim).await? {
            Some(document) => Ok(failure::read(&document)?),
            None => Ok(Failure::user("StepFailed", "the step failed and left no error.pb")),
        }
    }
}

/// An action of a task that only waits, as a timer. One that cannot be waited for stays a task: its attempt fails by the reason.
pub(super) fn as_timer(spec: ActionSpec, task: &TaskDefinition, inputs: &TaskInputs, clock: Timestamp) -> ActionSpec {
    match task.timer_input(inputs) {
        Ok(input) => spec.into_timer(input.wake(clock)),
        Err(_) => spec,
    }
}
