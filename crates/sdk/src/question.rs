//! What a condition asks, and which answers fit it.

use std::time::Duration;

use spanwise_proto::flyteidl2::core::{Literal, LiteralType};
use spanwise_proto::flyteidl2::task::NamedLiteral;

use crate::error::{Error, Result};
use crate::value::{Value, ValueError};

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
