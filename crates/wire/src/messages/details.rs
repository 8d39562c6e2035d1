//! Actions and runs as lists, details and watches show them.

use spanwise_core::history::{AttemptEnd, AttemptHistory};
use spanwise_core::tracked::CacheReport;
use spanwise_core::trigger::{Firing, TriggerId};
use spanwise_core::{
    Action, ActionKind, ActionName, AttemptNo, End, Failure, Phase, RunId, Source, State, TaskName, Times, code,
};
use spanwise_proto::EnumValue;
use spanwise_proto::flyteidl2::common::{
    ActionPhase, EnrichedIdentity, TriggerIdentifier, User, UserIdentifier, enriched_identity,
};
use spanwise_proto::flyteidl2::core::CatalogCacheStatus;
use spanwise_proto::flyteidl2::task::OutputReferences;
use spanwise_proto::flyteidl2::workflow::{
    AbortInfo, Action as WireAction, ActionAttempt, ActionDetails, ActionMetadata, ActionStatus, ActionType,
    ActionUpdate, ClusterEvent, ConditionActionMetadata, ErrorInfo, PhaseTransition, Run, RunSource, SignalInfo,
    TaskActionMetadata, TraceActionMetadata, action_details, cluster_event,
};
use std::collections::BTreeMap;

use crate::times::timestamp;
use crate::{Definition, failure, ids, task, values};

/// An action with everything that showing it needs.
pub struct Shown<'a> {
    /// Its run.
    pub run: &'a RunId,
    /// The URI of the run's directory in the blob store, without a `/` at its end.
    pub directory: &'a str,
    /// Its name.
    pub name: &'a ActionName,
    /// Itself.
    pub action: &'a Action,
    /// What it was made from, if that is at hand.
    pub definition: Option<&'a Definition>,
    /// The trigger that has fired its run, if one has.
    pub firing: Option<&'a Firing>,
}

/// The numbers of Flyte's words for what a cache did are the order of ours.
fn cache_of_program(report: CacheReport) -> CatalogCacheStatus {
    match report {
        CacheReport::Disabled => CatalogCacheStatus::CACHE_DISABLED,
        CacheReport::Miss => CatalogCacheStatus::CACHE_MISS,
        CacheReport::Hit => CatalogCacheStatus::CACHE_HIT,
        CacheReport::Populated => CatalogCacheStatus::CACHE_POPULATED,
        CacheReport::LookupFailure => CatalogCacheStatus::CACHE_LOOKUP_FAILURE,
        CacheReport::PutFailure => CatalogCacheStatus::CACHE_PUT_FAILURE,
        CacheReport::Skipped => CatalogCacheStatus::CACHE_SKIPPED,
        CacheReport::Evicted => CatalogCacheStatus::CACHE_EVICTED,
    }
}

/// A phase for the wire.
pub fn phase(phase: Phase) -> EnumValue<ActionPhase> {
    EnumValue::from(phase.number())
}

/// Who has created every run: nobody logs in on loopback.
pub const SUBJECT: &str = "local";

/// The name that an identity carries, if it carries one.
pub fn named(identity: &EnrichedIdentity) -> Option<String> {
    let subject = match identity.principal.as_ref()? {
        enriched_identity::Principal::User(user) => user.id.subject.trim(),
        enriched_identity::Principal::Application(application) => application.id.subject.trim(),
    };
    (!subject.is_empty()).then(|| subject.to_owned())
}

/// Everybody who asks for something here.
pub fn creator() -> EnrichedIdentity {
    identity(SUBJECT)
}

fn identity(name: &str) -> EnrichedIdentity {
    let id = UserIdentifier { subject: name.to_owned(), ..UserIdentifier::default() };
    let user = User { id: id.into(), ..User::default() };
    EnrichedIdentity { principal: Some(user.into()), ..EnrichedIdentity::default() }
}

/// Who has done what nobody else can have done.
pub(crate) fn local_identity() -> EnrichedIdentity {
    identity(SUBJECT)
}

/// The attempt whose directory has an action's outputs, as soon as there is one.
pub fn output_attempt(action: &Action) -> AttemptNo {
    match action.end() {
        Some(End::Succeeded { attempt }) if attempt.0 > 0 => *attempt,
        _ => AttemptNo(action.attempts.max(1)),
    }
}

/// Where an action's outputs are or will be: a directory for a task, the file itself for a step (Flyte's
/// `_internal/controllers/remote`).
pub fn output_uri(directory: &str, name: &ActionName, action: &Action) -> String {
    match action.spec.kind {
        _ if directory.is_empty() => String::new(),
        ActionKind::Task => format!("{directory}/{name}/{}", output_attempt(action)),
        ActionKind::Step => format!("{directory}/{name}/outputs.pb"),
        ActionKind::Condition | ActionKind::Timer => String::new(),
    }
}

