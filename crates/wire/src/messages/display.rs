//! Values as people read them: inputs, outputs and context as trees of text, cut to a budget.

use rmpv::Value as Msgpack;
use serde_json::Value as Json;
use spanwise_proto::flyteidl2::core::{Literal, Scalar, blob_type, literal, primitive, scalar};
use spanwise_proto::flyteidl2::task::NamedLiteral;

use crate::{CustomContext, Invalid, values};

mod json;
mod time;

/// How deep a value is looked into.
const DEEPEST: usize = 32;

/// How much of a value is shown.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    nodes: usize,
    bytes: usize,
    /// The most that one text may have.
    longest: usize,
}

impl Budget {
    /// What fits beside other things.
    pub const BRIEF: Budget = Budget { nodes: 100, bytes: 16 << 10, longest: 4 << 10 };
    /// On request, and still bounded: a page must not become as large as what a task delivers.
    pub const FULL: Budget = Budget { nodes: 2000, bytes: 512 << 10, longest: 256 << 10 };

    fn text(&mut self, kind: &'static str, text: impl Into<String>) -> Tree {
        let mut text = text.into();
        let most = self.longest.min(self.bytes);
        let cut = text.len().saturating_sub(most);
        if cut > 0 {
            text.truncate(text.floor_char_boundary(most));
        }
        self.bytes -= text.len();
        Tree::Text { kind, text, cut }
    }

    /// Takes up to `count` nodes.
    fn take(&mut self, count: usize) -> usize {
        let taken = count.min(self.nodes);
        self.nodes -= taken;
        taken
    }
}

/// A value, or what of it is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// A value in words, of which `cut` bytes are left out.
    Text {
        /// Its type, in Python's words.
        kind: &'static str,
        /// The words.
        text: String,
        /// How many bytes are left out.
        cut: usize,
    },
    /// Data that lie elsewhere.
    Uri {
        /// What they are.
        kind: &'static str,
        /// Where they are.
        uri: String,
        /// Their format; often empty.
        format: String,
    },
    /// A list, of which the last `more` items are left out.
    List {
        /// The first items.
        items: Vec<Tree>,
        /// How many follow.
        more: usize,
    },
    /// A map, of which the last `more` entries are left out.
    Map {
        /// The first entries.
        entries: Vec<(String, Tree)>,
        /// How many follow.
        more: usize,
    },
}

impl Tree {
    /// The type, for a label.
    pub fn kind(&self) -> String {
        match self {
            Tree::Text { kind, .. } | Tree::Uri { kind, .. } => (*kind).to_owned(),
            Tree::List { items, more } => format!("list, {}", items.len() + more),
            Tree::Map { entries, more } => format!("map, {}", entries.len() + more),
        }
    }

    /// True if something is left out.
    pub fn is_cut(&self) -> bool {
        match self {
            Tree::Text { cut, .. } => *cut > 0,
            Tree::Uri { .. } => false,
            Tree::List { items, more } => *more > 0 || items.iter().any(Tree::is_cut),
            Tree::Map { entries, more } => *more > 0 || entries.iter().any(|(_, tree)| tree.is_cut()),
        }
    }
}

/// A value with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The value, or what of it is shown.
    pub tree: Tree,
}

/// What an action was given.
///
/// # Errors
/// [`Invalid::Decode`] if the bytes are no `inputs.pb`.
pub fn inputs(bytes: &[u8], mut budget: Budget) -> Result<Vec<Named>, Invalid> {
    Ok(named(values::inputs(bytes)?.literals, &mut budget))
}

/// What an action delivered.
///
/// # Errors
/// [`Invalid::Decode`] if the bytes are no `outputs.pb`.
pub fn outputs(bytes: &[u8], mut budget: Budget) -> Result<Vec<Named>, Invalid> {
    Ok(named(values::outputs(bytes)?.literals, &mut budget))
}

/// The string map that travels with the inputs.
///
/// # Errors
/// [`Invalid::Decode`] if the bytes are no `inputs.pb`.
pub fn context(bytes: &[u8]) -> Result<Vec<(String, String)>, Invalid> {
    Ok(CustomContext::from_message(values::inputs(bytes)?.context).pairs().to_vec())
}

