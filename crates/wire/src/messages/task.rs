//! Task definitions: what stands in them, what the rules need of them, what a process needs of them, and what is not honoured.

use bytes::Bytes;
use spanwise_proto::flyteidl2::core::{TaskTemplate, TypedInterface, task_template};
use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral, TaskSpec};
use spanwise_proto::{Message, MessageField};

use crate::{Invalid, title};

mod definition;
mod new;
mod program;
mod rules;

pub use definition::TaskDefinition;
pub use new::NewTask;
pub use program::{MemoryLimit, Mount, Program, SecretRequest, as_variable, check, program, quantity};
pub use rules::{RunRules, action_spec, root_cache_key};

/// The type of the task that builds images, which is the server's own and no process.
pub const IMAGE_BUILD: &str = "spanwise-image-build";

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

/// The image that a task asks for; empty if it asks for none.
pub fn image(spec: &TaskSpec) -> &str {
    match &spec.task_template.target {
        Some(task_template::Target::Container(container)) => &container.image,
        _ => "",
    }
}

/// The code bundle that a task is started with, if it is one: the URI among the arguments of its container.
///
/// # Errors
/// [`Invalid::Missing`] if the definition has no template.
pub fn bundle(spec: &TaskSpec) -> Result<Option<&str>, Invalid> {
    let Some(task_template::Target::Container(container)) = &template(spec)?.target else { return Ok(None) };
    let flag = container.args.iter().position(|argument| argument == "--tgz" || argument == "--pkl");
    Ok(flag.and_then(|flag| container.args.get(flag + 1)).map(String::as_str))
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
