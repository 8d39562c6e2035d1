//! Why a message is refused.

use spanwise_core::{ContextError, InvalidName};

/// A message that cannot be converted: it is refused, not guessed.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// A field that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A name that is not one.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A part of a path that would lead elsewhere.
    #[error("{field} `{value}` is not a name: 1 to 63 letters, digits, `-`, `_` and `.`, no `.` at the beginning")]
    NotAPathName {
        /// The field.
        field: &'static str,
        /// What it holds, shortened.
        value: String,
    },
    /// A custom context over its limits.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// Anything else, in a sentence that names the field.
    #[error("{0}")]
    Field(String),
    /// Bytes that are no message.
    #[error("{what} is no valid message")]
    Decode {
        /// What was read.
        what: &'static str,
        /// Why.
        #[source]
        source: spanwise_proto::DecodeError,
    },
}

impl Invalid {
    /// A sentence that names the field.
    pub fn field(text: impl Into<String>) -> Invalid {
        Invalid::Field(text.into())
    }
}

#[cfg(feature = "connect")]
impl From<Invalid> for connectrpc::ConnectError {
    fn from(error: Invalid) -> connectrpc::ConnectError {
        connectrpc::ConnectError::invalid_argument(crate::with_causes(&error))
    }
}
