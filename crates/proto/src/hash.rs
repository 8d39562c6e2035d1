//! The hashes, identities and names that decide whether two calls are the same call. All of them equal stock Flyte's.
//!
//! The source of each rule is `_internal/runtime/convert.py` unless a function names another file.

use std::fmt::Write;

use crate::{
    Message,
    digest::{md5_base36, sha256_base64, sha256_hex},
    flyteidl2::{
        core::{Binary, Literal, Scalar, TypedInterface, VariableMap, literal, scalar},
        task::NamedLiteral,
    },
    msgpack,
};

/// Appends what stands for `literal` in an inputs hash.
///
/// That is its `hash` if it has one; else the parts of a list, or the keys and parts of a map in the order of its keys; else
/// the deterministic protobuf bytes, in which maps inside a msgpack value are sorted by key.
pub fn literal_repr(literal: &Literal, out: &mut Vec<u8>) {
    if !literal.hash.is_empty() {
        out.extend_from_slice(literal.hash.as_bytes());
        return;
    }
    match &literal.value {
        Some(literal::Value::Collection(list)) => {
            for item in &list.literals {
                literal_repr(item, out);
            }
        }
        Some(literal::Value::Map(map)) => {
            for (key, value) in &map.literals {
                out.extend_from_slice(key.as_bytes());
                literal_repr(value, out);
            }
        }
        Some(literal::Value::Scalar(scalar)) => scalar_repr(literal, scalar, out),
        None => literal.encode(out),
    }
}

fn scalar_repr(literal: &Literal, scalar: &Scalar, out: &mut Vec<u8>) {
    if let Some(scalar::Value::Binary(binary)) = &scalar.value
        && binary.tag == msgpack::TAG
        && let Some(value) = msgpack::reordered(&binary.value)
    {
        let binary = Binary { value, ..(**binary).clone() };
        let scalar = Scalar { value: Some(binary.into()), ..scalar.clone() };
        let sorted = Literal { value: Some(scalar.into()), ..literal.clone() };
        sorted.encode(out);
    } else {
        literal.encode(out);
    }
}

/// The name of the run that a slot of a schedule is, by the second of the slot (Flyte's `runs/scheduler/executor`): in UTC, so that no
/// change of clocks gives two slots one name.
pub fn slot_name(project: &str, domain: &str, task: &str, trigger: &str, second: i64) -> String {
    let instant = jiff::Timestamp::from_second(second).unwrap_or_default();
    let civil = jiff::tz::Offset::UTC.to_datetime(instant);
    let (year, month, day) = (civil.year(), civil.month(), civil.day());
    let (hour, minute, second) = (civil.hour(), civil.minute(), civil.second());
    let text = format!("{project}:{domain}:{task}:{trigger}:{year}:{month}:{day}:{hour}:{minute}:{second}");
    format!("r{:x}", fnv1(text.as_bytes()))
}

/// The name of the run that a version of an artifact starts, of all that tells it from others. Stock Flyte has another one, which nobody sees.
pub fn version_name(parts: &[&String]) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| part.as_str()).collect();
    format!("r{}", md5_base36(parts.join("\0").as_bytes()))
}

/// FNV-1 in 64 bits: not FNV-1a, which mixes in the other order.
fn fnv1(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| hash.wrapping_mul(0x100_0000_01b3) ^ u64::from(*byte))
}

/// The hash of the inputs of a call, in the order given; empty if there are none. The context is never part of it.
pub fn inputs_hash(inputs: &[NamedLiteral]) -> String {
    inputs_hash_ignoring(inputs, &[])
}

/// Like [`inputs_hash`] without the inputs whose name is in `ignored`; for tasks that leave inputs out of their cache key.
pub fn inputs_hash_ignoring(inputs: &[NamedLiteral], ignored: &[&str]) -> String {
    let mut data = Vec::with_capacity(64 * inputs.len());
    for input in inputs {
        if ignored.contains(&input.name.as_str()) {
            continue;
        }
        data.extend_from_slice(input.name.as_bytes());
        data.push(b':');
        literal_repr(&input.value, &mut data);
        data.push(b';');
    }
    if data.is_empty() {
        return String::new();
    }
    sha256_base64(&data)
}

/// The hash of an interface; the order of its variables does not matter.
pub fn interface_hash(interface: &TypedInterface) -> String {
    let mut sorted = interface.clone();
    for variables in [&mut sorted.inputs, &mut sorted.outputs] {
        if let Some(VariableMap { variables, .. }) = variables.as_option_mut() {
            variables.sort_by(|a, b| a.key.cmp(&b.key));
        }
    }
    sha256_base64(&sorted.encode_to_vec())
}

/// The identity of a task in the names of its actions: its full name, its interface and the version of its own code.
///
/// `discovery_version` is the cache version of the task's metadata; stock Flyte fills it with a hash of the function's body
/// even where caching is off.
pub fn task_identity(task_name: &str, interface_hash: &str, discovery_version: &str) -> String {
    sha256_base64(format!("{task_name}-{interface_hash}-{discovery_version}").as_bytes())
}

/// The identity of a step in the names of its actions: the name of the function and the SHA-256 of its source.
///
/// Stock Flyte hashes the dump of the Python syntax tree (`_cache/policy_function_body.py`); what `source` is for another
/// language is the caller's affair.
pub fn step_identity(function: &str, source: &str) -> String {
    let mut identity = String::with_capacity(function.len() + 65);
    identity.push_str(function);
    identity.push('-');
    identity.push_str(&sha256_hex(source.as_bytes()));
    identity
}

/// The version of the results of a function by its text (`Cache.get_version` of `_cache/cache.py`); what `source` is, is the caller's affair.
pub fn source_version(source: &str) -> String {
    sha256_hex(sha256_hex(source.as_bytes()).as_bytes())
}

/// The name of the action that `caller` makes with a call; `ActionID.new_sub_action_from` in `models.py`.
///
/// `caller` is the action that makes the call, `inputs_hash` that of [`inputs_hash`], `identity` that of [`task_identity`] or
/// [`step_identity`], `seq` counts equal calls of the caller from 1. An empty group is no group.
pub fn child_action_name(caller: &str, inputs_hash: &str, identity: &str, seq: u64, group: Option<&str>) -> String {
    // 192 bytes hold every name that real hashes give, so one allocation is enough.
    let mut text = String::with_capacity(192);
    for part in [caller, "-", inputs_hash, "-", identity, "-"] {
        text.push_str(part);
    }
    write!(text, "{seq}").expect("writing to a string cannot fail");
    if let Some(group) = group.filter(|group| !group.is_empty()) {
        text.push('-');
        text.push_str(group);
    }
    md5_base36(text.as_bytes())
}

/// The key of a result in the cache. `inputs_hash` leaves out the ignored inputs, see [`inputs_hash_ignoring`].
pub fn cache_key(inputs_hash: &str, task_name: &str, interface_hash: &str, cache_version: &str) -> String {
    sha256_base64([inputs_hash, task_name, interface_hash, cache_version].concat().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_1_has_the_published_values() {
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_bd4c_8601_b7be), ("foobar", 0x340d_8765_a4dd_a9c2)]
        {
            assert_eq!(fnv1(text.as_bytes()), hash, "{text}");
        }
    }
}
