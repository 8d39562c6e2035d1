//! Identifiers, times and task definitions on the wire.

use std::time::Duration;

use spanwise_core::{ActionName, RetryPolicy, RunId, RunName, Timeouts, Timestamp};
use spanwise_proto::flyteidl2::common::{ActionIdentifier, RunIdentifier};
use spanwise_proto::flyteidl2::core::{
    Backoff, Container, Identifier, ResourceType, RetryStrategy, RuntimeMetadata, TaskMetadata, TaskTemplate,
    TimeoutStrategy, TypedInterface, runtime_metadata,
};
use spanwise_proto::flyteidl2::task::{DocumentationEntity, Environment, TaskIdentifier, TaskSpec};
use spanwise_proto::google::protobuf;

use super::attempt;
use super::program::Program;
use crate::overrides::Overrides;
use crate::task::AnyTask;

/// The type of tasks that are programs of their own.
const TASK_TYPE: &str = "rust";

pub(super) fn run_identifier(run: &RunId) -> RunIdentifier {
    RunIdentifier {
        org: run.org.clone(),
        project: run.project.clone(),
        domain: run.domain.clone(),
        name: run.name.to_string(),
        ..RunIdentifier::default()
    }
}

pub(super) fn action_identifier(run: &RunId, action: &ActionName) -> ActionIdentifier {
    ActionIdentifier { run: run_identifier(run).into(), name: action.to_string(), ..ActionIdentifier::default() }
}

/// A run's full name as the server tells it; none if it is none.
pub(super) fn run_id(id: &RunIdentifier) -> Option<RunId> {
    let name = RunName::new(&id.name).ok()?;
    Some(RunId { org: id.org.clone(), project: id.project.clone(), domain: id.domain.clone(), name })
}

pub(super) fn timestamp(at: Timestamp) -> protobuf::Timestamp {
    let (seconds, micros) = (at.0.div_euclid(1_000_000), at.0.rem_euclid(1_000_000));
    let nanos = i32::try_from(micros * 1000).unwrap_or_default();
    protobuf::Timestamp { seconds, nanos, ..protobuf::Timestamp::default() }
}

pub(super) fn from_timestamp(at: &protobuf::Timestamp) -> Timestamp {
    Timestamp(at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos / 1000)))
}

fn duration(limit: Duration) -> protobuf::Duration {
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(limit.subsec_nanos()).unwrap_or_default();
    protobuf::Duration { seconds, nanos, ..protobuf::Duration::default() }
}

/// Where tasks and runs belong.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) org: String,
    pub(crate) project: String,
    pub(crate) domain: String,
}

/// The name of a task in one of its versions.
pub(super) fn task_identifier(place: &Place, name: &str, version: &str) -> TaskIdentifier {
    TaskIdentifier {
        org: place.org.clone(),
        project: place.project.clone(),
        domain: place.domain.clone(),
        name: name.to_owned(),
        version: version.to_owned(),
        ..TaskIdentifier::default()
    }
}

/// The definition of a task of this program, with which a server starts it as a process.
pub(super) fn task_spec(
    task: &dyn AnyTask,
    retry: &RetryPolicy,
    timeouts: &Timeouts,
    program: &Program,
    place: &Place,
) -> TaskSpec {
    let name = task.described().name.as_str();
    let environment = task.environment();
    let id = Identifier {
        resource_type: ResourceType::TASK.into(),
        org: place.org.clone(),
        project: place.project.clone(),
        domain: place.domain.clone(),
        name: name.to_owned(),
        version: program.version.clone(),
        ..Identifier::default()
    };
    let container = Container {
        // What the image is made of matters to tasks that need more than their own program.
        image: environment.described_image().and_then(|image| image.uri().ok()).unwrap_or_default(),
        args: attempt::arguments(&program.uri, &program.version, name),
        ..Container::default()
    };
    let template = TaskTemplate {
        id: id.into(),
        r#type: TASK_TYPE.to_owned(),
        metadata: metadata(retry, timeouts).into(),
        interface: task.interface().into(),
        target: Some(container.into()),
        ..TaskTemplate::default()
    };
    TaskSpec {
        task_template: template.into(),
        short_name: task.function().to_owned(),
        environment: Environment { name: environment.name().to_owned(), ..Environment::default() }.into(),
        documentation: documentation(task.docs()).into(),
        ..TaskSpec::default()
    }
}

