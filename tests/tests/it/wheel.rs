//! The binary as Python packages have it: a wheel, made and installed into an environment that knows nothing of Rust.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo;
use crate::dev_server::DevServer;
use crate::python::wheel_python;

/// Runs a program that has to succeed, and gives what it printed.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn wheel_below(directory: &Path) -> PathBuf {
    let found = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    found.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "whl")).unwrap()
}

#[test]
fn the_wheel_has_the_binary_which_serves_from_a_fresh_environment() {
    let scratch = tempfile::tempdir().unwrap();
    let root = PathBuf::from(cargo::metadata()["workspace_root"].as_str().unwrap());
    // As the tests build it: what is handed out is built by `dist`, and takes minutes.
    let build = ["-m", "maturin", "build", "--profile", "dev", "--auditwheel", "skip", "--out"];
    run(Command::new(wheel_python()).args(build).arg(scratch.path()).current_dir(root));
    let wheel = wheel_below(scratch.path());
    let environment = scratch.path().join("environment");
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    let install = ["-m", "pip", "install", "--quiet", "--no-index"];
    run(Command::new(environment.join("bin/python")).args(install).arg(wheel));
    let binary = environment.join("bin/spanwise");
    assert!(run(Command::new(&binary).arg("--version")).contains(env!("CARGO_PKG_VERSION")));
    let data = scratch.path().join("data");
    let server = DevServer::of_binary(&binary, &data);
    assert!(server.printed().contains("Console"));
}
