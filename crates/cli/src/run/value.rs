//! One value of a command line: text as the JSON of its parameter's type.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

/// What kind of text a schema asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Float,
    Boolean,
    Text,
    Time,
    Duration,
    Bytes,
    /// One of a few names.
    Names,
    /// Whatever has parts.
    Json,
}

/// The kind of a schema; an optional value is written like the value that it may have.
pub(super) fn kind(schema: &Json) -> Kind {
    if schema.get("enum").is_some() {
        return Kind::Names;
    }
    if let [only] = alternatives(schema)[..] {
        return kind(only);
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("integer"), _) => Kind::Integer,
        (Some("number"), Some("time-delta")) => Kind::Duration,
        (Some("number"), _) => Kind::Float,
        (Some("boolean"), _) => Kind::Boolean,
        (Some("string"), Some("date-time")) => Kind::Time,
        (Some("string"), Some("base64")) => Kind::Bytes,
        (Some("string"), _) => Kind::Text,
        _ => Kind::Json,
    }
}

/// The alternatives of a schema but none.
fn alternatives(schema: &Json) -> Vec<&Json> {
    let all = schema["anyOf"].as_array().into_iter().flatten();
    all.filter(|alternative| alternative["type"] != "null").collect()
}

/// The names that a schema allows.
pub(super) fn names(schema: &Json) -> Vec<&str> {
    let schema = if let [only] = alternatives(schema)[..] { only } else { schema };
    schema["enum"].as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

/// A type in words.
pub(super) fn words(schema: &Json) -> String {
    if schema.get("anyOf").is_some() {
        let all: Vec<String> = schema["anyOf"].as_array().into_iter().flatten().map(words).collect();
        return all.join(" or ");
    }
    match kind(schema) {
        Kind::Integer => "integer".to_owned(),
        Kind::Float => "float".to_owned(),
        Kind::Boolean => "boolean".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Time => "time".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::Bytes => "bytes as base64".to_owned(),
        Kind::Names => format!("one of {}", names(schema).join(", ")),
        Kind::Json => structured(schema),
    }
}

fn structured(schema: &Json) -> String {
    let title = schema["title"].as_str();
    match schema["type"].as_str() {
        Some("null") => "null".to_owned(),
        Some("array") => format!("list of {}", words(&schema["items"])),
        Some("object") if schema.get("properties").is_some() => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields: Vec<String> = fields.map(|(name, field)| format!("{name}: {}", words(field))).collect();
            format!("{} {{ {} }}", title.unwrap_or("object"), fields.join(", ")).trim_start().to_owned()
        }
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("object of {}", words(&schema["additionalProperties"]))
        }
        _ => title.unwrap_or("JSON").to_owned(),
    }
}

/// Reads a value.
///
/// # Errors
/// Says what was expected.
pub(super) fn read(schema: &Json, text: &str) -> Result<Json, String> {
    let alternatives = alternatives(schema);
    let is_optional = alternatives.len() < schema["anyOf"].as_array().map_or(0, Vec::len);
    let of_kind = kind(schema);
    // A text may be `null`; to leave one out is to give none.
    if is_optional && text == "null" && of_kind != Kind::Text {
        return Ok(Json::Null);
    }
    if alternatives.len() > 1 {
        return read_alternatives(schema, &alternatives, text);
    }
    let schema = alternatives.first().copied().unwrap_or(schema);
    let expected = |what: &str| format!("expected {what}");
    match of_kind {
        Kind::Integer => text.parse::<i64>().map(|value| json!(value)).map_err(|_| expected("an integer of 64 bits")),
        Kind::Float => float(text).ok_or_else(|| expected("a number of 64 bits")),
        Kind::Boolean => text.parse::<bool>().map(|value| json!(value)).map_err(|_| expected("true or false")),
        Kind::Text => Ok(json!(text)),
        Kind::Time => {
            let is_time = spanwise_proto::json::datetime(text).is_some();
            is_time.then(|| json!(text)).ok_or_else(|| expected("a time such as 2024-02-29T12:00:00Z"))
        }
        Kind::Duration => {
            duration(text).ok_or_else(|| expected("a duration such as 90s or 1h30m, or a number of seconds"))
        }
        Kind::Bytes => match text.strip_prefix('@') {
            Some(file) => Ok(json!(STANDARD.encode(read_file(file)?))),
            None => STANDARD.decode(text).map(|_| json!(text)).map_err(|_| expected("base64, or @FILE with the bytes")),
        },
        Kind::Names => {
            let names = names(schema);
            let is_one = names.contains(&text);
            is_one.then(|| json!(text)).ok_or_else(|| expected(&format!("one of {}", names.join(", "))))
        }
        Kind::Json => structure(schema, text),
    }
}

