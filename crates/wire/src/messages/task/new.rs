//! The definition of a task that is a program of its own.

use spanwise_core::settings::TaskSettings;
use spanwise_core::{RetryPolicy, Scope, Timeouts};
use spanwise_proto::flyteidl2::core::{
    Container, Identifier, ResourceType, RuntimeMetadata, TaskMetadata, TaskTemplate, TypedInterface, runtime_metadata,
};
use spanwise_proto::flyteidl2::task::{DocumentationEntity, Environment, TaskSpec};

use super::settings;
use crate::policy;

/// The type of tasks that are programs of their own.
const TASK_TYPE: &str = "rust";

/// A task of a Rust program, with which a server starts it as a process.
#[derive(Clone, Debug)]
pub struct NewTask<'a> {
    /// Where it belongs.
    pub scope: &'a Scope,
    /// Its full name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The name of its function.
    pub function: &'a str,
    /// The name of its environment.
    pub environment: &'a str,
    /// The image that it asks for; empty if it needs no more than its own program.
    pub image: String,
    /// The arguments of its process, with Flyte's placeholders in them.
    pub arguments: Vec<String>,
    /// What it takes and gives.
    pub interface: TypedInterface,
    /// What is said about it; the first line is the short form.
    pub docs: &'a str,
    /// How often it is tried again.
    pub retry: &'a RetryPolicy,
    /// How long it may take.
    pub timeouts: &'a Timeouts,
    /// What else it asks for. The queue is no part of a definition.
    pub settings: &'a TaskSettings,
    /// The version of its results in the cache; none if they are not kept there.
    pub cache_version: Option<&'a str>,
}

impl NewTask<'_> {
    /// The definition.
    pub fn into_spec(self) -> TaskSpec {
        let id = Identifier {
            resource_type: ResourceType::TASK.into(),
            org: self.scope.org.clone(),
            project: self.scope.project.clone(),
            domain: self.scope.domain.clone(),
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            ..Identifier::default()
        };
        let container = Container { image: self.image, args: self.arguments, ..Container::default() };
        let mut metadata = TaskMetadata { runtime: runtime().into(), ..TaskMetadata::default() };
        policy::set(&mut metadata, self.retry, self.timeouts);
        let mut template = TaskTemplate {
            id: id.into(),
            r#type: TASK_TYPE.to_owned(),
            metadata: metadata.into(),
            interface: self.interface.into(),
            target: Some(container.into()),
            ..TaskTemplate::default()
        };
        settings::set_of_container(&mut template, self.settings, self.cache_version);
        TaskSpec {
            task_template: template.into(),
            short_name: self.function.to_owned(),
            environment: Environment { name: self.environment.to_owned(), ..Environment::default() }.into(),
            documentation: documentation(self.docs).into(),
            ..TaskSpec::default()
        }
    }
}

fn runtime() -> RuntimeMetadata {
    RuntimeMetadata {
        r#type: runtime_metadata::RuntimeType::OTHER.into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        flavor: TASK_TYPE.to_owned(),
        ..RuntimeMetadata::default()
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
