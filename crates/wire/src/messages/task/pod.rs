//! Pod templates: the primary container as the container of a task, and what becomes of every other field.

use serde_json::{Map, Value as Json};
use spanwise_proto::flyteidl2::core::{Container, K8sPod, Resources, TaskTemplate, resources};

use crate::shown;

mod fields;
mod variables;

use variables::{MAX_EXPANDED, Variables};

/// What becomes of a field of a pod. Each has a sentence: what is done with it, what holds instead, or what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Honoured(&'static str),
    Warned(&'static str),
    Refused(&'static str),
}

/// A pod as far as a process can be it.
#[derive(Debug, Default)]
pub(super) struct Pod {
    /// Its primary container.
    pub(super) container: Container,
    /// What is not honoured, one sentence each.
    pub(super) not_honoured: Vec<String>,
    /// Why no process can be it, one sentence each.
    pub(super) refused: Vec<String>,
}

/// The key of a template's settings that names the primary container.
const PRIMARY: &str = "primary_container_name";

impl Pod {
    /// Reads the pod of a template.
    pub(super) fn of(template: &TaskTemplate, pod: &K8sPod) -> Pod {
        let spec: Map<String, Json> = match pod.pod_spec.as_option().map(Json::from) {
            Some(Json::Object(spec)) => spec,
            _ => Map::new(),
        };
        let mut read = Pod::default();
        for (field, value) in &spec {
            read.take_pod_field(field, value);
        }
        let named = Some(pod.primary_container_name.as_str()).filter(|name| !name.is_empty());
        let named = named.or_else(|| template.config.get(PRIMARY).map(String::as_str));
        read.take_containers(named, spec.get("containers"));
        let moved = pod.data_config.enabled;
        read.warn(moved, "data_config", "nothing is fetched for a container, and nothing is stored from it");
        read.not_honoured.sort();
        read.refused.sort();
        read
    }

    fn take_pod_field(&mut self, field: &str, value: &Json) {
        match field {
            "hostIPC" | "hostNetwork" | "hostPID" | "hostUsers" if *value == Json::Bool(false) => {
                self.warn(field == "hostUsers", field, "tasks are processes of this machine");
            }
            "restartPolicy" if value == "Never" => {}
            "dnsPolicy" if ["Default", "ClusterFirst"].iter().any(|usual| value == usual) => {}
            "os" if value.get("name").is_some_and(|name| name != "linux") => {
                self.refuse(field, "tasks are processes of this machine")
            }
            "os" => {}
            _ => self.take(&fields::POD, "", field, value),
        }
    }

    fn take_containers(&mut self, primary: Option<&str>, containers: Option<&Json>) {
        let containers = containers.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let name = |container: &Json| container.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
        let chosen = match primary {
            Some(primary) => containers.iter().position(|container| name(container) == primary),
            None => (!containers.is_empty()).then_some(0),
        };
        for (at, container) in containers.iter().enumerate() {
            let sidecar = format!("containers `{}`", shown(&name(container)));
            self.warn(Some(at) != chosen, &sidecar, "it is not started: only the primary container is");
        }
        match chosen.and_then(|at| containers[at].as_object()) {
            Some(container) => self.take_container(container),
            None => {
                let named = primary.map_or_else(|| "any".to_owned(), |primary| format!("`{}`", shown(primary)));
                self.refuse("containers", &format!("there is none with the name of the primary one, {named}"));
            }
        }
    }

    fn take_container(&mut self, container: &Map<String, Json>) {
        let mut variables = Variables::new();
        for (field, value) in container {
            match (field.as_str(), value) {
                (_, Json::Null) => {}
                ("image", Json::String(image)) => self.container.image.clone_from(image),
                ("env", Json::Array(listed)) => self.take_variables(listed, &mut variables),
                ("command" | "args", Json::Array(_)) | ("name", Json::String(_)) => {}
                ("resources", Json::Object(resources)) => self.take_resources(resources),
                ("image" | "env" | "command" | "args" | "resources", _) => {
                    self.refuse(&format!("container.{field}"), "it is not of the kind that Kubernetes has there");
                }
                ("envFrom", Json::Array(sources)) if sources.iter().all(is_optional) => {
                    self.warn(!sources.is_empty(), "container.envFrom", "what is optional is left out");
                }
                _ => self.take(&fields::CONTAINER, "container.", field, value),
            }
        }
        let mut texts = |field: &str| -> Vec<String> {
            let words = container.get(field).and_then(Json::as_array).into_iter().flatten();
            words.map(|word| variables.put_into(&text(word))).collect()
        };
        self.container.command = texts("command");
        self.container.args = texts("args");
        if variables.are_too_large() {
            let why = format!("with variables put in for `$(NAME)` its texts are over {MAX_EXPANDED} bytes");
            self.refuse("container.env", &why);
        }
        self.container.env = variables.into_pairs();
    }

    /// The variables, each with those before it put in; the first one of a name that comes twice gives way to the last.
    fn take_variables(&mut self, listed: &[Json], variables: &mut Variables) {
        for variable in listed {
            let name = variable.get("name").map(text).unwrap_or_default();
            if let Some(source) = variable.get("valueFrom").filter(|source| !source.is_null()) {
                let field = format!("container.env `{}`", shown(&name));
                if source.as_object().is_some_and(|sources| sources.values().all(is_optional)) {
                    self.warn(true, &field, "its value is optional and comes from a cluster: it is left out");
                } else {
                    self.refuse(
                        &field,
                        "its value comes from a cluster (valueFrom): give it with env_vars or secrets of the task",
                    );
                }
                continue;
            }
            let value = variables.put_into(&variable.get("value").map(text).unwrap_or_default());
            variables.set(name, value);
        }
    }

    fn take_resources(&mut self, described: &Map<String, Json>) {
        let mut resources = Resources::default();
        for (kind, amounts) in described {
            let entries = match kind.as_str() {
                "requests" => &mut resources.requests,
                "limits" => &mut resources.limits,
                _ => {
                    self.warn(
                        !is_empty(amounts),
                        &format!("container.resources.{}", shown(kind)),
                        "devices are not assigned",
                    );
                    continue;
                }
            };
            for (name, amount) in amounts.as_object().into_iter().flatten() {
                let of = match name.as_str() {
                    "memory" => resources::ResourceName::MEMORY,
                    "cpu" => resources::ResourceName::CPU,
                    other => {
                        let field = format!("container.resources.{kind}.{}", shown(other));
                        let said =
                            format!("{field} is not honoured: only memory is limited, and no device is assigned");
                        self.not_honoured.push(said);
                        continue;
                    }
                };
                entries.push(resources::ResourceEntry { name: of.into(), value: text(amount), ..Default::default() });
            }
        }
        self.container.resources = resources.into();
    }

    /// Does with a field what the table says.
    fn take(&mut self, table: &[(&str, Fate)], prefix: &str, field: &str, value: &Json) {
        let row = table.iter().find(|(name, _)| *name == field).or(table.last());
        match row.map(|(_, fate)| *fate) {
            _ if is_empty(value) => {}
            Some(Fate::Warned(instead)) => self.warn(true, &format!("{prefix}{}", shown(field)), instead),
            Some(Fate::Refused(why)) => self.refuse(&format!("{prefix}{}", shown(field)), why),
            Some(Fate::Honoured(_)) | None => {}
        }
    }

    fn warn(&mut self, is_set: bool, field: &str, instead: &str) {
        if is_set {
            self.not_honoured.push(format!("pod_template.{field} is not honoured: {instead}"));
        }
    }

    fn refuse(&mut self, field: &str, why: &str) {
        self.refused.push(format!("pod_template.{field}: {why}"));
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(value) => !value,
        Json::Array(items) => items.is_empty(),
        Json::Object(object) => object.is_empty(),
        Json::String(_) | Json::Number(_) => false,
    }
}

/// True for a source that may be missing, of a variable or of several.
fn is_optional(source: &Json) -> bool {
    let says_so = |source: &Json| source.get("optional") == Some(&Json::Bool(true));
    says_so(source) || source.as_object().is_some_and(|source| source.values().any(says_so))
}

fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
