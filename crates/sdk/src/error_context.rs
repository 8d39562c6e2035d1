//! Errors that say what was being done, and those that are made of a text.

use std::fmt::Display;

use crate::error::{Error, Result};

/// Says what was being done when something failed: `read(path).context("reading the order")?`.
///
/// The text becomes the message, and the message that was there the nearest of the causes. Code, kind and whether trying again can help
/// stay as they are.
pub trait ErrorContext<T> {
    /// With a text.
    ///
    /// # Errors
    /// The same error under this message; an error of its own for a `None`.
    fn context(self, message: impl Display) -> Result<T>;

    /// With a text that is made only if it is needed.
    ///
    /// # Errors
    /// As [`ErrorContext::context`].
    fn with_context<M: Display>(self, message: impl FnOnce() -> M) -> Result<T>;
}

impl<T, E: Into<Error>> ErrorContext<T> for Result<T, E> {
    fn context(self, message: impl Display) -> Result<T> {
        self.map_err(|error| error.into().under(message.to_string()))
    }

    fn with_context<M: Display>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|error| error.into().under(message().to_string()))
    }
}

impl<T> ErrorContext<T> for Option<T> {
    fn context(self, message: impl Display) -> Result<T> {
        self.ok_or_else(|| Error::user("Error", message.to_string()))
    }

    fn with_context<M: Display>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.ok_or_else(|| Error::user("Error", message().to_string()))
    }
}

/// Ends the function with an error made of a text, as `format!` takes it.
///
/// ```
/// fn half(number: i64) -> spanwise::Result<i64> {
///     if number % 2 != 0 {
///         spanwise::bail!("{number} is odd");
///     }
///     Ok(number / 2)
/// }
/// assert_eq!(half(3).unwrap_err().message(), "3 is odd");
/// ```
#[macro_export]
macro_rules! bail {
    ($($message:tt)+) => {
        return ::core::result::Result::Err($crate::Error::user("Error", ::std::format!($($message)+)))
    };
}

/// Ends the function with an error if a condition does not hold: made of a text, else of the condition's own.
///
/// ```
/// fn half(number: i64) -> spanwise::Result<i64> {
///     spanwise::ensure!(number % 2 == 0, "{number} is odd");
///     spanwise::ensure!(number != 0);
///     Ok(number / 2)
/// }
/// assert_eq!(half(3).unwrap_err().message(), "3 is odd");
/// assert_eq!(half(0).unwrap_err().message(), "`number != 0` does not hold");
/// ```
#[macro_export]
macro_rules! ensure {
    ($condition:expr $(,)?) => {
        $crate::ensure!($condition, "`{}` does not hold", ::core::stringify!($condition))
    };
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::bail!($($message)+);
        }
    };
}
