//! What the programs of tracked runs say: the task of a run, and how its actions stand.

use std::time::Duration;

use spanwise_core::tracked::{CacheReport, MOST_ATTEMPTS, Report, ReportedPhase, Tracked};
use spanwise_core::{ActionName, ActionSpec, AttemptNo, Failure, FailureKind, RunId, Timestamp};
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::task::TaskSpec;
use spanwise_proto::flyteidl2::workflow::{
    ActionEvent, ErrorInfo, TaskAction, TraceAction, TrackedActionUpdate, error_info, tracked_action_update,
};
use spanwise_proto::google::protobuf;

use crate::task::TaskDefinition;
use crate::{Invalid, Stored, ids, policy, shown, times, title};

/// The code of a failure of which the program gives none.
const FAILED: &str = "Failed";

/// How an action stands, as the program of its run says.
#[derive(Clone, Debug)]
pub struct Update {
    /// Its name.
    pub action: ActionName,
    /// What it is, if that is said: the first report about an action says it.
    pub spec: Option<ActionSpec>,
    /// What it is made from, under the digest that its spec names.
    pub definition: Option<Stored>,
    /// How it stands.
    pub report: Report,
    /// Fields that are set and not kept.
    pub not_kept: Vec<&'static str>,
}

/// What is fixed about the root of a tracked run. `silence` is the time after which its program is taken for lost, if there is one.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn root(task: &TaskDefinition, silence: Option<Duration>) -> Result<ActionSpec, Invalid> {
    let silence_seconds = silence.map(|silence| silence.as_secs().max(1));
    let spec = of_task(task)?;
    let tracked = spec.tracked.map(|tracked| Box::new(Tracked { silence_seconds, ..*tracked }));
    Ok(ActionSpec { tracked, ..spec })
}

/// Reads what is said about an action of a run.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn update(run: &RunId, message: TrackedActionUpdate) -> Result<Update, Invalid> {
    let TrackedActionUpdate { event, parent_name, group, spec, status, .. } = message;
    let event = event.into_option().ok_or(Invalid::Missing("event"))?;
    let (of_run, action) = ids::action_id(event.id.as_option().ok_or(Invalid::Missing("event.id"))?)?;
    if of_run != *run {
        let text = format!("event.id.run: `{}` is another run than that of run_id", shown(of_run.name.as_str()));
        return Err(Invalid::field(text));
    }
    let began = status.start_time.as_option().and_then(time);
    let report = report(&event, began)?;
    let (spec, definition) = match (spec, action.is_root()) {
        (None, _) | (_, true) => (None, None),
        (Some(spec), false) => {
            let (spec, definition) = introduced(spec)?;
            let parent = match parent_name.as_str() {
                "" => ActionName::ROOT,
                name => crate::action_name(name).map_err(|error| Invalid::field(format!("parent_name: {error}")))?,
            };
            title("group", &group)?;
            let group = Some(group).filter(|group| !group.is_empty());
            (Some(ActionSpec { parent: Some(parent), group, ..spec }), Some(definition))
        }
    };
    let not_kept = [
        ("event.log_info", !event.log_info.is_empty()),
        ("event.log_context", event.log_context.is_set()),
        ("event.cluster_events", !event.cluster_events.is_empty()),
        ("event.cache_metadata", event.cache_metadata.is_set()),
    ];
    let not_kept = not_kept.into_iter().filter(|(_, is_set)| *is_set).map(|(field, _)| field).collect();
    Ok(Update { action, spec, definition, report, not_kept })
}

/// What an action is, as its first report says.
fn introduced(spec: tracked_action_update::Spec) -> Result<(ActionSpec, Stored), Invalid> {
    match spec {
        tracked_action_update::Spec::Task(task) => {
            let TaskAction { spec, .. } = *task;
            let spec: TaskSpec = spec.into_option().ok_or(Invalid::Missing("task.spec"))?;
            let task = TaskDefinition::of(spec)?;
            Ok((of_task(&task)?, task.stored))
        }
        tracked_action_update::Spec::Trace(trace) => {
            let TraceAction { name, spec, .. } = *trace;
            if name.is_empty() {
                return Err(Invalid::Missing("trace.name"));
            }
            title("trace.name", &name)?;
            let definition = Stored::of(&*spec);
            let spec = ActionSpec {
                definition: Some(definition.digest.as_str().into()),
                tracked: Some(Box::default()),
                ..ActionSpec::step(name.as_str(), ActionName::ROOT)
            };
            Ok((spec, definition))
        }
    }
}

fn of_task(task: &TaskDefinition) -> Result<ActionSpec, Invalid> {
    if task.name.is_empty() {
        return Err(Invalid::Missing("task_template.id.name"));
    }
    title("task_template.id.name", &task.name)?;
    let metadata = &task.message().task_template.metadata;
    let tracked = Tracked { silence_seconds: None, any_retries: !metadata.is_set() };
    Ok(ActionSpec {
        // Nothing of it is launched here: limits in time and the cache are its program's.
        retry: policy::retry(metadata)?,
        definition: Some(task.stored.digest.as_str().into()),
        tracked: Some(Box::new(tracked)),
        ..ActionSpec::task(task.name.as_str())
    })
}

