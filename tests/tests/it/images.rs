//! Images without Docker (semantics S9): the server realises their Python layers as virtual environments, with the real index.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::dev_server::DevServer;
use crate::python::{Program, python, run_case};

/// The names of the environments that are complete, and of all directories that are there.
fn environments(data: &Path) -> (usize, usize) {
    let Ok(entries) = std::fs::read_dir(data.join("environments")) else { return (0, 0) };
    let names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let records = names.iter().filter(|name| name.ends_with(".json")).count();
    (records, names.len() - records)
}

/// The logs of all attempts, one after the other.
pub(crate) fn logs(folder: &Path) -> String {
    let Ok(entries) = std::fs::read_dir(folder) else { return String::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            let is_log = path.extension().is_some_and(|extension| extension == "log");
            if path.is_dir() {
                logs(&path)
            } else if is_log {
                std::fs::read_to_string(path).unwrap()
            } else {
                String::new()
            }
        })
        .collect()
}

#[test]
fn s9_packages_of_an_image_are_there_and_built_once() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let first = run_case(&server, "images.py", "packages");
    let again = run_case(&server, "images.py", "packages");
    assert_eq!((&first["built"], &again["built"]), (&json!(true), &json!(false)));
    assert_eq!((&first["by"], &first["prefix"]), (&again["by"], &again["prefix"]));
    assert_eq!(environments(data.path()), (1, 1));
    // A task of the image runs without it if its environment is gone, and says so.
    std::fs::remove_dir_all(data.path().join("environments")).unwrap();
    assert_eq!(run_case(&server, "images.py", "never_built")["missing"], true);
    assert!(logs(&data.path().join("logs")).contains("there is no environment for the image"));
}

#[test]
fn s9_two_drivers_with_one_new_image_build_it_once() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let start = || Program::new(&server, "images.py").arg("packages").start();
    let (one, other) = (start(), start());
    let (one, other) = (one.result(&server), other.result(&server));
    assert_eq!(one["prefix"], other["prefix"]);
    assert_eq!(environments(data.path()), (1, 1));
}

#[test]
fn s9_a_build_that_fails_says_why_and_is_tried_again() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let found = run_case(&server, "images.py", "broken_package");
    let tries = found["tries"].as_array().unwrap();
    assert_ne!(tries[0]["run"], tries[1]["run"]);
    for tried in tries {
        let message = tried["code"].as_str().unwrap();
        assert!(message.contains("spanwise-there-is-no-such-package"), "{message}");
        assert!(message.contains("No matching distribution") || message.contains("was not found"), "{message}");
        assert_eq!(tried["phase"], "failed");
    }
    assert_eq!(environments(data.path()), (0, 0));
}

#[test]
fn s9_layers_that_a_process_cannot_realise_are_warned_about() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    assert_eq!(run_case(&server, "images.py", "apt_packages")["value"], "iniconfig");
    let said = logs(&data.path().join("logs"));
    assert!(said.contains("warning: Debian packages are not installed"), "{said}");
}

#[test]
fn s9_layers_that_a_process_cannot_realise_are_refused_by_a_strict_server() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start_with(data.path(), &[("SPANWISE_STRICT", "true")]);
    let refused = run_case(&server, "images.py", "apt_packages_strict");
    assert!(refused["message"].as_str().unwrap().contains("Debian packages are not installed"), "{refused}");
    assert_eq!(environments(data.path()), (0, 0));
}

#[test]
fn s9_requirements_and_source_come_with_the_image() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let expected = r#"baked iniconfig ['words', 'words', "WORD = 'baked'\n"]"#;
    // The second one finds nothing of what the first one has written.
    for _ in 0..2 {
        assert_eq!(run_case(&server, "images.py", "files")["value"], expected);
    }
}

#[test]
fn s9_files_for_elsewhere_than_the_working_directory_are_refused_by_their_destination() {
    let server = DevServer::shared();
    let refused = run_case(&server, "images.py", "files_elsewhere");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("`/etc/words.txt`") && message.contains("relative path"), "{refused}");
}

/// A Python beside that of the tests, if the machine has one that could make an environment: its version.
fn another_python() -> Option<String> {
    let own = Command::new(python()).args(["-c", "import sys; print(sys.version_info[1])"]).output().unwrap();
    let own: u32 = String::from_utf8(own.stdout).unwrap().trim().parse().unwrap();
    let home = std::env::var("HOME").unwrap_or_default();
    (10..15).filter(|minor| *minor != own).find_map(|minor| {
        let name = format!("python3.{minor}");
        let of_pyenv = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten();
        let of_pyenv = of_pyenv.filter_map(|entry| Some(entry.ok()?.path().join("bin").join(&name)));
        let works = |program: &Path| {
            let asked = Command::new(program).args(["-c", "import venv, ensurepip"]).output();
            asked.is_ok_and(|answer| answer.status.success())
        };
        std::iter::once(PathBuf::from(&name))
            .chain(of_pyenv)
            .any(|program| works(&program))
            .then(|| format!("3.{minor}"))
    })
}

#[test]
fn s9_an_image_has_the_python_that_it_asks_for() {
    let Some(version) = another_python() else {
        let _ = writeln!(std::io::stderr(), "\nLEFT OUT: images of another Python need one beside that of the tests");
        return;
    };
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let found =
        Program::new(&server, "images.py").arg("another_python").env("OTHER_PYTHON", &version).start().result(&server);
    assert_eq!(found, json!({"root": version, "again": version, "child": version}));
    assert_eq!(environments(data.path()).0, 2, "one for the version, and one for the parent");
}

#[test]
fn s9_an_image_whose_python_the_machine_does_not_have_is_refused_by_its_version() {
    let data = tempfile::tempdir().unwrap();
    // Without a uv, which would try to fetch it.
    let server = DevServer::start_with(data.path(), &[("PATH", "/usr/bin:/bin")]);
    let program = Program::new(&server, "images.py").arg("a_python_that_is_nowhere").env("OTHER_PYTHON", "3.99");
    let refused = program.start().result(&server);
    for path in ["build", "root", "child"] {
        let said = refused[path].as_str().unwrap();
        assert!(said.contains("asks for Python 3.99") && said.contains("pip install uv"), "{path}: {refused}");
    }
}

#[test]
fn s9_a_build_that_was_under_way_when_the_server_died_is_done_again() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start_with(data.path(), &[("SPANWISE_GRACE_SECONDS", "1")]);
    // It takes connections and never answers.
    let index = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", index.local_addr().unwrap());
    let _driver = Program::new(&server, "images.py").arg("a_silent_index").env("SILENT_INDEX", address).start();
    let installing = || logs(&data.path().join("logs")).matches("installing iniconfig").count();
    wait_until("the installer runs", || installing() == 1);
    server.kill();
    server.restart();
    wait_until("the installer runs again", || installing() == 2);
    assert_eq!(environments(data.path()), (0, 1), "what the first try has left is gone");
}

pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}
