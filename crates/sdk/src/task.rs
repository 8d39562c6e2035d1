//! Tasks as `#[task]` describes them, and the registry by which a run finds its tasks again.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;
use serde_json::{Value as Json, json};
use spanwise_core::settings::{InvalidSetting, TaskSettings};
use spanwise_core::{ActionSpec, Failure, RetryPolicy, TaskName, Timeouts};
use spanwise_proto::flyteidl2::core::{Literal, LiteralType, TypedInterface};
use spanwise_proto::flyteidl2::task::NamedLiteral;

use crate::effective::Effective;
use crate::environment::TaskEnvironment;
use crate::error::{Error, ErrorKind, Result};
use crate::overrides::Overrides;
use crate::trigger::Trigger;
use crate::value::{Value, ValueError};

/// A body that gives a `T`.
pub(crate) type Body<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// What `#[task]` writes down about a function.
pub struct TypedTask<A: 'static, T: 'static> {
    /// The function's name.
    pub function: &'static str,
    /// Its environment.
    pub environment: fn() -> &'static TaskEnvironment,
    /// The text of its documentation.
    pub docs: &'static str,
    /// The names of its arguments.
    pub arguments: &'static [&'static str],
    /// The texts of their documentation, in the same order.
    pub argument_docs: &'static [&'static str],
    /// Its retries and timeouts.
    pub policy: fn() -> (RetryPolicy, Timeouts),
    /// What else it asks for.
    pub settings: fn() -> TaskSettings,
    /// Its triggers.
    pub triggers: fn() -> Vec<Trigger>,
    /// The text of its tokens: other code gives other results.
    pub source: &'static str,
    /// Its body.
    pub body: fn(A) -> Body<T>,
    /// What is computed from the rest, once.
    pub described: OnceLock<Described>,
}

/// What is computed once from a task's signature.
pub struct Described {
    pub(crate) name: TaskName,
    pub(crate) effective: Result<Arc<Effective>, InvalidSetting>,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeouts: Timeouts,
}

/// A task with its types forgotten: what the registry holds.
pub trait AnyTask: Sync + 'static {
    /// What is computed once from the signature.
    fn described(&self) -> &Described;
    /// The names and types of what it takes and gives.
    fn interface(&self) -> TypedInterface;
    /// Its environment.
    fn environment(&self) -> &'static TaskEnvironment;
    /// The second part of its name.
    fn function(&self) -> &'static str;
    /// The text of its documentation.
    fn docs(&self) -> &'static str;
    /// Its triggers.
    fn triggers(&self) -> Vec<Trigger>;
    /// The text of its tokens.
    fn source(&self) -> &'static str;
    /// The names of its inputs, each with its documentation and the JSON schema of its values.
    fn input_schemas(&self) -> Vec<Json>;
    /// The JSON schema of its output; none for a task without output.
    fn output_schema(&self) -> Option<Json>;
    /// Checks that inputs can be decoded.
    ///
    /// # Errors
    /// [`ValueError`] if the inputs do not fit the signature.
    fn check(&self, inputs: &[NamedLiteral]) -> Result<(), ValueError>;
    /// Starts the body with decoded inputs.
    ///
    /// # Errors
    /// [`ValueError`] if the inputs do not fit the signature.
    fn start(&self, inputs: &[NamedLiteral]) -> Result<Body<Option<Literal>>, ValueError>;
}

impl<A: Arguments, T: TaskOutput> AnyTask for TypedTask<A, T> {
    fn described(&self) -> &Described {
        self.described.get_or_init(|| {
            let name = format!("{}.{}", (self.environment)().name(), self.function);
            let settings = (self.settings)().over((self.environment)().settings());
            let effective = Effective::new(&name, (&self.interface(), self.source), settings).map(Arc::new);
            let (retry, timeouts) = (self.policy)();
            Described { name: TaskName::from(name.as_str()), effective, retry, timeouts }
        })
    }

    fn interface(&self) -> TypedInterface {
        let inputs = self.arguments.iter().map(|name| (*name).to_owned()).zip(A::types());
        let outputs = T::literal_type().map(|output| (OUTPUT.to_owned(), output));
        TypedInterface::new(inputs, outputs)
    }

