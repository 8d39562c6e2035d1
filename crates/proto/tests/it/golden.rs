//! Reading `tests/golden/golden.json` and `idl.json`, which `make.py` beside them writes with stock Flyte.

use std::sync::LazyLock;

use serde_json::Value;

static GOLDEN: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../golden/golden.json")).expect("golden.json is JSON"));

static IDL: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../golden/idl.json")).expect("idl.json is JSON"));

/// The cases of one section, which is never empty.
pub(crate) fn cases(section: &str) -> &'static [Value] {
    let cases = GOLDEN[section].as_array().unwrap();
    assert!(!cases.is_empty());
    cases
}

/// The case of a section with this `name`.
pub(crate) fn case(section: &str, name: &str) -> &'static Value {
    cases(section).iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("no case {name} in {section}"))
}

/// What Flyte's IDL says about the field, enum value or method with this full name; null if it has none.
pub(crate) fn idl(section: &str, full_name: &str) -> &'static Value {
    &IDL[section][full_name]
}

/// The full names of all fields, enum values or methods of Flyte's IDL.
pub(crate) fn idl_names(section: &str) -> impl Iterator<Item = &'static str> {
    IDL[section].as_object().unwrap().keys().map(String::as_str)
}

pub(crate) fn text(value: &'static Value) -> &'static str {
    value.as_str().unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
