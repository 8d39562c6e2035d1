//! Creating a run.

use base64::Engine as _;
use spanwise_core::lifecycle::{RunTrace, STEPS_LABEL, TRACE_LABEL, TraceLevel};
use spanwise_core::trace::{TRACEPARENT, TRACESTATE, TraceParent};
use spanwise_core::trigger::Firing;
use spanwise_core::{ActionName, ActionSpec, RunId, RunName, Timestamp};
use spanwise_engine::{ArtifactRow, Relation, RunHandle, RunOptions, RunSettings, Scope};
use spanwise_wire::options::SentOptions;
use spanwise_wire::task::{RunRules, TaskDefinition};
use spanwise_wire::{CustomContext, Invalid, TaskInputs, inputs, shown};

use super::enqueue::as_timer;
use super::settings::Given;
use super::tracked::Again;
use super::{ControlPlane, Error};
use crate::calls;
use crate::definitions::to_store;
use crate::leftovers::Untouched;
use crate::notify::Receivers;
use crate::queues;

/// A later version of `traceparent` may have more parts; none that is longer than this is taken over from a header.
const MAX_TRACEPARENT: usize = 256;

/// A run that a client asks for.
pub(crate) struct NewRun {
    pub(crate) scope: Scope,
    /// None: the server makes a name.
    pub(crate) name: Option<RunName>,
    pub(crate) task: TaskDefinition,
    pub(crate) inputs: TaskInputs,
    pub(crate) options: SentOptions,
    /// The trace of the caller, from the request's header.
    pub(crate) caller_trace: Option<String>,
    /// The version under which the task is deployed; none: the one that its definition names.
    pub(crate) version: Option<String>,
    /// What else is worth a warning with the run.
    pub(crate) notes: Vec<String>,
    /// The trigger that fires it, if one does.
    pub(crate) firing: Option<Firing>,
    /// The time that it is for; none: when it is accepted, or that of the run that it repeats.
    pub(crate) start_time: Option<Timestamp>,
    /// Its program runs elsewhere and reports how it stands.
    pub(crate) tracked: bool,
}

impl ControlPlane {
    /// Accepts a run and begins to drive it. After `Ok` it survives the process.
    pub(crate) async fn create_run(&self, new: NewRun) -> Result<RunHandle, Error> {
        self.inner.readiness.check().await?;
        let given = self.given_by_settings(&new.scope)?;
        let Receivers { receivers, not_honoured } = self.receivers_of(&new)?;
        let warnings = self.warnings(&new, &given, not_honoured).await?;
        let NewRun { scope, name, task, inputs, options: sent, caller_trace, version, firing, tracked, .. } = new;
        if !tracked {
            self.check_bundle(task.bundle.as_deref()).await?;
        }
        let inputs = task.with_defaults(inputs);
        let relation = sent.relation.recorded;
        let start_time = self.start_time(new.start_time, &scope, relation.as_ref())?;
        let inputs = self.with_trace(inputs, &scope, relation.as_ref(), caller_trace.as_deref()).await?;
        let options = given.defaults.under(sent.options);
        let rules = RunRules { scope: &scope, options: &options, defaults: &given.defaults };
        let consumed = self.consumed(&inputs)?;
        let mut spec = self.spec_of_root(&task, &inputs, &rules, tracked)?;
        let is_named = name.is_some();
        let id = scope.run(name.unwrap_or_else(|| RunName::from_random(spanwise_engine::random_bits())));
        let inbound = inputs.context.span();
        check(&options)?;
        let trace = self.trace_of_new(&id, (&options, relation.as_ref()), inbound)?;
        let trace = with_context(trace, &inputs.context, &consumed);
        spec.traceparent = inbound.filter(|_| trace.is_exported());
        let settings = RunSettings {
            options: options.shown(),
            relation,
            firing,
            tracked,
            start_time,
            definition: Some(sent.stored.digest.clone()),
            defaults: given.stored.as_ref().map(|stored| stored.digest.clone()),
            task_version: version.unwrap_or_else(|| task.version.clone()),
            trace,
            receivers,
            artifacts: consumed.iter().map(|row| row.key).collect(),
            warnings,
        };
        let (frozen, named) = (inputs.encode(), task.name.clone());
        let again = tracked.then(|| Again {
            id: id.clone(),
            options: sent.stored.digest.clone(),
            task: task.stored.digest.clone(),
            inputs: frozen.clone(),
        });
        let size = sent.stored.body.len();
        let definitions = [sent.stored, task.stored.clone()].into_iter().chain(given.stored).map(to_store).collect();
        // What an earlier run of the name has left goes before there is a new one; what the program of a tracked run has uploaded is there already.
        let untouched = self.untouched(&id, is_named && !tracked).await?;
        let accepted = spanwise_engine::NewRun { id, spec, inputs: frozen, settings, definitions };
        let run = match (self.accept(accepted, task, (size, options), untouched).await, again) {
            (Err(taken @ spanwise_engine::Error::AlreadyExists(_)), Some(again)) => {
                return self.created_before(again).await?.ok_or_else(|| taken.into());
            }
            (made, _) => made?,
        };
        log_warnings(&run, &named);
        calls::is_about(&run);
        Ok(run)
    }

