//! What a process needs of a task definition.

use spanwise_core::RunDefaults;
use spanwise_core::quantity::quantity;
use spanwise_proto::flyteidl2::core::{Container, Resources, Secret, TaskTemplate, resources, secret, task_template};
use spanwise_proto::flyteidl2::task::TaskSpec;

use super::{ContainerTask, container, not_honoured, pod, template, types};
use crate::support::few;
use crate::{Invalid, shown};

/// What a process needs of a task definition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// The task's full name.
    pub name: String,
    /// Its type, for instance `python`.
    pub task_type: String,
    /// The program and its arguments, with Flyte's placeholders in them; empty if the task is not a container.
    pub argv: Vec<String>,
    /// Its environment variables.
    pub env: Vec<(String, String)>,
    /// The image that it asks for.
    pub image: String,
    /// What it says about its container, if that starts a program of its own.
    pub container: Option<Box<ContainerTask>>,
    /// The secrets that it asks for.
    pub secrets: Vec<SecretRequest>,
    /// The memory that it may use at most.
    pub memory_limit: Option<MemoryLimit>,
    /// True if it must deliver outputs.
    pub has_outputs: bool,
    /// True if its outputs may be versions of artifacts.
    pub produces_artifacts: bool,
    /// Why no process can be made of it, and what to do; none if one can.
    pub refused: Option<String>,
    /// What it asks for and does not get, one sentence each.
    pub not_honoured: Vec<String>,
}

/// A secret that a task asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRequest {
    /// The group that the secret belongs to; often empty.
    pub group: String,
    /// Its name in the group.
    pub key: String,
    /// How the task reads it.
    pub mount: Mount,
}

/// How a task wants to read a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// As this environment variable.
    Variable(String),
    /// As a file.
    File,
}

/// What a process needs.
///
/// # Errors
/// [`Invalid`] if the definition makes no sense.
pub fn program(spec: &TaskSpec) -> Result<Program, Invalid> {
    let template = template(spec)?;
    let mut program = Program {
        name: template.id.name.clone(),
        task_type: template.r#type.clone(),
        has_outputs: !template.interface.outputs.variables.is_empty(),
        produces_artifacts: template.metadata.produces_artifacts,
        secrets: template.security_context.secrets.iter().map(secret_request).collect(),
        ..Program::default()
    };
    if let Some(container) = container(template) {
        program.take_container(&container)?;
        program.container = ContainerTask::of(template, &container).map(Box::new);
    }
    // Of a pod without its container nothing else could be said.
    let of_pod = match &template.target {
        Some(task_template::Target::K8sPod(pod)) => few(pod::Pod::of(template, pod).refused),
        _ => Vec::new(),
    };
    program.refused = if of_pod.is_empty() { program.refusal(template) } else { Some(of_pod.join("; ")) };
    program.not_honoured = not_honoured(spec);
    Ok(program)
}

/// What a process needs of a container that is no task's.
///
/// # Errors
/// [`Invalid`] if it makes no sense.
pub fn container_program(
    name: &str,
    task_type: &str,
    container: &Container,
    secrets: &[Secret],
) -> Result<Program, Invalid> {
    let secrets = secrets.iter().map(secret_request).collect();
    let (name, task_type) = (name.to_owned(), task_type.to_owned());
    let mut program = Program { name, task_type, secrets, ..Program::default() };
    program.take_container(container)?;
    Ok(program)
}

impl Program {
    /// The same with what it has where its task says nothing.
    #[must_use]
    pub fn under(&self, defaults: &RunDefaults) -> Program {
        let written = defaults.memory_limit.as_deref().filter(|_| !self.argv.is_empty() || self.container.is_some());
        let limit = written.and_then(|text| Some(MemoryLimit { bytes: quantity(text)?, written: text.to_owned() }));
        Program { memory_limit: self.memory_limit.clone().or(limit), ..self.clone() }
    }

    fn refusal(&self, template: &TaskTemplate) -> Option<String> {
        match &self.container {
            Some(container) => container.refusal(),
            None => types::refusal(template, &self.argv),
        }
    }

