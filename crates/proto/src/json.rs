//! Values as JSON: what people and forms write, as the literals that stock Flyte makes of the same Python values, and back.
//!
//! A time is RFC 3339, a duration a number of seconds, bytes are base64, an enum is the name of its member, and a float that JSON
//! lacks is `"NaN"`, `"Infinity"` or `"-Infinity"`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use crate::flyteidl2::core::{Literal, LiteralType, SimpleType, literal_type::Type, scalar};

mod packed;
mod schema;
mod text;
mod time;

pub use schema::{check, schema};
pub use text::float;
pub use time::{datetime, length, rfc3339};

/// A value that is not of the type that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}expected {expected}, found {found}", if path.is_empty() { String::new() } else { format!("at `{path}`: ") })]
pub struct Misfit {
    /// Where in the value: fields and indices with dots between; empty for the value itself.
    pub path: String,
    /// What would fit.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Misfit {
    fn new(expected: impl Into<String>, found: &Json) -> Misfit {
        Misfit { path: String::new(), expected: expected.into(), found: short(found) }
    }

    fn at(mut self, part: impl std::fmt::Display) -> Misfit {
        self.path = if self.path.is_empty() { part.to_string() } else { format!("{part}.{}", self.path) };
        self
    }
}

/// How much of a value an error shows.
const SHOWN: usize = 60;

