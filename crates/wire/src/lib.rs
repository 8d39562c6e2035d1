//! Flyte's messages to and from the types of `spanwise-core`, for whoever speaks the protocol: the server, the SDK, the command line.
//!
//! Everything here is pure: time, randomness and ids are arguments. What cannot be converted is refused by the name of the field
//! ([`Invalid`]), never guessed. Without the feature `messages` there is the custom context alone.

mod context;
#[cfg(feature = "messages")]
mod definition;
#[cfg(feature = "messages")]
pub mod details;
#[cfg(feature = "messages")]
pub mod display;
#[cfg(feature = "messages")]
pub mod failure;
#[cfg(feature = "messages")]
pub mod ids;
mod invalid;
mod names;
#[cfg(feature = "messages")]
pub mod options;
#[cfg(feature = "messages")]
pub mod policy;
#[cfg(feature = "messages")]
pub mod relation;
#[cfg(feature = "messages")]
pub mod task;
mod text;
#[cfg(feature = "messages")]
pub mod times;
#[cfg(feature = "messages")]
pub mod values;
#[cfg(feature = "messages")]
mod view;

pub use context::CustomContext;
#[cfg(feature = "messages")]
pub use definition::Definition;
pub use invalid::Invalid;
pub use names::{action_name, path_name, title};
pub use spanwise_core::{CacheOptions, RunOptions};
pub use text::{is_bidi_control, shown, with_causes};
#[cfg(feature = "messages")]
pub use view::view;
