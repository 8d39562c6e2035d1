//! What Rust tasks ask for, in this process and on a server, which is told the same as by Python's SDK.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::dev_server::DevServer;
use crate::python;

/// What a server is told by its environment, and a process of its own.
const GIVEN: &str = "given \u{1f680}";

/// Runs a case, on a server or in a process that has what its tasks look for.
fn run(case: &str, server: Option<&DevServer>) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_task_settings"));
    command.arg(case).current_dir(folder.path()).stdin(Stdio::null());
    python::remove_what_would_mislead(&mut command);
    match server {
        Some(server) => command.env("SPANWISE_ENDPOINT", server.endpoint()),
        None => command
            .env("SPANWISE_TEST_GIVEN", GIVEN)
            .env("SPANWISE_TEST_OTHER", GIVEN)
            .env("SPANWISE_TEST_MODE", "fast"),
    };
    let output = command.env("REMOTE_SCRATCH", folder.path()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    let result = stdout.lines().find_map(|line| line.strip_prefix("RESULT "));
    let result = result.unwrap_or_else(|| panic!("no result\n{stdout}\n{stderr}"));
    (serde_json::from_str(result).unwrap(), stderr.into_owned())
}

fn server(data: &std::path::Path) -> DevServer {
    DevServer::start_with(data, &[("SPANWISE_SECRET_SPANWISE_TEST_GIVEN", GIVEN)])
}

/// What each of the calls finds: of `everything` the secret twice, the variable, and how often it has run.
fn check(found: &Value) {
    let texts: Vec<&str> = found.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let everything = |times: u32| format!("{:?}", [GIVEN, GIVEN, "fast", &times.to_string()]);
    for (at, times) in [1, 1, 2, 2, 3].into_iter().enumerate() {
        assert_eq!(texts[at], everything(times), "{at}: {texts:?}");
    }
    let of_the_environment = |mode: &str, times: u32| format!("{:?}", ["", "", mode, &times.to_string()]);
    for (at, (mode, times)) in [("env", 1), ("env", 1), ("env", 2), ("slow", 3)].into_iter().enumerate() {
        assert_eq!(texts[5 + at], of_the_environment(mode, times), "{at}: {texts:?}");
    }
    assert!(texts[9].starts_with("SecretNotFound ") && texts[9].contains("not-there"), "{texts:?}");
}

#[test]
fn s10_what_a_task_asks_for_holds_on_a_server_for_roots_children_and_deployed_tasks() {
    for case in ["own", "deployed"] {
        let data = tempfile::tempdir().unwrap();
        let server = server(data.path());
        let (found, said) = run(case, Some(&server));
        check(&found[0]);
        check(&found[1]);
        // It has none of these queues, and says so.
        let log = server.said();
        assert!(log.contains("queue `of-the-call` is not honoured"), "{log}");
        match case {
            "own" => assert!(log.contains("queue `of-the-task` is not honoured"), "{log}"),
            _ => assert!(said.contains("queue `of-the-task` of task `settings.everything` is not deployed"), "{said}"),
        }
        server.stop();
    }
}

#[test]
fn s10_in_this_process_what_cannot_be_had_is_refused_or_told_by_name() {
    let (found, said) = run("own", None);
    for found in found.as_array().unwrap() {
        let texts: Vec<&str> = found.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        for (at, times) in [1, 1, 2, 2, 3].into_iter().enumerate() {
            assert_eq!(texts[at], format!("{:?}", [GIVEN, GIVEN, "fast", &times.to_string()]), "{at}: {texts:?}");
        }
        for text in &texts[5..10] {
            assert!(text.starts_with("VariableNotSet env_vars: `SPANWISE_TEST_MODE`"), "{text}");
        }
    }
    let missing = "task `settings.everything` runs in this process, which does not honour its queue `of-the-task`, resources cpu `500m`";
    assert_eq!(said.matches(missing).count(), 1, "{said}");
}

#[test]
fn s10_what_is_deployed_is_what_python_deploys() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path());
    assert!(run("deploy", Some(&server)).0.as_array().unwrap().contains(&json!("settings.compared")));
    let found = python::run_case(&server, "task_settings.py", "same");
    assert_eq!(found["rust"], found["python"]);
    assert_eq!(found["rust"]["cache"]["discoveryVersion"], "v1");
    assert_eq!(found["rust"]["security_context"]["secrets"].as_array().map(Vec::len), Some(4));
    server.stop();
}

#[test]
fn s14_1_a_rerun_waits_in_the_queue_of_its_source_unless_another_one_is_chosen() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path());
    let (runs, _) = run("reruns", Some(&server));
    let log = server.said();
    for (run, queue) in runs.as_array().unwrap().iter().zip(["of-the-run", "of-the-run", "of-the-run", "chosen"]) {
        let (run, told) = (run.as_str().unwrap(), format!("queue `{queue}` is not honoured"));
        assert!(log.lines().any(|line| line.contains(run) && line.contains(&told)), "{run} {queue}: {log}");
    }
    server.stop();
}
