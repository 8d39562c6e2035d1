//! Inputs, outputs and the context in them.

use bytes::Bytes;
use spanwise_core::Timestamp;
use spanwise_core::trace::{CARRIER_KEYS, TRACEPARENT, TraceParent};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::{KeyValuePair, Literal, LiteralType, SimpleType, literal_type};
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

/// A signal's value as a literal of the type that the condition declares.
pub(crate) fn signal_value(payload: &EventPayload, declared: &LiteralType) -> Result<Literal, Invalid> {
    let simple = match &declared.r#type {
        Some(literal_type::Type::Simple(simple)) => simple.as_known(),
        _ => None,
    };
    let value = payload.value.as_ref().ok_or(Invalid::Missing("payload.value"))?;
    match (value, simple) {
        (event_payload::Value::BoolValue(value), Some(SimpleType::BOOLEAN)) => Ok(Literal::boolean(*value)),
        (event_payload::Value::IntValue(value), Some(SimpleType::INTEGER)) => Ok(Literal::integer(*value)),
        (event_payload::Value::FloatValue(value), Some(SimpleType::FLOAT)) => Ok(Literal::float(*value)),
        (event_payload::Value::IntValue(value), Some(SimpleType::FLOAT)) => Ok(Literal::float(*value as f64)),
        (event_payload::Value::StringValue(value), Some(SimpleType::STRING)) => Ok(Literal::string(value.clone())),
        (given, declared) => {
            let given = shown(&format!("{given:?}"));
            Err(Invalid::field(format!("payload.value {given} is not of the condition's type {declared:?}")))
        }
    }
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
