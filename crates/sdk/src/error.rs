//! The error of a task: any error with `?`, its causes, its code, and whether trying again can help.

use std::error::Error as StdError;
use std::fmt;

use spanwise_core::{ActionName, Failure, FailureKind, TaskName, code};

/// The result of a task, a step or a call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
///
/// Any `std::error::Error` becomes one with `?`, and so do an `anyhow::Error` and a text; its code is then the name of its type. Errors of a
/// task are recoverable, that is, retried by the task's policy; wrap one in [`Terminal`] or use [`Error::terminal`] to fail at once.
/// [`bail!`](crate::bail) and [`ensure!`](crate::ensure) make one of a text, [`ErrorContext`](crate::ErrorContext) says what was being done.
///
/// `{}` prints the message, `{:#}` and `{:?}` print the causes too.
pub struct Error(Box<Inner>);

struct Inner {
    failure: Failure,
    kind: ErrorKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
    action: Option<(ActionName, TaskName)>,
}

/// Whose error it is and what it says about the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The task's own code failed (Flyte: `RuntimeUserError`).
    User,
    /// The machine, the process or Spanwise failed (Flyte: `RuntimeSystemError`).
    System,
    /// A timeout ended the action (Flyte: `TaskTimeoutError`).
    TimedOut,
    /// The action was aborted (Flyte: `ActionAbortedError`).
    Aborted,
    /// A value does not fit: it cannot be encoded, decoded, or is too large.
    Value,
    /// A custom context is over its limits.
    Context,
    /// The run's name is taken (Flyte: `RunAlreadyExistsError`).
    AlreadyExists,
    /// There is no such run or task.
    NotFound,
    /// Something was asked that is not possible there, or a setting is wrong.
    Usage,
    /// The process is shutting down; the run goes on when it is resumed.
    Interrupted,
}

/// Marks an error as final: the action fails at once, whatever its retries (Flyte: `NonRecoverableError`). It is so whatever it is wrapped in,
/// `anyhow::Error` for instance.
#[derive(Debug)]
pub struct Terminal(Final);

/// What shows in a chain of causes that it holds a [`Terminal`]: some that wrap an error hide its own type, but not its source.
#[derive(Debug)]
struct Final(Box<dyn StdError + Send + Sync>);

impl Terminal {
    /// Takes a message or an error. An [`Error`] becomes final by [`Error::into_terminal`].
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Terminal {
        Terminal(Final(error.into()))
    }
}

