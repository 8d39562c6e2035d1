//! Who asks for something, as the journal will have it.

/// Who asks. Nobody logs in on loopback: a caller is known by the door that it came through, or by what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller(String);

impl Caller {
    /// Somebody at a client, a command line or a page.
    pub(crate) fn user() -> Caller {
        Caller("user".to_owned())
    }

    /// The task that has asked for the action.
    pub(crate) fn parent() -> Caller {
        Caller("parent".to_owned())
    }

    /// A program that gives the name of whoever it asks for, if it gives one.
    pub(crate) fn of_api(name: Option<String>) -> Caller {
        Caller(name.unwrap_or_else(|| "api".to_owned()))
    }

    /// The name under which it is recorded.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}
