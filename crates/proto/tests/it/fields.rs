//! Each field that our .proto files declare has the number, type and label that it has in Flyte.

use std::path::Path;

use protox::prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::json;

use crate::{freshness::FILES, golden};

#[test]
fn each_declared_field_equals_flyte() {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([proto]).unwrap();
    compiler.include_imports(true).open_files(FILES).unwrap();
    let pool = compiler.descriptor_pool();
    let mut count = 0;
    for field in pool.all_messages().flat_map(fields) {
        let declared = json!([field.number(), type_name(&field), field.is_list() || field.is_map()]);
        assert_eq!(&declared, golden::field(field.full_name()), "{}", field.full_name());
        count += 1;
    }
    assert!(count > 100, "{count} fields");
}

fn fields(message: MessageDescriptor) -> Vec<FieldDescriptor> {
    message.fields().collect()
}

fn type_name(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(enumeration) => enumeration.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}
