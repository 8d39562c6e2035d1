//! Task definitions: what the rules need of them, what a process needs of them, and what in them is not honoured.

use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, Backoff, CachePolicy, RetryPolicy, Timeouts};
use spanwise_engine::Scope;
use spanwise_proto::flyteidl2::core::{
    Container, Resources, Secret, TaskMetadata, TaskTemplate, resources, secret, task_metadata, task_template,
};
use spanwise_proto::flyteidl2::task::{CacheLookupScope, Inputs, NamedLiteral, RunSpec, TaskSpec};
use spanwise_proto::{Message, MessageField, hash};

use super::{Invalid, shown, title};

/// The type of the task that builds images, which is the server's own and no process.
pub(crate) const IMAGE_BUILD: &str = "spanwise-image-build";

/// What a process needs of a task definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// The task's full name.
    pub(crate) name: String,
    /// Its type, for instance `python`.
    pub(crate) task_type: String,
    /// The program and its arguments, with Flyte's placeholders in them; empty if the task is not a container.
    pub(crate) argv: Vec<String>,
    /// Its environment variables.
    pub(crate) env: Vec<(String, String)>,
    /// The image that it asks for.
    pub(crate) image: String,
    /// The secrets that it asks for.
    pub(crate) secrets: Vec<SecretRequest>,
    /// The memory that it may use at most.
    pub(crate) memory_limit: Option<MemoryLimit>,
    /// True if it must deliver outputs.
    pub(crate) has_outputs: bool,
}

/// A secret that a task asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretRequest {
    pub(crate) group: String,
    pub(crate) key: String,
    pub(crate) mount: Mount,
}

/// How a task wants to read a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// As this environment variable.
    Variable(String),
    /// As a file.
    File,
}

/// Decodes a definition.
pub(crate) fn decode(definition: &[u8]) -> Result<TaskSpec, Invalid> {
    TaskSpec::decode_from_slice(definition).map_err(|source| Invalid::Decode { what: "task definition", source })
}

/// The definition in the form that is stored, and the digest that names it.
pub(crate) fn encode(spec: &TaskSpec) -> (String, Bytes) {
    let body = Bytes::from(spec.encode_to_vec());
    (digest(&body), body)
}

pub(crate) fn digest(body: &[u8]) -> String {
    use base64::Engine as _;
    use sha2::{Digest, Sha256};
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(body))
}

/// The template of a definition; every definition has one.
pub(crate) fn template(spec: &TaskSpec) -> Result<&TaskTemplate, Invalid> {
    spec.task_template.as_option().ok_or(Invalid::Missing("spec.task_template"))
}

/// The full name of the task, `environment.function`.
pub(crate) fn name(spec: &TaskSpec) -> Result<&str, Invalid> {
    let name = template(spec)?.id.name.as_str();
    if name.is_empty() {
        return Err(Invalid::Missing("spec.task_template.id.name"));
    }
    title("spec.task_template.id.name", name)?;
    Ok(name)
}

/// What a process needs.
pub(crate) fn program(spec: &TaskSpec) -> Result<Program, Invalid> {
    let template = template(spec)?;
    let mut program = Program {
        name: template.id.name.clone(),
        task_type: template.r#type.clone(),
        has_outputs: !template.interface.outputs.variables.is_empty(),
        secrets: template.security_context.secrets.iter().map(secret_request).collect(),
        ..Program::default()
    };
    if let Some(task_template::Target::Container(container)) = &template.target {
        program.take_container(container)?;
    }
    Ok(program)
}

impl Program {
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
pub(crate) fn as_variable(secret: &Secret) -> SecretRequest {
    let mount_requirement = secret::MountType::ENV_VAR.into();
    secret_request(&Secret { mount_requirement, ..secret.clone() })
}

/// How much memory a task may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimit {
    pub(crate) bytes: u64,
    /// As the task asks for it, for instance `512Mi`.
    pub(crate) written: String,
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

/// A number of bytes as Kubernetes writes it: `512Mi`, `2G`, `1e9`.
pub(crate) fn quantity(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: f64 = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => f64::powi(1024.0, 2),
        "Gi" => f64::powi(1024.0, 3),
        "Ti" => f64::powi(1024.0, 4),
        "Pi" => f64::powi(1024.0, 5),
        "Ei" => f64::powi(1024.0, 6),
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    (1.0..1.8e19).contains(&bytes).then_some(bytes as u64)
}

/// Checks what a process needs of a definition before anything is made from it.
pub(crate) fn check(spec: &TaskSpec) -> Result<(), Invalid> {
    match &template(spec)?.target {
        Some(task_template::Target::Container(container)) => memory_limit(&container.resources).map(|_| ()),
        _ => Ok(()),
    }
}

/// A definition without what is said about it: two that differ in this alone do the same.
pub(crate) fn without_docs(spec: &TaskSpec) -> TaskSpec {
    TaskSpec { documentation: MessageField::default(), ..spec.clone() }
}

/// What of a run concerns each of its actions.
#[derive(Clone, Debug)]
pub(crate) struct RunRules<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) run_spec: &'a RunSpec,
}

/// What the rules need to know of a task action; `digest` names its definition, see [`encode`].
pub(crate) fn action_spec(
    spec: &TaskSpec,
    digest: &str,
    parent: Option<ActionName>,
    group: &str,
    cache_key: Option<&str>,
    run: &RunRules<'_>,
) -> Result<ActionSpec, Invalid> {
    title("group", group)?;
    check(spec)?;
    let metadata = &template(spec)?.metadata;
    Ok(ActionSpec {
        parent,
        group: (!group.is_empty()).then(|| group.to_owned()),
        retry: retry_policy(metadata)?,
        timeouts: timeouts(metadata),
        cache: cache_key.filter(|key| !key.is_empty()).map(|key| cache_policy(key, metadata, run)),
        definition: Some(digest.into()),
        ..ActionSpec::task(name(spec)?)
    })
}

