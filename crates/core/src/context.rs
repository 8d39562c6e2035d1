//! The limits of a custom context: a map of strings that travels with every action (semantics S1.9).

use std::collections::BTreeMap;

use crate::trace::TRACEPARENT;

/// A map may have this many keys.
pub const MAX_KEYS: usize = 64;
/// The keys and values of a map may have this many bytes in all.
pub const MAX_BYTES: usize = 8 * 1024;
/// What Flyte's own keys and their values may have in all; they do not count for the limits of the user's.
pub const MAX_RESERVED_BYTES: usize = 1024 * 1024;
/// Keys with this prefix are Flyte's own: kept on the wire, hidden from users, not inherited by children.
pub const RESERVED_PREFIX: &str = "_u_";

/// A custom context that is over its limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// Too many keys.
    #[error("custom_context has {count} keys, the limit is {MAX_KEYS}; one of them is `{key}`")]
    TooManyKeys {
        /// How many there are.
        count: usize,
        /// The key that is one too many.
        key: String,
    },
    /// Too many bytes.
    #[error("custom_context has {bytes} bytes, the limit is {MAX_BYTES}; the largest value is that of `{key}`")]
    TooLarge {
        /// Bytes of all keys and values.
        bytes: usize,
        /// The key with the largest value.
        key: String,
    },
    /// Too many bytes under Flyte's own keys.
    #[error(
        "custom_context has {bytes} bytes under the reserved keys `{RESERVED_PREFIX}..`, the limit is \
         {MAX_RESERVED_BYTES}; the largest value is that of `{key}`"
    )]
    ReservedTooLarge {
        /// Bytes of all reserved keys and their values.
        bytes: usize,
        /// The key with the largest value.
        key: String,
    },
}

/// A `traceparent` longer than this is a text of the user's own, not a span.
const MAX_SPAN: usize = 256;

/// True for an entry that the engine may have written: each attempt is given its own span, which its children inherit.
fn is_engines_own(key: &str, value: &str) -> bool {
    key == TRACEPARENT && value.len() <= MAX_SPAN
}

/// True for a key of Flyte's own.
pub fn is_reserved(key: &str) -> bool {
    key.starts_with(RESERVED_PREFIX)
}

/// Checks the limits of a map, given as pairs; of a key that comes twice the last value counts.
///
/// # Errors
/// A [`ContextError`] that names the limit and a key.
pub fn check<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), ContextError> {
    let mut order = Vec::new();
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, value) in pairs.into_iter().filter(|(key, value)| !is_engines_own(key, value)) {
        if last.insert(key, value).is_none() {
            order.push(key);
        }
    }
    let (reserved, own): (Vec<_>, Vec<_>) = order.into_iter().partition(|key| is_reserved(key));
    let size = |keys: &[&str]| keys.iter().map(|key| key.len() + last[key].len()).sum::<usize>();
    let largest =
        |keys: &[&str]| keys.iter().max_by_key(|key| last[*key].len()).map(|key| (*key).to_owned()).unwrap_or_default();
    if let Some(key) = own.get(MAX_KEYS) {
        return Err(ContextError::TooManyKeys { count: own.len(), key: (*key).to_owned() });
    }
    let bytes = size(&own);
    if bytes > MAX_BYTES {
        return Err(ContextError::TooLarge { bytes, key: largest(&own) });
    }
    let bytes = size(&reserved);
    if bytes > MAX_RESERVED_BYTES {
        return Err(ContextError::ReservedTooLarge { bytes, key: largest(&reserved) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(String, String)]) -> String {
        let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        check(pairs).map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    }

    fn pair(key: &str, bytes: usize) -> (String, String) {
        (key.to_owned(), "x".repeat(bytes))
    }

    #[test]
    fn s1_9_each_limit_is_named_with_a_key_and_reserved_keys_have_one_of_their_own() {
        let many = |count: usize| (0..count).map(|index| pair(&format!("key-{index}"), 1)).collect::<Vec<_>>();
        let produced = "_u_produced_artifacts";
        let with = |mut pairs: Vec<_>, more: (String, String)| {
            pairs.push(more);
            pairs
        };
        for (pairs, expected) in [
            (many(64), "ok"),
            (many(65), "custom_context has 65 keys, the limit is 64; one of them is `key-64`"),
            (with(many(64), pair(produced, 100_000)), "ok"),
            (with(many(64), pair("key-3", 2)), "ok"),
            (with(many(64), pair("traceparent", 55)), "ok"),
            (
                with(many(64), pair("traceparent", 257)),
                "custom_context has 65 keys, the limit is 64; one of them is `traceparent`",
            ),
            (vec![pair("k", MAX_BYTES - 1)], "ok"),
            (
                vec![pair("small", 1), pair("large", MAX_BYTES)],
                "custom_context has 8203 bytes, the limit is 8192; the largest value is that of `large`",
            ),
            (vec![pair("k", 9000), pair("k", 1)], "ok"),
            (vec![pair(produced, MAX_RESERVED_BYTES - produced.len())], "ok"),
            (
                vec![pair("_u_kickoff_time_input_arg", 1), pair(produced, MAX_RESERVED_BYTES)],
                "custom_context has 1048623 bytes under the reserved keys `_u_..`, the limit is 1048576; the largest value is \
                 that of `_u_produced_artifacts`",
            ),
        ] {
            assert_eq!(said(&pairs), expected);
        }
    }
}
