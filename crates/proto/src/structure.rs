//! JSON values as `google.protobuf.Struct`, the form in which types carry schemas.

use serde_json::Value as Json;

use crate::google::protobuf::{ListValue, NullValue, Struct, Value, value::Kind};

impl From<serde_json::Map<String, Json>> for Struct {
    fn from(object: serde_json::Map<String, Json>) -> Self {
        Self { fields: object.into_iter().map(|(key, value)| (key, value.into())).collect(), ..Self::default() }
    }
}

/// Numbers become 64-bit floats, the only numbers that a `google.protobuf.Value` knows.
impl From<Json> for Value {
    fn from(json: Json) -> Self {
        let kind = match json {
            Json::Null => Kind::NullValue(NullValue::NULL_VALUE.into()),
            Json::Bool(value) => Kind::BoolValue(value),
            Json::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or(f64::NAN)),
            Json::String(value) => Kind::StringValue(value),
            Json::Array(items) => {
                Kind::from(ListValue { values: items.into_iter().map(Self::from).collect(), ..ListValue::default() })
            }
            Json::Object(object) => Kind::from(Struct::from(object)),
        };
        Self { kind: Some(kind), ..Self::default() }
    }
}

/// A number without a fraction becomes a JSON integer; NaN and the infinities, which JSON lacks, become null.
impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        match &value.kind {
            None | Some(Kind::NullValue(_)) => Self::Null,
            Some(Kind::BoolValue(value)) => Self::Bool(*value),
            Some(Kind::NumberValue(value)) => json_number(*value),
            Some(Kind::StringValue(value)) => Self::String(value.clone()),
            Some(Kind::ListValue(list)) => list.values.iter().map(Self::from).collect(),
            Some(Kind::StructValue(object)) => Self::from(&**object),
        }
    }
}

impl From<&Struct> for Json {
    fn from(object: &Struct) -> Self {
        object.fields.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect()
    }
}

fn json_number(value: f64) -> Json {
    // Up to 2^53 every integer is exact as a float.
    if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
        Json::from(value as i64)
    } else {
        Json::from(value)
    }
}
