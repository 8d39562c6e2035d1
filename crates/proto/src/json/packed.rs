//! Msgpack as JSON, with what JSON has no form for in one that is readable.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json, json};

use super::float_to_json;

/// A value that was msgpack. The keys of a map are written as Python's `json` writes them: `dict[int, str]` is how the SDK packs a map
/// whose keys are no texts.
pub(super) struct Packed(pub(super) Json);

/// A key as a text.
fn key(value: Json) -> String {
    match value {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Packed, D::Error> {
        deserializer.deserialize_any(Reader).map(Packed)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(json!(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(json!(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(json!(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(float_to_json(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(json!(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Json, E> {
        Ok(json!(STANDARD.encode(value)))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_none<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    /// An extension type: its number and its bytes.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(Reader)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(Packed(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Map::new();
        while let Some((Packed(name), Packed(value))) = entries.next_entry()? {
            let mut name = key(name);
            // 1 and "1" are two keys there and would be one here.
            while object.contains_key(&name) {
                name.push('\'');
            }
            object.insert(name, value);
        }
        Ok(Json::Object(object))
    }
}
