//! Values that are no lists and no objects, as they are in JSON, and what each stands for.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Said of an id: what has these words is refused for its ids.
pub(crate) const NOT_HEXADECIMAL: &str = "an id is not in hexadecimal digits";

/// With or without padding at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A value of JSON without parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'de> {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(Cow<'de, str>),
}

impl Scalar<'_> {
    fn unexpected<E: Error>(&self, expected: &'static str) -> E {
        let what = match self {
            Scalar::Null => "null",
            Scalar::Bool(_) => "a boolean",
            Scalar::Integer(_) | Scalar::Float(_) => "a number",
            Scalar::Text(_) => "a text",
        };
        E::custom(format_args!("invalid type: {what}, expected {expected}"))
    }

    pub(super) fn text<E: Error>(self) -> Result<String, E> {
        match self {
            Scalar::Text(text) => Ok(text.into_owned()),
            other => Err(other.unexpected("a text")),
        }
    }

    pub(super) fn truth<E: Error>(self) -> Result<bool, E> {
        match self {
            Scalar::Bool(truth) => Ok(truth),
            other => Err(other.unexpected("true or false")),
        }
    }

    /// A whole number, which may be written as a text, and with a fraction of zero.
    pub(super) fn integer<T: TryFrom<i128>, E: Error>(self) -> Result<T, E> {
        // Beyond it neighbours are more than one apart.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let number = match &self {
            Scalar::Integer(number) => Some(*number),
            Scalar::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT => Some(*number as i128),
            Scalar::Text(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.unexpected("a whole number"))?;
        T::try_from(number).map_err(|_| E::custom("a whole number is out of range"))
    }

    pub(super) fn double<E: Error>(self) -> Result<f64, E> {
        match &self {
            Scalar::Integer(number) => Ok(*number as f64),
            Scalar::Float(number) => Ok(*number),
            Scalar::Text(text) => match &**text {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                text => {
                    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
                    let number = text.parse().ok().filter(|number: &f64| is_decimal && number.is_finite());
                    number.ok_or_else(|| self.unexpected("a number, NaN or an Infinity"))
                }
            },
            _ => Err(self.unexpected("a number")),
        }
    }

    /// A value of an enumeration: its number, or its name.
    pub(super) fn one_of<E: Error>(self, number_of: impl Fn(&str) -> Option<i32>) -> Result<i32, E> {
        match &self {
            Scalar::Text(name) => number_of(name).ok_or_else(|| self.unexpected("a name of the enumeration")),
            _ => self.integer(),
        }
    }

    pub(super) fn hexadecimal<E: Error>(self) -> Result<Vec<u8>, E> {
        let Scalar::Text(text) = &self else { return Err(self.unexpected("a text")) };
        HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| E::custom(NOT_HEXADECIMAL))
    }

    /// Bytes in the alphabet of MIME or in that of addresses.
    pub(super) fn base64<E: Error>(self) -> Result<Vec<u8>, E> {
        let Scalar::Text(text) = &self else { return Err(self.unexpected("a text")) };
        let standard = text.replace('-', "+").replace('_', "/");
        BASE64.decode(standard).map_err(|_| E::custom("bytes are not in base64"))
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar<'de>, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a value without parts")
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(truth))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }
}
