//! Tasks that are deployed on a server, whatever they are written in, called by their names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use spanwise_core::Scope;
use spanwise_proto::flyteidl2::core::literal_type;
use spanwise_proto::flyteidl2::core::{LiteralType, parameter};
use spanwise_proto::flyteidl2::task::{GetTaskDetailsRequest, NamedLiteral, TaskSpec};
use spanwise_proto::flyteidl2::workflow::TaskAction;
use spanwise_proto::google::protobuf::StringValue;
use spanwise_proto::hash;
use spanwise_wire::{ids, policy, task};

use super::connection::{Connection, error, persist};
use super::parent::Parent;
use crate::call::{child_name, freeze};
use crate::ctx::Ambient;
use crate::error::Result;
use crate::overrides::Overrides;
use crate::task::TaskOutput;
use crate::value::{Value, ValueError};
use crate::{Call, Error};

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

    /// The call. Its output must be a `T`.
    pub fn call<T: TaskOutput>(self) -> Call<T> {
        Call::deployed(self)
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

    /// The inputs in the order of the task's interface, with its defaults.
    fn literals(self, spec: &TaskSpec) -> Result<Vec<NamedLiteral>, ValueError> {
        let interface = task::interface(spec);
        let variables = &interface.inputs.variables;
        if let Some(unknown) = self.inputs.iter().find(|input| variables.iter().all(|known| known.key != input.name)) {
            let known: Vec<&str> = variables.iter().map(|variable| variable.key.as_str()).collect();
            let message = format!("task `{}` has no such input; it has {known:?}", self.name);
            return Err(ValueError::new(message).at(&unknown.name));
        }
        let (task, mut given) = (self.name, self.inputs);
        let mut literals = Vec::with_capacity(variables.len());
        for variable in variables {
            if let Some(at) = given.iter().position(|input| input.name == variable.key) {
                let input = given.swap_remove(at);
                check_type(&input, &variable.value.r#type)?;
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
fn check_type(given: &Input, wanted: &LiteralType) -> Result<(), ValueError> {
    let (given_kind, wanted) = (family(&given.kind), family(wanted));
    if given_kind == wanted {
        return Ok(());
    }
    let message = format!("the task takes {wanted}, and {given_kind} is given");
    Err(ValueError::new(message).at(&given.name))
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

/// The definitions that were asked for: one that is the newest stays it for the whole attempt.
#[derive(Default)]
pub(super) struct Deployed {
    known: Mutex<HashMap<(String, String), Arc<TaskSpec>>>,
}

impl Deployed {
    async fn find(&self, connection: &Connection, place: &Scope, reference: &RemoteTask) -> Result<Arc<TaskSpec>> {
        let key = (reference.name.clone(), reference.version.clone());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = Arc::new(find(connection, place, reference, super::connection::LONG).await?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(known.entry(key).or_insert(found)))
    }
}

async fn find(
    connection: &Connection,
    place: &Scope,
    reference: &RemoteTask,
    patience: std::time::Duration,
) -> Result<TaskSpec> {
    let id = ids::to_task_identifier(place, &reference.name, &reference.version);
    let request = GetTaskDetailsRequest { task_id: id.into(), ..GetTaskDetailsRequest::default() };
    let tasks = connection.tasks();
    let found = persist(patience, || tasks.get_task_details(request.clone())).await;
    let found = found.map_err(|source| error(&format!("look up task `{}`", reference.name), &source))?.into_owned();
    found
        .details
        .into_option()
        .and_then(|details| details.spec.into_option())
        .ok_or_else(|| Error::usage(format!("the server knows task `{}` without a definition", reference.name)))
}

/// The definition of a deployed task and its inputs, for a run.
pub(super) async fn as_root(
    connection: &Connection,
    place: &Scope,
    reference: RemoteTask,
    overrides: &Overrides,
) -> Result<(TaskSpec, Vec<NamedLiteral>)> {
    let spec = find(connection, place, &reference, super::connection::SHORT).await?;
    let literals = reference.literals(&spec)?;
    Ok((overridden(spec, overrides)?, literals))
}

/// A definition with the settings of one call on top.
fn overridden(mut spec: TaskSpec, overrides: &Overrides) -> Result<TaskSpec> {
    if *overrides == Overrides::new() {
        return Ok(spec);
    }
    let metadata = spec.task_template.get_or_insert_default().metadata.get_or_insert_default();
    let (mut retry, mut timeouts) = (policy::retry(metadata)?, policy::timeouts(metadata));
    overrides.apply(&mut retry, &mut timeouts);
    policy::set(metadata, &retry, &timeouts);
    Ok(spec)
}

impl Parent {
    /// Has a deployed task run as a child.
    pub(crate) async fn deployed_child(
        self: &Arc<Self>,
        ambient: &Ambient,
        reference: RemoteTask,
        overrides: &Overrides,
    ) -> Result<spanwise_engine::Outcome> {
        let spec = self.deployed().find(self.connection(), self.place(), &reference).await?;
        let literals = reference.literals(&spec)?;
        let template = &spec.task_template;
        let (name, version) = (template.id.name.as_str(), template.metadata.discovery_version.as_str());
        let interface_hash = hash::interface_hash(&template.interface);
        let identity = hash::task_identity(name, &interface_hash, version).into();
        let action = child_name(ambient, &identity, &literals);
        let cache_key = template.metadata.discoverable.then(|| {
            let ignored: Vec<&str> = template.metadata.cache_ignore_input_vars.iter().map(String::as_str).collect();
            let inputs_hash = hash::inputs_hash_ignoring(&literals, &ignored);
            let value = hash::cache_key(&inputs_hash, name, &interface_hash, version);
            StringValue { value, ..StringValue::default() }
        });
        let asked = TaskAction {
            id: ids::to_task_identifier(self.place(), name, &template.id.version).into(),
            spec: overridden(TaskSpec::clone(&spec), overrides)?.into(),
            cache_key: cache_key.into(),
            ..TaskAction::default()
        };
        let group = ambient.group.as_deref().unwrap_or_default().to_owned();
        self.call(action, group, asked, freeze(literals, &ambient.context)?).await
    }
}