    fn take_container(&mut self, container: &Container) -> Result<(), Invalid> {
        self.argv = container.command.iter().chain(&container.args).cloned().collect();
        self.env = container.env.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect();
        self.image = container.image.clone();
        self.memory_limit = memory_limit(&container.resources)?;
        Ok(())
    }
}

fn secret_request(secret: &Secret) -> SecretRequest {
    let as_file = secret.mount_requirement.as_known() == Some(secret::MountType::FILE);
    let variable = || match secret.env_var.as_str() {
        // As stock Flyte names it (`_secret.py`): group and key in capitals.
        "" if secret.group.is_empty() => secret.key.to_uppercase().replace('-', "_"),
        "" => format!("{}_{}", secret.group, secret.key).to_uppercase().replace('-', "_"),
        given => given.to_owned(),
    };
    let mount = if as_file { Mount::File } else { Mount::Variable(variable()) };
    SecretRequest { group: secret.group.clone(), key: secret.key.clone(), mount }
}

/// The request with the secret as a variable, whichever way it asks for it.
pub fn as_variable(secret: &Secret) -> SecretRequest {
    let mount_requirement = secret::MountType::ENV_VAR.into();
    secret_request(&Secret { mount_requirement, ..secret.clone() })
}

/// How much memory a task may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// In bytes.
    pub bytes: u64,
    /// As the task asks for it, for instance `512Mi`.
    pub written: String,
}

/// The limit, else what is requested: Flyte's platform makes a request the limit of a task that has none.
fn memory_limit(resources: &Resources) -> Result<Option<MemoryLimit>, Invalid> {
    let memory = |entry: &&resources::ResourceEntry| entry.name.as_known() == Some(resources::ResourceName::MEMORY);
    let Some(entry) = resources.limits.iter().chain(&resources.requests).find(memory) else { return Ok(None) };
    let written = entry.value.clone();
    match quantity(&written) {
        Some(bytes) => Ok(Some(MemoryLimit { bytes, written })),
        None => Err(Invalid::field(format!(
            "container.resources: memory `{}` is no number of bytes, such as 512Mi or 2G",
            shown(&written)
        ))),
    }
}

/// Checks what a process needs of a definition before anything is made from it.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn check(spec: &TaskSpec) -> Result<(), Invalid> {
    match container(template(spec)?) {
        Some(container) => memory_limit(&container.resources).map(|_| ()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(requested: Option<&str>, limit: Option<&str>) -> Result<Option<MemoryLimit>, Invalid> {
        let entry = |value: &str| resources::ResourceEntry {
            name: resources::ResourceName::MEMORY.into(),
            value: value.to_owned(),
            ..resources::ResourceEntry::default()
        };
        let entries = |value: Option<&str>| value.map(entry).into_iter().collect();
        let resources = Resources { requests: entries(requested), limits: entries(limit), ..Resources::default() };
        memory_limit(&resources)
    }

    #[test]
    fn a_request_is_the_limit_of_a_task_that_has_none_as_flyte_makes_it() {
        const MIB: u64 = 1 << 20;
        for (requested, limit, bytes, written) in [
            (Some("512Mi"), None, 512 * MIB, "512Mi"),
            (None, Some("512Mi"), 512 * MIB, "512Mi"),
            (Some("256Mi"), Some("1.5Gi"), 1536 * MIB, "1.5Gi"),
            (Some("500M"), None, 500_000_000, "500M"),
            (Some("1e9"), None, 1_000_000_000, "1e9"),
            (Some("128974848000m"), None, 128_974_848, "128974848000m"),
        ] {
            let expected = MemoryLimit { bytes, written: written.to_owned() };
            assert_eq!(limits(requested, limit).unwrap(), Some(expected), "{requested:?} {limit:?}");
        }
        assert_eq!(limits(None, None).unwrap(), None);
        for wrong in ["", "much", "1e400", "-1", "0", "5Xi", "1e30"] {
            let refused = limits(Some(wrong), None).unwrap_err().to_string();
            assert!(refused.contains(&format!("memory `{wrong}`")), "{refused}");
        }
    }
}
