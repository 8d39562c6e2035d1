//! Task definitions: what stands in them, what the rules need of them, what a process needs of them, and what is not honoured.

use std::borrow::Cow;

use bytes::Bytes;
use spanwise_proto::flyteidl2::core::{Container, TaskTemplate, TypedInterface, task_template};
use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral, TaskSpec};
use spanwise_proto::{Message, MessageField};

use crate::{Invalid, title};

pub mod container;
mod definition;
mod needs;
mod new;
mod not_honoured;
mod pod;
mod program;
mod rules;
pub mod settings;
mod timer;
mod types;

pub use container::ContainerTask;
pub use definition::TaskDefinition;
pub use new::NewTask;
pub use not_honoured::not_honoured;
pub use program::{MemoryLimit, Mount, Program, SecretRequest, as_variable, check, container_program, program};
pub use rules::{RunRules, action_spec, root_cache_key};
pub use spanwise_core::quantity::{millis, quantity};
pub use timer::{CORE_SLEEP, TimerInput, timer, timer_input};
pub use types::ENTRY_POINT;

/// The type of the task that builds images, which is the server's own and no process.
pub const IMAGE_BUILD: &str = "spanwise-image-build";

/// The type of a task whose container starts a program of its own.
pub const CONTAINER: &str = "raw-container";

/// Decodes a definition.
///
/// # Errors
/// [`Invalid::Decode`] if it is none.
pub fn decode(definition: &[u8]) -> Result<TaskSpec, Invalid> {
    TaskSpec::decode_from_slice(definition).map_err(|source| Invalid::Decode { what: "task definition", source })
}

/// The definition in the form that is stored, and the digest that names it.
pub fn encode(spec: &TaskSpec) -> (String, Bytes) {
    let body = Bytes::from(spec.encode_to_vec());
    (digest(&body), body)
}

/// The digest that names what is stored under it.
pub fn digest(body: &[u8]) -> String {
    use base64::Engine as _;
    use sha2::{Digest, Sha256};
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(body))
}

/// The template of a definition; every definition has one.
///
/// # Errors
/// [`Invalid::Missing`] if it has none.
pub fn template(spec: &TaskSpec) -> Result<&TaskTemplate, Invalid> {
    spec.task_template.as_option().ok_or(Invalid::Missing("spec.task_template"))
}

/// The full name of the task, `environment.function`.
///
/// # Errors
/// [`Invalid`] if it has none.
pub fn name(spec: &TaskSpec) -> Result<&str, Invalid> {
    let name = template(spec)?.id.name.as_str();
    if name.is_empty() {
        return Err(Invalid::Missing("spec.task_template.id.name"));
    }
    title("spec.task_template.id.name", name)?;
    Ok(name)
}

/// The container of a task: its own, or the primary one of its pod template; none if it has neither.
fn container(template: &TaskTemplate) -> Option<Cow<'_, Container>> {
    match &template.target {
        Some(task_template::Target::Container(container)) => Some(Cow::Borrowed(container)),
        Some(task_template::Target::K8sPod(pod)) => Some(Cow::Owned(pod::Pod::of(template, pod).container)),
        _ => None,
    }
}

/// The image that a task asks for; empty if it asks for none.
pub fn image(spec: &TaskSpec) -> String {
    let container = spec.task_template.as_option().and_then(container);
    container.map(|container| container.image.clone()).unwrap_or_default()
}

/// The labels and the annotations of a task's pod template, under their names.
pub fn pod_metadata(spec: &TaskSpec) -> Vec<(&'static str, Vec<(String, String)>)> {
    let Some(task_template::Target::K8sPod(pod)) = &spec.task_template.target else { return Vec::new() };
    let pairs = [("labels", &pod.metadata.labels), ("annotations", &pod.metadata.annotations)];
    let owned = |(key, value): (&String, &String)| (key.clone(), value.clone());
    pairs
        .into_iter()
        .filter(|(_, pairs)| !pairs.is_empty())
        .map(|(name, pairs)| (name, pairs.iter().map(owned).collect()))
        .collect()
}

/// The code bundle that a task is started with, if it is one: the URI among the arguments of its container.
///
/// # Errors
/// [`Invalid::Missing`] if the definition has no template.
pub fn bundle(spec: &TaskSpec) -> Result<Option<String>, Invalid> {
    let Some(container) = container(template(spec)?) else { return Ok(None) };
    let flag = container.args.iter().position(|argument| argument == "--tgz" || argument == "--pkl");
    Ok(flag.and_then(|flag| container.args.get(flag + 1)).cloned())
}

/// The interface of a definition.
pub fn interface(spec: &TaskSpec) -> TypedInterface {
    spec.task_template.interface.as_option().cloned().unwrap_or_default()
}

/// A definition without what is said about it: two that differ in this alone do the same.
pub fn without_docs(spec: &TaskSpec) -> TaskSpec {
    TaskSpec { documentation: MessageField::default(), ..spec.clone() }
}

/// Fills in the inputs that are missing and have a default.
pub fn with_defaults(spec: &TaskSpec, mut inputs: Inputs) -> Inputs {
    use spanwise_proto::flyteidl2::core::parameter::Behavior;
    for parameter in &spec.default_inputs {
        if inputs.literals.iter().any(|literal| literal.name == parameter.name) {
            continue;
        }
        if let Some(Behavior::Default(value)) = &parameter.parameter.behavior {
            inputs.literals.push(NamedLiteral::new(parameter.name.clone(), (**value).clone()));
        }
    }
    inputs
}
