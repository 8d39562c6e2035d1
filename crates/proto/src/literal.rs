//! Making and reading `Literal`s: each constructor gives the bytes that stock Flyte's transformers give for the Python value.
//!
//! The source of the forms is `types/_type_engine.py` unless a constructor names another file.

use std::collections::BTreeMap;

use crate::{
    flyteidl2::core::{
        Binary, Literal, LiteralCollection, LiteralMap, LiteralType, Primitive, Scalar, Union, Void, literal,
        primitive, scalar,
    },
    google::protobuf::{Duration, Timestamp},
    msgpack, pickle,
};

const NANOS: i64 = 1_000_000_000;

impl Literal {
    /// A Python `int`. Flyte has no integer beyond 64 bits.
    pub fn integer(value: i64) -> Self {
        primitive(primitive::Value::Integer(value))
    }

    /// A Python `float`.
    pub fn float(value: f64) -> Self {
        primitive(primitive::Value::FloatValue(value))
    }

    /// A Python `bool`.
    pub fn boolean(value: bool) -> Self {
        primitive(primitive::Value::Boolean(value))
    }

    /// A Python `str`, and the **name** of the member for an `enum.Enum`.
    pub fn string(value: impl Into<String>) -> Self {
        primitive(primitive::Value::StringValue(value.into()))
    }

    /// A Python `datetime` or `date`: `seconds` since 1970 UTC, plus `nanos`, of any sign and size. Python keeps microseconds.
    pub fn datetime(seconds: i64, nanos: i64) -> Self {
        let timestamp = Timestamp {
            seconds: seconds.saturating_add(nanos.div_euclid(NANOS)),
            nanos: nanos.rem_euclid(NANOS) as i32,
            ..Timestamp::default()
        };
        primitive(timestamp.into())
    }

    /// A Python `timedelta`: `seconds` plus `nanos`, of any sign and size. The message gives both the sign of the sum.
    pub fn duration(seconds: i64, nanos: i64) -> Self {
        let total = i128::from(seconds) * i128::from(NANOS) + i128::from(nanos);
        let bounds = i128::from(i64::MIN)..=i128::from(i64::MAX);
        let duration = Duration {
            seconds: (total / i128::from(NANOS)).clamp(*bounds.start(), *bounds.end()) as i64,
            nanos: (total % i128::from(NANOS)) as i32,
            ..Duration::default()
        };
        primitive(duration.into())
    }

    /// Python's `None`.
    pub fn none() -> Self {
        scalar(Void::default().into())
    }

    /// A dataclass, a pydantic model or an untyped `dict` as msgpack. Fields stand in the order of their declaration.
    pub fn msgpack(value: Vec<u8>) -> Self {
        Self::binary(msgpack::TAG, value)
    }

    /// A Python `bytes`, which stock Flyte pickles (`types/_pickle.py`) and, above 10 KiB, writes to a file instead.
    pub fn bytes(value: &[u8]) -> Self {
        Self::binary("", pickle::bytes_to_pickle(value))
    }

    /// A binary scalar; `tag` names the encoding of `value`.
    pub fn binary(tag: impl Into<String>, value: Vec<u8>) -> Self {
        let binary = Binary { value, tag: tag.into(), ..Binary::default() };
        scalar(binary.into())
    }

    /// A Python `list`.
    pub fn list(literals: Vec<Literal>) -> Self {
        let list = LiteralCollection { literals, ..LiteralCollection::default() };
        Self { value: Some(list.into()), ..Self::default() }
    }

    /// A Python `dict[str, T]`.
    pub fn map(literals: BTreeMap<String, Literal>) -> Self {
        let map = LiteralMap { literals, ..LiteralMap::default() };
        Self { value: Some(map.into()), ..Self::default() }
    }

