//! What tasks there are and what they take: as a program describes itself, or as the server knows a deployed task.

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value as Json;
use spanwise_proto::flyteidl2::core::parameter;
use spanwise_proto::flyteidl2::task::TaskSpec;

/// A task, as far as it has to be known to start it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Task {
    /// Its full name.
    pub(super) name: String,
    /// Its documentation.
    #[serde(default)]
    pub(super) docs: String,
    /// What it takes.
    #[serde(rename = "inputs")]
    pub(super) parameters: Vec<Parameter>,
}

/// An input of a task.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    #[serde(default)]
    pub(super) docs: String,
    /// The JSON schema of its values.
    pub(super) schema: Json,
    /// What it is if it is not given; none: it must be.
    #[serde(skip)]
    pub(super) default: Option<Json>,
}

/// What `PROGRAM describe` prints.
#[derive(Debug, Deserialize)]
pub(super) struct Described {
    /// How it can be asked to start a task; a program made with an older crate does not say it.
    pub(super) spanwise_run: Option<RunSupport>,
    pub(super) tasks: Vec<Task>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RunSupport {
    pub(super) version: u32,
    /// Whether it can start runs on a server.
    pub(super) on_servers: bool,
}

impl Described {
    /// Reads what a program has printed.
    pub(super) fn read(printed: &[u8]) -> anyhow::Result<Described> {
        let mut described: Described = serde_json::from_slice(printed).context("read it as JSON")?;
        for parameter in described.tasks.iter_mut().flat_map(|task| &mut task.parameters) {
            parameter.default = parameter.schema.get("default").cloned();
        }
        Ok(described)
    }

    /// The task of this name, or the only one whose name ends so.
    ///
    /// # Errors
    /// Names the tasks there are.
    pub(super) fn task(&self, name: &str) -> Result<&Task, String> {
        let is_short = |task: &&Task| task.name.rsplit('.').next() == Some(name);
        let mut short = self.tasks.iter().filter(is_short);
        let exact = self.tasks.iter().find(|task| task.name == name);
        match (exact, short.next(), short.next()) {
            (Some(task), ..) | (None, Some(task), None) => Ok(task),
            (None, Some(_), Some(_)) => Err(format!("more than one task is named `{name}`: {}", self.names())),
            (None, None, _) if self.tasks.is_empty() => Err("the program has no tasks".to_owned()),
            (None, None, _) => Err(format!("there is no task `{name}` in the program; it has {}", self.names())),
        }
    }

    fn names(&self) -> String {
        self.tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Task {
    /// A deployed task.
    pub(super) fn deployed(spec: &TaskSpec) -> Task {
        let template = &spec.task_template;
        let parameters = template.interface.inputs.variables.iter().map(|variable| {
            let kind = variable.value.r#type.as_option().cloned().unwrap_or_default();
            let schema = spanwise_proto::json::schema(&kind);
            let default = default_of(spec, &variable.key).or_else(|| is_optional(&schema).then_some(Json::Null));
            Parameter { name: variable.key.clone(), docs: variable.value.description.clone(), schema, default }
        });
        let docs = [&spec.documentation.long_description, &spec.documentation.short_description];
        let docs = docs.into_iter().find(|docs| !docs.is_empty()).cloned().unwrap_or_default();
        Task { name: template.id.name.clone(), docs, parameters: parameters.collect() }
    }
}

fn default_of(spec: &TaskSpec, name: &str) -> Option<Json> {
    let parameter = spec.default_inputs.iter().find(|parameter| parameter.name == name)?;
    match &parameter.parameter.behavior {
        Some(parameter::Behavior::Default(value)) => Some(value.to_json()),
        _ => None,
    }
}

fn is_optional(schema: &Json) -> bool {
    let alternatives = schema["anyOf"].as_array();
    alternatives.is_some_and(|alternatives| alternatives.iter().any(|one| one["type"] == "null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Described {
        let printed = serde_json::json!({ "tasks": [
            {"name": "a.one", "docs": "", "inputs": [
                {"name": "x", "schema": {"type": "integer"}},
                {"name": "y", "docs": "why", "schema": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null}},
            ]},
            {"name": "a.two", "inputs": []},
            {"name": "b.two", "inputs": []},
        ]});
        Described::read(printed.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_task_is_found_by_its_name_or_by_the_end_of_it() {
        let described = described();
        assert_eq!(described.task("a.two").unwrap().name, "a.two");
        assert_eq!(described.task("one").unwrap().name, "a.one");
        assert!(described.task("two").unwrap_err().contains("a.one, a.two, b.two"));
        assert!(
            described.task("three").unwrap_err().starts_with("there is no task `three` in the program; it has a.one")
        );
    }

    #[test]
    fn an_option_has_a_default_and_everything_else_must_be_given() {
        let task = described().tasks.remove(0);
        assert_eq!(task.parameters[0].default, None);
        assert_eq!((&task.parameters[1].default, task.parameters[1].docs.as_str()), (&Some(Json::Null), "why"));
    }
}
