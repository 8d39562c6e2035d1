//! What a driver in Rust does with runs on a server: it recovers them, and reads their reports.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::dev_server::DevServer;
use crate::python::{self, Program};

pub(crate) fn run(case: &str, server: &DevServer, variables: &[(&str, &str)]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_remote_runs"));
    command.arg(case).current_dir(folder.path()).stdin(Stdio::null());
    python::remove_what_would_mislead(&mut command);
    command.env("SPANWISE_ENDPOINT", server.endpoint()).env("REMOTE_SCRATCH", folder.path());
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    let result = stdout.lines().find_map(|line| line.strip_prefix("RESULT "));
    serde_json::from_str(result.unwrap_or_else(|| panic!("no result\n{stdout}\n{stderr}"))).unwrap()
}

#[test]
fn s5_a_run_of_a_rust_program_recovers_another_one_but_for_the_actions_that_are_named() {
    let found = run("recovers", &DevServer::shared(), &[]);
    assert_eq!(found, json!([[1, "SUCCEEDED"], [1, "RECOVERED"], [2, "SUCCEEDED"]]));
}

#[test]
fn s10_reports_of_rust_tasks_are_read_by_their_driver_and_by_the_stock_sdk() {
    let server = DevServer::shared();
    let found = run("reports", &server, &[]);
    let found = found.as_array().unwrap();
    for told in &found[..2] {
        let page = told[1].as_str().unwrap();
        assert!(page.contains("<p>begun \u{1f680}</p>") && page.contains("<section><p>42</p></section>"), "{page}");
    }
    assert_eq!(found[2][1], Value::Null);
    let name = found[0][0].as_str().unwrap();
    let program = Program::new(&server, "reports_of.py").arg("report").env("SPANWISE_TEST_RUN", name);
    let by_sdk = program.start().result(&server);
    assert_eq!(by_sdk["page"], found[0][1]);
}
