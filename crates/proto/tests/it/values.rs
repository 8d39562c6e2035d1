//! Literals and types that the constructors make have the bytes that stock Flyte's transformers make.

use std::collections::BTreeMap;

use spanwise_proto::{
    Message,
    flyteidl2::core::{Literal, LiteralType, TypedInterface},
};

use crate::golden::{bytes, case, cases, hex, text};

/// Name in golden.json, literal, type. Structures take msgpack and schema from the file: both are the SDK's to make.
fn values() -> Vec<(&'static str, Literal, LiteralType)> {
    let mut values = scalars();
    values.extend(unions());
    values.extend(containers());
    values.extend(structures());
    values
}

fn scalars() -> Vec<(&'static str, Literal, LiteralType)> {
    type L = Literal;
    type T = LiteralType;
    const DAY: i64 = 24 * 60 * 60;
    vec![
        ("int", L::integer(42), T::integer()),
        ("int_zero", L::integer(0), T::integer()),
        ("int_min", L::integer(i64::MIN), T::integer()),
        ("int_max", L::integer(i64::MAX), T::integer()),
        ("float", L::float(1.5), T::float()),
        ("float_zero", L::float(0.0), T::float()),
        ("float_negative_zero", L::float(-0.0), T::float()),
        ("float_nan", L::float(f64::NAN), T::float()),
        ("float_inf", L::float(f64::INFINITY), T::float()),
        ("float_negative_inf", L::float(f64::NEG_INFINITY), T::float()),
        ("bool_true", L::boolean(true), T::boolean()),
        ("bool_false", L::boolean(false), T::boolean()),
        ("str", L::string("hello"), T::string()),
        ("str_empty", L::string(""), T::string()),
        ("str_unicode", L::string("zażółć 漢字 🦀\0"), T::string()),
        ("bytes", L::bytes(b"ab"), T::bytes()),
        ("bytes_empty", L::bytes(b""), T::bytes()),
        ("bytes_255", L::bytes(&[0; 255]), T::bytes()),
        ("bytes_256", L::bytes(&[0; 256]), T::bytes()),
        ("bytes_1000", L::bytes(&[b'x'; 1000]), T::bytes()),
        ("datetime", L::datetime(1_704_164_645, 6000), T::datetime()),
        ("datetime_before_epoch", L::datetime(0, -500_000_000), T::datetime()),
        ("date", L::datetime(19782 * DAY, 0), T::datetime()),
        ("timedelta", L::duration(3600, 7000), T::duration()),
        ("timedelta_negative", L::duration(-2, 5000), T::duration()),
        ("none", L::none(), T::none()),
        ("enum", L::string("BLUE"), color()),
    ]
}

fn unions() -> Vec<(&'static str, Literal, LiteralType)> {
    type L = Literal;
    type T = LiteralType;
    let optional = |some: T| {
        let tag = some.default_tag().unwrap().to_owned();
        T::optional(some, &tag)
    };
    let variant = |variant: T| {
        let tag = variant.default_tag().unwrap().to_owned();
        variant.tagged(tag)
    };
    let some = |value: L, some: T| L::union(value, variant(some));
    let three = [T::integer(), T::float(), T::string()].map(variant);
    vec![
        ("optional_some", some(L::integer(3), T::integer()), optional(T::integer())),
        ("optional_none", some(L::none(), T::none()), optional(T::integer())),
        ("optional_bytes", some(L::bytes(b"x"), T::bytes()), optional(T::bytes())),
        ("union", some(L::float(1.5), T::float()), T::union(three.into())),
        ("optional_enum", some(L::string("RED"), color()), optional(color())),
        ("optional_list", some(L::list(vec![L::integer(1)]), T::list(T::integer())), optional(T::list(T::integer()))),
        (
            "optional_dataclass",
            some(L::msgpack(msgpack_in_list_of_dataclass()), dataclass("optional_dataclass")),
            optional(dataclass("optional_dataclass")),
        ),
    ]
}

fn containers() -> Vec<(&'static str, Literal, LiteralType)> {
    type L = Literal;
    type T = LiteralType;
    let map = |entries: &[(&str, L)]| {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        L::map(entries.collect::<BTreeMap<_, _>>())
    };
    let integers = |numbers: &[i64]| L::list(numbers.iter().copied().map(L::integer).collect());
    vec![
        ("list", integers(&[1, 2, 3]), T::list(T::integer())),
        ("list_empty", integers(&[]), T::list(T::integer())),
        (
            "dict",
            map(&[("b", L::integer(2)), ("a", L::integer(1)), ("é", L::integer(3)), ("Z", L::integer(4))]),
            T::map(T::integer()),
        ),
        ("dict_empty", map(&[]), T::map(T::integer())),
        (
            "list_of_dict",
            L::list(vec![map(&[("x", L::float(1.0))]), map(&[]), map(&[("y", L::float(2.0)), ("x", L::float(3.0))])]),
            T::list(T::map(T::float())),
        ),
        ("list_of_list", L::list(vec![L::list(vec![L::string("a")]), L::list(vec![])]), T::list(T::list(T::string()))),
    ]
}

