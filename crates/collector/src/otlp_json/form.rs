//! How the values of fields are read and written, one type a form.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeSeed, IgnoredAny};

use super::scalar::Scalar;
use super::*;

/// A form of values.
pub(super) trait Form {
    type Value: Default;

    /// True for what is not written.
    fn is_absent(value: &Self::Value) -> bool;

    /// Reads a value; none for `null`.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self::Value>, D::Error>;

    /// What `null` is as an element of a list.
    fn of_null() -> Option<Self::Value> {
        None
    }

    fn write<S: Serializer>(value: &Self::Value, serializer: S) -> Result<S::Ok, S::Error>;
}

/// Reads a value in a form.
pub(super) struct Reading<F>(PhantomData<F>);

impl<F> Reading<F> {
    pub(super) fn new() -> Reading<F> {
        Reading(PhantomData)
    }
}

impl<'de, F: Form> DeserializeSeed<'de> for Reading<F> {
    type Value = Option<F::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        F::read(deserializer)
    }
}

/// A value that is written in a form.
pub(super) struct Writing<'a, F: Form>(pub(super) &'a F::Value);

impl<F: Form> Serialize for Writing<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        F::write(self.0, serializer)
    }
}

/// A form of values without parts: how one is made of what is read, and how it is written.
macro_rules! scalar {
    ($form:ty, $value:ty, $read:expr, $write:expr) => {
        impl Form for $form {
            type Value = $value;

            fn is_absent(value: &$value) -> bool {
                *value == <$value>::default()
            }

            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<$value>, D::Error> {
                match Scalar::deserialize(deserializer)? {
                    Scalar::Null => Ok(None),
                    scalar => {
                        let read: fn(Scalar<'de>) -> Result<$value, D::Error> = $read;
                        read(scalar).map(Some)
                    }
                }
            }

            fn write<S: Serializer>(value: &$value, serializer: S) -> Result<S::Ok, S::Error> {
                let write: fn(&$value, S) -> Result<S::Ok, S::Error> = $write;
                write(value, serializer)
            }
        }
    };
}

pub(super) struct Text;
scalar!(Text, String, Scalar::text, |text, serializer| serializer.serialize_str(text));

pub(super) struct Truth;
scalar!(Truth, bool, Scalar::truth, |truth, serializer| serializer.serialize_bool(*truth));

/// A whole number of 32 bits.
pub(super) struct Integer<T>(PhantomData<T>);
scalar!(Integer<u32>, u32, Scalar::integer, |number, serializer| serializer.serialize_u32(*number));
scalar!(Integer<i32>, i32, Scalar::integer, |number, serializer| serializer.serialize_i32(*number));

/// A whole number of 64 bits, which is written as a text.
pub(super) struct Long<T>(PhantomData<T>);
scalar!(Long<u64>, u64, Scalar::integer, |number, serializer| serializer.collect_str(number));
scalar!(Long<i64>, i64, Scalar::integer, |number, serializer| serializer.collect_str(number));

/// A number, or the name of what is none.
pub(super) struct Double;
scalar!(Double, f64, Scalar::double, |number, serializer| match *number {
    number if number.is_nan() => serializer.serialize_str("NaN"),
    f64::INFINITY => serializer.serialize_str("Infinity"),
    f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
    number => serializer.serialize_f64(number),
});

pub(super) struct Hex;
scalar!(Hex, Vec<u8>, Scalar::hexadecimal, |bytes, serializer| { serializer.serialize_str(&HEXLOWER.encode(bytes)) });

pub(super) struct Base64;
scalar!(Base64, Vec<u8>, Scalar::base64, |bytes, serializer| serializer.serialize_str(&STANDARD.encode(bytes)));

pub(super) struct Kind;
scalar!(Kind, i32, |scalar| scalar.one_of(|name| SpanKind::from_str_name(name).map(i32::from)), |kind, serializer| {
    serializer.serialize_i32(*kind)
});

pub(super) struct Code;
scalar!(
    Code,
    i32,
    |scalar| scalar.one_of(|name| StatusCode::from_str_name(name).map(i32::from)),
    |code, serializer| serializer.serialize_i32(*code)
);

/// Written whatever it is: readers look for it.
pub(super) struct Always<F>(PhantomData<F>);

impl<F: Form> Form for Always<F> {
    type Value = F::Value;

    fn is_absent(_: &F::Value) -> bool {
        false
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<F::Value>, D::Error> {
        F::read(deserializer)
    }

    fn write<S: Serializer>(value: &F::Value, serializer: S) -> Result<S::Ok, S::Error> {
        F::write(value, serializer)
    }
}

pub(super) struct Maybe<F>(PhantomData<F>);

impl<F: Form> Form for Maybe<F> {
    type Value = Option<F::Value>;

    fn is_absent(value: &Option<F::Value>) -> bool {
        value.is_none()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<F::Value>>, D::Error> {
        F::read(deserializer).map(Some)
    }

    fn write<S: Serializer>(value: &Option<F::Value>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => F::write(value, serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// A list, whose elements that are `null` are no elements.
pub(super) struct List<F>(PhantomData<F>);

impl<F: Form> Form for List<F> {
    type Value = Vec<F::Value>;

    fn is_absent(list: &Vec<F::Value>) -> bool {
        list.is_empty()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<F::Value>>, D::Error> {
        deserializer.deserialize_any(Elements::<F>(PhantomData))
    }

    fn write<S: Serializer>(list: &Vec<F::Value>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(list.len()))?;
        list.iter().try_for_each(|element| sequence.serialize_element(&Writing::<F>(element)))?;
        sequence.end()
    }
}

struct Elements<F>(PhantomData<F>);

impl<'de, F: Form> Visitor<'de> for Elements<F> {
    type Value = Option<Vec<F::Value>>;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a list")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = sequence.next_element_seed(Reading::<F>::new())? {
            list.extend(element.or_else(F::of_null));
        }
        Ok(Some(list))
    }
}

/// A message as an object.
pub(super) struct Sub<M>(PhantomData<M>);

impl<M: Message> Form for Sub<M> {
    type Value = M;

    fn is_absent(_: &M) -> bool {
        false
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<M>, D::Error> {
        deserializer.deserialize_any(Object(M::default()))
    }

    fn of_null() -> Option<M> {
        M::NULL_IS_EMPTY.then(M::default)
    }

    fn write<S: Serializer>(message: &M, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        message.write_fields(&mut map)?;
        map.end()
    }
}

struct Object<M>(M);

impl<'de, M: Message> Visitor<'de> for Object<M> {
    type Value = Option<M>;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("an object")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Option<M>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Option<M>, A::Error> {
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            let Scalar::Text(key) = key else { return Err(A::Error::custom("a name is no text")) };
            if !self.0.read_field(&key, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Some(self.0))
    }
}
