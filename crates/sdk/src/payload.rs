//! Inputs and outputs of actions as they are stored, and what an action came to as its caller reads it.

use bytes::Bytes;
use spanwise_core::{Failure, FailureKind, code};
use spanwise_engine::Outcome;
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral, Outputs};
use spanwise_proto::{Message, decoding_values};
use spanwise_wire::CustomContext;

use crate::error::{Error, ErrorKind, Result};
use crate::task::{OUTPUT, TaskOutput};
use crate::value::ValueError;

/// Inputs and outputs of an action may have this many bytes (Flyte's inline limit, semantics S8).
const MAX_PAYLOAD: usize = 10 * 1024 * 1024;

/// Inputs with their context, as they are stored and never changed.
pub(crate) fn freeze(literals: Vec<NamedLiteral>, context: &CustomContext) -> Result<Bytes> {
    Ok(freeze_message(literals, context)?.1)
}

/// The same, and the message that was frozen.
pub(crate) fn freeze_message(literals: Vec<NamedLiteral>, context: &CustomContext) -> Result<(Inputs, Bytes)> {
    context.check()?;
    let inputs = Inputs::new(literals, context.to_message());
    let bytes = inputs.encode_to_vec();
    if bytes.len() > MAX_PAYLOAD {
        return Err(too_large("inputs", bytes.len(), &inputs.literals).into());
    }
    Ok((inputs, bytes.into()))
}

fn too_large(what: &str, size: usize, literals: &[NamedLiteral]) -> ValueError {
    let size_of = |literal: &&NamedLiteral| literal.value.as_option().map_or(0, |value| value.encode_to_vec().len());
    let largest = literals.iter().max_by_key(size_of);
    let error = ValueError::new(format!("the {what} have {size} bytes in all, the limit is {MAX_PAYLOAD}"));
    error.at(largest.map_or("", |literal| &literal.name))
}

/// Frozen inputs, read back.
pub(crate) fn thaw(bytes: &[u8]) -> Result<(Vec<NamedLiteral>, CustomContext)> {
    Ok(split(decoding_values().decode_from_slice(bytes)?))
}

/// Inputs and their context.
pub(crate) fn split(inputs: Inputs) -> (Vec<NamedLiteral>, CustomContext) {
    (inputs.literals, CustomContext::from_message(inputs.context))
}

/// What an action came to, as its caller sees it.
pub(crate) fn read_outcome<T: TaskOutput>(outcome: Outcome) -> Result<T> {
    match outcome {
        Outcome::Succeeded(bytes) => read_outputs(&bytes),
        Outcome::Failed(failure) => Err(Error::of_child(failed_kind(&failure), failure)),
        Outcome::TimedOut(failure) => Err(Error::of_child(ErrorKind::TimedOut, failure)),
        Outcome::Aborted { by, reason } => {
            let failure = Failure::user(code::ABORTED, format!("aborted by {by}: {reason}"));
            Err(Error::of_child(ErrorKind::Aborted, failure))
        }
    }
}

fn failed_kind(failure: &Failure) -> ErrorKind {
    match failure.kind {
        FailureKind::User | FailureKind::Unknown => ErrorKind::User,
        FailureKind::System => ErrorKind::System,
    }
}

/// The output of a task or a step.
pub(crate) fn read_outputs<T: TaskOutput>(bytes: &[u8]) -> Result<T> {
    let outputs: Outputs = decoding_values().decode_from_slice(bytes)?;
    let output = outputs.literals.iter().find(|literal| literal.name == OUTPUT);
    let output = output.and_then(|output| output.value.as_option());
    Ok(T::from_output(output).map_err(|error| error.at(OUTPUT))?)
}

/// The outputs of a task or a step as they are stored; nothing at all for a unit.
pub(crate) fn encode_outputs(output: Option<Literal>) -> Result<Bytes> {
    let literals = output.map(|literal| NamedLiteral::new(OUTPUT, literal)).into_iter().collect();
    let outputs = Outputs::new(literals);
    let bytes = outputs.encode_to_vec();
    if bytes.len() > MAX_PAYLOAD {
        return Err(too_large("outputs", bytes.len(), &outputs.literals).into());
    }
    Ok(bytes.into())
}