    /// Nothing of a run is removed while this is held, which nothing may keep from being driven. What an earlier run of its name has left goes first, if
    /// that is asked for.
    async fn untouched(&self, id: &RunId, makes_way: bool) -> Result<Untouched, Error> {
        let leftovers = &self.inner.leftovers;
        Ok(if makes_way { leftovers.make_way(id).await? } else { leftovers.untouched().await })
    }

    /// Has the engine accept a run, and begins to drive it.
    async fn accept(
        &self,
        new: spanwise_engine::NewRun,
        task: TaskDefinition,
        (size, options): (usize, RunOptions),
        untouched: Untouched,
    ) -> Result<RunHandle, spanwise_engine::Error> {
        let (plane, frozen) = (self.clone(), new.inputs.clone());
        // The run is made also if the caller goes away meanwhile: nothing is removed until it is there.
        let begin = move |run: &RunHandle| {
            // Before it is driven: whoever drives it asks for them.
            plane.inner.definitions.remember(task);
            plane.inner.definitions.remember_options(run.settings(), size, options);
            plane.drive(run, ActionName::ROOT, Some(frozen));
            drop(untouched);
        };
        self.inner.engine.accept_run(new, begin).await
    }

    /// Who is notified of a run. A tracked one's program sends them itself.
    fn receivers_of(&self, new: &NewRun) -> Result<Receivers, Invalid> {
        if new.tracked { Ok(Receivers::default()) } else { self.inner.courier.receivers(&new.options.rules) }
    }

    /// The time that a run is for: the given one, else that of the run that it repeats.
    fn start_time(
        &self,
        given: Option<Timestamp>,
        scope: &Scope,
        relation: Option<&Relation>,
    ) -> Result<Option<Timestamp>, Error> {
        match (given, relation) {
            (None, Some(Relation::Rerun { run } | Relation::Recover { run })) => {
                Ok(self.run(&scope.clone().run(run.clone()))?.given_start_time())
            }
            _ => Ok(given),
        }
    }

    /// What is fixed about the root of a new run.
    fn spec_of_root(
        &self,
        task: &TaskDefinition,
        inputs: &TaskInputs,
        rules: &RunRules<'_>,
        tracked: bool,
    ) -> Result<ActionSpec, Invalid> {
        if tracked {
            return spanwise_wire::tracked::root(task, self.inner.tracked_silence);
        }
        let cache_key = task.root_cache_key(inputs)?;
        let spec = task.action_spec(None, "", cache_key.as_deref(), rules)?;
        Ok(match task.only_waits {
            true => as_timer(spec, task, inputs, self.inner.engine.machine_time()),
            false => spec,
        })
    }

    /// What of a run is not honoured, which a strict server refuses, and what else is to be said of it.
    async fn warnings(&self, new: &NewRun, given: &Given, of_notifications: Vec<String>) -> Result<Vec<String>, Error> {
        if new.tracked {
            // What it asks for is its program's to honour.
            return Ok(new.options.relation.warning.clone().into_iter().collect());
        }
        let mut warnings = new.options.not_honoured.clone();
        warnings.extend(of_notifications);
        let queue = new.options.options.queue.as_deref().or(given.defaults.queue.as_deref());
        warnings.extend(queues::not_there(&self.inner.engine, queue));
        warnings.extend(new.task.not_honoured());
        warnings.extend(self.image_warnings(new).await?);
        if self.inner.strict && !warnings.is_empty() {
            return Err(Invalid::field(warnings.join("; ")).into());
        }
        warnings.extend(new.options.relation.warning.clone());
        // Whoever starts the run has not asked for it.
        warnings.extend(given.not_honoured.iter().cloned());
        warnings.extend(new.notes.iter().cloned());
        Ok(warnings)
    }

