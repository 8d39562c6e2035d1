//! Conditions: what is asked, and what is given as an answer.

use bytes::Bytes;
use spanwise_proto::flyteidl2::core::{Literal, LiteralType};
use spanwise_proto::flyteidl2::workflow::{ConditionAction, EventPayload};

use crate::{Invalid, values};

/// A condition: what somebody is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The question; may be empty.
    pub prompt: String,
    /// More about it; may be empty.
    pub description: String,
    /// What is called when it waits, which is not honoured.
    pub webhook: Option<String>,
    /// The type of the answer.
    declared: LiteralType,
}

impl Condition {
    /// The condition of a message.
    pub fn of(message: &ConditionAction) -> Condition {
        Condition {
            prompt: message.prompt.clone(),
            description: message.description.clone(),
            webhook: message.webhook.as_option().map(|webhook| webhook.url.clone()),
            declared: message.r#type.as_option().cloned().unwrap_or_default(),
        }
    }

    /// The type of the answer, in Python's words; none if it cannot be answered.
    pub fn python_type(&self) -> Option<&'static str> {
        values::simple_type(&self.declared).and_then(values::python_name)
    }

    /// The outputs of the condition with this answer, which must be of its type.
    ///
    /// # Errors
    /// [`Invalid`] says what was expected.
    pub fn outputs(&self, given: Given) -> Result<Bytes, Invalid> {
        let value = match given {
            Given::Value(value) => *value,
            Given::Text(text) => values::of_text(&text, &self.declared)?,
        };
        Ok(values::single_output(values::of_type(value, &self.declared)?))
    }
}

/// What somebody gives as an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// A value.
    Value(Box<Literal>),
    /// What somebody has written.
    Text(String),
}

impl Given {
    /// The answer that `RunService` takes.
    ///
    /// # Errors
    /// [`Invalid`] if there is none.
    pub fn of_payload(payload: &EventPayload) -> Result<Given, Invalid> {
        Ok(Given::from(values::of_payload(payload)?))
    }
}

impl From<Literal> for Given {
    fn from(value: Literal) -> Given {
        Given::Value(Box::new(value))
    }
}

#[cfg(test)]
mod tests {
    use spanwise_proto::flyteidl2::core::{SimpleType, literal_type};

    use super::*;

    fn waiting_for(simple: SimpleType) -> Condition {
        let declared =
            LiteralType { r#type: Some(literal_type::Type::Simple(simple.into())), ..LiteralType::default() };
        Condition::of(&ConditionAction { r#type: declared.into(), ..ConditionAction::default() })
    }

    #[test]
    fn an_answer_is_of_the_type_that_is_waited_for_however_it_is_given() {
        let text = |text: &str| Given::Text(text.to_owned());
        let value = Given::from;
        for (simple, given, expected) in [
            (SimpleType::BOOLEAN, text("true"), Some(Literal::boolean(true))),
            (SimpleType::BOOLEAN, value(Literal::boolean(true)), Some(Literal::boolean(true))),
            (SimpleType::FLOAT, value(Literal::integer(2)), Some(Literal::float(2.0))),
            (SimpleType::FLOAT, text("2"), Some(Literal::float(2.0))),
            (SimpleType::INTEGER, text("two"), None),
            (SimpleType::INTEGER, value(Literal::string("2")), None),
        ] {
            let outputs = waiting_for(simple).outputs(given.clone());
            match expected {
                Some(expected) => assert_eq!(values::first_output(&outputs.unwrap()), Some(expected), "{given:?}"),
                None => assert!(outputs.is_err(), "{given:?}"),
            }
        }
        assert_eq!(waiting_for(SimpleType::STRING).python_type(), Some("str"));
        assert_eq!(Condition::of(&ConditionAction::default()).python_type(), None);
    }
}
