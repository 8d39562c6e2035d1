//! Secrets of tasks of the stock SDK: hidden in what they say, and as files that only their process sees.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::command_line::spanwise;
use crate::dev_server::{DevServer, body_of};
use crate::images::{logs, wait_until};
use crate::python::{Program, run_case};
use crate::waiting::page;

/// What of the program's secrets must be nowhere.
const HIDDEN: [&str; 4] = ["s3cret-value-of-the-test", "QUJDREVGR0hJSktM", "more-of-the-key", "BEGIN KEY"];

fn assert_hidden(whose: &str, text: &str) {
    for secret in HIDDEN {
        assert!(!text.contains(secret), "{secret} in {whose}: {text}");
    }
}

fn run_page(run: &str) -> String {
    format!("/v2/domain/development/project/flytesnacks/runs/{run}")
}

/// Every file of the data directory whose name begins so, or that is in a directory of that name.
fn scan(data: &Path, names: &[&str]) -> usize {
    let (mut looked_at, mut open) = (0, names.iter().map(|name| data.join(name)).collect::<Vec<_>>());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.exists() {
            assert_hidden(&path.display().to_string(), &String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
            looked_at += 1;
        }
    }
    looked_at
}

#[test]
fn s15_secrets_that_a_task_says_are_in_no_log_no_error_and_on_no_page_also_after_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let mut program = Program::new(&server, "given_secrets.py").arg("said").start();
    program.wait_for_marks("half", |lines| !lines.is_empty(), &server);
    let log = |server: &DevServer, run: &str| {
        body_of(&format!("http://{}{}/actions/a0/attempts/1/log", server.endpoint(), run_page(run)))
    };
    let listed = spanwise(&server, &["list", "-o", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    // The beginning of a value whose rest has not come is not shown.
    let first = log(&server, listed[0]["name"].as_str().unwrap());
    assert!(!first.contains("s3cret"), "{first}");
    server.kill();
    server.restart();
    program.touch("go");
    let found = program.result(&server);
    assert_eq!(found["phases"], json!(["succeeded", "failed"]), "{found}");
    for run in found["runs"].as_array().unwrap().iter().map(|run| run.as_str().unwrap()) {
        let said = log(&server, run);
        let stars = "*".repeat(HIDDEN[0].len());
        assert!(said.contains(&format!("first {stars} and '{stars}' then abc")), "{said}");
        assert!(said.contains(&format!("> {}\n", "*".repeat(16))), "{said}");
        assert!(said.contains("secret `said-short` has fewer than 4 characters: it is not hidden"), "{said}");
        assert_hidden("the log", &said);
        assert_hidden("the page", &page(&server, &run_page(run)));
        for arguments in [vec!["logs", run], vec!["get", run], vec!["get", run, "-o", "json"], vec!["trace", run]] {
            let printed = spanwise(&server, &arguments);
            assert_hidden(&format!("{arguments:?}"), &String::from_utf8_lossy(&printed.stdout));
        }
    }
    let failed = found["runs"][1].as_str().unwrap();
    assert!(page(&server, &run_page(failed)).contains("cannot log in with ****"));
    assert_hidden("what the server said", &server.said());
    server.stop();
    let looked_at =
        scan(data.path(), &["journal.db", "journal.db-wal", "spans.db", "spans.db-wal", "logs", "work", "secrets"]);
    assert!(looked_at >= 4, "{looked_at}");
}

/// What people see of the app that says its secret.
fn log_of_app(server: &DevServer) -> String {
    body_of(&format!("http://{}/v2/domain/development/project/flytesnacks/apps/talker/log", server.endpoint()))
}

/// The log files of apps, one after the other.
fn logs_of_apps(data: &Path) -> String {
    logs(&data.join("apps"))
}

#[test]
fn s15_3_an_app_says_its_secrets_to_nobody_whether_the_next_server_adopts_it_or_finds_it_gone() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let pid = run_case(&server, "apps.py", "talks")["pid"].as_u64().unwrap();
    for outlives_server in [true, false] {
        server.kill();
        let is_said = || logs_of_apps(data.path()).contains(HIDDEN[0]);
        wait_until("the app goes on saying it", is_said);
        if !outlives_server {
            assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
        }
        server.restart();
        wait_until("its log is shown", || log_of_app(&server).contains("it is ****"));
        assert_hidden("the log of the app", &log_of_app(&server));
    }
    wait_until("there is another start", || {
        data.path().join("apps/local/flytesnacks/development/talker/2.log").exists()
    });
    let first = spanwise(&server, &["apps", "logs", "talker", "--start", "1"]);
    let first = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(first.contains("it is ****") && !first.contains("not shown"), "{first}");
    assert_hidden("the log of the first start", &first);
    server.stop();
    assert!(!logs_of_apps(data.path()).contains(HIDDEN[0]), "{}", logs_of_apps(data.path()));
}

