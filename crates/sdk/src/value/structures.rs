//! Structs and enums: what `#[derive(Value)]` calls.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};
use spanwise_proto::flyteidl2::core::Literal;

use super::ValueError;

/// A struct as msgpack, a map of its fields in the order of declaration (Flyte: `Binary{tag: "msgpack"}`).
///
/// # Errors
/// [`ValueError`] if serde refuses it.
pub fn structure_to_literal<T: Serialize>(value: &T) -> Result<Literal, ValueError> {
    let bytes = rmp_serde::to_vec_named(value).map_err(|error| ValueError::new(error.to_string()))?;
    Ok(Literal::msgpack(bytes))
}

/// A struct from msgpack.
///
/// # Errors
/// [`ValueError`] if it is no msgpack, or its fields do not fit.
pub fn structure_from_literal<T: DeserializeOwned>(literal: &Literal) -> Result<T, ValueError> {
    let bytes = literal.as_msgpack().ok_or_else(|| ValueError::expected("a structure", literal))?;
    rmp_serde::from_slice(bytes).map_err(|error| ValueError::new(error.to_string()))
}

/// The name of a variant, and the variant.
pub type Variant<T> = (&'static str, fn() -> T);

/// A variant of an enum without fields, by its name.
///
/// # Errors
/// [`ValueError`] names the variants there are.
pub fn enumeration_from_literal<T>(literal: &Literal, variants: &[Variant<T>]) -> Result<T, ValueError> {
    let name = literal.as_str().ok_or_else(|| ValueError::expected("an enum's name", literal))?;
    let found = variants.iter().find(|(variant, _)| *variant == name);
    found.map(|(_, make)| make()).ok_or_else(|| {
        let names: Vec<&str> = variants.iter().map(|(variant, _)| *variant).collect();
        ValueError::new(format!("`{name}` is none of {}", names.join(", ")))
    })
}

/// A field of a struct: its name, its schema, and whether it has to be there.
pub type SchemaField = (&'static str, Json, bool);

/// The JSON schema of a struct, in the form that Flyte gives to a dataclass (draft 2020-12, title = its name).
pub fn structure_schema(name: &str, fields: &[SchemaField]) -> Json {
    let required = fields.iter().filter(|(_, schema, required)| *required && schema.get("default").is_none());
    let required: Vec<&str> = required.map(|(field, ..)| *field).collect();
    let properties: Map<String, Json> =
        fields.iter().map(|(field, schema, _)| ((*field).to_owned(), schema.clone())).collect();
    let mut schema = json!({
        "type": "object", "title": name, "properties": properties, "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
