//! Flyte's messages to and from our own types. Besides `api`, only this module sees protobuf.

pub(crate) mod details;
pub(crate) mod display;
pub(crate) mod failure;
pub(crate) mod ids;
pub(crate) mod task;
pub(crate) mod values;

use spanwise_core::{ActionName, InvalidName};

/// A message that cannot be converted: it is refused, not guessed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Invalid {
    /// A field that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A name that is not one.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A part of a path that would lead elsewhere.
    #[error("{field} `{value}` is not a name: 1 to 63 characters, letters, digits, `-`, `_` and `.`, not `.` or `..`")]
    NotAPathName {
        /// The field.
        field: &'static str,
        /// What it holds, shortened.
        value: String,
    },
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
    pub(crate) fn field(text: impl Into<String>) -> Invalid {
        Invalid::Field(text.into())
    }
}

/// Checks a name that becomes part of a path.
pub(crate) fn path_name(field: &'static str, value: &str) -> Result<String, Invalid> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let good = (1..=63).contains(&value.len()) && value.bytes().all(plain) && value != "." && value != "..";
    if good {
        return Ok(value.to_owned());
    }
    Err(Invalid::NotAPathName { field, value: value.chars().take(80).collect() })
}

/// Checks an action's name, which becomes part of a path too.
pub(crate) fn action_name(value: &str) -> Result<ActionName, Invalid> {
    let name = ActionName::new(value)?;
    path_name("action name", value)?;
    Ok(name)
}
