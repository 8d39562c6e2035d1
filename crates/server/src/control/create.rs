//! Creating a run.

use base64::Engine as _;
use bytes::Bytes;
use spanwise_core::lifecycle::{RunTrace, STEPS_LABEL, TRACE_LABEL, TraceLevel};
use spanwise_core::trace::{TRACEPARENT, TRACESTATE, TraceParent};
use spanwise_core::{ActionName, RunId, RunName};
use spanwise_engine::{Definition, Relation, RunHandle, RunOptions, RunSettings, Scope};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::common::{RelationType, RunIdentifier};
use spanwise_proto::flyteidl2::task::{Inputs, RunSpec, TaskSpec};
use spanwise_wire::{CustomContext, Invalid, options, shown, task, task::RunRules, values};

use super::{ControlPlane, Error};
use crate::calls;
use crate::layout;

/// A later version of `traceparent` may have more parts; none that is longer than this is taken over from a header.
const MAX_TRACEPARENT: usize = 256;

/// A run that a client asks for.
pub(crate) struct NewRun {
    pub(crate) scope: Scope,
    /// None: the server makes a name.
    pub(crate) name: Option<RunName>,
    pub(crate) task: TaskSpec,
    pub(crate) inputs: Inputs,
    pub(crate) settings: RunSpec,
    /// The trace of the caller, from the request's header.
    pub(crate) caller_trace: Option<String>,
    /// The version under which the task is deployed; none: the one that its definition names.
    pub(crate) version: Option<String>,
    /// What else is worth a warning with the run.
    pub(crate) notes: Vec<String>,
}

impl ControlPlane {
    /// Accepts a run and begins to drive it. After `Ok` it survives the process.
    pub(crate) async fn create_run(&self, new: NewRun) -> Result<RunHandle, Error> {
        self.inner.readiness.check().await?;
        let mut warnings = options::not_honoured(&new.settings);
        warnings.extend(task::not_honoured(&new.task));
        warnings.extend(self.image_warnings(&new).await?);
        if self.inner.strict && !warnings.is_empty() {
            return Err(Invalid::field(warnings.join("; ")).into());
        }
        self.check_bundle(task::bundle(&new.task)?).await?;
        let (relation, warning) = relation(&new.settings, &new.scope)?;
        warnings.extend(warning);
        warnings.extend(new.notes.iter().cloned());
        let (inputs, context) = self.prepare_inputs(&new, relation.as_ref()).await?;
        let options = options::of_message(&new.settings);
        let rules = RunRules { scope: &new.scope, options: &options };
        let cache_key = task::root_cache_key(&new.task, &inputs)?;
        let (digest, body) = task::encode(&new.task);
        let mut spec = task::action_spec(&new.task, &digest, None, "", cache_key.as_deref(), &rules)?;
        let sent = definition(&new.settings);
        let named = task::name(&new.task)?.to_owned();
        let settings = RunSettings {
            options: options.shown(),
            relation,
            definition: Some(sent.digest.clone()),
            warnings,
            ..RunSettings::default()
        };
        let is_named = new.name.is_some();
        let id = new.scope.run(new.name.unwrap_or_else(|| RunName::from_random(spanwise_engine::random_bits())));
        let inbound = context.span();
        let trace = self.trace_of_new(&id, (&options, settings.relation.as_ref()), inbound)?;
        let trace = trace.with_state(inbound.and_then(|_| context.get(TRACESTATE)));
        spec.traceparent = inbound.filter(|_| trace.is_exported());
        let named_version = &task::template(&new.task)?.id.version;
        let task_version = new.version.unwrap_or_else(|| named_version.clone());
        let settings = RunSettings { task_version, trace, ..settings };
        // What an earlier run of the name has left goes before there is a new one, which nothing may keep from being driven then.
        let _untouched = match is_named {
            true => self.inner.leftovers.make_way(&id).await?,
            false => self.inner.leftovers.untouched().await,
        };
        let frozen = values::encode_inputs(&inputs);
        let (inputs, definitions) = (frozen.clone(), vec![sent, Definition { digest, body }]);
        let accepted = spanwise_engine::NewRun { id: id.clone(), spec, inputs: inputs.clone(), settings, definitions };
        let plane = self.clone();
        let begin = move |run: &RunHandle| plane.drive(run, ActionName::ROOT, Some(inputs));
        let run = self.inner.engine.accept_run(accepted, begin).await?;
        // For readers. The run has been accepted: its attempt is given them again, from the journal.
        let copied = self.inner.blobs.put(&layout::inputs(&id, &ActionName::ROOT)?, frozen).await;
        if let Err(error) = copied {
            tracing::warn!(run = %id.name, error = &error as &dyn std::error::Error, "the inputs of a run come with its attempt");
        }
        log_warnings(&run, &named);
        calls::is_about(&run);
        Ok(run)
    }

