//! The committed code under `src/generated` is what the .proto files give; `SPANWISE_UPDATE=1` rewrites it.

use std::{collections::BTreeMap, env, ffi::OsStr, fs, path::Path};

use buffa_build::{MapRepr, PointerRepr};
use connectrpc_codegen::codegen::{self, descriptor::FileDescriptorSet};
use spanwise_proto::Message as _;

/// All .proto files, relative to `proto/`.
pub(crate) const FILES: [&str; 60] = [
    "flyteidl2/actions/actions_service.proto",
    "flyteidl2/app/app_definition.proto",
    "flyteidl2/app/app_logs_payload.proto",
    "flyteidl2/app/app_logs_service.proto",
    "flyteidl2/app/app_payload.proto",
    "flyteidl2/app/app_service.proto",
    "flyteidl2/app/replica_definition.proto",
    "flyteidl2/artifact/artifact.proto",
    "flyteidl2/artifact/artifact_service.proto",
    "flyteidl2/auth/auth_service.proto",
    "flyteidl2/auth/identity.proto",
    "flyteidl2/cacheservice/cacheservice.proto",
    "flyteidl2/cluster/payload.proto",
    "flyteidl2/cluster/service.proto",
    "flyteidl2/common/cache.proto",
    "flyteidl2/common/identifier.proto",
    "flyteidl2/common/identity.proto",
    "flyteidl2/common/list.proto",
    "flyteidl2/common/phase.proto",
    "flyteidl2/common/run.proto",
    "flyteidl2/common/runtime_version.proto",
    "flyteidl2/core/artifact_id.proto",
    "flyteidl2/core/catalog.proto",
    "flyteidl2/core/execution.proto",
    "flyteidl2/core/identifier.proto",
    "flyteidl2/core/interface.proto",
    "flyteidl2/core/literals.proto",
    "flyteidl2/core/security.proto",
    "flyteidl2/core/tasks.proto",
    "flyteidl2/core/types.proto",
    "flyteidl2/dataproxy/dataproxy_service.proto",
    "flyteidl2/imagebuilder/definition.proto",
    "flyteidl2/imagebuilder/payload.proto",
    "flyteidl2/imagebuilder/service.proto",
    "flyteidl2/logs/dataplane/payload.proto",
    "flyteidl2/notification/definition.proto",
    "flyteidl2/project/project_service.proto",
    "flyteidl2/secret/definition.proto",
    "flyteidl2/secret/payload.proto",
    "flyteidl2/secret/secret.proto",
    "flyteidl2/settings/settings_definition.proto",
    "flyteidl2/settings/settings_service.proto",
    "flyteidl2/task/common.proto",
    "flyteidl2/task/environment.proto",
    "flyteidl2/task/run.proto",
    "flyteidl2/task/task_definition.proto",
    "flyteidl2/task/task_service.proto",
    "flyteidl2/trigger/trigger_definition.proto",
    "flyteidl2/trigger/trigger_service.proto",
    "flyteidl2/workflow/queue_service.proto",
    "flyteidl2/workflow/run_definition.proto",
    "flyteidl2/workflow/run_service.proto",
    "flyteidl2/workflow/state_service.proto",
    "flyteidl2/workflow/tracked_run_service.proto",
    "google/protobuf/any.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/wrappers.proto",
    "google/rpc/status.proto",
];

/// Kept inline so that a literal of a primitive costs no allocation.
const UNBOXED: [&str; 2] = [".flyteidl2.core.Literal.value.scalar", ".flyteidl2.core.Scalar.value.primitive"];

/// Behind a pointer, or every literal would carry the size of a type, and every request the size of a whole task.
const BOXED: [&str; 11] = [
    ".flyteidl2.core.Literal.artifact_id",
    ".flyteidl2.core.Literal.offloaded_metadata",
    ".flyteidl2.core.LiteralType",
    ".flyteidl2.core.TaskTemplate",
    ".flyteidl2.task.RunSpec",
    ".flyteidl2.task.TaskDetails",
    ".flyteidl2.task.TaskSpec",
    ".flyteidl2.task.TaskTriggerSpec",
    ".flyteidl2.trigger",
    ".flyteidl2.workflow",
    ".flyteidl2.actions",
];

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let temp = tempfile::tempdir().unwrap();
    let descriptors = temp.path().join("descriptors.binpb");
    fs::write(&descriptors, descriptor_set(&root.join("proto"))).unwrap();
    generate_messages(&descriptors, temp.path());
    generate_services(&descriptors, &temp.path().join("services"));
    for part in ["", "services"] {
        assert_fresh(&temp.path().join(part), &root.join("src/generated").join(part));
    }
}

pub(crate) fn assert_fresh(fresh: &Path, committed: &Path) {
    let fresh = rust_files(fresh);
    if env::var_os("SPANWISE_UPDATE").is_some_and(|value| value == "1") {
        fs::create_dir_all(committed).unwrap();
        for (name, text) in &fresh {
            fs::write(committed.join(name), text).unwrap();
        }
    }
    let committed = rust_files(committed);
    assert_eq!(fresh.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
    for (name, text) in &fresh {
        assert!(&committed[name] == text, "{name} is stale: run this test with SPANWISE_UPDATE=1");
    }
}

fn descriptor_set(proto: &Path) -> Vec<u8> {
    let mut compiler = protox::Compiler::new([proto]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES).unwrap();
    compiler.encode_file_descriptor_set()
}

/// The views serve only the service stubs, so they are there only with them.
fn generate_messages(descriptors: &Path, out: &Path) {
    buffa_build::Config::new()
        .descriptor_set(descriptors)
        .files(&FILES)
        .out_dir(out)
        .file_per_package(true)
        .generate_views(true)
        .gate_impls_on_crate_features(true)
        .views_feature_name("services")
        .map_type(MapRepr::BTreeMap)
        .unbox_oneof_in(&UNBOXED)
        .box_type_in(PointerRepr::Box, &BOXED)
        .compile()
        .unwrap();
}

/// Traits, routes and clients, which refer to the messages by their paths in this crate.
fn generate_services(descriptors: &Path, out: &Path) {
    let set = FileDescriptorSet::decode_from_slice(&fs::read(descriptors).unwrap()).unwrap();
    let mut options = codegen::Options::default();
    options.buffa.generate_json = false;
    options.buffa.file_per_package = true;
    options.buffa.extern_paths = vec![(".".to_owned(), "crate".to_owned())];
    options.gate_client_feature = true;
    fs::create_dir(out).unwrap();
    for file in codegen::generate_services(&set.file, &FILES.map(str::to_owned), &options).unwrap() {
        fs::write(out.join(file.name), file.content).unwrap();
    }
}

fn rust_files(dir: &Path) -> BTreeMap<String, String> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new("rs")))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}