fn named(literals: Vec<NamedLiteral>, budget: &mut Budget) -> Vec<Named> {
    let shown = |literal: NamedLiteral| {
        let tree = literal.value.as_option().map(|value| tree(value, budget, 0));
        Named { name: literal.name, tree: tree.unwrap_or_else(|| none("none")) }
    };
    literals.into_iter().map(shown).collect()
}

fn none(kind: &'static str) -> Tree {
    Tree::Text { kind, text: "None".to_owned(), cut: 0 }
}

fn tree(literal: &Literal, budget: &mut Budget, depth: usize) -> Tree {
    if depth > DEEPEST {
        return Tree::Text { kind: "nested", text: "…".to_owned(), cut: 1 };
    }
    if let Some(offloaded) = literal.offloaded_metadata.as_option() {
        return Tree::Uri { kind: "offloaded", uri: offloaded.uri.clone(), format: String::new() };
    }
    match &literal.value {
        None => none("none"),
        Some(literal::Value::Scalar(scalar)) => of_scalar(scalar, budget, depth),
        Some(literal::Value::Collection(list)) => {
            let taken = budget.take(list.literals.len());
            let items = list.literals[..taken].iter().map(|item| tree(item, budget, depth + 1)).collect();
            Tree::List { items, more: list.literals.len() - taken }
        }
        Some(literal::Value::Map(map)) => {
            let taken = budget.take(map.literals.len());
            let entries = map.literals.iter().take(taken);
            let entries = entries.map(|(key, value)| (shortened(key), tree(value, budget, depth + 1))).collect();
            Tree::Map { entries, more: map.literals.len() - taken }
        }
    }
}

fn shortened(key: &str) -> String {
    let end = key.floor_char_boundary(200);
    if end < key.len() { format!("{}…", &key[..end]) } else { key.to_owned() }
}

fn of_scalar(scalar: &Scalar, budget: &mut Budget, depth: usize) -> Tree {
    match &scalar.value {
        None | Some(scalar::Value::NoneType(_)) => none("none"),
        Some(scalar::Value::Primitive(primitive)) => of_primitive(primitive.value.as_ref(), budget),
        Some(scalar::Value::Blob(blob)) => {
            let r#type = &blob.metadata.r#type;
            let is_directory = r#type.dimensionality.as_known() == Some(blob_type::BlobDimensionality::MULTIPART);
            let kind = if is_directory { "dir" } else { "file" };
            Tree::Uri { kind, uri: blob.uri.clone(), format: r#type.format.clone() }
        }
        Some(scalar::Value::StructuredDataset(dataset)) => {
            let format = dataset.metadata.structured_dataset_type.format.clone();
            Tree::Uri { kind: "dataframe", uri: dataset.uri.clone(), format }
        }
        Some(scalar::Value::Binary(binary)) => of_binary(&binary.tag, &binary.value, budget),
        Some(scalar::Value::Union(union)) => match union.value.as_option() {
            Some(value) => tree(value, budget, depth + 1),
            None => none("none"),
        },
        Some(scalar::Value::Error(error)) => budget.text("error", error.message.clone()),
        Some(scalar::Value::Generic(generic)) => {
            let fields =
                generic.fields.iter().map(|(key, value)| format!("{key}: {}", Json::from(value))).collect::<Vec<_>>();
            budget.text("struct", fields.join("\n"))
        }
    }
}

fn of_primitive(value: Option<&primitive::Value>, budget: &mut Budget) -> Tree {
    match value {
        None => none("none"),
        Some(primitive::Value::Integer(value)) => budget.text("int", value.to_string()),
        Some(primitive::Value::FloatValue(value)) => budget.text("float", format!("{value:?}")),
        Some(primitive::Value::StringValue(value)) => budget.text("str", value.as_str()),
        Some(primitive::Value::Boolean(value)) => budget.text("bool", if *value { "True" } else { "False" }),
        Some(primitive::Value::Datetime(at)) => budget.text("datetime", time::datetime(at.seconds, at.nanos)),
        Some(primitive::Value::Duration(length)) => {
            budget.text("timedelta", time::duration(length.seconds, length.nanos))
        }
    }
}

fn of_binary(tag: &str, bytes: &[u8], budget: &mut Budget) -> Tree {
    if tag == spanwise_proto::msgpack::TAG {
        let mut rest = bytes;
        return match rmpv::decode::read_value_with_max_depth(&mut rest, 2 * DEEPEST) {
            Ok(value) => {
                let longest = budget.longest.min(budget.bytes);
                let (text, whole) = json::pretty(&value, longest);
                let mut shown = budget.text("struct", text);
                if let Tree::Text { cut, .. } = &mut shown
                    && !whole
                {
                    *cut = bytes.len().saturating_sub(longest).max(1);
                }
                shown
            }
            Err(error) => budget.text("struct", format!("{} bytes that are no msgpack: {error}", bytes.len())),
        };
    }
    match spanwise_proto::pickle::bytes_from_pickle(bytes) {
        Some(content) => match std::str::from_utf8(content) {
            Ok(text) => budget.text("bytes", text),
            Err(_) => budget.text("bytes", hex(content)),
        },
        None => budget.text("pickle", format!("{} bytes", bytes.len())),
    }
}

/// The beginning of bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    let begin: Vec<String> = bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
    let rest = if bytes.len() > 64 { " …" } else { "" };
    format!("{} bytes: {}{rest}", bytes.len(), begin.join(" "))
}