#[test]
fn s15_3_an_app_whose_secret_is_gone_is_not_shown_any_further_and_its_log_says_why() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    run_case(&server, "apps.py", "talks");
    server.kill();
    wait_until("the app goes on saying it", || logs_of_apps(data.path()).contains(HIDDEN[0]));
    std::fs::rename(data.path().join("secrets"), data.path().join("aside")).unwrap();
    server.restart();
    let why = "not shown: its secrets cannot be hidden any more: secret `said-by-an-app` is not known";
    wait_until("it is said", || log_of_app(&server).contains(why));
    assert_hidden("the log of the app", &log_of_app(&server));
    server.stop();
}

#[test]
fn s15_3_a_build_that_goes_on_without_the_server_says_its_secrets_to_nobody() {
    let data = tempfile::tempdir().unwrap();
    // pip says where it looks, uv does not.
    let environment = [("PATH", "/usr/bin:/bin"), ("SPANWISE_GRACE_SECONDS", "1")];
    let mut server = DevServer::start_with(data.path(), &environment);
    let index = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/{}/", index.local_addr().unwrap(), HIDDEN[0]);
    let _driver = Program::new(&server, "images.py").arg("a_secret_index").env("SILENT_INDEX", address).start();
    let said = || logs(&data.path().join("logs"));
    wait_until("the installer runs", || said().contains("installing iniconfig"));
    server.kill();
    wait_until("it goes on saying it", || said().contains(HIDDEN[0]));
    server.restart();
    wait_until("it is made again", || said().matches("installing iniconfig").count() == 2);
    let first = || {
        let said = spanwise(&server, &["list", "-o", "json"]);
        let listed: Value = serde_json::from_slice(&said.stdout).unwrap();
        let run = listed[0]["name"].as_str().unwrap().to_owned();
        body_of(&format!("http://{}{}/actions/a0/attempts/1/log", server.endpoint(), run_page(&run)))
    };
    wait_until("the log of the first try is shown", || first().contains(&"*".repeat(HIDDEN[0].len())));
    assert_hidden("the log of the first try", &first());
}

fn check_files(server: &DevServer, capabilities: Option<&str>) {
    let found = run_case(server, "given_secrets.py", "files");
    for seen in found["seen"].as_array().unwrap() {
        assert!(seen["said-key"].as_str().unwrap().starts_with("-----BEGIN KEY-----\nQUJD"), "{seen}");
        assert_eq!((&seen["other"], &seen["team/other"]), (&json!("of a team"), &json!("of a team")), "{seen}");
        assert_eq!((&seen["mode"], &seen["written"]), (&json!("0o700"), &json!("OSError")), "{seen}");
        assert_eq!((&seen["directory"], &seen["variable"]), (&json!("/etc/flyte/secrets"), &json!(HIDDEN[0])));
        if let Some(capabilities) = capabilities {
            assert_eq!(seen["capabilities"], capabilities);
        }
    }
    let there = std::fs::read_dir("/etc/flyte/secrets").map_or(0, Iterator::count);
    assert_eq!(there, 0, "nobody else sees them");
    for run in found["runs"].as_array().unwrap().iter().map(|run| run.as_str().unwrap()) {
        let said = String::from_utf8_lossy(&spanwise(server, &["logs", run]).stdout).into_owned();
        assert!(said.contains("as a file ****"), "{said}");
        assert_hidden("the log", &said);
    }
}

#[test]
fn s15_secrets_are_files_that_only_their_attempt_sees() {
    check_files(&DevServer::shared(), None);
}

#[test]
fn s15_secrets_are_files_also_where_the_server_is_not_root() {
    let data = tempfile::tempdir().unwrap();
    // Who is not root already has seen it in the test before.
    let Some(server) = DevServer::as_nobody(data.path(), &[]) else { return };
    check_files(&server, Some("0000000000000000"));
    server.stop();
}

#[test]
fn s15_a_machine_without_mount_namespaces_refuses_secrets_that_are_files_and_says_what_is_missing() {
    let data = tempfile::tempdir().unwrap();
    let Some(server) = DevServer::as_root_without(data.path(), "sys_admin") else { return };
    let failure = run_case(&server, "given_secrets.py", "refused");
    assert_eq!(failure["code"], "SecretNotMountable", "{failure}");
    let message = failure["message"].as_str().unwrap();
    for part in ["/etc/flyte/secrets", "unshare", "CAP_SYS_ADMIN", "Ask for them as environment variables"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    server.stop();
}
