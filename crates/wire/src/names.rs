//! Names in requests: those that become part of a path, and those that people read.

use spanwise_core::ActionName;

use crate::Invalid;
use crate::text::{is_bidi_control, shown};

/// Checks a name that becomes part of a path.
///
/// # Errors
/// [`Invalid::NotAPathName`] names the field.
pub fn path_name(field: &'static str, value: &str) -> Result<String, Invalid> {
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
///
/// # Errors
/// [`Invalid::Field`] says what in it may not be.
pub fn title(field: &'static str, value: &str) -> Result<(), Invalid> {
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

/// Checks an action's name, which becomes part of a path too.
///
/// # Errors
/// [`Invalid`] says what is wrong with it.
pub fn action_name(value: &str) -> Result<ActionName, Invalid> {
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