/// A value as an error shows it.
fn short(json: &Json) -> String {
    let text = match json {
        Json::String(text) => format!("the text {}", Json::String(text.chars().take(SHOWN + 1).collect())),
        Json::Array(items) => format!("a list of {} items", items.len()),
        Json::Object(fields) if fields.is_empty() => "an empty object".to_owned(),
        Json::Object(fields) => {
            let names: Vec<String> = fields.keys().take(8).map(|name| format!("`{name}`")).collect();
            format!("an object with {}", names.join(", "))
        }
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl Literal {
    /// The literal of a JSON value.
    ///
    /// # Errors
    /// [`Misfit`] if the value is not of the type, or the type has no form in JSON (files, pickles).
    pub fn from_json(kind: &LiteralType, json: &Json) -> Result<Literal, Misfit> {
        if kind.enum_type.is_set() {
            let names = &kind.enum_type.values;
            let name = json.as_str().filter(|name| names.iter().any(|other| other == name));
            let expected = || format!("one of {}", names.join(", "));
            return name.map(Literal::string).ok_or_else(|| Misfit::new(expected(), json));
        }
        if let Some(union) = kind.union_type.as_option() {
            return from_union(kind, &union.variants, json);
        }
        match &kind.r#type {
            Some(Type::Simple(simple)) => from_simple(kind, simple.as_known(), json),
            Some(Type::CollectionType(item)) => {
                let items = json.as_array().ok_or_else(|| Misfit::new("a list", json))?.iter().enumerate();
                let items =
                    items.map(|(index, value)| Literal::from_json(item, value).map_err(|error| error.at(index)));
                Ok(Literal::list(items.collect::<Result<_, _>>()?))
            }
            Some(Type::MapValueType(value)) => {
                let entries = json.as_object().ok_or_else(|| Misfit::new("an object", json))?.iter();
                let entries = entries.map(|(key, entry)| {
                    Ok((key.clone(), Literal::from_json(value, entry).map_err(|error| error.at(key))?))
                });
                Ok(Literal::map(entries.collect::<Result<_, _>>()?))
            }
            _ => Err(Misfit::new("a value that cannot be written as JSON (a file, for instance)", json)),
        }
    }

    /// The value as JSON. What has no form there, a pickle for instance, is a text that says so.
    pub fn to_json(&self) -> Json {
        if let Some((inner, _)) = self.as_union() {
            return inner.to_json();
        }
        if let Some(items) = self.as_list() {
            return items.iter().map(Literal::to_json).collect();
        }
        if let Some(entries) = self.as_map() {
            return entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect();
        }
        if let Some(bytes) = self.as_bytes() {
            return json!(STANDARD.encode(bytes));
        }
        if let Some(packed) = self.as_msgpack() {
            let read = rmp_serde::from_slice(packed).map(|packed::Packed(value)| value);
            return read.unwrap_or_else(|_| unwritable("a structure", packed.len()));
        }
        match self.as_scalar() {
            Some(scalar::Value::Primitive(_)) => self.primitive_to_json(),
            Some(scalar::Value::Blob(blob)) => json!(blob.uri),
            Some(scalar::Value::Binary(binary)) => unwritable("a pickle", binary.value.len()),
            Some(scalar::Value::NoneType(_)) | None => Json::Null,
            Some(_) => unwritable("a value", 0),
        }
    }

    fn primitive_to_json(&self) -> Json {
        use crate::flyteidl2::core::primitive::Value;
        match self.as_primitive() {
            Some(Value::Integer(value)) => json!(value),
            Some(Value::FloatValue(value)) => float_to_json(*value),
            Some(Value::Boolean(value)) => json!(value),
            Some(Value::StringValue(value)) => json!(value),
            Some(Value::Datetime(time)) => json!(time::rfc3339(time.seconds, time.nanos)),
            Some(Value::Duration(span)) => float_to_json(span.seconds as f64 + f64::from(span.nanos) / 1e9),
            None => Json::Null,
        }
    }
}

fn unwritable(what: &str, size: usize) -> Json {
    json!(format!("<{what} of {size} bytes that JSON cannot hold>"))
}

fn float_to_json(value: f64) -> Json {
    match value {
        _ if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        _ => json!(value),
    }
}

fn number(json: &Json) -> Option<f64> {
    match json {
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        other => other.as_f64(),
    }
}

fn from_simple(kind: &LiteralType, simple: Option<SimpleType>, json: &Json) -> Result<Literal, Misfit> {
    match simple {
        Some(SimpleType::INTEGER) => {
            json.as_i64().map(Literal::integer).ok_or_else(|| Misfit::new("an integer of 64 bits", json))
        }
        Some(SimpleType::FLOAT) => number(json).map(Literal::float).ok_or_else(|| Misfit::new("a number", json)),
        Some(SimpleType::STRING) => json.as_str().map(Literal::string).ok_or_else(|| Misfit::new("a text", json)),
        Some(SimpleType::BOOLEAN) => {
            json.as_bool().map(Literal::boolean).ok_or_else(|| Misfit::new("true or false", json))
        }
        Some(SimpleType::DATETIME) => {
            let (seconds, nanos) = json.as_str().and_then(datetime).ok_or_else(|| Misfit::new(time::EXPECTED, json))?;
            Ok(Literal::datetime(seconds, nanos))
        }
        Some(SimpleType::DURATION) => {
            let (seconds, nanos) = time::seconds(json).ok_or_else(|| Misfit::new("a number of seconds", json))?;
            Ok(Literal::duration(seconds, nanos))
        }
        Some(SimpleType::NONE) if json.is_null() => Ok(Literal::none()),
        Some(SimpleType::NONE) => Err(Misfit::new("null", json)),
        Some(SimpleType::STRUCT) => {
            let checked = kind.schema().map(|schema| check(&schema, json)).transpose()?;
            let value = checked.as_ref().unwrap_or(json);
            rmp_serde::to_vec_named(value).map(Literal::msgpack).map_err(|_| Misfit::new("a structure", json))
        }
        Some(SimpleType::BINARY | SimpleType::ERROR) | None => {
            Err(Misfit::new("a value that cannot be written as JSON", json))
        }
    }
}

/// True for the type of Python's `bytes`, which is a union of its two pickled forms, whatever tag it has.
fn is_bytes(kind: &LiteralType) -> bool {
    LiteralType { structure: crate::MessageField::default(), ..kind.clone() } == LiteralType::bytes()
}

/// The first variant that the value fits. Nothing is read as a text that another variant takes.
fn from_union(kind: &LiteralType, variants: &[LiteralType], json: &Json) -> Result<Literal, Misfit> {
    if is_bytes(kind) {
        let bytes = json.as_str().and_then(|text| STANDARD.decode(text).ok());
        return bytes.map(|bytes| Literal::bytes(&bytes)).ok_or_else(|| Misfit::new("bytes as base64", json));
    }
    let is_none = |variant: &LiteralType| variant.default_tag() == Some("none");
    let mut misfits = Vec::new();
    for variant in variants {
        match Literal::from_json(variant, json) {
            Ok(value) => return Ok(Literal::union(value, variant.clone())),
            Err(misfit) if !is_none(variant) => misfits.push(misfit),
            Err(_) => {}
        }
    }
    // An optional value is wrong where its value is.
    if let [only] = &misfits[..] {
        return Err(only.clone());
    }
    let expected: Vec<String> = misfits.into_iter().map(|misfit| misfit.expected).collect();
    Err(Misfit::new(expected.join(", or "), json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> LiteralType {
        let schema = json!({
            "type": "object", "title": "Order", "additionalProperties": false, "required": ["id", "price"],
            "properties": {
                "id": {"type": "integer"}, "price": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null},
            },
        });
        LiteralType::dataclass(schema)
    }

    #[test]
    fn a_map_whose_keys_are_no_texts_is_written_with_its_keys_as_texts() {
        // {-1: "none", 2: [{True: 3}]}
        let nested = [0x82, 0xff, 0xa4, b'n', b'o', b'n', b'e', 2, 0x91, 0x81, 0xc3, 3];
        assert_eq!(Literal::msgpack(nested.to_vec()).to_json(), json!({"-1": "none", "2": [{"true": 3}]}));
        // {1: "a", "1": "b", None: 1.5, 2.5: nan}
        let mixed = [
            0x84, 1, 0xa1, b'a', 0xa1, b'1', 0xa1, b'b', 0xc0, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xcb, 0x40, 0x04, 0,
            0, 0, 0, 0, 0, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0,
        ];
        let expected = json!({"1": "a", "1'": "b", "null": 1.5, "2.5": "NaN"});
        assert_eq!(Literal::msgpack(mixed.to_vec()).to_json(), expected);
        assert_eq!(Literal::msgpack(vec![0xc4, 2, 0, 255]).to_json(), json!("AP8="));
        assert!(Literal::msgpack(vec![0x92, 1]).to_json().as_str().unwrap().contains("a structure of 2 bytes"));
    }

    #[test]
    fn json_is_the_literal_of_its_type_and_back() {
        let optional = || LiteralType::optional(LiteralType::integer(), "int");
        for (kind, value) in [
            (LiteralType::integer(), json!(-3)),
            (LiteralType::float(), json!(1.5)),
            (LiteralType::float(), json!("-Infinity")),
            (LiteralType::string(), json!("größe \u{1f680}")),
            (LiteralType::boolean(), json!(true)),
            (LiteralType::datetime(), json!("2024-02-29T12:00:00.5Z")),
            (LiteralType::duration(), json!(-1.5)),
            (LiteralType::bytes(), json!("aGk=")),
            (LiteralType::none(), json!(null)),
            (LiteralType::enumeration(["Low", "High"]), json!("High")),
            (LiteralType::list(optional()), json!([1, null, 2])),
            (LiteralType::map(LiteralType::string()), json!({"a": "b"})),
            (order(), json!({"id": 1, "price": 2.5, "tags": ["x"], "note": null})),
        ] {
            let literal = Literal::from_json(&kind, &value).unwrap_or_else(|error| panic!("{value}: {error}"));
            assert_eq!(literal.to_json(), value, "{value}");
        }
        let (_, variant) = Literal::from_json(&optional(), &json!(1))
            .map(|literal| {
                let (value, variant) = literal.as_union().unwrap();
                (value.clone(), variant.clone())
            })
            .unwrap();
        assert_eq!(variant.default_tag(), Some("int"));
    }

    #[test]
    fn an_integer_where_a_structure_has_a_float_is_a_float_as_in_python() {
        let literal = Literal::from_json(&order(), &json!({"id": 1, "price": 2})).unwrap();
        assert_eq!(literal.to_json(), json!({"id": 1, "price": 2.0}));
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_place() {
        let refused = |kind: &LiteralType, value: Json| Literal::from_json(kind, &value).unwrap_err().to_string();
        assert_eq!(refused(&LiteralType::integer(), json!(1.5)), "expected an integer of 64 bits, found 1.5");
        assert_eq!(
            refused(&LiteralType::integer(), json!("1")),
            "expected an integer of 64 bits, found the text \"1\""
        );
        let list = LiteralType::list(LiteralType::map(LiteralType::boolean()));
        assert_eq!(refused(&list, json!([{"a": true}, {"b": 1}])), "at `1.b`: expected true or false, found 1");
        assert_eq!(
            refused(&order(), json!({"id": 1})),
            "expected an object with the field `price`, found an object with `id`"
        );
        assert!(refused(&order(), json!({"id": 1, "price": 1, "prize": 2})).contains("`prize`"));
        assert_eq!(
            refused(&order(), json!({"id": "1", "price": 1})),
            "at `id`: expected an integer, found the text \"1\""
        );
        let optional = LiteralType::optional(LiteralType::list(LiteralType::integer()), "Typed List");
        assert_eq!(refused(&optional, json!(["x"])), "at `0`: expected an integer of 64 bits, found the text \"x\"");
        assert_eq!(
            refused(&LiteralType::enumeration(["A", "B"]), json!("C")),
            "expected one of A, B, found the text \"C\""
        );
        assert!(refused(&LiteralType::duration(), json!("soon")).starts_with("expected a number of seconds"));
    }
}
