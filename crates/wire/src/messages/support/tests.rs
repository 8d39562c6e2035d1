//! The tables leave nothing out, name nothing that is not there, and say what is documented.

use std::collections::BTreeSet;

use spanwise_proto::fields::{APP_SPEC, Declared, SETTINGS_SETTINGS, TASK_RUN_SPEC, TASK_TASK_SPEC};
use spanwise_proto::flyteidl2::core::{Container, Resources, TaskTemplate, resources};
use spanwise_proto::flyteidl2::task::{RunSpec, TaskSpec};
use spanwise_proto::{Message, MessageField};

use super::app::APP;
use super::methods::{METHODS, Streams};
use super::run::RUN;
use super::settings::SETTINGS;
use super::task::TASK;
use super::warnings::{by_fields, covering};
use super::*;

mod documented;

const TABLES: [(&Declared, &[Row]); 4] =
    [(&TASK_RUN_SPEC, RUN), (&TASK_TASK_SPEC, TASK), (&APP_SPEC, APP), (&SETTINGS_SETTINGS, SETTINGS)];

/// The path to each field, with the numbers along it.
fn paths(declared: &'static Declared) -> Vec<(String, Vec<u32>)> {
    let mut found = Vec::new();
    let mut open: Vec<(String, Vec<u32>, Vec<&str>, &Declared)> = vec![(String::new(), vec![], vec![], declared)];
    while let Some((path, numbers, above, message)) = open.pop() {
        for field in message.fields {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", field.name);
            let numbers = [&numbers[..], &[field.number]].concat();
            found.push((path.clone(), numbers.clone()));
            // What holds itself is looked at once.
            if let Some(inner) = field.message.filter(|inner| !above.contains(&inner.name)) {
                open.push((path, numbers, [&above[..], &[message.name]].concat(), inner));
            }
        }
    }
    found
}

/// A message in which nothing is set but the field with these numbers, to one byte.
fn setting(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().rev().fold(vec![1], |inner, number| {
        let mut outer = varint(number << 3 | 2);
        outer.extend(varint(inner.len() as u32));
        outer.extend(inner);
        outer
    })
}

fn varint(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[test]
fn s10_each_field_has_a_row_and_is_told_about_if_and_only_if_it_is_not_honoured() {
    for (declared, rows) in TABLES {
        for (path, numbers) in paths(declared) {
            let Some(row) = covering(rows, &path) else {
                let holds_rows = rows.iter().any(|row| row.path.starts_with(&format!("{path}.")));
                assert!(holds_rows, "{}: `{path}` has no row", declared.name);
                continue;
            };
            let sentences = by_fields(&setting(&numbers), declared, rows);
            match row.support {
                Support::Warned(instead) => {
                    assert_eq!(sentences, [format!("{} is not honoured: {instead}", row.name())], "{path}");
                }
                _ => assert_eq!(sentences, [""; 0], "{path}"),
            }
        }
    }
}

#[test]
fn each_row_is_of_a_field_and_stands_once() {
    for (declared, rows) in TABLES {
        let known: BTreeSet<String> = paths(declared).into_iter().map(|(path, _)| path).collect();
        let mut seen = BTreeSet::new();
        for row in rows {
            assert!(known.contains(row.path), "{}: there is no `{}`", declared.name, row.path);
            assert!(seen.insert(row.path), "{} stands twice", row.path);
        }
    }
}

#[test]
fn s10_what_this_version_does_not_know_is_told_by_its_number_unless_what_it_is_in_is() {
    let unknown = |numbers: &[u32]| by_fields(&setting(numbers), &TASK_TASK_SPEC, TASK);
    let by_number = |number: u32, message: &str| {
        vec![format!("field {number} of {message} is not honoured: this version does not know it")]
    };
    assert_eq!(unknown(&[4_000]), by_number(4_000, "flyteidl2.task.TaskSpec"));
    assert_eq!(unknown(&[1, 14]), by_number(14, "flyteidl2.core.TaskTemplate"));
    assert_eq!(unknown(&[1, 3, 99]), by_number(99, "flyteidl2.core.TaskMetadata"));
    assert_eq!(unknown(&[1, 6, 4, 1, 3]), by_number(3, "flyteidl2.core.Resources.ResourceEntry"));
    let many: Vec<u8> = (100..140).flat_map(|number| setting(&[number])).collect();
    let sentences = by_fields(&[&many[..], &many[..]].concat(), &TASK_TASK_SPEC, TASK);
    assert_eq!((sentences.len(), sentences[0].as_str()), (31, &*by_number(100, "flyteidl2.task.TaskSpec")[0]));
    assert_eq!(sentences[30], "and 10 more of the kind");
    // The documentation of a task may say more than we know, and a GPU is not assigned whatever else is said of it.
    assert_eq!(unknown(&[5, 9]), [""; 0]);
    assert_eq!(unknown(&[1, 9, 1, 99]), ["resources.gpu is not honoured: accelerators are not assigned"]);
}

#[test]
fn s10_zero_asks_for_nothing_and_what_is_asked_for_twice_is_told_once() {
    assert_eq!(not_honoured(&RunSpec::default()), [""; 0]);
    assert_eq!(not_honoured(&TaskSpec::default()), [""; 0]);
    let entry = |name: resources::ResourceName| resources::ResourceEntry {
        name: name.into(),
        value: "1".to_owned(),
        ..Default::default()
    };
    let requests = vec![entry(resources::ResourceName::CPU), entry(resources::ResourceName::GPU)];
    let limits = vec![entry(resources::ResourceName::GPU), entry(resources::ResourceName::EPHEMERAL_STORAGE)];
    let container = Container {
        resources: MessageField::some(Resources { requests, limits, ..Default::default() }),
        ..Container::default()
    };
    let mut template = TaskTemplate { target: Some(container.into()), ..TaskTemplate::default() };
    template.extended_resources.get_or_insert_default().gpu_accelerator.get_or_insert_default();
    let spec = TaskSpec { task_template: MessageField::some(template), ..TaskSpec::default() };
    assert_eq!(
        not_honoured(&spec),
        [
            "resources.gpu is not honoured: accelerators are not assigned",
            "resources.disk is not honoured: a process has the machine's disk"
        ]
    );
    assert_eq!(TaskSpec::decode_from_slice(&spec.encode_to_vec()).unwrap(), spec);
}

/// Flyte's own services, methods and streams, as the wheel of the stock SDK has them.
#[test]
fn each_method_of_flyte_has_a_row() {
    let idl: serde_json::Value = serde_json::from_str(include_str!("../../../../proto/tests/golden/idl.json")).unwrap();
    let flyte = idl["methods"].as_object().unwrap().iter().map(|(name, facts)| {
        let streams = match (facts[2].as_bool().unwrap(), facts[3].as_bool().unwrap()) {
            (false, false) => Streams::Neither,
            (false, true) => Streams::Server,
            (true, true) => Streams::Both,
            (true, false) => panic!("{name}: only the client sends a stream, which `Streams` does not have"),
        };
        let (service, method) = name.rsplit_once('.').unwrap();
        (format!("{service}/{method}"), format!("{streams:?}"))
    });
    let ours = METHODS
        .iter()
        .flat_map(|row| row.names.iter().map(|name| (format!("{}/{name}", row.service), format!("{:?}", row.streams))));
    assert_eq!(ours.clone().count(), ours.clone().collect::<BTreeSet<_>>().len(), "one stands twice");
    assert_eq!(ours.collect::<BTreeSet<_>>(), flyte.collect::<BTreeSet<_>>());
}
