//! Rust values as Flyte literals (semantics S8).

use serde_json::Value as Json;
use spanwise_proto::flyteidl2::core::{Literal, LiteralType};

mod containers;
mod primitives;
mod structures;
mod times;

pub use structures::{
    SchemaField, Variant, enumeration_from_literal, structure_from_literal, structure_schema, structure_to_literal,
};

/// A value that a task takes or gives.
///
/// Implemented for integers, floats, `bool`, `String`, `bytes::Bytes`, `Option`, `Vec`, maps with `String` keys, `SystemTime`,
/// `Duration`, and with the features `chrono` and `jiff` for their times. Structs and enums derive it:
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize, spanwise::Value)]
/// struct Order {
///     id: u64,
///     lines: Vec<String>,
///     note: Option<String>,
/// }
///
/// #[derive(serde::Serialize, serde::Deserialize, spanwise::Value)]
/// enum Priority {
///     Low,
///     High,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross a task border",
    label = "not a value that Flyte knows",
    note = "use integers, floats, bool, String, Bytes, Option, Vec, maps with String keys, times, or a struct or enum with `#[derive(serde::Serialize, serde::Deserialize, spanwise::Value)]`"
)]
pub trait Value: Sized + Send + 'static {
    /// Flyte's type of the value.
    fn literal_type() -> LiteralType;

    /// The JSON schema of the value, for forms and for the fields of structs.
    fn json_schema() -> Json;

    /// The value as a literal.
    ///
    /// # Errors
    /// [`ValueError`] if Flyte's type cannot hold it, for instance a `u64` above `i64::MAX`.
    fn to_literal(&self) -> Result<Literal, ValueError>;

    /// The value of a literal.
    ///
    /// # Errors
    /// [`ValueError`] if the literal is of another type or out of range.
    fn from_literal(literal: &Literal) -> Result<Self, ValueError>;
}

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", field.as_ref().map(|field| format!("`{field}`: ")).unwrap_or_default())]
pub struct ValueError {
    field: Option<String>,
    problem: String,
}

impl ValueError {
    /// Says what is wrong.
    pub fn new(problem: impl Into<String>) -> ValueError {
        ValueError { field: None, problem: problem.into() }
    }

    /// The literal is of another type.
    pub(crate) fn expected(what: &str, literal: &Literal) -> ValueError {
        ValueError::new(format!("expected {what}, found {}", describe(literal)))
    }

    /// Says which argument or field it is; the outermost comes first.
    pub(crate) fn at(self, field: &str) -> ValueError {
        let field = match self.field {
            Some(inner) => format!("{field}.{inner}"),
            None => field.to_owned(),
        };
        ValueError { field: Some(field), problem: self.problem }
    }

    /// The argument, output or field, if it is known.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

fn describe(literal: &Literal) -> &'static str {
    match () {
        () if literal.as_integer().is_some() => "an integer",
        () if literal.as_float().is_some() => "a float",
        () if literal.as_boolean().is_some() => "a boolean",
        () if literal.as_str().is_some() => "a string",
        () if literal.as_datetime().is_some() => "a datetime",
        () if literal.as_duration().is_some() => "a duration",
        () if literal.is_none() => "none",
        () if literal.as_bytes().is_some() => "bytes",
        () if literal.as_msgpack().is_some() => "a structure",
        () if literal.as_list().is_some() => "a list",
        () if literal.as_map().is_some() => "a map",
        () if literal.as_union().is_some() => "a union",
        () => "a value of another kind",
    }
}
