//! What the macros expand to. Not part of the public interface.

pub use inventory;
pub use spanwise_core::settings::TaskSettings;
pub use spanwise_core::{Backoff, RetryPolicy, Timeouts};
pub use std::sync::OnceLock;
pub use std::time::Duration;

/// What `spanwise run` and a program say to each other.
pub mod launch {
    pub use crate::launch::{ARGUMENT, Event, Request, Started, Trouble, VERSION};
}

/// What makes triggers in an attribute.
pub mod triggers {
    pub use crate::trigger::{cron, every, on_demand};
}

pub use crate::step::Step;
pub use crate::task::{Registered, TaskOutput, TypedTask};
pub use crate::value::{
    SchemaField, Variant, enumeration_from_literal, structure_from_literal, structure_schema, structure_to_literal,
};
pub use serde_json::{Value as Json, json};
pub use spanwise_proto::flyteidl2::core::{Literal, LiteralType};

use crate::error::Result;

/// The result of a body with the crate's own error.
///
/// # Errors
/// The body's.
pub fn result<T, E: Into<F>, F>(result: std::result::Result<T, E>) -> std::result::Result<T, F> {
    result.map_err(Into::into)
}

/// Runs the body of a task that is not async.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    crate::blocking::blocking(work).await
}

/// Compiles if the type is a value.
pub const fn is_value<T: crate::Value>() {}
