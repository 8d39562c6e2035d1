//! Actions and runs as lists, details and watches show them.

use spanwise_core::history::{AttemptEnd, AttemptHistory};
use spanwise_core::{Action, ActionKind, ActionName, AttemptNo, End, Failure, Phase, RunId, Source, Times, code};
use spanwise_engine::{ActionView, RunRow, RunSettings};
use spanwise_proto::flyteidl2::common::{
    ActionPhase, EnrichedIdentity, Relation, RelationType, User, UserIdentifier, enriched_identity,
};
use spanwise_proto::flyteidl2::core::CatalogCacheStatus;
use spanwise_proto::flyteidl2::task::{OutputReferences, TaskIdentifier, TaskSpec, TraceSpec};
use spanwise_proto::flyteidl2::workflow::{
    AbortInfo, Action as WireAction, ActionAttempt, ActionDetails, ActionMetadata, ActionStatus, ActionType,
    ActionUpdate, ConditionAction, ConditionActionMetadata, ErrorInfo, PhaseTransition, Run, SignalInfo,
    TaskActionMetadata, TraceActionMetadata, action_details,
};
use spanwise_proto::{EnumValue, Message};

use super::{Invalid, failure, ids, values};
use crate::layout;

/// What an action was made from.
#[derive(Clone, Debug)]
pub(crate) enum Definition {
    Task(Box<TaskSpec>),
    Step(TraceSpec),
    Condition(Box<ConditionAction>),
}

impl Definition {
    /// Reads the stored form of what an action of this kind is made from.
    pub(crate) fn decode(kind: ActionKind, body: &[u8]) -> Result<Definition, Invalid> {
        let invalid = |what| move |source| Invalid::Decode { what, source };
        Ok(match kind {
            ActionKind::Task => Definition::Task(Box::new(super::task::decode(body)?)),
            ActionKind::Step => {
                Definition::Step(TraceSpec::decode_from_slice(body).map_err(invalid("step definition"))?)
            }
            ActionKind::Condition => Definition::Condition(Box::new(
                ConditionAction::decode_from_slice(body).map_err(invalid("condition definition"))?,
            )),
        })
    }
}

/// An action with everything that showing it needs.
pub(crate) struct Shown<'a> {
    pub(crate) run: &'a RunId,
    pub(crate) name: &'a ActionName,
    pub(crate) action: &'a Action,
    pub(crate) definition: Option<&'a Definition>,
}

pub(crate) fn phase(phase: Phase) -> EnumValue<ActionPhase> {
    EnumValue::from(phase.number())
}

/// Who has created every run: nobody logs in on loopback.
pub(crate) const SUBJECT: &str = "local";

/// The name that an identity carries, if it carries one.
pub(crate) fn named(identity: &EnrichedIdentity) -> Option<String> {
    let subject = match identity.principal.as_ref()? {
        enriched_identity::Principal::User(user) => user.id.subject.trim(),
        enriched_identity::Principal::Application(application) => application.id.subject.trim(),
    };
    (!subject.is_empty()).then(|| subject.to_owned())
}

fn identity(name: &str) -> EnrichedIdentity {
    let id = UserIdentifier { subject: name.to_owned(), ..UserIdentifier::default() };
    let user = User { id: id.into(), ..User::default() };
    EnrichedIdentity { principal: Some(user.into()), ..EnrichedIdentity::default() }
}

/// The attempt whose directory has an action's outputs, as soon as there is one.
pub(crate) fn output_attempt(action: &Action) -> AttemptNo {
    match action.end() {
        Some(End::Succeeded { attempt }) if attempt.0 > 0 => *attempt,
        _ => AttemptNo(action.attempts.max(1)),
    }
}

/// Where an action's outputs are or will be: a directory for a task, the file itself for a step (Flyte's
/// `_internal/controllers/remote`).
pub(crate) fn output_uri(run: &RunId, name: &ActionName, action: &Action) -> String {
    let uri = match action.spec.kind {
        ActionKind::Task => layout::attempt(run, name, output_attempt(action)),
        ActionKind::Step => layout::run_base(run).and_then(|base| base.join(name.as_str())?.join("outputs.pb")),
        ActionKind::Condition => return String::new(),
    };
    uri.map(|uri| uri.to_string()).unwrap_or_default()
}