    fn environment(&self) -> &'static TaskEnvironment {
        (self.environment)()
    }

    fn function(&self) -> &'static str {
        self.function
    }

    fn docs(&self) -> &'static str {
        self.docs
    }

    fn triggers(&self) -> Vec<Trigger> {
        (self.triggers)()
    }

    fn source(&self) -> &'static str {
        self.source
    }

    fn input_schemas(&self) -> Vec<Json> {
        let named = self.arguments.iter().zip(self.argument_docs).zip(A::json_schemas());
        named.map(|((name, docs), schema)| json!({ "name": name, "docs": docs, "schema": schema })).collect()
    }

    fn output_schema(&self) -> Option<Json> {
        T::json_schema()
    }

    fn check(&self, inputs: &[NamedLiteral]) -> Result<(), ValueError> {
        A::decode(inputs, self.arguments).map(drop)
    }

    fn start(&self, inputs: &[NamedLiteral]) -> Result<Body<Option<Literal>>, ValueError> {
        let body = (self.body)(A::decode(inputs, self.arguments)?);
        Ok(Box::pin(async move { body.await?.to_output().map_err(|error| Error::from(error.at(OUTPUT))) }))
    }
}

/// A task action with the task's settings and those of one call, without its key in the cache.
pub(crate) fn spec(task: &'static dyn AnyTask, effective: &Effective, overrides: &Overrides) -> ActionSpec {
    let described = task.described();
    let mut spec = ActionSpec {
        retry: described.retry.clone(),
        timeouts: described.timeouts,
        ..ActionSpec::task(described.name.clone())
    };
    overrides.apply(&mut spec.retry, &mut spec.timeouts);
    effective.apply(&mut spec);
    spec
}

/// What holds for one call of a task: of a root, of a child, of what is deployed.
///
/// # Errors
/// [`ErrorKind::Usage`] names the setting that makes no sense, or the name if another task has it, too.
pub(crate) fn effective(task: &dyn AnyTask, overrides: &Overrides) -> Result<Arc<Effective>> {
    let described = task.described();
    find(&described.name)?;
    let name = described.name.as_str();
    let invalid = |InvalidSetting { field, why }| {
        let error = InvalidSetting { field, why: format!("{why} (task `{name}`)") };
        Error::of(ErrorKind::Usage, "InvalidArgument", error)
    };
    let own = described.effective.as_ref().map_err(|error| invalid(error.clone()))?;
    if overrides.settings.is_empty() {
        return Ok(Arc::clone(own));
    }
    let settings = overrides.settings.over(&own.settings);
    Effective::new(name, (&task.interface(), task.source()), settings).map(Arc::new).map_err(invalid)
}

/// The name of a task's output on Flyte's wire.
pub(crate) const OUTPUT: &str = "o0";

/// A registered task.
pub struct Registered(pub &'static dyn AnyTask);

inventory::collect!(Registered);

/// The tasks of this program.
pub(crate) fn all() -> impl Iterator<Item = &'static dyn AnyTask> {
    inventory::iter::<Registered>.into_iter().map(|task| task.0)
}

/// The tasks of this program by their names; none of a name that two of them have.
fn by_name() -> &'static FxHashMap<&'static str, Option<&'static dyn AnyTask>> {
    static BY_NAME: OnceLock<FxHashMap<&'static str, Option<&'static dyn AnyTask>>> = OnceLock::new();
    BY_NAME.get_or_init(|| {
        let mut tasks = FxHashMap::default();
        for task in all() {
            let name = task.described().name.as_str();
            tasks.entry(name).and_modify(|other| *other = None).or_insert(Some(task));
        }
        tasks
    })
}

/// The task of this name in this program.
///
/// # Errors
/// If there is none, or more than one: a run that goes on after a restart would not know which it was, and one would be given what the cache
/// keeps of the other.
pub(crate) fn find(name: &TaskName) -> Result<&'static dyn AnyTask> {
    match by_name().get(name.as_str()) {
        Some(Some(task)) => Ok(*task),
        Some(None) => {
            let message = format!("two tasks of this program are named `{name}`: give one another name or environment");
            Err(Error::usage(message))
        }
        None => {
            let failure = Failure::user("TaskNotFound", format!("task `{name}` is not in this program")).terminal();
            Err(Error::from_failure(ErrorKind::NotFound, failure))
        }
    }
}

/// What a task may give: a [`Value`] or nothing.
pub trait TaskOutput: Sized + Send + 'static {
    /// Flyte's type of the output; none for a task without output.
    fn literal_type() -> Option<LiteralType>;
    /// The JSON schema of the output; none for a task without output.
    fn json_schema() -> Option<Json>;
    /// The output as a literal; none for a task without output.
    ///
    /// # Errors
    /// [`ValueError`] if it cannot be encoded.
    fn to_output(&self) -> Result<Option<Literal>, ValueError>;
    /// The output from its literal.
    ///
    /// # Errors
    /// [`ValueError`] if the literal is missing or of another type.
    fn from_output(literal: Option<&Literal>) -> Result<Self, ValueError>;
}

impl TaskOutput for () {
    fn literal_type() -> Option<LiteralType> {
        None
    }

    fn json_schema() -> Option<Json> {
        None
    }

    fn to_output(&self) -> Result<Option<Literal>, ValueError> {
        Ok(None)
    }

