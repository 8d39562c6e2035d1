//! The committed tree of fields is what the .proto files declare, and leaves out nothing that Flyte has; `SPANWISE_UPDATE=1` rewrites it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use protox::prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::fields::declared;
use crate::freshness::assert_fresh;
use crate::golden;

/// What a caller asks by.
const ROOTS: [&str; 7] = [
    "flyteidl2.app.Spec",
    "flyteidl2.task.RunSpec",
    "flyteidl2.task.TaskSpec",
    "flyteidl2.task.TaskTriggerSpec",
    "flyteidl2.trigger.TriggerSpec",
    "flyteidl2.imagebuilder.ImageSpec",
    "flyteidl2.settings.Settings",
];

/// Values, which have rules of their own, and who somebody is, which the server says itself.
const WHOLE: [&str; 3] = ["flyteidl2.common.EnrichedIdentity", "flyteidl2.core.Literal", "flyteidl2.core.LiteralType"];

#[test]
fn the_tree_of_fields_is_fresh() {
    let temp = tempfile::tempdir().unwrap();
    let mut text = "// @generated from the .proto files. DO NOT EDIT.\n".to_owned();
    for message in reachable().values() {
        text.push_str(&declaration(message));
    }
    std::fs::write(temp.path().join("tree.rs"), text).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_fresh(temp.path(), &root.join("src/generated/fields"));
}

/// What Flyte has and is not declared would be an unknown number, of which nobody could say what it asks for.
#[test]
fn nothing_is_left_out_of_what_a_caller_asks_by() {
    let all = golden::idl_names("fields");
    let messages = reachable();
    let mut missing = Vec::new();
    for name in all {
        let Some((message, field)) = name.rsplit_once('.') else { continue };
        if messages.get(message).is_some_and(|message| message.get_field_by_name(field).is_none()) {
            missing.push(name);
        }
    }
    assert_eq!(missing, [""; 0]);
}

fn reachable() -> BTreeMap<String, MessageDescriptor> {
    let pool = declared();
    let mut found = BTreeMap::new();
    let mut open: Vec<MessageDescriptor> = ROOTS.map(|name| pool.get_message_by_name(name).unwrap()).into();
    while let Some(message) = open.pop() {
        if found.insert(message.full_name().to_owned(), message.clone()).is_none() {
            open.extend(message.fields().filter_map(|field| inner(&field)));
        }
    }
    found
}

/// The message that a field holds, if what is in it is looked at.
fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) if !field.is_map() => {
            let is_whole = WHOLE.contains(&message.full_name()) || message.full_name().starts_with("google.");
            (!is_whole).then_some(message)
        }
        _ => None,
    }
}

fn declaration(message: &MessageDescriptor) -> String {
    let name = message.full_name();
    let mut text = format!("/// `{name}`.\npub static {}: Declared = Declared {{\n", constant(name));
    writeln!(text, "    name: {name:?},\n    fields: &[").unwrap();
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    for field in fields {
        let holds = match inner(&field) {
            Some(message) => format!("Some(&{})", constant(message.full_name())),
            None => "None".to_owned(),
        };
        let (number, name) = (field.number(), field.name());
        writeln!(text, "        Field {{ number: {number}, name: {name:?}, message: {holds} }},").unwrap();
    }
    text + "    ],\n};\n"
}

/// `TASK_TASK_SPEC` for `flyteidl2.task.TaskSpec`: two packages have a `TriggerSpec`.
fn constant(name: &str) -> String {
    let mut text = String::new();
    for letter in name.trim_start_matches("flyteidl2.").chars() {
        if letter.is_ascii_uppercase() && !text.ends_with('_') {
            text.push('_');
        }
        text.push(if letter == '.' { '_' } else { letter.to_ascii_uppercase() });
    }
    text
}