    /// The inputs with their defaults. A run that repeats another one has a trace of its own, unless it was given another
    /// (semantics S1.6); a caller that sends its trace in the header and none in the context is joined.
    async fn prepare_inputs(
        &self,
        new: &NewRun,
        relation: Option<&Relation>,
    ) -> Result<(Inputs, CustomContext), Error> {
        let mut inputs = task::with_defaults(&new.task, new.inputs.clone());
        let mut context = CustomContext::from_message(inputs.context).without_empty();
        context.check().map_err(Invalid::from)?;
        if let Some(Relation::Rerun { run } | Relation::Recover { run }) = relation
            && context.get(TRACEPARENT) == self.trace_of(&new.scope, run).await?.as_deref()
        {
            context = context.without_trace();
        }
        if let Some(trace) = &new.caller_trace
            && trace.len() <= MAX_TRACEPARENT
            && trace.parse::<TraceParent>().is_ok()
            && context.get(TRACEPARENT).is_none()
        {
            context.set(TRACEPARENT, trace.as_str());
        }
        inputs.context = context.to_message();
        Ok((inputs, context))
    }

    /// How a new run is traced: as it asks itself by its label, else as its project or the server does. A repeated run links to the one
    /// that it repeats.
    fn trace_of_new(
        &self,
        id: &RunId,
        (options, relation): (&RunOptions, Option<&Relation>),
        inbound: Option<TraceParent>,
    ) -> Result<RunTrace, Error> {
        let asked = options.trace.as_ref().map(|level| level.parse::<TraceLevel>());
        let asked =
            asked.transpose().map_err(|error| Invalid::field(format!("run_spec.labels.{TRACE_LABEL}: {error}")))?;
        if let Some(steps) = options.labels.get(STEPS_LABEL).filter(|steps| !["on", "off"].contains(&steps.as_str())) {
            let steps = steps.chars().take(40).collect::<String>();
            return Err(
                Invalid::field(format!("run_spec.labels.{STEPS_LABEL}: `{steps}` is neither on nor off")).into()
            );
        }
        let rules = &self.inner.trace;
        let level = asked.unwrap_or_else(|| rules.level_in(&id.project));
        let links = match relation {
            Some(Relation::Rerun { run } | Relation::Recover { run }) => {
                self.run(&RunId { name: run.clone(), ..id.clone() })?.span()
            }
            _ => None,
        };
        Ok(RunTrace { links: links.into_iter().collect(), ..RunTrace::decide(level, rules.ratio, id, inbound) })
    }

    /// The trace that a run was started in.
    async fn trace_of(&self, scope: &Scope, run: &RunName) -> Result<Option<String>, Error> {
        let run = self.run(&scope.clone().run(run.clone()))?;
        let Some(inputs) = run.payloads(&ActionName::ROOT).await?.0 else { return Ok(None) };
        let context = CustomContext::from_message(values::inputs(&inputs)?.context);
        Ok(context.get(TRACEPARENT).map(str::to_owned))
    }
}

/// What is stored of a message as its client sent it.
pub(super) fn definition(sent: &impl Message) -> Definition {
    let body = Bytes::from(sent.encode_to_vec());
    Definition { digest: task::digest(&body), body }
}

/// What of a run is not honoured is in the log of the server too.
fn log_warnings(run: &RunHandle, task: &str) {
    for warning in &run.settings().warnings {
        let trace_id = run.span().map(|span| tracing::field::display(span.trace));
        tracing::warn!(run = %run.id().name, task, trace_id, warning);
    }
}

/// The run that a run comes from. Only a run of the same project and domain can be repeated or recovered; that another one has started
/// this one is not recorded, and said.
fn relation(spec: &RunSpec, scope: &Scope) -> Result<(Option<Relation>, Option<String>), Invalid> {
    let Some(relation) = spec.relation.as_option() else { return Ok((None, None)) };
    let run = RunName::new(&relation.related_to.name)?;
    let RunIdentifier { org, project, domain, .. } = &*relation.related_to;
    let is_other = |given: &str, own: &str| !given.is_empty() && given != own;
    let elsewhere = is_other(org, &scope.org) || is_other(project, &scope.project) || is_other(domain, &scope.domain);
    let from = format!("run `{run}` of project `{}`, domain `{}`", shown(project), shown(domain));
    let relation = match relation.relation_type.as_known() {
        Some(RelationType::RELATION_TYPE_SPAWN) if elsewhere => {
            let warning = format!("run_spec.relation is not recorded: {from} belongs elsewhere");
            return Ok((None, Some(warning)));
        }
        Some(RelationType::RELATION_TYPE_SPAWN) => Relation::Spawn { run },
        Some(RelationType::RELATION_TYPE_RERUN | RelationType::RELATION_TYPE_RECOVER) if elsewhere => {
            return Err(Invalid::field(format!(
                "run_spec.relation.related_to: {from} cannot be repeated in project `{}`, domain `{}`",
                scope.project, scope.domain
            )));
        }
        Some(RelationType::RELATION_TYPE_RERUN) => Relation::Rerun { run },
        Some(RelationType::RELATION_TYPE_RECOVER) => Relation::Recover { run },
        _ => {
            return Err(Invalid::field(format!(
                "run_spec.relation.relation_type: {} is none of rerun (1), recover (2) and spawn (3)",
                relation.relation_type.to_i32()
            )));
        }
    };
    Ok((Some(relation), None))
}

/// Random bits as a name of a directory.
pub(crate) fn random_name() -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(spanwise_engine::random_bits().to_be_bytes())
}
