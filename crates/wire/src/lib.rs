//! Flyte's messages to and from the types of `spanwise-core`, for whoever speaks the protocol: the server, the SDK, the command line.
//!
//! Everything here is pure: time, randomness and ids are arguments. What cannot be converted is refused by the name of the field
//! ([`Invalid`]), never guessed.

mod context;
mod definition;
pub mod details;
pub mod display;
pub mod failure;
pub mod ids;
mod invalid;
mod names;
pub mod options;
pub mod policy;
pub mod relation;
pub mod task;
mod text;
pub mod times;
pub mod values;
mod view;

pub use context::CustomContext;
pub use definition::Definition;
pub use invalid::Invalid;
pub use names::{action_name, path_name, title};
pub use spanwise_core::{CacheOptions, RunOptions};
pub use text::{is_bidi_control, shown, with_causes};
pub use view::view;