fn retry_policy(metadata: &TaskMetadata) -> Result<RetryPolicy, Invalid> {
    let retries = metadata.retries.retries;
    let backoff = metadata.retries.backoff.as_option().map(|backoff| Backoff {
        base: duration(backoff.base.as_option()).unwrap_or_default(),
        // Left out on the wire means Flyte's default.
        factor: backoff.factor.filter(|factor| *factor != 0.0).unwrap_or(1.0),
        cap: duration(backoff.cap.as_option()),
    });
    if let Some(backoff) = &backoff {
        backoff.check().map_err(|error| Invalid::field(format!("metadata.retries.backoff: {error}")))?;
    }
    Ok(RetryPolicy { retries, backoff })
}

fn timeouts(metadata: &TaskMetadata) -> Timeouts {
    Timeouts {
        max_runtime: duration(metadata.timeout.as_option()),
        max_queued_time: duration(metadata.timeouts.queued_timeout.as_option()),
        deadline: duration(metadata.timeouts.deadline.as_option()),
    }
}

/// A duration of the wire; none for zero and for what is negative.
pub(crate) fn duration(value: Option<&spanwise_proto::google::protobuf::Duration>) -> Option<Duration> {
    let value = value?;
    let duration = Duration::new(u64::try_from(value.seconds).ok()?, u32::try_from(value.nanos).ok()?);
    (!duration.is_zero()).then_some(duration)
}

fn cache_policy(key: &str, metadata: &TaskMetadata, run: &RunRules<'_>) -> CachePolicy {
    let global =
        run.run_spec.cache_config.cache_lookup_scope.as_known() == Some(CacheLookupScope::CACHE_LOOKUP_SCOPE_GLOBAL);
    let Scope { org, project, domain } = run.scope;
    CachePolicy {
        key: if global { format!("{org}//{key}") } else { format!("{org}/{project}/{domain}/{key}") },
        overwrite: run.run_spec.overwrite_cache || run.run_spec.cache_config.overwrite_cache,
        serialize: metadata.cache_serializable,
        max_age_seconds: duration(metadata.cache_max_age.as_option()).map(|age| age.as_secs()),
    }
}

/// The key of a root action in the cache, which children bring along ready (semantics S5).
pub(crate) fn root_cache_key(spec: &TaskSpec, inputs: &Inputs) -> Result<Option<String>, Invalid> {
    let template = template(spec)?;
    if !template.metadata.discoverable {
        return Ok(None);
    }
    let ignored: Vec<&str> = template.metadata.cache_ignore_input_vars.iter().map(String::as_str).collect();
    let inputs_hash = hash::inputs_hash_ignoring(&inputs.literals, &ignored);
    let interface_hash = hash::interface_hash(&template.interface);
    let version = &template.metadata.discovery_version;
    Ok(Some(hash::cache_key(&inputs_hash, &template.id.name, &interface_hash, version)))
}

/// The image that a task asks for; empty if it asks for none.
pub(crate) fn image(spec: &TaskSpec) -> &str {
    match &spec.task_template.target {
        Some(task_template::Target::Container(container)) => &container.image,
        _ => "",
    }
}

/// Fills in the inputs that are missing and have a default.
pub(crate) fn with_defaults(spec: &TaskSpec, mut inputs: Inputs) -> Inputs {
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

/// What is asked for and not honoured, one sentence each (semantics S10).
pub(crate) fn not_honoured(spec: &TaskSpec, run_spec: &RunSpec) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |asked: bool, field: &str, instead: &str| {
        if asked {
            warnings.push(format!("{field} is not honoured: {instead}"));
        }
    };
    warn(run_spec.interruptible.is_set(), "run_spec.interruptible", "tasks are processes of this machine");
    warn(!run_spec.queue.is_empty(), "run_spec.queue", "there is one queue, shared fairly by all runs");
    warn(!run_spec.cluster_pool.is_empty(), "run_spec.cluster_pool", "there is one machine");
    warn(run_spec.notification_settings.is_some(), "run_spec.notification_settings", "nobody is notified");
    warn(
        !run_spec.raw_data_storage.raw_data_prefix.is_empty(),
        "raw_data_path",
        "data of tasks is in the server's store",
    );
    warn(!run_spec.run_base_dir.is_empty(), "run_base_dir", "inputs and outputs are in the server's store");
    warn(!run_spec.annotations.values.is_empty(), "annotations", "there are no pods to annotate");
    warn(run_spec.default_settings.is_set(), "run_spec.default_settings", "there are no pods to shape");
    warn(run_spec.security_context.is_set(), "run_spec.security_context", "tasks run as the server's user");
    if let Some(template) = spec.task_template.as_option() {
        let metadata = &template.metadata;
        let extended = &template.extended_resources;
        warn(
            metadata.interruptible_value == Some(task_metadata::InterruptibleValue::Interruptible(true)),
            "interruptible",
            "tasks are processes of this machine",
        );
        warn(!metadata.pod_template_name.is_empty(), "pod_template_name", "there are no pods");
        warn(extended.gpu_accelerator.is_set(), "resources.gpu", "accelerators are not assigned");
        warn(extended.shared_memory.is_set(), "resources.shm", "a process has the machine's shared memory");
        warn(
            template.reuse_policy.is_set() || template.r#type == "actor",
            "reuse_policy",
            "each action has a process of its own, forked from a warm interpreter",
        );
    }
    warnings
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