impl Shown<'_> {
    /// What a watching parent is told.
    pub(crate) fn update(&self, outputs: Option<&[u8]>) -> ActionUpdate {
        let retried = self.action.spec.retry.retries > 0;
        let value = outputs.filter(|_| self.action.spec.kind == ActionKind::Condition).and_then(values::first_output);
        ActionUpdate {
            action_id: ids::to_action_identifier(self.run, self.name).into(),
            phase: phase(self.action.phase()),
            error: self.action.end().and_then(|end| failure::execution_error(end, retried)).into(),
            output_uri: output_uri(self.run, self.name, self.action),
            value: value.into(),
            ..ActionUpdate::default()
        }
    }

    pub(crate) fn status(&self) -> ActionStatus {
        let action = self.action;
        ActionStatus {
            phase: phase(action.phase()),
            // The default attempt for logs: never 0.
            attempts: action.attempts.max(1),
            cache_status: cache_status(action).into(),
            ..timed(action.times())
        }
    }

    pub(crate) fn metadata(&self) -> ActionMetadata {
        let spec = &self.action.spec;
        let task_name = spec.task.as_str();
        let mut metadata = ActionMetadata {
            parent: spec.parent.map(|parent| parent.to_string()).unwrap_or_default(),
            group: spec.group.clone().unwrap_or_default(),
            executed_by: identity(SUBJECT).into(),
            funtion_name: spec.task.short().to_owned(),
            environment_name: environment_of(task_name),
            ..ActionMetadata::default()
        };
        if let Some(End::Reused(Source::Recovery { run, .. })) = self.action.end() {
            let mut source = ids::to_action_identifier(self.run, self.name);
            source.run.get_or_insert_default().name = run.clone();
            metadata.recovered_from = source.into();
        }
        let action_type = match spec.kind {
            ActionKind::Task => {
                metadata.spec = Some(self.task_metadata().into());
                ActionType::ACTION_TYPE_TASK
            }
            ActionKind::Step => {
                let trace = TraceActionMetadata { name: task_name.to_owned(), ..TraceActionMetadata::default() };
                metadata.spec = Some(trace.into());
                ActionType::ACTION_TYPE_TRACE
            }
            ActionKind::Condition => {
                metadata.spec = Some(self.condition_metadata().into());
                ActionType::ACTION_TYPE_CONDITION
            }
        };
        metadata.action_type = action_type.into();
        metadata
    }

    fn task_metadata(&self) -> TaskActionMetadata {
        let mut metadata = task_metadata(self.run, self.action.spec.task.as_str(), "");
        if let Some(Definition::Task(spec)) = self.definition {
            metadata.task_type = spec.task_template.r#type.clone();
            metadata.id.get_or_insert_default().version = spec.task_template.id.version.clone();
            if !spec.short_name.is_empty() {
                metadata.short_name = spec.short_name.clone();
            }
        }
        metadata
    }

    fn condition_metadata(&self) -> ConditionActionMetadata {
        let mut metadata =
            ConditionActionMetadata { name: self.action.spec.task.to_string(), ..ConditionActionMetadata::default() };
        if let Some(Definition::Condition(condition)) = self.definition {
            metadata.r#type = condition.r#type.clone();
        }
        metadata
    }

    pub(crate) fn action(&self) -> WireAction {
        WireAction {
            id: ids::to_action_identifier(self.run, self.name).into(),
            metadata: self.metadata().into(),
            status: self.status().into(),
            ..WireAction::default()
        }
    }

    pub(crate) fn details(&self, attempts: &[AttemptHistory], outputs: Option<&[u8]>) -> ActionDetails {
        ActionDetails {
            id: ids::to_action_identifier(self.run, self.name).into(),
            metadata: self.metadata().into(),
            status: self.status().into(),
            result: self.result(outputs),
            spec: self.definition.map(|definition| match definition {
                Definition::Task(spec) => action_details::Spec::Task(spec.clone()),
                Definition::Step(spec) => spec.clone().into(),
                Definition::Condition(condition) => action_details::Spec::Condition(condition.clone()),
            }),
            attempts: attempts.iter().map(|attempt| self.attempt(attempt)).collect(),
            ..ActionDetails::default()
        }
    }

    fn result(&self, outputs: Option<&[u8]>) -> Option<action_details::Result> {
        match self.action.end()? {
            End::Failed(error) | End::TimedOut(error) => Some(failure::error_info(error).into()),
            End::Aborted { by, reason } => {
                let info =
                    AbortInfo { reason: reason.clone(), aborted_by: identity(by).into(), ..AbortInfo::default() };
                Some(info.into())
            }
            End::Signalled { by } => {
                let output = outputs.and_then(values::first_output);
                let info =
                    SignalInfo { signalled_by: identity(by).into(), output: output.into(), ..SignalInfo::default() };
                Some(info.into())
            }
            End::Succeeded { .. } | End::Reused(_) => None,
        }
    }

    fn attempt(&self, attempt: &AttemptHistory) -> ActionAttempt {
        let (phase_now, error) = self.end_of(attempt);
        let directory = layout::attempt(self.run, self.name, attempt.attempt);
        let report = directory.as_ref().ok().and_then(|directory| directory.join("report.html").ok());
        let outputs = OutputReferences {
            output_uri: directory.map(|directory| directory.to_string()).unwrap_or_default(),
            report_uri: report.map(|report| report.to_string()).unwrap_or_default(),
            ..OutputReferences::default()
        };
        ActionAttempt {
            phase: phase(phase_now),
            start_time: values::timestamp(attempt.launched_at).into(),
            end_time: attempt.end.as_ref().map(|(at, _)| values::timestamp(*at)).into(),
            error_info: error.into(),
            attempt: attempt.attempt.0,
            outputs: outputs.into(),
            logs_available: true,
            phase_transitions: transitions(attempt, phase_now),
            cache_status: cache_status(self.action).into(),
            cluster: "local".to_owned(),
            ..ActionAttempt::default()
        }
    }

    fn end_of(&self, attempt: &AttemptHistory) -> (Phase, Option<ErrorInfo>) {
        let Some((_, end)) = &attempt.end else {
            return (if attempt.started_at.is_some() { Phase::Running } else { Phase::Initializing }, None);
        };
        match end {
            AttemptEnd::Succeeded => (Phase::Succeeded, None),
            AttemptEnd::Failed(error) => (Phase::Failed, Some(failure::error_info(error))),
            AttemptEnd::TimedOut => {
                let error = match self.action.end() {
                    Some(End::TimedOut(error)) => failure::error_info(error),
                    _ => failure::error_info(&Failure::user(code::MAX_RUNTIME_EXCEEDED, "max_runtime exceeded")),
                };
                (Phase::TimedOut, Some(error))
            }
            AttemptEnd::Lost(reason) => {
                let error = Failure::system(code::ATTEMPT_LOST, reason.clone());
                (Phase::Failed, Some(failure::error_info(&error)))
            }
            AttemptEnd::Released => {
                let message = "the attempt was given back: its server was shut down";
                (Phase::Aborted, Some(failure::error_info(&Failure::system("AttemptReleased", message))))
            }
            AttemptEnd::Aborted => (Phase::Aborted, None),
        }
    }
}

