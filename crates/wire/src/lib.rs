//! Flyte's messages to and from the types of `spanwise-core`, for whoever speaks the protocol: the server, the SDK, the command line.
//!
//! Everything here is pure: time, randomness and ids are arguments. What cannot be converted is refused by the name of the field
//! ([`Invalid`]), never guessed. Without the feature `messages` there are the custom context and the rules for names: what a program needs
//! that runs its tasks in itself.

mod context;
mod invalid;
#[cfg(feature = "messages")]
mod messages;
mod names;
mod text;

pub use context::CustomContext;
pub use invalid::Invalid;
#[cfg(feature = "messages")]
pub use messages::*;
pub use names::{action_name, path_name, title};
pub use spanwise_core::trigger::TriggerId;
pub use spanwise_core::{
    ActionName, AttemptNo, CacheOptions, DEFAULT_DOMAIN, DEFAULT_PROJECT, RunId, RunName, RunOptions, Scope, Timestamp,
};
pub use text::{is_bidi_control, shown, with_causes};
