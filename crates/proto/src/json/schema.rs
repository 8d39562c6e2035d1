//! The JSON schemas of types, and values held against them: the part of JSON schema that Flyte's types use.

use serde_json::{Map, Value as Json, json};

use super::{Misfit, is_bytes};
use crate::flyteidl2::core::{LiteralType, SimpleType, literal_type::Type};

/// The JSON schema of the values of a type. A type that JSON cannot express has one without `type`.
pub fn schema(kind: &LiteralType) -> Json {
    if kind.enum_type.is_set() {
        return json!({ "enum": kind.enum_type.values });
    }
    if let Some(union) = kind.union_type.as_option() {
        if is_bytes(kind) {
            return json!({ "type": "string", "format": "base64" });
        }
        return json!({ "anyOf": union.variants.iter().map(schema).collect::<Vec<_>>() });
    }
    match &kind.r#type {
        Some(Type::Simple(simple)) => match simple.as_known() {
            Some(SimpleType::INTEGER) => json!({ "type": "integer" }),
            Some(SimpleType::FLOAT) => json!({ "type": "number" }),
            Some(SimpleType::STRING) => json!({ "type": "string" }),
            Some(SimpleType::BOOLEAN) => json!({ "type": "boolean" }),
            Some(SimpleType::DATETIME) => json!({ "type": "string", "format": "date-time" }),
            Some(SimpleType::DURATION) => json!({ "type": "number", "format": "time-delta" }),
            Some(SimpleType::NONE) => json!({ "type": "null" }),
            Some(SimpleType::STRUCT) => kind.schema().unwrap_or_else(|| json!({ "type": "object" })),
            Some(SimpleType::BINARY | SimpleType::ERROR) | None => json!({ "title": "a value without a form in JSON" }),
        },
        Some(Type::CollectionType(item)) => json!({ "type": "array", "items": schema(item) }),
        Some(Type::MapValueType(value)) => json!({ "type": "object", "additionalProperties": schema(value) }),
        Some(Type::Blob(_)) => json!({ "title": "a file" }),
        None => json!({}),
    }
}

/// Holds a value against a schema, and returns it with floats where the schema has floats. What a schema says beyond types,
/// fields, items, alternatives and enums is not looked at; nor is how a structure keeps times and bytes, which is its own affair.
///
/// # Errors
/// [`Misfit`] with the place of what does not fit.
pub fn check(schema: &Json, value: &Json) -> Result<Json, Misfit> {
    Checker { root: schema }.check(schema, value, 0)
}

/// A schema that refers to itself ends here.
const DEEPEST: usize = 64;

struct Checker<'a> {
    root: &'a Json,
}

impl<'a> Checker<'a> {
    fn check(&self, schema: &'a Json, value: &Json, depth: usize) -> Result<Json, Misfit> {
        if depth > DEEPEST {
            return Ok(value.clone());
        }
        if let Some(target) = schema["$ref"].as_str() {
            let found = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return found.map_or_else(|| Ok(value.clone()), |found| self.check(found, value, depth + 1));
        }
        if let Some(names) = schema["enum"].as_array() {
            let written: Vec<String> = names.iter().map(plain).collect();
            let fits = names.contains(value);
            return fits
                .then(|| value.clone())
                .ok_or_else(|| Misfit::new(format!("one of {}", written.join(", ")), value));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(alternatives) = schema[key].as_array() {
                return self.check_alternatives(alternatives, value, depth);
            }
        }
        if schema.get("format").is_some() {
            return Ok(value.clone());
        }
        self.check_type(schema, value, depth)
    }

