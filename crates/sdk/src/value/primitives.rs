//! Numbers, booleans, text and bytes.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use spanwise_proto::flyteidl2::core::{Literal, LiteralType};

use super::{Value, ValueError};

macro_rules! integers {
    ($($integer:ty),+) => {$(
        impl Value for $integer {
            fn literal_type() -> LiteralType {
                LiteralType::integer()
            }

            fn json_schema() -> Json {
                json!({"type": "integer"})
            }

            fn to_literal(&self) -> Result<Literal, ValueError> {
                let value = i64::try_from(*self)
                    .map_err(|_| ValueError::new(format!("{self} does not fit Flyte's integer (64 bits, signed)")))?;
                Ok(Literal::integer(value))
            }

            fn from_literal(literal: &Literal) -> Result<$integer, ValueError> {
                let value = literal.as_integer().ok_or_else(|| ValueError::expected("an integer", literal))?;
                <$integer>::try_from(value)
                    .map_err(|_| ValueError::new(format!("{value} does not fit a {}", stringify!($integer))))
            }
        }
    )+};
}

integers!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

impl Value for f64 {
    fn literal_type() -> LiteralType {
        LiteralType::float()
    }

    fn json_schema() -> Json {
        json!({"type": "number"})
    }

    fn to_literal(&self) -> Result<Literal, ValueError> {
        Ok(Literal::float(*self))
    }

    fn from_literal(literal: &Literal) -> Result<f64, ValueError> {
        // Flyte's clients send an integer where a float is wanted if the user wrote one.
        let integer = || literal.as_integer().map(|value| value as f64);
        literal.as_float().or_else(integer).ok_or_else(|| ValueError::expected("a float", literal))
    }
}

impl Value for f32 {
    fn literal_type() -> LiteralType {
        f64::literal_type()
    }

    fn json_schema() -> Json {
        f64::json_schema()
    }

    fn to_literal(&self) -> Result<Literal, ValueError> {
        f64::from(*self).to_literal()
    }

    fn from_literal(literal: &Literal) -> Result<f32, ValueError> {
        f64::from_literal(literal).map(|value| value as f32)
    }
}

impl Value for bool {
    fn literal_type() -> LiteralType {
        LiteralType::boolean()
    }

    fn json_schema() -> Json {
        json!({"type": "boolean"})
    }

    fn to_literal(&self) -> Result<Literal, ValueError> {
        Ok(Literal::boolean(*self))
    }

    fn from_literal(literal: &Literal) -> Result<bool, ValueError> {
        literal.as_boolean().ok_or_else(|| ValueError::expected("a boolean", literal))
    }
}

impl Value for String {
    fn literal_type() -> LiteralType {
        LiteralType::string()
    }

    fn json_schema() -> Json {
        json!({"type": "string"})
    }

    fn to_literal(&self) -> Result<Literal, ValueError> {
        Ok(Literal::string(self.as_str()))
    }

    fn from_literal(literal: &Literal) -> Result<String, ValueError> {
        literal.as_str().map(str::to_owned).ok_or_else(|| ValueError::expected("a string", literal))
    }
}

impl Value for Bytes {
    fn literal_type() -> LiteralType {
        LiteralType::bytes()
    }

    fn json_schema() -> Json {
        json!({"type": "string", "format": "base64"})
    }

    fn to_literal(&self) -> Result<Literal, ValueError> {
        Ok(Literal::bytes(self))
    }

    fn from_literal(literal: &Literal) -> Result<Bytes, ValueError> {
        literal.as_bytes().map(Bytes::copy_from_slice).ok_or_else(|| ValueError::expected("bytes", literal))
    }
}