fn transitions(attempt: &AttemptHistory, last: Phase) -> Vec<PhaseTransition> {
    let ended = attempt.end.as_ref().map(|(at, _)| *at);
    let mut points = vec![(Phase::Queued, attempt.queued_at), (Phase::Initializing, attempt.launched_at)];
    points.extend(attempt.started_at.map(|at| (Phase::Running, at)));
    points.extend(ended.map(|at| (last, at)));
    let ends = points.iter().skip(1).map(|(_, at)| Some(*at)).chain([ended]);
    let transition = |((reached, start), end): (&(Phase, _), Option<_>)| PhaseTransition {
        phase: phase(*reached),
        start_time: values::timestamp(*start).into(),
        end_time: end.map(values::timestamp).into(),
        ..PhaseTransition::default()
    };
    points.iter().zip(ends).map(transition).collect()
}

fn cache_status(action: &Action) -> CatalogCacheStatus {
    let Some(policy) = &action.spec.cache else { return CatalogCacheStatus::CACHE_DISABLED };
    match action.end() {
        Some(End::Reused(Source::Cache { .. })) => CatalogCacheStatus::CACHE_HIT,
        Some(End::Succeeded { .. }) => CatalogCacheStatus::CACHE_POPULATED,
        _ if policy.overwrite => CatalogCacheStatus::CACHE_SKIPPED,
        _ => CatalogCacheStatus::CACHE_MISS,
    }
}