fn report(event: &ActionEvent, began: Option<Timestamp>) -> Result<Report, Invalid> {
    if !(1..=MOST_ATTEMPTS).contains(&event.attempt) {
        return Err(Invalid::field(format!("event.attempt is {}: 1 to {MOST_ATTEMPTS}", event.attempt)));
    }
    let at = event.updated_time.as_option().and_then(time).or(event.reported_time.as_option().and_then(time));
    let cache = usize::try_from(event.cache_status.to_i32()).ok().and_then(|number| CacheReport::ALL.get(number));
    let cache = cache.ok_or_else(|| {
        Invalid::field(format!("event.cache_status: {} is none that is known", event.cache_status.to_i32()))
    })?;
    Ok(Report {
        attempt: AttemptNo(event.attempt),
        version: event.version,
        at: at.ok_or(Invalid::Missing("event.updated_time"))?,
        began,
        phase: phase(event)?,
        cache: *cache,
        output_uri: uri("event.outputs.output_uri", &event.outputs.output_uri)?,
        report_uri: uri("event.outputs.report_uri", &event.outputs.report_uri)?,
    })
}

fn phase(event: &ActionEvent) -> Result<ReportedPhase, Invalid> {
    use ActionPhase as P;
    let failure = || failure(event.error_info.as_option());
    Ok(match event.phase.as_known() {
        Some(P::ACTION_PHASE_QUEUED) => ReportedPhase::Queued,
        Some(P::ACTION_PHASE_WAITING_FOR_RESOURCES) => ReportedPhase::WaitingForResources,
        Some(P::ACTION_PHASE_INITIALIZING) => ReportedPhase::Initializing,
        Some(P::ACTION_PHASE_RUNNING) => ReportedPhase::Running,
        Some(P::ACTION_PHASE_SUCCEEDED) => ReportedPhase::Succeeded,
        Some(P::ACTION_PHASE_FAILED) => ReportedPhase::Failed(failure()),
        Some(P::ACTION_PHASE_TIMED_OUT) => ReportedPhase::TimedOut(failure()),
        Some(P::ACTION_PHASE_ABORTED) => ReportedPhase::Aborted { reason: event.error_info.message.clone() },
        _ => {
            let text = format!(
                "event.phase: {} cannot be reported, QUEUED, WAITING_FOR_RESOURCES, INITIALIZING, RUNNING, SUCCEEDED, FAILED, ABORTED and \
                 TIMED_OUT can",
                event.phase.to_i32()
            );
            return Err(Invalid::field(text));
        }
    })
}

/// What an action has failed by. Its program says whether another attempt follows by making one.
fn failure(error: Option<&ErrorInfo>) -> Failure {
    let said = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
    let Some(error) = error else { return Failure::user(FAILED, "its program says nothing about it") };
    let kind = match error.kind.as_known() {
        Some(error_info::Kind::KIND_USER) => FailureKind::User,
        Some(error_info::Kind::KIND_SYSTEM) => FailureKind::System,
        _ => FailureKind::Unknown,
    };
    let message = said(&error.message, "its program says nothing about it");
    Failure { kind, ..Failure::user(said(&error.code, FAILED), message) }
}

