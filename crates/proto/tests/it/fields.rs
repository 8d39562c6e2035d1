//! What our .proto files declare is what Flyte has: each field, enum value and method.

use std::path::Path;

use protox::prost_reflect::{DescriptorPool, FieldDescriptor, Kind};
use serde_json::json;

use crate::{freshness::FILES, golden};

/// Fields that Flyte does not have: their numbers are far beyond those of Flyte's own, and whoever does not know them passes over them.
const OURS: [(&str, u32); 1] = [("flyteidl2.workflow.ActionStatus.started_at", 50_001)];

#[test]
fn each_declared_field_equals_flyte() {
    let mut count = 0;
    for field in declared().all_messages().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        if let Some((_, number)) = OURS.iter().find(|(name, _)| *name == field.full_name()) {
            assert_eq!(field.number(), *number, "{}", field.full_name());
            assert!(field.number() >= 50_000, "{}", field.full_name());
            continue;
        }
        let optional = field.field_descriptor_proto().proto3_optional();
        let facts = json!([field.number(), type_name(&field), field.is_list() || field.is_map(), optional]);
        assert_eq!(&facts, golden::idl("fields", field.full_name()), "{}", field.full_name());
        count += 1;
    }
    assert!(count > 800, "{count} fields");
}

#[test]
fn each_declared_enum_value_equals_flyte() {
    let mut count = 0;
    for enumeration in declared().all_enums() {
        for value in enumeration.values() {
            let name = format!("{}.{}", enumeration.full_name(), value.name());
            assert_eq!(&json!(value.number()), golden::idl("enums", &name), "{name}");
            count += 1;
        }
    }
    assert!(count > 150, "{count} values");
}

#[test]
fn each_declared_method_equals_flyte() {
    let mut count = 0;
    for method in declared().services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let (input, output) = (method.input(), method.output());
        let streams = (method.is_client_streaming(), method.is_server_streaming());
        let facts = json!([input.full_name(), output.full_name(), streams.0, streams.1]);
        assert_eq!(&facts, golden::idl("methods", method.full_name()), "{}", method.full_name());
        count += 1;
    }
    assert!(count > 60, "{count} methods");
}

pub(crate) fn declared() -> DescriptorPool {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([proto]).unwrap();
    compiler.include_imports(true).open_files(FILES).unwrap();
    compiler.descriptor_pool()
}

fn type_name(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(enumeration) => enumeration.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}