    /// The inputs with the trace that the run belongs to. A run that repeats another one has a trace of its own, unless it was given
    /// another (semantics S1.6); a caller that sends its trace in the header and none in the context is joined.
    async fn with_trace(
        &self,
        mut inputs: TaskInputs,
        scope: &Scope,
        relation: Option<&Relation>,
        caller_trace: Option<&str>,
    ) -> Result<TaskInputs, Error> {
        let context = inputs.context.without_empty();
        context.check().map_err(Invalid::from)?;
        inputs.context = context;
        if let Some(Relation::Rerun { run } | Relation::Recover { run }) = relation
            && inputs.context.get(TRACEPARENT) == self.trace_of(scope, run).await?.as_deref()
        {
            inputs.context = inputs.context.without_trace();
        }
        if let Some(trace) = caller_trace
            && trace.len() <= MAX_TRACEPARENT
            && trace.parse::<TraceParent>().is_ok()
            && inputs.context.get(TRACEPARENT).is_none()
        {
            inputs.context.set(TRACEPARENT, trace);
        }
        Ok(inputs)
    }

    /// How a new run is traced: as it asks itself by its label, else as its project or the server does. A repeated run links to the one
    /// that it repeats.
    fn trace_of_new(
        &self,
        id: &RunId,
        (options, relation): (&RunOptions, Option<&Relation>),
        inbound: Option<TraceParent>,
    ) -> Result<RunTrace, Error> {
        let level_asked = options.trace.as_ref().map(|level| level.parse::<TraceLevel>());
        let level_asked = level_asked
            .transpose()
            .map_err(|error| Invalid::field(format!("run_spec.labels.{TRACE_LABEL}: {error}")))?;
        if let Some(steps) = options.labels.get(STEPS_LABEL).filter(|steps| !["on", "off"].contains(&steps.as_str())) {
            let steps = steps.chars().take(40).collect::<String>();
            return Err(
                Invalid::field(format!("run_spec.labels.{STEPS_LABEL}: `{steps}` is neither on nor off")).into()
            );
        }
        let rules = &self.inner.trace;
        let level = level_asked.unwrap_or_else(|| rules.level_in(&id.project));
        let links = match relation {
            Some(Relation::Rerun { run } | Relation::Recover { run }) => {
                self.run(&RunId { name: run.clone(), ..id.clone() })?.span()
            }
            _ => None,
        };
        Ok(RunTrace { links: links.into_iter().collect(), ..RunTrace::decide(level, rules.ratio, id, inbound) })
    }

    /// Whether a run could be created with these options.
    pub(super) fn check_options(&self, scope: &Scope, options: &RunOptions) -> Result<(), Error> {
        check(options)?;
        self.trace_of_new(&scope.clone().run(RunName::from_random(0)), (options, None), None)?;
        match options.max_action_concurrency {
            Some(1) => Err(spanwise_engine::Error::ConcurrencyOfOne.into()),
            _ => Ok(()),
        }
    }

    /// The trace that a run was started in.
    async fn trace_of(&self, scope: &Scope, run: &RunName) -> Result<Option<String>, Error> {
        let run = self.run(&scope.clone().run(run.clone()))?;
        let Some(frozen) = run.payloads(&ActionName::ROOT).await?.0 else { return Ok(None) };
        Ok(inputs::context(&frozen)?.get(TRACEPARENT).map(str::to_owned))
    }
}

/// The trace of a run with what its map says of it, linked to the attempts that made the artifacts that it is given.
fn with_context(trace: RunTrace, context: &CustomContext, consumed: &[ArtifactRow]) -> RunTrace {
    let trace = trace.with_state(context.span().and_then(|_| context.get(TRACESTATE)));
    RunTrace { consumed: consumed.iter().filter_map(|row| row.artifact.producer).collect(), ..trace }
}

/// What of a run is not honoured is in the log of the server too.
fn log_warnings(run: &RunHandle, task: &str) {
    for warning in &run.settings().warnings {
        let trace_id = run.span().map(|span| tracing::field::display(span.trace));
        tracing::warn!(run = %run.id().name, task, trace_id, warning);
    }
}

/// Random bits as a name of a directory.
pub(crate) fn random_name() -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(spanwise_engine::random_bits().to_be_bytes())
}

fn check(options: &RunOptions) -> Result<(), Invalid> {
    check_labels(options)?;
    queues::check(options)
}

/// A label that the journal would shorten is refused.
fn check_labels(options: &RunOptions) -> Result<(), Invalid> {
    match options.labels_with_nul().next() {
        Some(label) => Err(Invalid::field(format!("run_spec.labels: `{}` holds a NUL", shown(label)))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_with_a_nul_is_refused_by_its_field() {
        let refused = |value: &str| {
            let labels = [("team".to_owned(), value.to_owned())].into();
            check_labels(&RunOptions { labels, ..RunOptions::default() }).map_err(|error| error.to_string())
        };
        assert_eq!(refused("a b"), Ok(()));
        assert_eq!(refused("a\0b"), Err("run_spec.labels: `team` holds a NUL".to_owned()));
    }
}
