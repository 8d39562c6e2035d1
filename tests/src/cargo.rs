//! The workspace as cargo sees it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// `cargo metadata` for this machine: packages of other platforms may not have been downloaded.
pub fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let arguments = ["metadata", "--offline", "--format-version", "1", "--filter-platform", &host()];
        serde_json::from_slice(&output(env!("CARGO"), &arguments)).unwrap()
    })
}

fn host() -> String {
    let version = String::from_utf8(output("rustc", &["-vV"])).unwrap();
    version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let run = Command::new(program).args(arguments).current_dir(root()).output().unwrap();
    assert!(run.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

/// A program of the workspace, built if it is not: with the features that the tests of the whole workspace have, so that what
/// `cargo test --workspace` has compiled is not compiled again with others.
pub fn build(program: &str) -> PathBuf {
    static ARTIFACTS: OnceLock<Vec<Value>> = OnceLock::new();
    let artifacts = ARTIFACTS.get_or_init(|| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["test", "--workspace", "--no-run", "--message-format", "json"]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let built = command.current_dir(root()).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let messages = String::from_utf8(built.stdout).unwrap();
        messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    });
    let is_it = |artifact: &&Value| {
        artifact["target"]["name"] == program
            && artifact["target"]["kind"][0] == "bin"
            && artifact["profile"]["test"] == false
    };
    let found = artifacts.iter().find(is_it).and_then(|artifact| artifact["executable"].as_str());
    PathBuf::from(found.unwrap_or_else(|| panic!("the workspace has no program `{program}` that tests are built with")))
}

/// What git ignores, and its own.
const NOT_OURS: [&str; 4] = [".git", ".spanwise", "__pycache__", "target"];

/// The files of the repository, relative to its root.
pub fn files() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match path.is_dir() {
                _ if NOT_OURS.contains(&&*name) => {}
                true => folders.push(path),
                false => files.push(path.strip_prefix(root()).unwrap().to_owned()),
            }
        }
    }
    files.sort();
    files
}
