//! Inputs, outputs and the context in them.

use bytes::Bytes;
use spanwise_core::Timestamp;
use spanwise_core::trace::{CARRIER_KEYS, TRACEPARENT, TraceParent};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::{
    KeyValuePair, Literal, LiteralType, SimpleType, literal, literal_type, primitive, scalar,
};
use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral, Outputs};
use spanwise_proto::flyteidl2::workflow::EventPayload;
use spanwise_proto::flyteidl2::workflow::event_payload;
use spanwise_proto::google::protobuf;

use super::{Invalid, shown};

/// Reads `inputs.pb`.
pub(crate) fn inputs(bytes: &[u8]) -> Result<Inputs, Invalid> {
    Inputs::decode_from_slice(bytes).map_err(|source| Invalid::Decode { what: "inputs.pb", source })
}

/// Reads `outputs.pb`; a task without outputs leaves it empty.
pub(crate) fn outputs(bytes: &[u8]) -> Result<Outputs, Invalid> {
    Outputs::decode_from_slice(bytes).map_err(|source| Invalid::Decode { what: "outputs.pb", source })
}

pub(crate) fn encode_inputs(inputs: &Inputs) -> Bytes {
    Bytes::from(inputs.encode_to_vec())
}

/// The value of a map of strings under a key; the last one counts, as in a map.
pub(crate) fn in_context<'a>(context: &'a [KeyValuePair], key: &str) -> Option<&'a str> {
    context.iter().rev().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
}

/// Refuses a context that is too large to travel with every action.
pub(crate) fn check_context(context: &[KeyValuePair]) -> Result<(), Invalid> {
    let pairs = context.iter().map(|pair| (pair.key.as_str(), pair.value.as_str()));
    spanwise_core::context::check(pairs).map_err(|error| Invalid::field(error.to_string()))
}

/// Takes out of a context what ties it to the trace of the run that it was frozen for.
pub(crate) fn leave_trace(context: &mut Vec<KeyValuePair>) {
    context.retain(|pair| !CARRIER_KEYS.contains(&pair.key.as_str()));
}

/// Sets a key of a context.
pub(crate) fn set_in_context(context: &mut Vec<KeyValuePair>, key: &str, value: &str) {
    context.retain(|pair| pair.key != key);
    context.push(KeyValuePair { key: key.to_owned(), value: value.to_owned(), ..KeyValuePair::default() });
}

/// The span that a context names, if it is well-formed.
pub(crate) fn span_in(context: &[KeyValuePair]) -> Option<TraceParent> {
    in_context(context, TRACEPARENT)?.parse().ok()
}

/// The value of a condition as an output of the name that the SDK reads.
pub(crate) fn single_output(literal: Literal) -> Bytes {
    let literals = vec![NamedLiteral::new("o0", literal)];
    Bytes::from(Outputs { literals, ..Outputs::default() }.encode_to_vec())
}

/// The first output, if there is one.
pub(crate) fn first_output(bytes: &[u8]) -> Option<Literal> {
    outputs(bytes).ok()?.literals.into_iter().next()?.value.into_option()
}

/// The value of a signal as `RunService` takes it.
pub(crate) fn of_payload(payload: &EventPayload) -> Result<Literal, Invalid> {
    Ok(match payload.value.as_ref().ok_or(Invalid::Missing("payload.value"))? {
        event_payload::Value::BoolValue(value) => Literal::boolean(*value),
        event_payload::Value::IntValue(value) => Literal::integer(*value),
        event_payload::Value::FloatValue(value) => Literal::float(*value),
        event_payload::Value::StringValue(value) => Literal::string(value.clone()),
    })
}

/// The value of a signal in the type that its condition declares: an integer is a float too.
pub(crate) fn of_type(value: Literal, declared: &LiteralType) -> Result<Literal, Invalid> {
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

/// The simple type that a condition declares.
pub(crate) fn simple_type(declared: &LiteralType) -> Option<SimpleType> {
    match &declared.r#type {
        Some(literal_type::Type::Simple(simple)) => simple.as_known(),
        _ => None,
    }
}

/// A type that a condition may wait for, in Python's words; the SDK has these four.
pub(crate) fn python_name(simple: SimpleType) -> Option<&'static str> {
    Some(match simple {
        SimpleType::BOOLEAN => "bool",
        SimpleType::INTEGER => "int",
        SimpleType::FLOAT => "float",
        SimpleType::STRING => "str",
        _ => return None,
    })
}

pub(crate) fn timestamp(at: Timestamp) -> protobuf::Timestamp {
    protobuf::Timestamp {
        seconds: at.0.div_euclid(1_000_000),
        nanos: (at.0.rem_euclid(1_000_000) * 1000) as i32,
        ..protobuf::Timestamp::default()
    }
}

/// A point in time of the wire, to the microsecond; saturates at the ends of time.
pub(crate) fn from_timestamp(at: &protobuf::Timestamp) -> Timestamp {
    Timestamp(at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos) / 1000))
}

/// A point in time as RFC 3339 in UTC, to the microsecond.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let date_time = std::time::UNIX_EPOCH + std::time::Duration::from_micros(u64::try_from(at.0).unwrap_or(0));
    humantime::format_rfc3339_micros(date_time).to_string()
}
