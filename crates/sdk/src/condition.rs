//! Conditions: a task waits until somebody outside of it answers (semantics S7).

use std::future::IntoFuture;
use std::time::Duration;

use crate::call::{Call, Callee};
use crate::error::Result;
use crate::question::Question;
use crate::value::Value;

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
