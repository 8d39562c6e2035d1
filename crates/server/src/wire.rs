//! Flyte's messages to and from our own types. Besides `api`, only this module sees protobuf.

pub(crate) mod details;
pub(crate) mod display;
pub(crate) mod failure;
pub(crate) mod ids;
pub(crate) mod task;
pub(crate) mod values;
pub(crate) mod waits;

use spanwise_core::{ActionName, InvalidName};

use crate::text::is_bidi_control;

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
    #[error("{field} `{value}` is not a name: 1 to 63 letters, digits, `-`, `_` and `.`, no `.` at the beginning")]
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
    // A dot at the beginning is kept for what is not a name: `..`, and directories of the server's own.
    let good = (1..=63).contains(&value.len()) && value.bytes().all(plain) && !value.starts_with('.');
    if good {
        return Ok(value.to_owned());
    }
    Err(Invalid::NotAPathName { field, value: shown(value) })
}

/// The longest name that is no part of a path: of a task, its version, a group, a step.
const MAX_TITLE: usize = 1024;

/// Checks a name that people read and that is no part of a path; it may be empty.
pub(crate) fn title(field: &'static str, value: &str) -> Result<(), Invalid> {
    if value.len() > MAX_TITLE {
        let text = format!("{field} `{}` has {} bytes, the limit is {MAX_TITLE}", shown(value), value.len());
        return Err(Invalid::Field(text));
    }
    if value.chars().any(char::is_control) {
        return Err(Invalid::Field(format!("{field} `{}` holds a control character", shown(value))));
    }
    if value.chars().any(is_bidi_control) {
        let text = format!("{field} `{}` holds a character that turns the text around", shown(value));
        return Err(Invalid::Field(text));
    }
    Ok(())
}

/// A text of a request for a message about it: not all of it where it is long, and in one line.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// Checks an action's name, which becomes part of a path too.
pub(crate) fn action_name(value: &str) -> Result<ActionName, Invalid> {
    let name = ActionName::new(value)?;
    path_name("action name", value)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_that_reads_as_it_is() {
        for good in ["", "env.task", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}", "a b"] {
            assert!(title("group", good).is_ok(), "{good:?}");
        }
        for (bad, why) in
            [("a\nb", "control"), ("a\u{1b}[2J", "control"), ("exe.\u{202e}txt", "turns"), ("\u{2066}", "turns")]
        {
            let said = title("group", bad).unwrap_err().to_string();
            assert!(said.contains("group") && said.contains(why) && !said.contains(bad), "{said}");
        }
    }
}
