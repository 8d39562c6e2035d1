//! Integration tests: golden bytes of stock Flyte, freshness of the generated code, edge cases of the hashes.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fields;
mod freshness;
mod golden;
mod hashes;
mod images;
mod messages;
mod msgpack;
#[cfg(feature = "client")]
mod services;
mod tree;
mod values;
