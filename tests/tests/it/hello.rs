//! The first five minutes: the README's hello world in a fresh project.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::cargo;
use crate::workload::text;

/// What a user of the crate downloads and compiles at most.
const MAX_CRATES: usize = 200;

/// The code of the first Rust block under `## Quick start: Rust`.
fn hello_world(readme: &str) -> &str {
    let section = readme.split_once("\n## Quick start: Rust\n").expect("README.md has the heading `## Hello world`").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let code = section.split_once("```rust\n").expect("`## Quick start: Rust` has a block of Rust").1;
    code.split_once("\n```").expect("the block ends").0
}

/// What the README says that the program prints.
fn promised(readme: &str) -> &str {
    let (_, after) = readme.split_once(hello_world(readme)).expect("the code is in the file");
    let (_, line) = after.split_once("prints `").expect("behind the code stands: prints `..`");
    line.split('`').next().unwrap_or_default()
}

#[test]
fn the_readmes_hello_world_runs_in_a_fresh_project() {
    let root = cargo::root();
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    let project = tempfile::tempdir().unwrap();
    write_project(project.path(), &root, hello_world(&readme));
    let target = cargo::metadata()["target_directory"].as_str().unwrap().to_owned();
    let run = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline"])
        .current_dir(project.path())
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    let (printed, said) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{printed}\n{said}");
    assert_eq!(printed.trim_end(), promised(&readme), "{said}");
    check_command(&readme, project.path(), &Path::new(&target).join("debug/hello"));
}

/// The README's `spanwise run` of the same program, which is built without the feature that a server needs.
fn check_command(readme: &str, project: &Path, program: &Path) {
    let line = readme.lines().find_map(|line| line.strip_prefix("$ spanwise run target/debug/hello ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().take_while(|word| *word != "#").collect();
    let run = |option: &[&str]| {
        let mut command = Command::new(crate::dev_server::binary());
        command.arg("run").args(option).arg(program).args(&words).current_dir(project).env("HOME", project);
        command.env_remove("SPANWISE_ENDPOINT").output().unwrap()
    };
    let here = run(&["--local"]);
    assert_eq!(text(&here.stdout).trim_end(), promised(readme), "{}", text(&here.stderr));
    let refused = run(&[]);
    let said = text(&refused.stderr);
    assert!(
        refused.status.code() == Some(2) && said.contains("feature `remote`") && said.contains("--local"),
        "{said}"
    );
}

/// A package with this code that depends on the crate by path, with the same versions and profile as here: what is compiled
/// already serves it too.
fn write_project(project: &Path, root: &Path, code: &str) {
    let manifest = format!(
        "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nspanwise = {{ path = {:?} }}\n\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n\n[profile.dev.package.\"*\"]\nopt-level = 1\ndebug = false\n",
        root.join("crates/sdk")
    );
    std::fs::write(project.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(root.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    std::fs::copy(root.join("rust-toolchain.toml"), project.join("rust-toolchain.toml")).unwrap();
    std::fs::create_dir(project.join("src")).unwrap();
    std::fs::write(project.join("src/main.rs"), code).unwrap();
}

#[test]
fn the_crate_pulls_in_few_others_and_no_python() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "spanwise", "-e", "normal,build", "--prefix", "none", "--format", "{p}"])
        .current_dir(cargo::root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", text(&tree.stderr));
    let tree = text(&tree.stdout);
    let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let others: BTreeSet<&str> = crates.into_iter().filter(|name| !name.starts_with("spanwise")).collect();
    eprintln!("{} crates", others.len());
    assert!(!others.is_empty() && others.len() < MAX_CRATES, "{} crates: {others:?}", others.len());
    let python = others.iter().find(|name| name.contains("pyo3") || name.contains("python"));
    assert_eq!(python, None);
}