/// The times of an action on the wire, which has one start: when it was created. So start and duration give the end, whoever adds
/// them up, and the start never moves.
fn timed(times: Times) -> ActionStatus {
    ActionStatus {
        start_time: values::timestamp(times.created).into(),
        end_time: times.ended.map(values::timestamp).into(),
        duration_ms: times.ended.map(|ended| times.took(ended).as_millis() as u64),
        started_at: times.started.map(values::timestamp).into(),
        ..ActionStatus::default()
    }
}

/// A run as lists show it, from its row and that of its root: no run is loaded for a list.
pub(crate) fn listed_run(row: &RunRow, root: Option<&ActionView>) -> Run {
    let settings = RunSettings::of(row);
    let task_name = row.task.as_str();
    let metadata = ActionMetadata {
        executed_by: identity(SUBJECT).into(),
        funtion_name: row.task.short().to_owned(),
        environment_name: environment_of(task_name),
        spec: Some(task_metadata(&row.id, task_name, &settings.task_version).into()),
        action_type: ActionType::ACTION_TYPE_TASK.into(),
        ..ActionMetadata::default()
    };
    let started = root.and_then(|root| root.started_at);
    let status = ActionStatus {
        phase: phase(row.phase),
        attempts: root.map_or(1, |root| root.attempts.max(1)),
        ..timed(Times { created: row.created_at, started, ended: row.ended_at })
    };
    let action = WireAction {
        id: ids::to_action_identifier(&row.id, &ActionName::ROOT).into(),
        metadata: metadata.into(),
        status: status.into(),
        ..WireAction::default()
    };
    let mut labels = settings.labels;
    // The protocol has no place for it in a list.
    labels.extend(row.unreadable.clone().map(|cause| (UNREADABLE.to_owned(), cause)));
    Run { action: action.into(), labels: labels.into_iter().collect(), ..Run::default() }
}

/// The label by which a list says that a run cannot be read, and why.
pub(crate) const UNREADABLE: &str = "spanwise.unreadable";

fn environment_of(task: &str) -> String {
    task.rsplit_once('.').map(|(environment, _)| environment.to_owned()).unwrap_or_default()
}

fn task_metadata(run: &RunId, task: &str, version: &str) -> TaskActionMetadata {
    let id = TaskIdentifier {
        org: run.org.clone(),
        project: run.project.clone(),
        domain: run.domain.clone(),
        name: task.to_owned(),
        version: version.to_owned(),
        ..TaskIdentifier::default()
    };
    let short_name = task.rsplit('.').next().unwrap_or(task).to_owned();
    TaskActionMetadata { id: id.into(), short_name, ..TaskActionMetadata::default() }
}

/// Where a run comes from, on the wire.
pub(crate) fn relation(run: &RunId, relation: &spanwise_engine::Relation) -> Relation {
    let (name, kind) = match relation {
        spanwise_engine::Relation::Spawn { run } => (run, RelationType::RELATION_TYPE_SPAWN),
        spanwise_engine::Relation::Rerun { run } => (run, RelationType::RELATION_TYPE_RERUN),
        spanwise_engine::Relation::Recover { run } => (run, RelationType::RELATION_TYPE_RECOVER),
    };
    let mut related = ids::to_run_identifier(run);
    related.name = name.to_string();
    Relation { related_to: related.into(), relation_type: kind.into(), ..Relation::default() }
}
