//! Tasks that are deployed on a server, whatever they are written in, called by their names.

use spanwise_proto::flyteidl2::core::literal_type;
use spanwise_proto::flyteidl2::core::{LiteralType, parameter};
use spanwise_proto::flyteidl2::task::{NamedLiteral, TaskSpec};
use spanwise_wire::task;

use crate::error::{Error, Result};
use crate::value::{Value, ValueError};

/// Refers to a task that is deployed on a server, in Rust or in Python: `remote_task("env.fn").input("x", 3).call::<i64>()`.
///
/// The call is a child action inside a task that a server runs, and a run when it is given to
/// [`RunContext::run`](crate::RunContext::run). The engine of a process runs the tasks of its own program only.
pub fn remote_task(name: impl Into<String>) -> RemoteTask {
    RemoteTask { name: name.into(), version: String::new(), inputs: Vec::new() }
}

/// Made by [`remote_task`].
#[derive(Debug)]
#[must_use = "a reference does nothing until it is called"]
pub struct RemoteTask {
    name: String,
    version: String,
    inputs: Vec<Input>,
}

#[derive(Debug)]
struct Input {
    name: String,
    kind: LiteralType,
    value: Result<NamedLiteral, ValueError>,
}

impl RemoteTask {
    /// Chooses a version; without it the one that was deployed last.
    pub fn version(mut self, version: impl Into<String>) -> RemoteTask {
        self.version = version.into();
        self
    }

    /// Gives an input by its name. One that is not given has the task's default.
    pub fn input<T: Value>(mut self, name: impl Into<String>, value: T) -> RemoteTask {
        let name = name.into();
        let literal = value.to_literal().map_err(|error| error.at(&name));
        let value = literal.map(|literal| NamedLiteral::new(name.clone(), literal));
        self.inputs.push(Input { name, kind: T::literal_type(), value });
        self
    }

    /// Why the engine of this process does not run it.
    pub(crate) fn not_here(&self) -> Error {
        let name = &self.name;
        Error::usage(format!(
            "task `{name}` is deployed on a server: it is called by tasks that a server runs, or given to `run` of a client with an endpoint"
        ))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The version; empty for the one that was deployed last.
    pub(super) fn wanted_version(&self) -> &str {
        &self.version
    }

    /// The inputs in the order of the task's interface, with its defaults.
    pub(super) fn literals(self, spec: &TaskSpec) -> Result<Vec<NamedLiteral>, ValueError> {
        let interface = task::interface(spec);
        let variables = &interface.inputs.variables;
        if let Some(unknown) =
            self.inputs.iter().find(|input| variables.iter().all(|variable| variable.key != input.name))
        {
            let names: Vec<&str> = variables.iter().map(|variable| variable.key.as_str()).collect();
            let message = format!("task `{}` has no such input; it has {names:?}", self.name);
            return Err(ValueError::new(message).at(&unknown.name));
        }
        let (task, mut given) = (self.name, self.inputs);
        let mut literals = Vec::with_capacity(variables.len());
        for variable in variables {
            if let Some(at) = given.iter().position(|input| input.name == variable.key) {
                let input = given.swap_remove(at);
                check_type(&input.name, &input.kind, &variable.value.r#type)?;
                literals.push(input.value?);
            } else if let Some(default) = default_of(spec, &variable.key) {
                literals.push(default);
            } else {
                let message = format!("task `{task}` needs this input and has no default for it");
                return Err(ValueError::new(message).at(&variable.key));
            }
        }
        Ok(literals)
    }
}

fn default_of(spec: &TaskSpec, name: &str) -> Option<NamedLiteral> {
    let parameter = spec.default_inputs.iter().find(|parameter| parameter.name == name)?;
    match &parameter.parameter.behavior {
        Some(parameter::Behavior::Default(value)) => Some(NamedLiteral::new(name, (**value).clone())),
        _ => None,
    }
}

/// Refuses a value of another type where that can be told: two schemas of a structure may differ and fit.
pub(super) fn check_type(name: &str, given: &LiteralType, wanted: &LiteralType) -> Result<(), ValueError> {
    let (given, wanted) = (family(given), family(wanted));
    if given == wanted {
        return Ok(());
    }
    let message = format!("the task takes {wanted}, and {given} is given");
    Err(ValueError::new(message).at(name))
}

fn family(kind: &LiteralType) -> String {
    use literal_type::Type;
    match &kind.r#type {
        _ if kind.union_type.is_set() => "an optional value or a union".to_owned(),
        _ if kind.enum_type.is_set() => "an enum".to_owned(),
        Some(Type::Simple(simple)) => match simple.as_known() {
            Some(simple) => format!("a value of type {simple:?}"),
            None => "a value of an unknown type".to_owned(),
        },
        Some(Type::CollectionType(_)) => "a list".to_owned(),
        Some(Type::MapValueType(_)) => "a map".to_owned(),
        Some(Type::Blob(_)) => "a file".to_owned(),
        _ => "a value of another kind".to_owned(),
    }
}