/// The first alternative that the text fits: a text fits whatever is left.
fn read_alternatives(schema: &Json, alternatives: &[&Json], text: &str) -> Result<Json, String> {
    let (texts, others): (Vec<&Json>, Vec<&Json>) = alternatives.iter().partition(|one| kind(one) == Kind::Text);
    let fitting = others.into_iter().chain(texts).find_map(|one| read(one, text).ok());
    fitting.ok_or_else(|| format!("expected {}", words(schema)))
}

/// JSON in line or in a file.
fn structure(schema: &Json, text: &str) -> Result<Json, String> {
    let (source, content) = match text.strip_prefix('@') {
        Some(file) => {
            let content = String::from_utf8(read_file(file)?).map_err(|_| format!("{file} is no UTF-8"))?;
            (format!(" in {file}"), content)
        }
        None => (String::new(), text.to_owned()),
    };
    let value: Json = serde_json::from_str(&content).map_err(|error| {
        let hint = if source.is_empty() { "; write it in quotes, or @FILE" } else { "" };
        format!("expected JSON{source} ({}): {error}{hint}", words(schema))
    })?;
    // What times and numbers look like is checked by the program.
    spanwise_proto::json::check(schema, &value).map(|_| value).map_err(|misfit| format!("{misfit}{source}"))
}

fn read_file(file: &str) -> Result<Vec<u8>, String> {
    std::fs::read(Path::new(file)).map_err(|error| format!("read {file}: {error}"))
}

fn float(text: &str) -> Option<Json> {
    let value = spanwise_proto::json::float(text)?;
    Some(match value {
        _ if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        _ => json!(value),
    })
}

