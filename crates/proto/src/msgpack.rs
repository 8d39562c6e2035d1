//! Msgpack in the form that Flyte hashes: shortest forms, maps sorted by key at every depth.
//!
//! It follows `_canonical_msgpack_bytes` in `_internal/runtime/convert.py`, including what Python's types do to the data: equal
//! numbers are one key, 32-bit floats become 64-bit, an extension type that is no timestamp becomes a list.

mod canonical;

/// The tag of a `Binary` that holds msgpack.
pub const TAG: &str = "msgpack";

/// The canonical form of `data`, or `None` if `data` is canonical already, or is not one msgpack value that Python can read:
/// such data are hashed as they are.
pub fn reordered(data: &[u8]) -> Option<Vec<u8>> {
    canonical::encode(data).filter(|canonical| canonical != data)
}