impl fmt::Display for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Terminal {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Final {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Final {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// An [`Error`] on its way through code that knows other errors; its source is the [`Error`], so that it comes out as it went in.
#[derive(Debug)]
struct Boxed(Ours);

#[derive(Debug)]
struct Ours(Error);

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Boxed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Ours {
    /// With its causes, which are texts and no sources.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl StdError for Ours {}

impl Error {
    /// A recoverable error with a code of your own.
    pub fn user(code: impl Into<String>, message: impl Into<String>) -> Error {
        Error::from_failure(ErrorKind::User, Failure::user(code, message))
    }

    /// An error that is not retried.
    pub fn terminal(message: impl Into<String>) -> Error {
        Error::from_failure(ErrorKind::User, Failure::user("NonRecoverableError", message).terminal())
    }

    /// An error that any function may give back; its text has the causes. `anyhow::Error::from_boxed` takes it. With `?` it is the same
    /// [`Error`] again, under whatever was said on the way.
    pub fn into_boxed(self) -> Box<dyn StdError + Send + Sync> {
        Box::new(Boxed(Ours(self)))
    }

    /// The same error, which fails the action at once.
    pub fn into_terminal(mut self) -> Error {
        self.0.failure.recoverable = false;
        self
    }

    /// The same error with another message in front of its own, which becomes the nearest of its causes.
    pub(crate) fn under(mut self, message: String) -> Error {
        let failure = &mut self.0.failure;
        let cause = std::mem::replace(&mut failure.message, message);
        failure.causes.insert(0, cause);
        self
    }

    pub(crate) fn from_failure(kind: ErrorKind, failure: Failure) -> Error {
        Error(Box::new(Inner { failure, kind, source: None, action: None }))
    }

    pub(crate) fn usage(message: impl Into<String>) -> Error {
        Error::from_failure(ErrorKind::Usage, Failure::user("Usage", message).terminal())
    }

    /// An error of this crate's own, with its kind, its code and the chain of its causes.
    pub(crate) fn of(kind: ErrorKind, code: &str, source: impl StdError + Send + Sync + 'static) -> Error {
        let mut error = Error::with_source(code.to_owned(), Box::new(source));
        error.0.kind = kind;
        error
    }

    fn with_source(code: String, source: Box<dyn StdError + Send + Sync>) -> Error {
        let causes = chain(source.as_ref()).skip(1).filter(|cause| !cause.is::<Final>());
        let causes = causes.map(ToString::to_string).collect();
        let failure = Failure { causes, ..Failure::user(code, source.to_string()) };
        Error(Box::new(Inner { failure, kind: ErrorKind::User, source: Some(source), action: None }))
    }

    /// Whose error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// A short name for programs: the type of the error, or a code such as `MAX_RUNTIME_EXCEEDED`.
    pub fn code(&self) -> &str {
        &self.0.failure.code
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.0.failure.message
    }

    /// The messages of the causes, nearest first. They are kept across actions and restarts.
    pub fn causes(&self) -> &[String] {
        &self.0.failure.causes
    }

    /// Where it happened (`file:line:column`), if that is known; for a panic it is.
    pub fn place(&self) -> Option<&str> {
        self.0.failure.position.as_deref()
    }

    /// The action that failed and its task, of an error that a run has given back ([`Run::output`](crate::Run::output)): where it began, if callers have passed it on.
    pub fn action(&self) -> Option<(ActionName, &TaskName)> {
        self.0.action.as_ref().map(|(action, task)| (*action, task))
    }

    /// A copy of this one, which stands in a chain: what stands above it there are messages that were put before its own.
    fn again_under(&self, chain_above: &(dyn StdError + 'static)) -> Error {
        // The one right above is the box that it came in.
        let above = chain(chain_above).take_while(|error| !error.is::<Ours>()).map(ToString::to_string);
        let mut above: Vec<String> = above.collect();
        above.pop();
        let Inner { failure, kind, action, .. } = &*self.0;
        let own =
            Error(Box::new(Inner { failure: failure.clone(), kind: *kind, source: None, action: action.clone() }));
        above.into_iter().rev().fold(own, Error::under)
    }

    pub(crate) fn placed(mut self, action: ActionName, task: TaskName) -> Error {
        self.0.action = Some((action, task));
        self
    }

    /// True if a retry cannot help.
    pub fn is_terminal(&self) -> bool {
        !self.0.failure.recoverable
    }

    /// The error that was wrapped, if it is an `E` and was made in this very attempt: only its texts cross an action's border. Of an
    /// `anyhow::Error` only the causes are found.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        chain(self.0.source.as_deref()?).find_map(|error| error.downcast_ref())
    }

    /// The form that is stored and sent.
    pub(crate) fn to_failure(&self) -> Failure {
        self.0.failure.clone()
    }

    /// An error of a child as its caller sees it: recoverable again, because a caller that passes it on fails with it as with its own, and is tried
    /// again by its own policy.
    pub(crate) fn of_child(kind: ErrorKind, failure: Failure) -> Error {
        Error::from_failure(kind, Failure { recoverable: true, kind: FailureKind::User, ..failure })
    }
}

/// Whatever can be boxed as an error: errors, those of `anyhow`, and texts.
impl<E: Into<Box<dyn StdError + Send + Sync>> + 'static> From<E> for Error {
    fn from(error: E) -> Error {
        let code = type_code(std::any::type_name::<E>());
        let source: Box<dyn StdError + Send + Sync> = error.into();
        if let Some(error) = source.downcast_ref::<spanwise_engine::Error>() {
            return Error::from_engine(error.clone());
        }
        if let Some(ours) = chain(source.as_ref()).find_map(|error| error.downcast_ref::<Ours>()) {
            return ours.0.again_under(source.as_ref());
        }
        let is_terminal = chain(source.as_ref()).any(|error| error.is::<Final>());
        let kind = match () {
            () if chain(source.as_ref()).any(|error| error.is::<crate::ValueError>()) => ErrorKind::Value,
            () if chain(source.as_ref()).any(|error| error.is::<crate::ContextError>()) => ErrorKind::Context,
            () => ErrorKind::User,
        };
        let code = if is_terminal { "NonRecoverableError".to_owned() } else { code };
        let mut wrapped = Error::with_source(code, source);
        wrapped.0.kind = kind;
        wrapped.0.failure.recoverable = !is_terminal;
        wrapped
    }
}

/// An error and its causes.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

impl Error {
    fn from_engine(error: spanwise_engine::Error) -> Error {
        use spanwise_engine::Error as Engine;
        match &error {
            Engine::AlreadyExists(_) => Error::of(ErrorKind::AlreadyExists, "RunAlreadyExists", error),
            Engine::NotFound(_) => Error::of(ErrorKind::NotFound, "NotFound", error),
            Engine::Interrupted => Error::of(ErrorKind::Interrupted, "Interrupted", error),
            Engine::ConcurrencyOfOne | Engine::Settings(_) => Error::of(ErrorKind::Usage, "InvalidArgument", error),
            Engine::Rejected(_) => Error::of(ErrorKind::Aborted, code::ABORTED, error),
            Engine::Store(_) | Engine::Open(_) | Engine::NotOurs(_) => {
                let mut error = Error::of(ErrorKind::System, "JournalFailed", error);
                error.0.failure.kind = FailureKind::System;
                error
            }
        }
    }
}

/// The name of a type without its path; one that only says `Error` keeps where it comes from: `std::io::Error`. A text is an `Error`.
fn type_code(name: &str) -> String {
    let plain = name.split('<').next().unwrap_or(name);
    match plain {
        "&str" | "alloc::string::String" | "alloc::borrow::Cow" | "alloc::boxed::Box" => return "Error".to_owned(),
        _ => {}
    }
    match plain.rsplit("::").next() {
        Some("Error") => plain.split("::").filter(|part| *part != "error").collect::<Vec<_>>().join("::"),
        last => last.unwrap_or(plain).to_owned(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        if f.alternate() {
            for cause in self.causes() {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code(), self.message())?;
        if let Some(position) = self.place() {
            write!(f, " at {position}")?;
        }
        for cause in self.causes() {
            write!(f, "\n  caused by: {cause}")?;
        }
        if let Some((action, task)) = self.action() {
            write!(f, "\n  in action `{action}` (`{task}`)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_becomes_one_with_its_type_as_code_and_its_causes() {
        let error = Error::from("x".parse::<u8>().unwrap_err());
        assert_eq!((error.code(), error.kind(), error.is_terminal()), ("ParseIntError", ErrorKind::User, false));
        assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());

        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::num::ParseIntError);
        let error = Error::from(Outer("x".parse::<u8>().unwrap_err()));
        assert_eq!(error.causes(), ["invalid digit found in string"]);
        assert_eq!(format!("{error:#}"), "outer: invalid digit found in string");
        assert_eq!(Error::from(std::io::Error::other("x")).code(), "std::io::Error");
    }

    #[test]
    fn s4_terminal_stops_retries_and_keeps_the_causes() {
        let error = Error::from(Terminal::new("x".parse::<u8>().unwrap_err()));
        assert!(error.is_terminal());
        assert_eq!(error.code(), "NonRecoverableError");
        assert!(Error::terminal("no").is_terminal());
    }

    #[test]
    fn s4_a_childs_failure_is_its_callers_own_if_that_one_passes_it_on() {
        let failed = Failure::system(code::MAX_SYSTEM_FAILURES, "three times").terminal();
        let error = Error::of_child(ErrorKind::System, failed);
        assert_eq!((error.kind(), error.code()), (ErrorKind::System, code::MAX_SYSTEM_FAILURES));
        let passed_on = error.to_failure();
        assert_eq!((passed_on.kind, passed_on.recoverable), (FailureKind::User, true));
    }
}