    fn check_alternatives(&self, alternatives: &'a [Json], value: &Json, depth: usize) -> Result<Json, Misfit> {
        let mut misfits = Vec::new();
        for alternative in alternatives {
            match self.check(alternative, value, depth + 1) {
                Ok(fitting) => return Ok(fitting),
                Err(misfit) if alternative["type"] != "null" => misfits.push(misfit),
                Err(_) => {}
            }
        }
        match &misfits[..] {
            [only] => Err(only.clone()),
            _ => {
                let expected: Vec<String> = misfits.into_iter().map(|misfit| misfit.expected).collect();
                Err(Misfit::new(expected.join(", or "), value))
            }
        }
    }

    fn check_type(&self, schema: &'a Json, value: &Json, depth: usize) -> Result<Json, Misfit> {
        let same = |fits: bool, expected: &str| fits.then(|| value.clone()).ok_or_else(|| Misfit::new(expected, value));
        match schema["type"].as_str() {
            Some("integer") => same(value.is_i64() || value.is_u64(), "an integer"),
            Some("number") => match value.as_f64() {
                Some(number) => Ok(json!(number)),
                None => Err(Misfit::new("a number", value)),
            },
            Some("string") => same(value.is_string(), "a text"),
            Some("boolean") => same(value.is_boolean(), "true or false"),
            Some("null") => same(value.is_null(), "null"),
            Some("array") => {
                let items = value.as_array().ok_or_else(|| Misfit::new("a list", value))?.iter().enumerate();
                let check =
                    |(index, item)| self.check(&schema["items"], item, depth + 1).map_err(|error| error.at(index));
                items.map(check).collect()
            }
            Some("object") => self.check_object(schema, value, depth),
            _ => Ok(value.clone()),
        }
    }

    fn check_object(&self, schema: &'a Json, value: &Json, depth: usize) -> Result<Json, Misfit> {
        let fields = value.as_object().ok_or_else(|| Misfit::new("an object", value))?;
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
        if let Some(missing) = required.into_iter().find(|field| !fields.contains_key(*field)) {
            return Err(Misfit::new(format!("an object with the field `{missing}`"), value));
        }
        let properties = schema["properties"].as_object();
        let mut checked = Map::new();
        for (name, field) in fields {
            let of_field =
                properties.and_then(|properties| properties.get(name)).unwrap_or(&schema["additionalProperties"]);
            if of_field == &Json::Bool(false) {
                let names: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                let expected = format!("an object with no field but {}", names.join(", "));
                return Err(Misfit { path: String::new(), expected, found: format!("the field `{name}`") });
            }
            checked.insert(name.clone(), self.check(of_field, field, depth + 1).map_err(|error| error.at(name))?);
        }
        Ok(Json::Object(checked))
    }
}

fn plain(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_json_can_express_has_a_schema() {
        assert_eq!(schema(&LiteralType::optional(LiteralType::string(), "str"))["anyOf"][1]["type"], "null");
        assert_eq!(schema(&LiteralType::list(LiteralType::datetime()))["items"]["format"], "date-time");
        assert_eq!(schema(&LiteralType::map(LiteralType::float()))["additionalProperties"]["type"], "number");
        assert_eq!(schema(&LiteralType::bytes())["format"], "base64");
        assert_eq!(schema(&LiteralType::enumeration(["A"])), json!({ "enum": ["A"] }));
        assert_eq!(schema(&LiteralType::dataclass(json!({"title": "T"}))), json!({"title": "T"}));
    }

    #[test]
    fn references_are_followed_and_may_be_endless() {
        let tree = json!({
            "$ref": "#/$defs/Tree",
            "$defs": {"Tree": {"type": "object", "required": ["children"], "properties": {
                "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}},
        });
        let fits = json!({"children": [{"children": []}]});
        assert_eq!(check(&tree, &fits), Ok(fits));
        let misfit = check(&tree, &json!({"children": [{}]})).unwrap_err();
        assert_eq!(
            misfit.to_string(),
            "at `children.0`: expected an object with the field `children`, found an empty object"
        );
        let circle = json!({"$ref": "#"});
        assert_eq!(check(&circle, &json!(1)), Ok(json!(1)));
    }
}
