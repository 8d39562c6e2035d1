//! Lists, maps and options.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use serde_json::{Value as Json, json};
use spanwise_proto::flyteidl2::core::{Literal, LiteralType};

use super::{Value, ValueError};

impl<T: Value> Value for Vec<T> {
    fn literal_type() -> LiteralType {
        LiteralType::list(T::literal_type())
    }

    fn json_schema() -> Json {
        json!({"type": "array", "items": T::json_schema()})
    }

    fn to_literal(&self) -> Result<Literal, ValueError> {
        let items = self
            .iter()
            .enumerate()
            .map(|(index, item)| item.to_literal().map_err(|error| error.at(&index.to_string())));
        Ok(Literal::list(items.collect::<Result<_, _>>()?))
    }

    fn from_literal(literal: &Literal) -> Result<Vec<T>, ValueError> {
        let items = literal.as_list().ok_or_else(|| ValueError::expected("a list", literal))?;
        let items = items.iter().enumerate();
        items.map(|(index, item)| T::from_literal(item).map_err(|error| error.at(&index.to_string()))).collect()
    }
}

impl<T: Value> Value for BTreeMap<String, T> {
    fn literal_type() -> LiteralType {
        LiteralType::map(T::literal_type())
    }

    fn json_schema() -> Json {
        json!({"type": "object", "additionalProperties": T::json_schema(), "propertyNames": {"type": "string"}})
    }

    fn to_literal(&self) -> Result<Literal, ValueError> {
        Ok(Literal::map(entries_to_literals(self.iter())?))
    }

    fn from_literal(literal: &Literal) -> Result<BTreeMap<String, T>, ValueError> {
        entries_from_literal(literal)?.collect()
    }
}

impl<T: Value, S: BuildHasher + Default + Send + 'static> Value for HashMap<String, T, S> {
    fn literal_type() -> LiteralType {
        BTreeMap::<String, T>::literal_type()
    }

    fn json_schema() -> Json {
        BTreeMap::<String, T>::json_schema()
    }

    fn to_literal(&self) -> Result<Literal, ValueError> {
        Ok(Literal::map(entries_to_literals(self.iter())?))
    }

    fn from_literal(literal: &Literal) -> Result<HashMap<String, T, S>, ValueError> {
        entries_from_literal(literal)?.collect()
    }
}

fn entries_to_literals<'a, T: Value>(
    entries: impl Iterator<Item = (&'a String, &'a T)>,
) -> Result<BTreeMap<String, Literal>, ValueError> {
    entries.map(|(key, value)| Ok((key.clone(), value.to_literal().map_err(|error| error.at(key))?))).collect()
}

fn entries_from_literal<T: Value>(
    literal: &Literal,
) -> Result<impl Iterator<Item = Result<(String, T), ValueError>> + '_, ValueError> {
    let entries = literal.as_map().ok_or_else(|| ValueError::expected("a map", literal))?;
    Ok(entries.iter().map(|(key, value)| Ok((key.clone(), T::from_literal(value).map_err(|error| error.at(key))?))))
}

impl<T: Value> Value for Option<T> {
    fn literal_type() -> LiteralType {
        let some = T::literal_type();
        let tag = some.default_tag().unwrap_or("").to_owned();
        LiteralType::optional(some, &tag)
    }

    fn json_schema() -> Json {
        json!({"anyOf": [T::json_schema(), {"type": "null"}], "default": null})
    }

    fn to_literal(&self) -> Result<Literal, ValueError> {
        match self {
            None => Ok(Literal::union(Literal::none(), LiteralType::none().tagged("none"))),
            Some(value) => {
                let variant = T::literal_type();
                let tag = variant.default_tag().unwrap_or("").to_owned();
                Ok(Literal::union(value.to_literal()?, variant.tagged(tag)))
            }
        }
    }

    fn from_literal(literal: &Literal) -> Result<Option<T>, ValueError> {
        let inner = literal.as_union().map_or(literal, |(inner, _)| inner);
        if inner.is_none() { Ok(None) } else { T::from_literal(inner).map(Some) }
    }
}
