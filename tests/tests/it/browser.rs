//! The console in a real browser: from the list to the failing child, live, with the keyboard, in light and dark.

use serde_json::Value;

use crate::dev_server::DevServer;
use crate::needs;
use crate::python::{self, Program};

/// The browser that the programs look for too.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Runs a program of a browser and checks what every page has to keep to.
fn used(server: &DevServer, name: &str) -> Value {
    let mut program = Program::with(python::browser_python(), server, name).env("SPANWISE_TEST_SDK", python::python());
    if let Some(pictures) = std::env::var_os("SPANWISE_TEST_PICTURES") {
        program = program.env("SPANWISE_TEST_PICTURES", pictures);
    }
    let found = program.start().result(server);
    assert_eq!(found["violations"], serde_json::json!([]), "{found}");
    assert!(found["layout_shift"].as_f64().unwrap() < 0.05, "{found}");
    found
}

#[test]
fn the_console_is_followed_and_used_in_a_browser() {
    if !needs::has(&BROWSERS, "chromium", "browser::the_console_is_followed_and_used_in_a_browser") {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    used(&server, "browser.py");
    server.stop();
}

#[test]
fn a_waiting_condition_is_answered_in_a_browser() {
    if !needs::has(&BROWSERS, "chromium", "browser::a_waiting_condition_is_answered_in_a_browser") {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    used(&server, "answers.py");
    server.stop();
}

/// Without its program a test says so, past what a test runner keeps of the output of those that pass; and where every test has to
/// run, it fails.
#[test]
fn a_machine_without_a_browser_is_told_what_is_missing() {
    let run = |require: &str| {
        // This program, even if a build has put another one in its place meanwhile.
        let mut command = std::process::Command::new("/proc/self/exe");
        command.args(["browser::the_console_is_followed_and_used_in_a_browser", "--exact"]);
        command.env("PATH", "/nowhere").env(needs::REQUIRE, require).output().unwrap()
    };
    let left_out = run("");
    let said = String::from_utf8_lossy(&left_out.stderr).into_owned();
    assert!(left_out.status.success(), "{said}");
    assert!(said.contains("LEFT OUT: browser::the_console") && said.contains("apt-get install chromium"), "{said}");
    let required = run("1");
    let said = String::from_utf8_lossy(&required.stdout).into_owned();
    assert!(!required.status.success() && said.contains("apt-get install chromium"), "{said}");
}

#[test]
fn the_waterfall_is_followed_and_used_in_a_browser() {
    if !needs::has(&BROWSERS, "chromium", "browser::the_waterfall_is_followed_and_used_in_a_browser") {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let url = "https://traces.example/trace/{trace_id}?run={run_name}&from={start_ms}&to={end_ms}";
    let variables = [("SPANWISE_TRACE", "lifecycle"), ("SPANWISE_TRACE_URL", url), ("SPANWISE_COLLECTOR_PORT", "0")];
    let server = DevServer::start_with(data.path(), &variables);
    used(&server, "waterfall.py");
    server.stop();
}