/// The kind of an action for the wire.
pub fn action_type(kind: ActionKind) -> ActionType {
    match kind {
        ActionKind::Task | ActionKind::Timer => ActionType::ACTION_TYPE_TASK,
        ActionKind::Step => ActionType::ACTION_TYPE_TRACE,
        ActionKind::Condition => ActionType::ACTION_TYPE_CONDITION,
    }
}

impl Shown<'_> {
    /// What a watching parent is told.
    pub fn update(&self, outputs: Option<&[u8]>) -> ActionUpdate {
        let retried = self.action.spec.retry.retries > 0;
        let value = outputs.filter(|_| self.action.spec.kind == ActionKind::Condition).and_then(values::first_output);
        ActionUpdate {
            action_id: ids::to_action_identifier(self.run, self.name).into(),
            phase: phase(self.action.phase()),
            error: self.action.end().and_then(|end| failure::execution_error(end, retried)).into(),
            output_uri: output_uri(self.directory, self.name, self.action),
            value: value.into(),
            ..ActionUpdate::default()
        }
    }

    /// How it stands.
    pub fn status(&self) -> ActionStatus {
        let action = self.action;
        ActionStatus {
            phase: phase(action.phase()),
            // The default attempt for logs: never 0.
            attempts: action.attempts.max(1),
            cache_status: cache_status(action).into(),
            ..timed(action.times())
        }
    }

    /// What was fixed about it when it was accepted.
    pub fn metadata(&self) -> ActionMetadata {
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
        if let Some(firing) = self.firing.filter(|_| self.name.is_root()) {
            say_firing(&mut metadata, self.run, task_name, firing);
        }
        if spec.tracked.is_some() {
            metadata.source = RunSource::RUN_SOURCE_TRACKED.into();
        }
        let trace = || TraceActionMetadata { name: task_name.to_owned(), ..TraceActionMetadata::default() };
        metadata.spec = Some(match spec.kind {
            ActionKind::Task | ActionKind::Timer => self.task_metadata().into(),
            ActionKind::Step => trace().into(),
            ActionKind::Condition => self.condition_metadata().into(),
        });
        metadata.action_type = action_type(spec.kind).into();
        metadata
    }

    fn task_metadata(&self) -> TaskActionMetadata {
        let mut metadata = task_metadata(self.run, self.action.spec.task.as_str(), "");
        if self.action.spec.kind == ActionKind::Timer {
            metadata.task_type = task::CORE_SLEEP.to_owned();
        }
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

    /// It as lists show it.
    pub fn action(&self) -> WireAction {
        WireAction {
            id: ids::to_action_identifier(self.run, self.name).into(),
            metadata: self.metadata().into(),
            status: self.status().into(),
            ..WireAction::default()
        }
    }

    /// All about it.
    pub fn details(&self, attempts: &[AttemptHistory], outputs: Option<&[u8]>) -> ActionDetails {
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
        if let Some(failure) = self.action.failure() {
            return Some(failure::error_info(failure).into());
        }
        match self.action.end()? {
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
            End::Failed(_) | End::TimedOut(_) | End::Succeeded { .. } | End::Reused(_) | End::Elapsed => None,
        }
    }

    fn attempt(&self, attempt: &AttemptHistory) -> ActionAttempt {
        let (phase_now, error) = self.end_of(attempt);
        let directory = format!("{}/{}/{}", self.directory, self.name, attempt.attempt);
        let outputs = match &attempt.reported {
            // Where the program says that they are.
            Some(reported) => OutputReferences {
                report_uri: reported.report_uri.clone().unwrap_or_default(),
                output_uri: reported.output_uri.clone().unwrap_or_default(),
                ..OutputReferences::default()
            },
            None => OutputReferences {
                report_uri: format!("{directory}/report.html"),
                output_uri: directory,
                ..OutputReferences::default()
            },
        };
        ActionAttempt {
            phase: phase(phase_now),
            start_time: timestamp(attempt.launched_at).into(),
            end_time: attempt.end.as_ref().map(|(at, _)| timestamp(*at)).into(),
            error_info: error.into(),
            attempt: attempt.attempt.0,
            outputs: outputs.into(),
            // What a program prints elsewhere is not here.
            logs_available: attempt.reported.is_none(),
            phase_transitions: transitions(attempt, phase_now),
            cache_status: cache_status(self.action).into(),
            cluster: "local".to_owned(),
            ..ActionAttempt::default()
        }
    }

    fn end_of(&self, attempt: &AttemptHistory) -> (Phase, Option<ErrorInfo>) {
        let Some((_, end)) = &attempt.end else {
            if let Some(failure) = self.action.failure() {
                return (Phase::Failed, Some(failure::error_info(failure)));
            }
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

/// The attempt that is not there yet, with what it waits for in words: Flyte's details have no other place for it.
pub fn pending_attempt(action: &Action, waits: String) -> ActionAttempt {
    let since = match action.state {
        State::Queued { since, .. } => since,
        _ => action.updated_at,
    };
    let since = || timestamp(since);
    let event = ClusterEvent {
        occurred_at: since().into(),
        message: waits,
        r#type: cluster_event::Type::TYPE_NORMAL.into(),
        reason: "WaitingForResources".to_owned(),
        source_component: "spanwise".to_owned(),
        count: 1,
        ..ClusterEvent::default()
    };
    let phase = phase(action.phase());
    let transition = PhaseTransition { phase, start_time: since().into(), ..PhaseTransition::default() };
    ActionAttempt {
        phase,
        start_time: since().into(),
        attempt: AttemptNo(action.attempts + 1).0,
        cluster_events: vec![event],
        phase_transitions: vec![transition],
        cluster: "local".to_owned(),
        ..ActionAttempt::default()
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
        start_time: timestamp(*start).into(),
        end_time: end.map(timestamp).into(),
        ..PhaseTransition::default()
    };
    points.iter().zip(ends).map(transition).collect()
}

fn cache_status(action: &Action) -> CatalogCacheStatus {
    if let Some(reported) = action.reported() {
        return cache_of_program(reported.cache);
    }
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
        start_time: timestamp(times.created).into(),
        end_time: times.ended.map(timestamp).into(),
        duration_ms: times.ended.map(|ended| times.took(ended).as_millis() as u64),
        started_at: times.started.map(timestamp).into(),
        ..ActionStatus::default()
    }
}

/// What of a run is needed to list it: nothing is loaded for a list.
#[derive(Clone, Debug)]
pub struct ListedRun<'a> {
    /// Its full name.
    pub id: &'a RunId,
    /// The task of its root.
    pub task: &'a TaskName,
    /// The version of that task; empty if it has none.
    pub task_version: &'a str,
    /// The phase of its root.
    pub phase: Phase,
    /// The attempts of its root so far.
    pub attempts: u32,
    /// When its root was created, started and ended.
    pub times: Times,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The trigger that has fired it, if one has.
    pub firing: Option<&'a Firing>,
    /// Its program runs elsewhere and reports how it stands.
    pub tracked: bool,
    /// Why it cannot be read, if it cannot.
    pub unreadable: Option<String>,
}

/// A run as lists show it.
pub fn listed_run(run: ListedRun<'_>) -> Run {
    let task_name = run.task.as_str();
    let mut metadata = ActionMetadata {
        executed_by: identity(SUBJECT).into(),
        funtion_name: run.task.short().to_owned(),
        environment_name: environment_of(task_name),
        spec: Some(task_metadata(run.id, task_name, run.task_version).into()),
        action_type: ActionType::ACTION_TYPE_TASK.into(),
        ..ActionMetadata::default()
    };
    if let Some(firing) = run.firing {
        say_firing(&mut metadata, run.id, task_name, firing);
    }
    if run.tracked {
        metadata.source = RunSource::RUN_SOURCE_TRACKED.into();
    }
    // The default attempt for logs: never 0.
    let status = ActionStatus { phase: phase(run.phase), attempts: run.attempts.max(1), ..timed(run.times) };
    let action = WireAction {
        id: ids::to_action_identifier(run.id, &ActionName::ROOT).into(),
        metadata: metadata.into(),
        status: status.into(),
        ..WireAction::default()
    };
    let mut labels = run.labels;
    // The protocol has no place for it in a list.
    labels.extend(run.unreadable.map(|cause| (UNREADABLE.to_owned(), cause)));
    Run { action: action.into(), labels: labels.into_iter().collect(), ..Run::default() }
}

/// The label by which a list says that a run cannot be read, and why.
pub const UNREADABLE: &str = "spanwise.unreadable";

fn environment_of(task: &str) -> String {
    task.rsplit_once('.').map(|(environment, _)| environment.to_owned()).unwrap_or_default()
}

fn task_metadata(run: &RunId, task: &str, version: &str) -> TaskActionMetadata {
    let id = ids::to_task_identifier(&run.scope(), task, version);
    let short_name = task.rsplit('.').next().unwrap_or(task).to_owned();
    TaskActionMetadata { id: id.into(), short_name, ..TaskActionMetadata::default() }
}

/// Says in the metadata of a run's root which trigger has fired it.
fn say_firing(metadata: &mut ActionMetadata, run: &RunId, task: &str, firing: &Firing) {
    let id = TriggerId { scope: run.scope(), task: task.to_owned(), name: firing.trigger.clone() };
    let (name, revision) = (ids::to_trigger_name(&id).into(), firing.revision);
    metadata.trigger_id = TriggerIdentifier { name, revision, ..TriggerIdentifier::default() }.into();
    metadata.trigger_name = firing.trigger.clone();
    if firing.version.is_some() {
        metadata.source = RunSource::RUN_SOURCE_ARTIFACT_TRIGGER.into();
    }
    if firing.scheduled_at.is_some() {
        metadata.source = RunSource::RUN_SOURCE_SCHEDULE_TRIGGER.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_actions_have_the_numbers_of_the_protocol() {
        let kinds = [ActionKind::Task, ActionKind::Step, ActionKind::Condition, ActionKind::Timer];
        assert_eq!(kinds.map(|kind| action_type(kind) as i32), [1, 2, 3, 1]);
    }
}
