//! Enqueueing what a running task asks for: child tasks, steps that it has completed, conditions.

use bytes::Bytes;
use spanwise_blobs::BlobUri;
use spanwise_core::lifecycle::STEPS_LABEL;
use spanwise_core::{ActionName, ActionSpec, End, Failure, RunId, Source, Timestamp};
use spanwise_engine::{Definition, NewStep, Relation, RunHandle};
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::task::TaskSpec;
use spanwise_proto::flyteidl2::workflow::{ConditionAction, TaskAction, TraceAction};
use spanwise_wire::{CustomContext, Invalid, failure, ids, task, task::RunRules, times, title, values};

use super::create::definition;
use super::{ControlPlane, Error, MAX_INPUTS, blob_uri};
use crate::layout;

/// What a running task asks for.
pub(crate) struct NewAction {
    pub(crate) run: RunId,
    pub(crate) name: ActionName,
    pub(crate) parent: ActionName,
    pub(crate) input_uri: String,
    pub(crate) group: String,
    pub(crate) what: Asked,
}

/// Which kind of action is asked for.
pub(crate) enum Asked {
    Task(Box<TaskAction>),
    Step(Box<TraceAction>),
    Condition(Box<ConditionAction>),
}

impl ControlPlane {
    /// Accepts an action. After `Ok` it survives the process. A name that is there already stays as it is.
    pub(crate) async fn enqueue(&self, new: NewAction) -> Result<(), Error> {
        let run = self.run(&new.run)?;
        if let Asked::Step(step) = &new.what {
            return self.record_step(&run, &new, step).await;
        }
        if run.action(&new.name).is_some() {
            return Ok(run.committed().await?);
        }
        self.inner.readiness.check().await?;
        match &new.what {
            Asked::Task(asked) => self.enqueue_task(&run, &new, asked).await,
            Asked::Condition(asked) => self.enqueue_condition(&run, &new, asked).await,
            Asked::Step(_) => Ok(()),
        }
    }

    async fn enqueue_task(&self, run: &RunHandle, new: &NewAction, asked: &TaskAction) -> Result<(), Error> {
        let task = self.task_of(asked)?;
        let inputs = self.read_inputs("input_uri", &new.input_uri).await?;
        let context = CustomContext::from_message(values::inputs(&inputs)?.context);
        context.check().map_err(Invalid::from)?;
        let options = self.options(run)?;
        let scope = run.id().scope();
        let rules = RunRules { scope: &scope, options: &options };
        let key = asked.cache_key.as_option().map(|key| key.value.as_str());
        let (digest, body) = task::encode(&task);
        let mut spec = task::action_spec(&task, &digest, Some(new.parent), &new.group, key, &rules)?;
        spec.traceparent = context.span().filter(|_| run.is_traced());
        let definition = Some(Definition { digest, body });
        let is_new = run.enqueue(new.name, spanwise_engine::NewAction { spec, definition }, inputs.clone())?;
        if is_new {
            self.recover_action(run, new.name, &options.rerun_actions).await?;
        }
        // Driven also if it is not safe yet: it will be, and whoever is told so by now asks again.
        let committed = run.committed().await;
        if is_new {
            self.drive(run, new.name, Some(inputs));
        }
        Ok(committed?)
    }

    /// The task that is asked for: sent along, or deployed.
    fn task_of(&self, asked: &TaskAction) -> Result<TaskSpec, Error> {
        if let Some(spec) = asked.spec.as_option() {
            return Ok(spec.clone());
        }
        let id = asked.id.as_option().ok_or(Invalid::Missing("action.task.spec"))?;
        self.deployed(&ids::task_key(id)?)
    }

    /// In a run that recovers another one, an action that has succeeded there is at its end with what it delivered there.
    async fn recover_action(&self, run: &RunHandle, action: ActionName, rerun: &[String]) -> Result<(), Error> {
        let Some(Relation::Recover { run: source }) = &run.settings().relation else { return Ok(()) };
        if rerun.iter().any(|name| name == action.as_str()) {
            return Ok(());
        }
        let source = self.run(&RunId { name: source.clone(), ..run.id().clone() })?;
        let Some(earlier) = source.action(&action) else { return Ok(()) };
        let attempt = match earlier.end() {
            Some(End::Succeeded { attempt }) => *attempt,
            Some(End::Reused(Source::Recovery { attempt, .. } | Source::Cache { attempt, .. })) => *attempt,
            _ => return Ok(()),
        };
        let Some(outputs) = source.payloads(&action).await?.1 else { return Ok(()) };
        let from = Source::Recovery { run: source.id().name.to_string(), attempt };
        Ok(run.reuse(action, from, outputs, &self.inner.executor).await?)
    }

    async fn enqueue_condition(&self, run: &RunHandle, new: &NewAction, asked: &ConditionAction) -> Result<(), Error> {
        title("group", &new.group)?;
        title("action.condition.name", &asked.name)?;
        if !asked.r#type.is_set() {
            return Err(Invalid::field(
                "action.condition.type is missing: the stock SDK sends it over ActionsService only",
            )
            .into());
        }
        if values::simple_type(&asked.r#type).and_then(values::python_name).is_none() {
            let text = "action.condition.type: what can be answered is a bool, an int, a float or a str";
            return Err(Invalid::field(text).into());
        }
        let definition = definition(asked);
        let mut spec = ActionSpec::condition(asked.name.as_str(), new.parent);
        spec.definition = Some(definition.digest.as_str().into());
        spec.group = (!new.group.is_empty()).then(|| new.group.clone());
        spec.timeouts.deadline = times::from_duration(asked.timeout.as_option());
        let is_new =
            run.enqueue(new.name, spanwise_engine::NewAction { spec, definition: Some(definition) }, Bytes::new())?;
        let committed = run.committed().await;
        if is_new {
            self.drive_condition(run, new.name);
        }
        Ok(committed?)
    }

    /// Records a completed step, with what it left in the blob store.
    async fn record_step(&self, run: &RunHandle, new: &NewAction, asked: &TraceAction) -> Result<(), Error> {
        title("group", &new.group)?;
        title("action.trace.name", &asked.name)?;
        let definition = definition(&*asked.spec);
        let mut spec = ActionSpec::step(asked.name.as_str(), new.parent);
        spec.definition = Some(definition.digest.as_str().into());
        spec.group = (!new.group.is_empty()).then(|| new.group.clone());
        let directory = layout::run_base(run.id())?.join(new.name.as_str())?;
        let inputs = match new.input_uri.as_str() {
            "" => Bytes::new(),
            uri => self.read_inputs("input_uri", uri).await?,
        };
        let outcome = match asked.phase.as_known() {
            Some(ActionPhase::ACTION_PHASE_FAILED) => Err(self.step_failure(&directory).await?),
            _ => Ok(self.step_outputs(&asked.outputs.output_uri).await?),
        };
        let started = asked.start_time.as_option().map(times::from_timestamp);
        let started = started.filter(|at| *at > Timestamp(0)).unwrap_or_else(|| run.now());
        // The protocol has no word for a span that the program has made of the step itself: the run says it for all of them.
        let observed = run.settings().options.labels.get(STEPS_LABEL).is_some_and(|steps| steps == "off");
        let step = NewStep { spec, started, inputs, outcome, observed, definition: Some(definition) };
        Ok(run.record_step(new.name, step).await?)
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
