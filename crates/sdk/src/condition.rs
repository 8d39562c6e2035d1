//! Conditions: a task waits until somebody outside of it answers (semantics S7).

use std::future::IntoFuture;
use std::time::Duration;

use spanwise_proto::flyteidl2::core::{Literal, LiteralType};
use spanwise_proto::flyteidl2::task::NamedLiteral;

use crate::call::{Call, Callee};
use crate::error::{Error, Result};
use crate::value::{Value, ValueError};

/// Waits inside a task until somebody answers: `condition::<bool>("approve").prompt("Ship it?").await?` (Flyte: `flyte.new_condition`).
///
/// It is an action of its own, which takes up no slot, and is found again after a restart. [`Run::signal`](crate::Run::signal) answers it, and on
/// a server so do `spanwise signal`, the run's page and Python's SDK. The answer is a `bool`, an `i64`, an `f64` or a `String`.
///
/// # Errors
/// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut) if nobody answers in time, [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) if somebody
/// aborts it, [`ErrorKind::Usage`](crate::ErrorKind::Usage) outside of a task, in a step, without a name, with a timeout of zero, or
/// by a setting of the call that is no deadline.
pub fn condition<T: Answer>(name: impl Into<String>) -> Condition<T> {
    let (prompt, description) = ("Approve?".to_owned(), String::new());
    let question =
        Question { name: name.into(), prompt, description, timeout: None, kind: T::KIND, declared: T::literal_type() };
    Condition(Call::new(Callee::Condition(Box::new(question))))
}

/// Made by [`condition`].
#[must_use = "a condition does nothing until it is awaited"]
pub struct Condition<T>(Call<T>);

impl<T: Answer> Condition<T> {
    /// What is asked; `Approve?` if nothing is said.
    pub fn prompt(self, prompt: impl Into<String>) -> Condition<T> {
        self.with(|question| question.prompt = prompt.into())
    }

    /// More about it.
    pub fn description(self, description: impl Into<String>) -> Condition<T> {
        self.with(|question| question.description = description.into())
    }

    /// How long it waits, from when it is first awaited; for ever if nothing is said. The deadline of [`Call::override_with`] is
    /// the same, and replaces it; zero is no limit there.
    pub fn timeout(self, limit: Duration) -> Condition<T> {
        self.with(|question| question.timeout = Some(limit))
    }

    fn with(mut self, change: impl FnOnce(&mut Question)) -> Condition<T> {
        if let Some(Callee::Condition(question)) = self.0.callee_mut() {
            change(question);
        }
        self
    }
}

impl<T: Answer> IntoFuture for Condition<T> {
    type Output = Result<T>;
    type IntoFuture = Call<T>;

    fn into_future(self) -> Call<T> {
        self.0
    }
}

impl<T> std::fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Condition").field(&self.0).finish()
    }
}

/// What a condition can be answered with.
pub trait Answer: Value + sealed::Sealed {
    /// What it is called, as by Python.
    #[doc(hidden)]
    const KIND: &'static str;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! answers {
    ($($answer:ty, $kind:literal);*) => {
        $(
            impl sealed::Sealed for $answer {}

            impl Answer for $answer {
                const KIND: &'static str = $kind;
            }
        )*
    };
}

answers!(bool, "bool"; i64, "int"; f64, "float"; String, "str");

/// What is asked.
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) prompt: String,
    pub(crate) description: String,
    pub(crate) timeout: Option<Duration>,
    /// What the answer is called.
    pub(crate) kind: &'static str,
    #[cfg_attr(not(feature = "remote"), expect(dead_code, reason = "only a server is told the type as a message"))]
    pub(crate) declared: LiteralType,
}

/// The input of a condition that says what it is answered with.
const TYPE: &str = "type";

impl Question {
    /// Refuses what could not be answered, or would not wait.
    pub(crate) fn check(&self) -> Result<()> {
        if self.name.is_empty() {
            return Err(Error::usage("condition: it has no name, by which it could be answered"));
        }
        spanwise_wire::title("condition.name", &self.name).map_err(|error| Error::usage(error.to_string()))?;
        if self.timeout.is_some_and(|limit| limit.is_zero()) {
            return Err(Error::usage(format!("condition `{}`: timeout: zero is no time to answer in", self.name)));
        }
        Ok(())
    }

    /// What is kept of it where its definition is not.
    pub(crate) fn inputs(&self) -> Result<Vec<NamedLiteral>, ValueError> {
        let texts = [("prompt", &self.prompt), ("description", &self.description), (TYPE, &self.kind.to_owned())];
        texts.into_iter().map(|(name, text)| Ok(NamedLiteral::new(name, text.to_literal()?))).collect()
    }
}

/// An answer of the kind `given` as the value that a condition waits for, if it is one: a whole number is a float, too, as for a server.
pub(crate) fn fitting(value: Literal, given: &str, wanted: &str) -> Option<Literal> {
    match (given, wanted) {
        ("int", "float") => i64::from_literal(&value).ok().map(|whole| Literal::float(whole as f64)),
        _ => (given == wanted).then_some(value),
    }
}

/// What a condition with these inputs is answered with.
pub(crate) fn kind_of(inputs: &[NamedLiteral]) -> Option<String> {
    let kind = inputs.iter().find(|input| input.name == TYPE)?;
    String::from_literal(kind.value.as_option()?).ok()
}
