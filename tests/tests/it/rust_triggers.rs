//! Triggers that Rust tasks are deployed with: what Python's SDK would send, and what they start.

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::dev_server::DevServer;
use crate::python;

/// Deploys the program, with variables of its own.
fn deploy(server: Option<&DevServer>, variables: &[(&str, &str)]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trigger_tasks"));
    command.current_dir(folder.path()).stdin(Stdio::null());
    python::remove_what_would_mislead(&mut command);
    if let Some(server) = server {
        command.env("SPANWISE_ENDPOINT", server.endpoint());
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let result = stdout.lines().find_map(|line| line.strip_prefix("RESULT "));
    serde_json::from_str(result.unwrap_or_else(|| panic!("no result\n{stdout}\n{stderr}"))).unwrap()
}

#[test]
fn s11_triggers_of_rust_tasks_are_deployed_as_pythons_and_start_runs() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    assert_eq!(deploy(Some(&server), &[]), json!({ "tasks": { "Ok": ["rust_triggers.report"] }, "again": true }));
    let found = python::run_case(&server, "rust_triggers.py", "same");
    assert_eq!(found["rust"], found["python"]);
    assert_eq!(found["rust"].as_object().unwrap().len(), 3);
    let fired = python::run_case(&server, "rust_triggers.py", "fired");
    assert_eq!(fired["by_hand"], "946684800 5  ");
    let daily: Vec<&str> = fired["daily"].as_str().unwrap().split(' ').collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now - daily[0].parse::<u64>().unwrap() < 600, "{daily:?}");
    assert_eq!(daily[1..], ["3", "by", "trigger", "trigger"]);
    server.stop();
}

#[test]
fn s10_a_version_that_keeps_other_content_is_an_error_of_its_task() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let good = json!({ "tasks": { "Ok": ["rust_triggers.report"] }, "again": true });
    assert_eq!(deploy(Some(&server), &[]), good);
    for (name, value) in [("TASK_MODE", "other"), ("TRIGGER_FACTOR", "6")] {
        let found = deploy(Some(&server), &[(name, value)]);
        let refused = found["tasks"]["Err"].as_str().unwrap_or_default();
        assert!(refused.contains("deploy task `rust_triggers.report`"), "{name}: {found}");
        assert!(refused.contains("with other content, which it keeps"), "{name}: {found}");
    }
    assert_eq!(deploy(Some(&server), &[]), good, "what is there is the same");
    server.stop();
}

#[test]
fn s11_10_a_trigger_that_makes_no_sense_refuses_the_deployment_before_anything_is_sent() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    for (name, said) in [("", "it has no name"), ("daily", "another trigger of the task has this name")] {
        let found = deploy(Some(&server), &[("TRIGGER_NAME", name)]);
        let refused = found["tasks"]["Err"].as_str().unwrap_or_default();
        let whose = format!("triggers: `{name}` of task `rust_triggers.report`: {said}");
        assert!(refused.starts_with(&whose), "{name}: {found}");
    }
    let tasks = python::run_case(&server, "rust_triggers.py", "nothing");
    assert_eq!(tasks, json!([]));
    // Without a server nothing is deployed, and nothing fires.
    let here = deploy(None, &[]);
    assert!(here["tasks"]["Err"].as_str().unwrap().contains("tasks are deployed on a server"), "{here}");
    server.stop();
}