    /// A value of a `Union` or `Optional`, with the variant it belongs to as [`LiteralType::tagged`] makes it.
    pub fn union(value: Literal, variant: LiteralType) -> Self {
        let union = Union { value: value.into(), r#type: variant.into(), ..Union::default() };
        scalar(union.into())
    }

    /// The integer; also a float without a fraction, which consoles written in JavaScript send.
    pub fn as_integer(&self) -> Option<i64> {
        // The exclusive bound is 2^63, the first float that does not fit.
        const BOUND: f64 = 9_223_372_036_854_775_808.0;
        match *self.as_primitive()? {
            primitive::Value::Integer(value) => Some(value),
            primitive::Value::FloatValue(value) => {
                (value.fract() == 0.0 && (-BOUND..BOUND).contains(&value)).then_some(value as i64)
            }
            _ => None,
        }
    }

    /// The float; also an integer, as in Flyte.
    pub fn as_float(&self) -> Option<f64> {
        match *self.as_primitive()? {
            primitive::Value::FloatValue(value) => Some(value),
            primitive::Value::Integer(value) => Some(value as f64),
            _ => None,
        }
    }

    /// The boolean.
    pub fn as_boolean(&self) -> Option<bool> {
        match *self.as_primitive()? {
            primitive::Value::Boolean(value) => Some(value),
            _ => None,
        }
    }

    /// The string, or the name of an enum's member.
    pub fn as_str(&self) -> Option<&str> {
        match self.as_primitive()? {
            primitive::Value::StringValue(value) => Some(value),
            _ => None,
        }
    }

    /// The time as seconds since 1970 UTC and nanoseconds.
    pub fn as_datetime(&self) -> Option<(i64, i32)> {
        match self.as_primitive()? {
            primitive::Value::Datetime(time) => Some((time.seconds, time.nanos)),
            _ => None,
        }
    }

    /// The duration as seconds and nanoseconds, both of one sign.
    pub fn as_duration(&self) -> Option<(i64, i32)> {
        match self.as_primitive()? {
            primitive::Value::Duration(span) => Some((span.seconds, span.nanos)),
            _ => None,
        }
    }

    /// Whether this is `None`.
    pub fn is_none(&self) -> bool {
        matches!(self.as_scalar(), Some(scalar::Value::NoneType(_)))
    }

    /// The msgpack of a structure.
    pub fn as_msgpack(&self) -> Option<&[u8]> {
        match self.as_scalar()? {
            scalar::Value::Binary(binary) if binary.tag == msgpack::TAG => Some(&binary.value),
            _ => None,
        }
    }

    /// The content of a Python `bytes` that is pickled in line.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self.as_scalar()? {
            scalar::Value::Binary(binary) if binary.tag.is_empty() => pickle::bytes_from_pickle(&binary.value),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[Literal]> {
        match self.value.as_ref()? {
            literal::Value::Collection(list) => Some(&list.literals),
            _ => None,
        }
    }

    /// The entries of a map.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Literal>> {
        match self.value.as_ref()? {
            literal::Value::Map(map) => Some(&map.literals),
            _ => None,
        }
    }

    /// The value of a union and the type of its variant.
    pub fn as_union(&self) -> Option<(&Literal, &LiteralType)> {
        match self.as_scalar()? {
            scalar::Value::Union(union) => Some((&union.value, &union.r#type)),
            _ => None,
        }
    }

    pub(crate) fn as_scalar(&self) -> Option<&scalar::Value> {
        match self.value.as_ref()? {
            literal::Value::Scalar(scalar) => scalar.value.as_ref(),
            _ => None,
        }
    }

    pub(crate) fn as_primitive(&self) -> Option<&primitive::Value> {
        match self.as_scalar()? {
            scalar::Value::Primitive(primitive) => primitive.value.as_ref(),
            _ => None,
        }
    }
}

fn primitive(value: primitive::Value) -> Literal {
    let primitive = Primitive { value: Some(value), ..Primitive::default() };
    scalar(primitive.into())
}

fn scalar(value: scalar::Value) -> Literal {
    let scalar = Scalar { value: Some(value), ..Scalar::default() };
    Literal { value: Some(scalar.into()), ..Literal::default() }
}
