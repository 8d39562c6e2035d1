//! What a task asks for, set in its definition as the stock SDK sets it (`task_serde.py`, `resources_serde.py`).

use spanwise_core::settings::{Cache, Resources, Secret, TaskSettings};
use spanwise_proto::MessageField;
use spanwise_proto::flyteidl2::core::resources::{ResourceEntry, ResourceName};
use spanwise_proto::flyteidl2::core::{
    self, Container, ExtendedResources, KeyValuePair, TaskMetadata, TaskTemplate, secret, task_template,
};

use crate::Invalid;
use crate::times::duration;

/// Sets what is said in the definition of a task whose container is its own; the rest of it stays. The queue is no part of a definition.
pub(super) fn set_of_container(template: &mut TaskTemplate, settings: &TaskSettings, version: Option<&str>) {
    if let Some(cache) = &settings.cache {
        set_cache(template.metadata.get_or_insert_default(), cache, version);
    }
    if let Some(secrets) = &settings.secrets {
        template.security_context.get_or_insert_default().secrets = secrets.iter().map(secret).collect();
    }
    if let Some(task_template::Target::Container(container)) = &mut template.target {
        set_container(container, settings);
    }
    if settings.resources.is_some() {
        template.extended_resources = MessageField::<ExtendedResources>::default();
    }
}

/// The same for a definition of whatever kind.
///
/// # Errors
/// [`Invalid::Field`] names what it has no room for: a pod template says itself which resources and variables its containers have.
pub fn set(template: &mut TaskTemplate, settings: &TaskSettings, version: Option<&str>) -> Result<(), Invalid> {
    let has_container = matches!(template.target, Some(task_template::Target::Container(_)));
    let for_container = [("resources", settings.resources.is_some()), ("env_vars", settings.env_vars.is_some())];
    if let Some((field, _)) = for_container.iter().find(|(_, is_said)| *is_said && !has_container) {
        let why = "has no container of its own, whose settings a call could replace";
        return Err(Invalid::field(format!("{field}: task `{}` {why}", template.id.name)));
    }
    set_of_container(template, settings, version);
    Ok(())
}

fn set_cache(metadata: &mut TaskMetadata, cache: &Cache, version: Option<&str>) {
    metadata.discoverable = version.is_some();
    metadata.discovery_version = version.unwrap_or_default().to_owned();
    metadata.cache_serializable = cache.serialize;
    let ignored = if version.is_some() { cache.ignored_inputs.as_slice() } else { &[] };
    metadata.cache_ignore_input_vars = ignored.to_vec();
    metadata.cache_max_age = cache.max_age.map(duration).into();
}

fn secret(secret: &Secret) -> core::Secret {
    let mount = if secret.variable.is_some() { secret::MountType::ENV_VAR } else { secret::MountType::FILE };
    core::Secret {
        group: secret.group.clone(),
        key: secret.key.clone(),
        mount_requirement: mount.into(),
        env_var: secret.variable.clone().unwrap_or_default(),
        ..core::Secret::default()
    }
}

fn set_container(container: &mut Container, settings: &TaskSettings) {
    if let Some(variables) = &settings.env_vars {
        let pair = |(key, value): &(String, String)| KeyValuePair {
            key: key.clone(),
            value: value.clone(),
            ..KeyValuePair::default()
        };
        container.env = variables.iter().map(pair).collect();
    }
    if let Some(resources) = &settings.resources {
        let requests = requests(resources);
        let has_some = !requests.is_empty();
        container.resources = has_some.then(|| core::Resources { requests, ..core::Resources::default() }).into();
    }
}

fn requests(resources: &Resources) -> Vec<ResourceEntry> {
    let entry =
        |name: ResourceName, value: String| ResourceEntry { name: name.into(), value, ..ResourceEntry::default() };
    let cpu = resources.cpu.clone().map(|cpu| entry(ResourceName::CPU, cpu));
    let memory = resources.memory.clone().map(|memory| entry(ResourceName::MEMORY, memory));
    let devices = resources.gpu.filter(|devices| *devices > 0);
    let gpu = devices.map(|devices| entry(ResourceName::GPU, devices.to_string()));
    cpu.into_iter().chain(memory).chain(gpu).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use spanwise_core::admission::Needs;

    use super::*;
    use crate::task::{MemoryLimit, Mount, SecretRequest, needs, program};
    use spanwise_proto::flyteidl2::core::{Identifier, K8sPod};
    use spanwise_proto::flyteidl2::task::TaskSpec;

    fn template(target: task_template::Target) -> TaskTemplate {
        let id = Identifier { name: "e.f".to_owned(), ..Identifier::default() };
        TaskTemplate { id: id.into(), target: Some(target), ..TaskTemplate::default() }
    }

    fn everything() -> TaskSettings {
        let cache = Cache::version("v1").serialize().ignore_input("at").max_age(Duration::from_secs(60));
        TaskSettings {
            cache: Some(cache),
            resources: Some(Resources::new().cpu("500m").memory("1Gi").gpu(1)),
            secrets: Some(vec![Secret::new("db-password").group("team"), Secret::new("ca").as_file()]),
            env_vars: Some(vec![("A".to_owned(), "b".to_owned())]),
            queue: Some("gpu".to_owned()),
        }
    }

    #[test]
    fn s10_what_is_set_is_what_the_server_reads() {
        let mut template = template(Container::default().into());
        set(&mut template, &everything(), Some("v1")).unwrap();
        assert_eq!(needs::of(&template).unwrap(), Needs { cpu: Some(500), memory: 1 << 30, gpu: 1 });
        let metadata = &template.metadata;
        assert!(metadata.discoverable && metadata.cache_serializable);
        assert_eq!((metadata.discovery_version.as_str(), metadata.cache_max_age.seconds), ("v1", 60));
        assert_eq!(metadata.cache_ignore_input_vars, ["at"]);
        let read = program(&TaskSpec { task_template: template.clone().into(), ..TaskSpec::default() }).unwrap();
        assert_eq!(read.env, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(read.memory_limit, Some(MemoryLimit { bytes: 1 << 30, written: "1Gi".to_owned() }));
        let request = |group: &str, key: &str, mount| SecretRequest { group: group.into(), key: key.into(), mount };
        let variable = Mount::Variable("TEAM_DB_PASSWORD".to_owned());
        assert_eq!(read.secrets, [request("team", "db-password", variable), request("", "ca", Mount::File)]);

        let off = TaskSettings { cache: Some(Cache::off()), ..TaskSettings::default() };
        set(&mut template, &off, None).unwrap();
        assert!(!template.metadata.discoverable && template.metadata.discovery_version.is_empty());
        assert_eq!(needs::of(&template).unwrap().gpu, 1, "what is not said stays");
    }

    #[test]
    fn s10_what_a_pod_says_itself_is_not_replaced_by_a_call() {
        let all = everything();
        for (field, settings) in [
            ("resources", TaskSettings { resources: all.resources, ..TaskSettings::default() }),
            ("env_vars", TaskSettings { env_vars: all.env_vars, ..TaskSettings::default() }),
        ] {
            let refused = set(&mut template(K8sPod::default().into()), &settings, None).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("{field}: task `e.f`")), "{refused}");
        }
        let secrets = TaskSettings { secrets: all.secrets, ..TaskSettings::default() };
        set(&mut template(K8sPod::default().into()), &secrets, None).unwrap();
    }
}
