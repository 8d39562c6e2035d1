//! Flyte 2 messages as Rust types, and every byte of them that must equal stock Flyte's: hashes, names, literals, types, image URIs.
//!
//! All functions are pure. The messages come from our own .proto files in `proto/`, with Flyte's names and numbers; the code
//! generated from them is committed under `src/generated`. Unknown fields of newer peers survive decoding and encoding.
//! "Stock Flyte" is the Python SDK 2.12.1; doc comments name its files relative to its package `flyte`.

mod digest;
mod generated;
pub mod hash;
pub mod image;
mod interface;
mod literal;
mod literal_type;
pub mod msgpack;
pub mod pickle;
mod structure;

pub use buffa::{DecodeError, EnumValue, Message, MessageField};
pub use generated::{flyteidl2, google};
pub use image::Image;