fn metadata(retry: &RetryPolicy, timeouts: &Timeouts) -> TaskMetadata {
    let some = |limit: Option<Duration>| limit.filter(|limit| !limit.is_zero()).map(duration);
    let backoff = retry.backoff.as_ref().map(|backoff| Backoff {
        base: duration(backoff.base).into(),
        factor: Some(backoff.factor),
        cap: backoff.cap.map(duration).into(),
        ..Backoff::default()
    });
    let retries = RetryStrategy { retries: retry.retries, backoff: backoff.into(), ..RetryStrategy::default() };
    let strategy = TimeoutStrategy {
        queued_timeout: some(timeouts.max_queued_time).into(),
        deadline: some(timeouts.deadline).into(),
        ..TimeoutStrategy::default()
    };
    let has_strategy = strategy.queued_timeout.is_set() || strategy.deadline.is_set();
    TaskMetadata {
        runtime: RuntimeMetadata {
            r#type: runtime_metadata::RuntimeType::OTHER.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            flavor: TASK_TYPE.to_owned(),
            ..RuntimeMetadata::default()
        }
        .into(),
        retries: retries.into(),
        timeout: some(timeouts.max_runtime).into(),
        timeouts: has_strategy.then_some(strategy).into(),
        ..TaskMetadata::default()
    }
}

fn documentation(docs: &str) -> Option<DocumentationEntity> {
    let short = docs.lines().next().filter(|short| !short.is_empty())?;
    Some(DocumentationEntity {
        short_description: short.to_owned(),
        long_description: docs.to_owned(),
        ..DocumentationEntity::default()
    })
}

/// A definition with the settings of one call on top.
pub(super) fn overridden(mut spec: TaskSpec, overrides: &Overrides) -> TaskSpec {
    if *overrides == Overrides::new() {
        return spec;
    }
    let metadata = spec.task_template.get_or_insert_default().metadata.get_or_insert_default();
    let (mut retry, mut timeouts) = policy_of(metadata);
    overrides.apply(&mut retry, &mut timeouts);
    let new = self::metadata(&retry, &timeouts);
    (metadata.retries, metadata.timeout, metadata.timeouts) = (new.retries, new.timeout, new.timeouts);
    spec
}

fn policy_of(metadata: &TaskMetadata) -> (RetryPolicy, Timeouts) {
    let limit = |value: Option<&protobuf::Duration>| {
        let value = value?;
        Some(Duration::new(u64::try_from(value.seconds).ok()?, u32::try_from(value.nanos).ok()?))
    };
    let backoff = metadata.retries.backoff.as_option().map(|backoff| spanwise_core::Backoff {
        base: limit(backoff.base.as_option()).unwrap_or_default(),
        factor: backoff.factor.filter(|factor| *factor != 0.0).unwrap_or(1.0),
        cap: limit(backoff.cap.as_option()),
    });
    let timeouts = Timeouts {
        max_runtime: limit(metadata.timeout.as_option()),
        max_queued_time: limit(metadata.timeouts.queued_timeout.as_option()),
        deadline: limit(metadata.timeouts.deadline.as_option()),
    };
    (RetryPolicy { retries: metadata.retries.retries, backoff }, timeouts)
}

/// The interface of a definition.
pub(super) fn interface(spec: &TaskSpec) -> TypedInterface {
    spec.task_template.interface.as_option().cloned().unwrap_or_default()
}