fn duration(text: &str) -> Option<Json> {
    let (sign, amount) = text.strip_prefix('-').map_or((1.0, text), |amount| (-1.0, amount));
    let number = || amount.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    let written = || spanwise_proto::json::length(amount).map(|duration| duration.as_secs_f64());
    number().or_else(written).map(|seconds| json!(sign * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn optional(schema: Json) -> Json {
        json!({"anyOf": [schema, {"type": "null"}], "default": null})
    }

    #[test]
    fn scalars_are_read_strictly() {
        let read = |schema: Json, text: &str| super::read(&schema, text);
        let integer = json!({"type": "integer"});
        assert_eq!(read(integer.clone(), "-7"), Ok(json!(-7)));
        for wrong in ["7.0", "seven", "", " 7", "9223372036854775808"] {
            assert_eq!(read(integer.clone(), wrong), Err("expected an integer of 64 bits".to_owned()), "{wrong}");
        }
        assert_eq!(read(json!({"type": "number"}), "1e3"), Ok(json!(1000.0)));
        assert_eq!(read(json!({"type": "number"}), "inf"), Ok(json!("Infinity")));
        assert!(read(json!({"type": "number"}), "1,5").is_err());
        for beyond in ["1e400", "-1e400"] {
            assert_eq!(read(json!({"type": "number"}), beyond), Err("expected a number of 64 bits".to_owned()));
            let refused = read(json!({"type": "array", "items": {"type": "number"}}), &format!("[1, {beyond}]"));
            assert!(refused.unwrap_err().contains("number out of range"));
            assert!(read(json!({"type": "number", "format": "time-delta"}), beyond).is_err());
            let either = json!({"anyOf": [{"type": "number"}, {"type": "null"}], "default": null});
            assert!(read(either, beyond).is_err());
        }
        assert_eq!(read(json!({"type": "boolean"}), "true"), Ok(json!(true)));
        assert!(read(json!({"type": "boolean"}), "yes").is_err());
        assert_eq!(read(json!({"type": "string"}), "@größe \u{1f680}"), Ok(json!("@größe \u{1f680}")));
        assert_eq!(read(json!({"enum": ["Low", "High"]}), "low"), Err("expected one of Low, High".to_owned()));
    }

    #[test]
    fn times_and_durations_are_read_as_people_write_them() {
        let span = json!({"type": "number", "format": "time-delta"});
        for (text, seconds) in [("90", 90.0), ("1.5", 1.5), ("1h30m", 5400.0), ("-2m", -120.0), ("250ms", 0.25)] {
            assert_eq!(read(&span, text), Ok(json!(seconds)), "{text}");
        }
        assert!(read(&span, "soon").is_err() && read(&span, "inf").is_err());
        let point = json!({"type": "string", "format": "date-time"});
        assert_eq!(read(&point, "2024-02-29T12:00:00+01:00"), Ok(json!("2024-02-29T12:00:00+01:00")));
        assert!(read(&point, "yesterday").unwrap_err().contains("2024-02-29T12:00:00Z"));
    }

    #[test]
    fn structured_values_are_json_in_line_or_in_a_file() {
        let list = json!({"type": "array", "items": {"type": "integer"}});
        assert_eq!(read(&list, "[1, 2]"), Ok(json!([1, 2])));
        assert_eq!(read(&list, "[1, \"2\"]"), Err("at `1`: expected an integer, found the text \"2\"".to_owned()));
        assert!(read(&list, "1, 2").unwrap_err().starts_with("expected JSON (list of integer): "));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("größe.json");
        std::fs::write(&file, "[3, {}]").unwrap();
        let refused = read(&list, &format!("@{}", file.display())).unwrap_err();
        assert!(refused.starts_with("at `1`: expected an integer") && refused.ends_with("größe.json"), "{refused}");
        assert!(read(&list, "@not-there.json").unwrap_err().contains("not-there.json"));
        let bytes = json!({"type": "string", "format": "base64"});
        std::fs::write(&file, [0, 255]).unwrap();
        assert_eq!(read(&bytes, &format!("@{}", file.display())), Ok(json!("AP8=")));
        assert!(read(&bytes, "no base64!").is_err());
    }

    #[test]
    fn an_optional_value_is_written_like_its_value_or_as_null() {
        assert_eq!(read(&optional(json!({"type": "integer"})), "3"), Ok(json!(3)));
        assert_eq!(read(&optional(json!({"type": "integer"})), "null"), Ok(Json::Null));
        assert_eq!(read(&optional(json!({"type": "string"})), "null"), Ok(json!("null")));
        assert!(read(&optional(json!({"type": "integer"})), "x").is_err());
        assert_eq!(kind(&optional(json!({"enum": ["A"]}))), Kind::Names);
        let either = json!({"anyOf": [{"type": "string"}, {"type": "integer"}]});
        assert_eq!((read(&either, "3"), read(&either, "x")), (Ok(json!(3)), Ok(json!("x"))));
        let neither = json!({"anyOf": [{"type": "boolean"}, {"type": "integer"}]});
        assert_eq!(read(&neither, "x"), Err("expected boolean or integer".to_owned()));
    }

    #[test]
    fn types_are_said_in_words() {
        let schema = json!({"type": "object", "title": "Order", "properties": {
            "id": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}}});
        assert_eq!(words(&schema), "Order { id: integer, tags: list of text }");
        assert_eq!(words(&json!({"type": "object", "additionalProperties": {"type": "number"}})), "object of float");
        assert_eq!(words(&optional(json!({"type": "boolean"}))), "boolean or null");
    }
}