fn structures() -> Vec<(&'static str, Literal, LiteralType)> {
    let packed = |name| Literal::msgpack(bytes(&case("literals", name)["msgpack"]));
    let item = Literal::msgpack(msgpack_in_list_of_dataclass());
    vec![
        ("untyped_dict", packed("untyped_dict"), LiteralType::untyped_map()),
        ("int_keyed_dict", packed("int_keyed_dict"), LiteralType::untyped_map()),
        ("dataclass", packed("dataclass"), dataclass("dataclass")),
        ("dataclass_inner", packed("dataclass_inner"), dataclass("dataclass_inner")),
        ("list_of_dataclass", Literal::list(vec![item]), LiteralType::list(dataclass("list_of_dataclass"))),
    ]
}

fn color() -> LiteralType {
    LiteralType::enumeration(["RED", "BLUE"])
}

fn dataclass(name: &str) -> LiteralType {
    LiteralType::dataclass(case("literals", name)["schema"].clone())
}

/// `{"count": 7, "ratios": []}`, the item of two cases that hold it within another literal.
fn msgpack_in_list_of_dataclass() -> Vec<u8> {
    b"\x82\xa5count\x07\xa6ratios\x90".to_vec()
}

#[test]
fn s8_literals_equal_flyte() {
    let values = values();
    assert_eq!(values.len(), cases("literals").len());
    for (name, literal, _) in values {
        let expected = case("literals", name);
        assert_eq!(hex(&literal.encode_to_vec()), text(&expected["literal"]), "{name}");
    }
}

#[test]
fn s8_types_equal_flyte() {
    for (name, _, literal_type) in values() {
        let expected = case("literals", name);
        assert_eq!(hex(&literal_type.encode_to_vec()), text(&expected["type"]), "{name}");
    }
}

#[test]
fn s8_interfaces_equal_flyte() {
    for (name, _, literal_type) in values() {
        let interface = TypedInterface::new([("x", literal_type.clone())], [("o0", literal_type)]);
        let expected = text(&case("literals", name)["interface"]);
        assert_eq!(hex(&interface.encode_to_vec()), expected, "{name}");
    }
}

#[test]
fn s8_interface_without_variables_equals_flyte() {
    let none: [(&str, LiteralType); 0] = [];
    let expected = cases("identities").iter().find(|case| case["task_name"] == "env.nothing").unwrap();
    let interface = TypedInterface::new(none.clone(), none);
    assert_eq!(hex(&interface.encode_to_vec()), text(&expected["interface"]));
}

#[test]
fn s8_literals_are_read_back() {
    let read = |name| Literal::decode_from_slice(&bytes(&case("literals", name)["literal"])).unwrap();
    assert_eq!(read("int_min").as_integer(), Some(i64::MIN));
    assert_eq!(read("int").as_float(), Some(42.0));
    assert_eq!(read("float").as_integer(), None);
    assert_eq!(Literal::float(2.0).as_integer(), Some(2));
    assert_eq!(Literal::float(9_223_372_036_854_775_808.0).as_integer(), None);
    assert_eq!(read("bool_false").as_boolean(), Some(false));
    assert_eq!(read("str_unicode").as_str(), Some("zażółć 漢字 🦀\0"));
    assert_eq!(read("bytes_256").as_bytes(), Some([0; 256].as_slice()));
    assert_eq!(read("bytes_empty").as_bytes(), Some([].as_slice()));
    assert_eq!(read("datetime_before_epoch").as_datetime(), Some((-1, 500_000_000)));
    assert_eq!(read("timedelta_negative").as_duration(), Some((-1, -999_995_000)));
    assert!(read("none").is_none());
    assert!(!read("optional_none").is_none());
    let union = read("optional_some");
    let (value, variant) = union.as_union().unwrap();
    assert_eq!(value.as_integer(), Some(3));
    assert_eq!(variant.default_tag(), Some("int"));
    assert_eq!(read("list").as_list().unwrap().len(), 3);
    assert_eq!(read("dict").as_map().unwrap()["é"].as_integer(), Some(3));
    assert_eq!(read("dataclass_inner").as_msgpack().unwrap()[0], 0x82);
    assert_eq!(read("bytes").as_msgpack(), None);
}

#[test]
fn s8_schema_of_a_dataclass_is_read_back() {
    let literal_type = dataclass("dataclass");
    assert_eq!(literal_type.schema().as_ref(), Some(&case("literals", "dataclass")["schema"]));
    assert_eq!(LiteralType::integer().schema(), None);
}

#[test]
fn s8_bytes_above_a_frame_are_read_back() {
    for length in [0, 255, 256, 65_535, 65_536, 70_000] {
        let data = vec![7; length];
        assert_eq!(Literal::bytes(&data).as_bytes(), Some(data.as_slice()));
    }
}
