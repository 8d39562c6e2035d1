//! The committed code under `src/generated` is what the .proto files give; `SPANWISE_UPDATE=1` rewrites it.

use std::{collections::BTreeMap, env, fs, path::Path};

use buffa_build::{MapRepr, PointerRepr};

/// All .proto files, relative to `proto/`.
pub(crate) const FILES: [&str; 8] = [
    "flyteidl2/core/execution.proto",
    "flyteidl2/core/interface.proto",
    "flyteidl2/core/literals.proto",
    "flyteidl2/core/types.proto",
    "flyteidl2/task/common.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
];

/// Kept inline so that a literal of a primitive costs no allocation.
const UNBOXED: [&str; 2] = [".flyteidl2.core.Literal.value.scalar", ".flyteidl2.core.Scalar.value.primitive"];

/// Behind a pointer, or every literal would carry the size of a type.
const BOXED: [&str; 2] = [".flyteidl2.core.Literal.offloaded_metadata", ".flyteidl2.core.LiteralType"];

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let temp = tempfile::tempdir().unwrap();
    generate(&root.join("proto"), temp.path());
    let fresh = rust_files(temp.path());
    let committed_dir = root.join("src/generated");
    if env::var_os("SPANWISE_UPDATE").is_some_and(|value| value == "1") {
        for (name, text) in &fresh {
            fs::write(committed_dir.join(name), text).unwrap();
        }
    }
    let committed = rust_files(&committed_dir);
    assert_eq!(fresh.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
    for (name, text) in &fresh {
        assert!(&committed[name] == text, "{name} is stale: run this test with SPANWISE_UPDATE=1");
    }
}

fn generate(proto: &Path, out: &Path) {
    let descriptors = out.join("descriptors.binpb");
    let mut compiler = protox::Compiler::new([proto]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES).unwrap();
    fs::write(&descriptors, compiler.encode_file_descriptor_set()).unwrap();
    buffa_build::Config::new()
        .descriptor_set(descriptors)
        .files(&FILES)
        .out_dir(out)
        .file_per_package(true)
        .generate_views(false)
        .map_type(MapRepr::BTreeMap)
        .unbox_oneof_in(&UNBOXED)
        .box_type_in(PointerRepr::Box, &BOXED)
        .compile()
        .unwrap();
}

fn rust_files(dir: &Path) -> BTreeMap<String, String> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}