fn uri(field: &'static str, value: &str) -> Result<Option<String>, Invalid> {
    title(field, value)?;
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

/// A time that is one: nothing happened in 1970.
fn time(at: &protobuf::Timestamp) -> Option<Timestamp> {
    Some(times::from_timestamp(at)).filter(|at| *at > Timestamp(0))
}

#[cfg(test)]
mod tests {
    use spanwise_core::RunName;
    use spanwise_proto::flyteidl2::core::{Identifier, LogContext, RetryStrategy, TaskMetadata, TaskTemplate};
    use spanwise_proto::flyteidl2::workflow::ActionStatus;

    use super::*;

    fn run() -> RunId {
        ids::scope("", "p", "d").unwrap().run(RunName::new("local-1").unwrap())
    }

    fn event(phase: ActionPhase) -> ActionEvent {
        ActionEvent {
            id: ids::to_action_identifier(&run(), &ActionName::new("b").unwrap()).into(),
            attempt: 1,
            version: 7,
            phase: phase.into(),
            updated_time: times::timestamp(Timestamp(5)).into(),
            ..ActionEvent::default()
        }
    }

    fn said(event: ActionEvent) -> TrackedActionUpdate {
        TrackedActionUpdate { event: event.into(), ..TrackedActionUpdate::default() }
    }

    fn task(name: &str, retries: Option<u32>) -> TaskSpec {
        let id = Identifier { name: name.to_owned(), ..Identifier::default() };
        let metadata = retries.map(|retries| TaskMetadata {
            retries: RetryStrategy { retries, ..RetryStrategy::default() }.into(),
            ..TaskMetadata::default()
        });
        let template = TaskTemplate { id: id.into(), metadata: metadata.into(), ..TaskTemplate::default() };
        TaskSpec { task_template: template.into(), ..TaskSpec::default() }
    }

    #[test]
    fn s16_a_report_crosses_the_wire() {
        let action = TaskAction { spec: task("e.f", Some(2)).into(), ..TaskAction::default() };
        let status = ActionStatus { start_time: times::timestamp(Timestamp(3)).into(), ..ActionStatus::default() };
        let first = TrackedActionUpdate {
            parent_name: "a0".to_owned(),
            group: "g".to_owned(),
            spec: Some(action.into()),
            status: status.into(),
            ..said(event(ActionPhase::ACTION_PHASE_RUNNING))
        };
        let read = update(&run(), first).unwrap();
        let spec = read.spec.unwrap();
        assert_eq!(
            (spec.task.as_str(), spec.parent, spec.group.as_deref()),
            ("e.f", Some(ActionName::ROOT), Some("g"))
        );
        assert_eq!((spec.retry.retries, spec.tracked.unwrap().any_retries), (2, false));
        assert_eq!((read.report.at, read.report.began), (Timestamp(5), Some(Timestamp(3))));
        assert_eq!((read.report.phase, read.report.version), (ReportedPhase::Running, 7));
        let trace = TraceAction { name: "load".to_owned(), ..TraceAction::default() };
        let step = TrackedActionUpdate { spec: Some(trace.into()), ..said(event(ActionPhase::ACTION_PHASE_RUNNING)) };
        let spec = update(&run(), step).unwrap().spec.unwrap();
        assert_eq!((spec.kind, spec.parent), (spanwise_core::ActionKind::Step, Some(ActionName::ROOT)));
        let failed = ActionEvent {
            error_info: ErrorInfo {
                message: "no".to_owned(),
                kind: error_info::Kind::KIND_USER.into(),
                ..ErrorInfo::default()
            }
            .into(),
            log_context: LogContext::default().into(),
            ..event(ActionPhase::ACTION_PHASE_FAILED)
        };
        let read = update(&run(), said(failed)).unwrap();
        assert_eq!(read.report.phase, ReportedPhase::Failed(Failure::user(FAILED, "no")));
        assert_eq!((read.not_kept, read.spec), (vec!["event.log_context"], None));
        let unknown = root(&TaskDefinition::of(task("e.f", None)).unwrap(), Some(Duration::from_secs(9))).unwrap();
        assert_eq!(*unknown.tracked.unwrap(), Tracked { silence_seconds: Some(9), any_retries: true });
    }

    #[test]
    fn s16_a_report_that_makes_no_sense_is_refused_by_its_field() {
        let running = || event(ActionPhase::ACTION_PHASE_RUNNING);
        let of = |event: ActionEvent| said(event);
        let other = ids::scope("", "p", "d").unwrap().run(RunName::new("local-2").unwrap());
        let named = |name: &str| TaskAction { spec: task(name, None).into(), ..TaskAction::default() };
        let introduced = |spec: tracked_action_update::Spec| TrackedActionUpdate { spec: Some(spec), ..of(running()) };
        let outputs = |uri: String| {
            let outputs = spanwise_proto::flyteidl2::task::OutputReferences {
                output_uri: uri,
                ..spanwise_proto::flyteidl2::task::OutputReferences::default()
            };
            ActionEvent { outputs: outputs.into(), ..running() }
        };
        let cases: [(TrackedActionUpdate, &str); 14] = [
            (TrackedActionUpdate::default(), "`event` is missing"),
            (of(ActionEvent { id: None.into(), ..running() }), "`event.id` is missing"),
            (
                of(ActionEvent { id: ids::to_action_identifier(&other, &ActionName::ROOT).into(), ..running() }),
                "event.id.run: `local-2`",
            ),
            (of(ActionEvent { attempt: 0, ..running() }), "event.attempt is 0: 1 to 10000"),
            (of(ActionEvent { attempt: u32::MAX, ..running() }), "event.attempt is 4294967295"),
            (of(event(ActionPhase::ACTION_PHASE_UNSPECIFIED)), "event.phase: 0 cannot be reported"),
            (of(event(ActionPhase::ACTION_PHASE_PAUSED)), "event.phase: 9 cannot be reported"),
            (of(ActionEvent { cache_status: 77.into(), ..running() }), "event.cache_status: 77"),
            (of(ActionEvent { updated_time: None.into(), ..running() }), "`event.updated_time` is missing"),
            (of(outputs("x".repeat(2000))), "event.outputs.output_uri"),
            (introduced(TaskAction::default().into()), "`task.spec` is missing"),
            (introduced(named("").into()), "`task_template.id.name` is missing"),
            (introduced(TraceAction::default().into()), "`trace.name` is missing"),
            (
                TrackedActionUpdate { parent_name: "../x".to_owned(), ..introduced(named("e.f").into()) },
                "parent_name: ",
            ),
        ];
        for (message, reason) in cases {
            let error = update(&run(), message).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
