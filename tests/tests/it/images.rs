//! Images without Docker (semantics S9): the server realises their Python layers as virtual environments, with the real index.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::dev_server::DevServer;
use crate::python::{Program, run_case};

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
    assert_eq!(run_case(&server, "images.py", "files")["value"], "baked iniconfig");
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
