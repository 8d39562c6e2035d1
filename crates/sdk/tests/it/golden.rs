//! Rust values have the bytes that stock Flyte gives to the same Python values, and their types too.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use spanwise::Value;
use spanwise_proto::Message;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(serde::Serialize, serde::Deserialize, Value)]
#[expect(clippy::upper_case_acronyms, reason = "the names of the Python enum")]
enum Colour {
    RED,
    BLUE,
}

#[derive(Clone, serde::Serialize, serde::Deserialize, Value)]
struct Inner {
    count: i64,
    #[serde(default)]
    ratios: Vec<f64>,
}

/// Compares a value with the golden entry of that name.
#[track_caller]
fn check<T: Value>(name: &str, value: &T) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/tests/golden/golden.json");
    let golden: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let entries = golden["literals"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no entry {name}"));
    assert_eq!(hex(&T::literal_type().encode_to_vec()), entry["type"], "type of {name}");
    assert_eq!(hex(&value.to_literal().unwrap().encode_to_vec()), entry["literal"], "literal of {name}");
}

#[test]
fn s8_values_and_their_types_equal_flytes() {
    check("int", &42i64);
    check("int_min", &i64::MIN);
    check("int_max", &i64::MAX);
    check("float", &1.5f64);
    check("float_negative_zero", &-0.0f64);
    check("float_inf", &f64::INFINITY);
    check("bool_false", &false);
    check("str", &"hello".to_owned());
    check("str_empty", &String::new());
    check("timedelta", &Duration::new(3600, 7_000));
    check("optional_some", &Some(3i64));
    check("optional_none", &None::<i64>);
    check("list", &vec![1i64, 2, 3]);
    check("list_empty", &Vec::<i64>::new());
    let dict = [("Z", 4i64), ("a", 1), ("b", 2), ("é", 3)];
    check("dict", &dict.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>());
    check("dict_empty", &BTreeMap::<String, i64>::new());
    check("list_of_list", &vec![vec!["a".to_owned()], vec![]]);
    let inner = Inner { count: -7, ratios: Vec::new() };
    check("dataclass_inner", &inner);
    check("list_of_dataclass", &vec![Inner { count: 7, ..inner.clone() }]);
    check("optional_dataclass", &Some(Inner { count: 7, ..inner }));
    check("enum", &Colour::BLUE);
    let _ = Colour::RED;
    assert_eq!(Bytes::literal_type(), spanwise_proto::flyteidl2::core::LiteralType::bytes());
}