/// A msgpack value that is not worth a tree of its own.
pub(super) type Value = Msgpack;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use spanwise_proto::flyteidl2::core::LiteralType;

    use super::*;

    fn shown(literal: &Literal) -> Tree {
        tree(literal, &mut Budget::BRIEF.clone(), 0)
    }

    fn text(literal: &Literal) -> (&'static str, String) {
        match shown(literal) {
            Tree::Text { kind, text, .. } => (kind, text),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn s8_simple_values_read_as_python_writes_them() {
        assert_eq!(text(&Literal::integer(-7)), ("int", "-7".into()));
        assert_eq!(text(&Literal::float(1.0)), ("float", "1.0".into()));
        assert_eq!(text(&Literal::boolean(true)), ("bool", "True".into()));
        assert_eq!(text(&Literal::string("<b>")), ("str", "<b>".into()));
        assert_eq!(text(&Literal::none()), ("none", "None".into()));
        assert_eq!(text(&Literal::datetime(1_700_000_000, 5_000)).1, "2023-11-14 22:13:20.000005 UTC");
        assert_eq!(text(&Literal::datetime(-1, 0)).1, "1969-12-31 23:59:59 UTC");
        assert_eq!(text(&Literal::duration(-90_061, -500_000_000)).1, "-1 d 01:01:01.5");
        let optional = Literal::union(Literal::integer(1), LiteralType::string());
        assert_eq!(text(&optional), ("int", "1".into()));
        assert_eq!(text(&Literal::bytes(b"abc")), ("bytes", "abc".into()));
    }

    #[test]
    fn s8_structs_are_json_and_what_is_no_json_is_still_shown() {
        let value = rmpv::Value::Map(vec![
            ("a".into(), rmpv::Value::Array(vec![1.into(), rmpv::Value::Nil])),
            (2.into(), "x\"y".into()),
            ("e".into(), rmpv::Value::Map(vec![])),
        ]);
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &value).unwrap();
        let expected = "{\n  \"a\": [\n    1,\n    null\n  ],\n  2: \"x\\\"y\",\n  \"e\": {}\n}";
        assert_eq!(text(&Literal::msgpack(bytes)), ("struct", expected.into()));
        assert!(text(&Literal::msgpack(vec![0x92, 1])).1.contains("no msgpack"));
    }

    #[test]
    fn long_values_are_cut_and_say_so() {
        let long = shown(&Literal::string("é".repeat(1 << 20)));
        assert!(long.is_cut());
        let Tree::Text { text, cut, .. } = long else { panic!() };
        assert_eq!(text.len() + cut, 2 << 20);
        let list = Literal::list((0..1000).map(Literal::integer).collect());
        let Tree::List { items, more } = shown(&list) else { panic!() };
        assert_eq!((items.len(), more), (100, 900));
        let nested = (0..100).fold(Literal::integer(1), |inner, _| Literal::list(vec![inner]));
        assert!(shown(&nested).is_cut());
        let map = Literal::map(BTreeMap::from([("k".to_owned(), Literal::string("v"))]));
        assert_eq!(shown(&map).kind(), "map, 1");
        assert!(!shown(&map).is_cut());
        let many = rmpv::Value::Array((0..100_000).map(rmpv::Value::from).collect());
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &many).unwrap();
        assert!(shown(&Literal::msgpack(bytes)).is_cut());
    }
}
