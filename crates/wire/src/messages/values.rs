//! Values: inputs, outputs, signals.

use bytes::Bytes;
use spanwise_proto::flyteidl2::core::{Literal, LiteralType, SimpleType, literal, literal_type, primitive, scalar};
use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral, Outputs};
use spanwise_proto::flyteidl2::workflow::EventPayload;
use spanwise_proto::flyteidl2::workflow::event_payload;
use spanwise_proto::{Message, decoding_values};

use crate::{Invalid, shown};

/// Reads `inputs.pb`.
///
/// # Errors
/// [`Invalid::Decode`] if it is none.
pub fn inputs(bytes: &[u8]) -> Result<Inputs, Invalid> {
    decoding_values().decode_from_slice(bytes).map_err(|source| Invalid::Decode { what: "inputs.pb", source })
}

/// Reads `outputs.pb`; a task without outputs leaves it empty.
///
/// # Errors
/// [`Invalid::Decode`] if it is none.
pub fn outputs(bytes: &[u8]) -> Result<Outputs, Invalid> {
    decoding_values().decode_from_slice(bytes).map_err(|source| Invalid::Decode { what: "outputs.pb", source })
}

/// Writes `inputs.pb`.
pub fn encode_inputs(inputs: &Inputs) -> Bytes {
    Bytes::from(inputs.encode_to_vec())
}

/// The value of a condition as an output of the name that the SDK reads.
pub fn single_output(literal: Literal) -> Bytes {
    let literals = vec![NamedLiteral::new("o0", literal)];
    Bytes::from(Outputs { literals, ..Outputs::default() }.encode_to_vec())
}

/// The first output, if there is one.
pub fn first_output(bytes: &[u8]) -> Option<Literal> {
    outputs(bytes).ok()?.literals.into_iter().next()?.value.into_option()
}

/// The value of a signal as `RunService` takes it.
///
/// # Errors
/// [`Invalid`] if there is none.
pub fn of_payload(payload: &EventPayload) -> Result<Literal, Invalid> {
    Ok(match payload.value.as_ref().ok_or(Invalid::Missing("payload.value"))? {
        event_payload::Value::BoolValue(value) => Literal::boolean(*value),
        event_payload::Value::IntValue(value) => Literal::integer(*value),
        event_payload::Value::FloatValue(value) => Literal::float(*value),
        event_payload::Value::StringValue(value) => Literal::string(value.clone()),
    })
}

/// The value of a signal in the type that its condition declares: an integer is a float too.
///
/// # Errors
/// [`Invalid`] says what was expected.
pub fn of_type(value: Literal, declared: &LiteralType) -> Result<Literal, Invalid> {
    use primitive::Value;
    let wanted = simple_type(declared);
    let given = match &value.value {
        Some(literal::Value::Scalar(scalar)) => match &scalar.value {
            Some(scalar::Value::Primitive(primitive)) => primitive.value.as_ref(),
            _ => None,
        },
        _ => None,
    };
    match (given, wanted) {
        (Some(Value::Boolean(_)), Some(SimpleType::BOOLEAN))
        | (Some(Value::Integer(_)), Some(SimpleType::INTEGER))
        | (Some(Value::FloatValue(_)), Some(SimpleType::FLOAT))
        | (Some(Value::StringValue(_)), Some(SimpleType::STRING)) => Ok(value),
        (Some(Value::Integer(whole)), Some(SimpleType::FLOAT)) => Ok(Literal::float(*whole as f64)),
        _ => {
            let wanted = wanted.and_then(python_name).unwrap_or("type that can be answered");
            let given = shown(&value.to_json().to_string());
            Err(Invalid::field(format!("the condition waits for a {wanted}, and {given} is none")))
        }
    }
}

/// What somebody has written as the value of a condition that declares this type.
///
/// # Errors
/// [`Invalid`] says what was expected.
pub fn of_text(text: &str, declared: &LiteralType) -> Result<Literal, Invalid> {
    let simple = simple_type(declared).ok_or_else(|| Invalid::field("it cannot be answered"))?;
    Literal::from_text(simple, text).map_err(|error| Invalid::field(error.to_string()))
}

/// The simple type that a condition declares.
pub fn simple_type(declared: &LiteralType) -> Option<SimpleType> {
    match &declared.r#type {
        Some(literal_type::Type::Simple(simple)) => simple.as_known(),
        _ => None,
    }
}

/// A type that a condition may wait for, in Python's words; the SDK has these four.
pub fn python_name(simple: SimpleType) -> Option<&'static str> {
    Some(match simple {
        SimpleType::BOOLEAN => "bool",
        SimpleType::INTEGER => "int",
        SimpleType::FLOAT => "float",
        SimpleType::STRING => "str",
        _ => return None,
    })
}