    fn from_output(_: Option<&Literal>) -> Result<(), ValueError> {
        Ok(())
    }
}

impl<T: Value> TaskOutput for T {
    fn literal_type() -> Option<LiteralType> {
        Some(T::literal_type())
    }

    fn json_schema() -> Option<Json> {
        Some(T::json_schema())
    }

    fn to_output(&self) -> Result<Option<Literal>, ValueError> {
        self.to_literal().map(Some)
    }

    fn from_output(literal: Option<&Literal>) -> Result<T, ValueError> {
        T::from_literal(literal.ok_or_else(|| ValueError::new("there is no output"))?)
    }
}

/// The output of a task whose type is not known here.
pub(crate) struct Untyped(pub(crate) Option<Literal>);

impl TaskOutput for Untyped {
    fn literal_type() -> Option<LiteralType> {
        None
    }

    fn json_schema() -> Option<Json> {
        None
    }

    fn to_output(&self) -> Result<Option<Literal>, ValueError> {
        Ok(self.0.clone())
    }

    fn from_output(literal: Option<&Literal>) -> Result<Untyped, ValueError> {
        Ok(Untyped(literal.cloned()))
    }
}

/// The arguments of a task, as a tuple.
pub trait Arguments: Sized + Send + 'static {
    /// Their types.
    fn types() -> Vec<LiteralType>;
    /// Their JSON schemas.
    fn json_schemas() -> Vec<Json>;
    /// Encodes the arguments as literals, in order.
    ///
    /// # Errors
    /// [`ValueError`] names the argument.
    fn encode(&self, names: &[&str]) -> Result<Vec<NamedLiteral>, ValueError>;
    /// Decodes the arguments from literals, by name.
    ///
    /// # Errors
    /// [`ValueError`] names the argument.
    fn decode(inputs: &[NamedLiteral], names: &[&str]) -> Result<Self, ValueError>;
}

macro_rules! arguments {
    ($($argument:ident $index:tt),*) => {
        impl<$($argument: Value),*> Arguments for ($($argument,)*) {
            fn types() -> Vec<LiteralType> {
                vec![$($argument::literal_type()),*]
            }

            fn json_schemas() -> Vec<Json> {
                vec![$($argument::json_schema()),*]
            }

            #[expect(clippy::allow_attributes, reason = "only the tuple of no arguments leaves them unused")]
            fn encode(&self, #[allow(unused_variables)] names: &[&str]) -> Result<Vec<NamedLiteral>, ValueError> {
                Ok(vec![$(encode_one(&self.$index, names[$index])?),*])
            }

            #[expect(clippy::allow_attributes, reason = "only the tuple of no arguments leaves them unused")]
            fn decode(
                #[allow(unused_variables)] inputs: &[NamedLiteral],
                #[allow(unused_variables)] names: &[&str],
            ) -> Result<Self, ValueError> {
                Ok(($(decode_one::<$argument>(inputs, names[$index])?,)*))
            }
        }
    };
}

arguments!();
arguments!(A 0);
arguments!(A 0, B 1);
arguments!(A 0, B 1, C 2);
arguments!(A 0, B 1, C 2, D 3);
arguments!(A 0, B 1, C 2, D 3, E 4);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

fn encode_one<T: Value>(value: &T, name: &str) -> Result<NamedLiteral, ValueError> {
    Ok(NamedLiteral::new(name, value.to_literal().map_err(|error| error.at(name))?))
}

fn decode_one<T: Value>(inputs: &[NamedLiteral], name: &str) -> Result<T, ValueError> {
    let input = inputs.iter().find(|input| input.name == name);
    let literal = input.and_then(|input| input.value.as_option());
    let literal = literal.ok_or_else(|| ValueError::new("the input is missing").at(name))?;
    T::from_literal(literal).map_err(|error| error.at(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    static ENV: std::sync::LazyLock<TaskEnvironment> = std::sync::LazyLock::new(|| TaskEnvironment::new("env"));

    #[test]
    fn s3_the_identity_of_a_task_is_that_of_the_same_python_task() {
        static NOTHING: TypedTask<(), ()> = TypedTask {
            function: "nothing",
            environment: || &ENV,
            docs: "",
            arguments: &[],
            argument_docs: &[],
            policy: || (RetryPolicy::default(), Timeouts::default()),
            settings: TaskSettings::default,
            triggers: Vec::new,
            source: "",
            body: |()| Box::pin(async { Ok(()) }),
            described: OnceLock::new(),
        };
        let golden = include_str!("../../proto/tests/golden/golden.json");
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        let entries = golden["identities"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["task_name"] == "env.nothing").unwrap();
        assert_eq!(
            *NOTHING.described().effective.as_ref().unwrap().identity,
            *entry["task_identity"].as_str().unwrap()
        );
    }
}
