//! `spanwise serve`: its settings and where they come from, its end in two steps, and what a second start is told.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use spanwise_proto::Message as _;
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::workflow::{ActionDetails, GetActionDetailsRequest, GetActionDetailsResponse};

use crate::dev_server::{DevServer, binary, status_of};
use crate::hostile::{action_id, ask, program, run_id, started};
use crate::python;

/// How long a change is waited for.
const DEADLINE: Duration = Duration::from_secs(30);

fn wait_until(what: &str, server: &DevServer, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}:\n{}", server.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the binary to its end, in a directory.
fn spanwise(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    python::remove_what_would_mislead(&mut command);
    command.envs(environment.iter().copied()).output().unwrap()
}

fn line<'a>(text: &'a str, key: &str) -> &'a str {
    let found = text.lines().find(|line| line.trim_start_matches("# ").starts_with(&format!("{key} ")));
    found.unwrap_or_else(|| panic!("`{key}` in\n{text}"))
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let text = "port = 1111\nmax_tasks = 5\ncold = true\nstrict = true\ngrace_seconds = 7\n";
    std::fs::write(directory.path().join("spanwise.toml"), text).unwrap();
    let environment = [("SPANWISE_MAX_TASKS", "6"), ("SPANWISE_PORT", "2222"), ("SPANWISE_STRICT", "false")];
    let shown = spanwise(directory.path(), &["config", "--port", "3333", "--cold=false"], &environment);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{text}{}", String::from_utf8_lossy(&shown.stderr));
    let expected = [
        ("port", "3333", "--port"),
        ("cold", "false", "--cold"),
        ("max_tasks", "6", "SPANWISE_MAX_TASKS"),
        ("strict", "false", "SPANWISE_STRICT"),
        ("grace_seconds", "7", "spanwise.toml"),
        ("drain_seconds", "10", "default"),
        ("durability", "\"disk\"", "default"),
        ("python", "found by the server", "default"),
    ];
    for (key, value, source) in expected {
        let line = line(&text, key);
        assert!(line.contains(value) && line.ends_with(&format!("# {source}")), "{line}");
    }
    // What is printed is a file that sets the same.
    std::fs::write(directory.path().join("again.toml"), &text).unwrap();
    let again = spanwise(directory.path(), &["config", "--config", "again.toml"], &[]);
    let again = String::from_utf8(again.stdout).unwrap();
    assert!(
        line(&again, "port").starts_with("port = 3333") && line(&again, "port").ends_with("# again.toml"),
        "{again}"
    );
}

#[test]
fn a_file_that_is_wrong_is_refused_with_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        ("max_task = 3\n", "`max_task` is no setting: the nearest one is `max_tasks`"),
        ("port = \"many\"\n", "`port`: invalid value 'many'"),
        ("durability = \"hope\"\n", "`durability`"),
        ("port = \n", "line 1"),
        ("[queues.gpu]\nspeed = 1\n", "`queues`: invalid value 'gpu speed=1'"),
        ("[queues.server]\n", "`server` is no name of a queue"),
        ("queues = 3\n", "[queues.NAME]"),
    ];
    for (text, expected) in cases {
        std::fs::write(directory.path().join("mine.toml"), text).unwrap();
        for command in ["serve", "config"] {
            let ended = spanwise(directory.path(), &[command], &[("SPANWISE_CONFIG", "mine.toml")]);
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(said.contains("mine.toml") && said.contains(expected), "{text}: {said}");
            assert_eq!(ended.status.code(), Some(2), "{said}");
        }
    }
    let missing = spanwise(directory.path(), &["serve", "--config", "nowhere.toml"], &[]);
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains("nowhere.toml"));
}

#[test]
fn an_address_that_others_reach_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0", "::", "192.0.2.1"] {
        let ended = spanwise(directory.path(), &["serve", "--address", address, "--port", "0"], &[]);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{said}");
        assert!(said.contains(address) && said.contains("loopback") && said.contains("authentication"), "{said}");
    }
}

#[test]
fn a_server_on_another_loopback_address_is_reached_there_by_clients_and_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let server = DevServer::serve(directory.path(), &["--address", "127.0.0.2"]);
    assert!(server.endpoint().starts_with("127.0.0.2:"), "{}", server.endpoint());
    assert_eq!(python::run_case(&server, "values.py", "scalars")["value"], "7 8");
    let page = ureq::get(format!("http://{}/", server.endpoint())).call().unwrap();
    let page = page.into_body().read_to_string().unwrap();
    assert!(page.contains("/v2/domain/development/project/flytesnacks/runs/"), "{page}");
    // Nobody else's address is taken.
    assert_eq!(status_of(&format!("http://127.0.0.1:{}/readyz", server.port())), None);
    server.stop();
}

#[test]
fn a_second_start_is_told_who_is_running() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = DevServer::serve(&data, &[]);
    let (port, pid) = (server.port().to_string(), format!("process id {}", server.pid()));
    let data_text = data.display().to_string();
    let same_data = ["serve", "--port", "0", "--data-dir", data_text.as_str()];
    let same_port = ["serve", "--port", port.as_str(), "--data-dir", "other"];
    for arguments in [same_data, same_port] {
        let ended = spanwise(directory.path(), &arguments, &[]);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{said}");
        assert!(said.contains(&pid) && said.contains(&format!("port {port}")) && said.contains(&data_text), "{said}");
    }
    server.stop();
    assert!(!data.join("server.json").exists());
}

fn details(server: &DevServer, run: &str) -> ActionDetails {
    let request = GetActionDetailsRequest { action_id: action_id(run, "a0").into(), ..Default::default() };
    let answer = ask(server, "RunService/GetActionDetails", &request);
    assert_eq!(answer.status, 200, "{answer:?}");
    (*GetActionDetailsResponse::decode_from_slice(&answer.body).unwrap().details).clone()
}

fn state(server: &DevServer, path: &str) -> Option<u16> {
    status_of(&format!("http://127.0.0.1:{}{path}", server.port()))
}

/// What a task does that comes to its end: the evidence is beside its claim, where the SDK's entry point leaves it too.
const SUCCEED: &str = ": > \"$PWD.outputs.pb\"";

/// Begins, notes each signal, and goes on; the second time it is at its end at once.
fn stubborn(marks: &Path) -> String {
    let marks = marks.display();
    format!(
        "echo begin >> {marks}; [ $(grep -c begin {marks}) -gt 1 ] && {SUCCEED} && exit 0; trap 'echo term >> {marks}; exit 1' TERM; while :; do sleep 0.05; done"
    )
}

fn marks(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

#[test]
fn the_first_signal_lets_tasks_end_and_gives_the_others_back_without_an_attempt() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file) = (directory.path().join("data"), directory.path().join("marks"));
    let mut server = DevServer::serve(&data, &["--drain-seconds", "2", "--grace-seconds", "5"]);
    assert_eq!((state(&server, "/healthz"), state(&server, "/readyz")), (Some(200), Some(200)));
    let run = started(&server, program("serve.stubborn", &["/bin/sh", "-c", &stubborn(&file)]));
    wait_until("the task has begun", &server, || marks(&file) == "begin\n");
    server.tell_to_end();
    wait_until("it says that it is not ready", &server, || state(&server, "/readyz") == Some(503));
    assert_eq!(state(&server, "/healthz"), Some(200), "it is alive while it ends");
    let late = directory.path().join("late");
    let late_task = format!("touch {}; {SUCCEED}", late.display());
    let late_run = started(&server, program("serve.late", &["/bin/sh", "-c", &late_task]));
    assert_eq!(marks(&file), "begin\n", "the task goes on for the time of draining");
    assert_eq!(server.wait().code(), Some(0), "{}", server.said());
    assert_eq!(marks(&file), "begin\nterm\n", "then it is told to end");
    assert!(!late.exists(), "nothing is started any more");
    server.restart();
    // The task has no retries: the attempt that was given back has not cost the only one.
    for run in [run, late_run] {
        wait_until("the run succeeds", &server, || {
            details(&server, &run).status.phase == ActionPhase::ACTION_PHASE_SUCCEEDED
        });
    }
    assert_eq!(marks(&file), "begin\nterm\nbegin\n");
    server.stop();
}

#[test]
fn a_task_that_ends_while_the_server_drains_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file, go) = (directory.path().join("data"), directory.path().join("marks"), directory.path().join("go"));
    let mut server = DevServer::serve(&data, &["--drain-seconds", "25"]);
    let text =
        format!("echo begin >> {}; until [ -e {} ]; do sleep 0.05; done; {SUCCEED}", file.display(), go.display());
    let run = started(&server, program("serve.brief", &["/bin/sh", "-c", &text]));
    wait_until("the task has begun", &server, || marks(&file) == "begin\n");
    server.tell_to_end();
    wait_until("it says that it is not ready", &server, || state(&server, "/readyz") == Some(503));
    std::fs::write(&go, "").unwrap();
    assert_eq!(server.wait().code(), Some(0), "{}", server.said());
    server.restart();
    wait_until("the run has succeeded", &server, || {
        details(&server, &run).status.phase == ActionPhase::ACTION_PHASE_SUCCEEDED
    });
    assert_eq!(marks(&file), "begin\n", "and not a second time");
    server.stop();
}

#[test]
fn s4_an_attempt_whose_result_is_there_is_not_given_back_when_the_server_ends() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut server = DevServer::serve(&data, &["--drain-seconds", "1", "--grace-seconds", "5"]);
    let marked = |name: &str| directory.path().join(name);
    // One is still in its exit functions.
    let leaving = format!("{SUCCEED}; echo begin >> {}; while :; do sleep 0.05; done", marked("leaving").display());
    let leaving_run = started(&server, program("serve.leaving", &["/bin/sh", "-c", &leaving]));
    // The other has ended, and the store cannot take its result.
    let (begun, go) = (marked("ended").display().to_string(), marked("go"));
    let ended = format!("echo begin >> {begun}; until [ -e {} ]; do sleep 0.05; done; {SUCCEED}", go.display());
    let ended_run = started(&server, program("serve.ended", &["/bin/sh", "-c", &ended]));
    wait_until("the tasks have begun", &server, || {
        ["leaving", "ended"].iter().all(|name| marks(&marked(name)) == "begin\n")
    });
    let place = data.join(format!("blobs/spanwise/runs/local/hostile/development/{ended_run}/a0/1/outputs.pb"));
    std::fs::create_dir(&place).unwrap();
    std::fs::write(&go, "").unwrap();
    wait_until("the result waits", &server, || server.said().contains("deliver an attempt's result"));
    server.tell_to_end();
    assert_eq!(server.wait().code(), Some(0), "{}", server.said());
    std::fs::remove_dir(&place).unwrap();
    server.restart();
    for (run, name) in [(leaving_run, "leaving"), (ended_run, "ended")] {
        wait_until("the run has succeeded", &server, || {
            details(&server, &run).status.phase == ActionPhase::ACTION_PHASE_SUCCEEDED
        });
        assert_eq!(details(&server, &run).attempts.len(), 1, "{name}");
        assert_eq!(marks(&marked(name)), "begin\n", "{name} is not run a second time");
    }
    server.stop();
}

/// Whoever holds the journal's lock keeps the server from a commit, as a full disk does, and from nothing else.
#[test]
fn s4_a_result_that_was_judged_when_the_server_was_killed_is_judged_again_and_not_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file, go) = (directory.path().join("data"), directory.path().join("marks"), directory.path().join("go"));
    let mut server = DevServer::serve(&data, &[]);
    let text =
        format!("echo begin >> {}; until [ -e {} ]; do sleep 0.05; done; {SUCCEED}", file.display(), go.display());
    let run = started(&server, program("serve.judged", &["/bin/sh", "-c", &text]));
    wait_until("the task has begun", &server, || marks(&file) == "begin\n");
    let journal = rusqlite::Connection::open(data.join("journal.db")).unwrap();
    journal.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::fs::write(&go, "").unwrap();
    wait_until("there is a verdict", &server, || server.said().contains("the journal cannot be written"));
    server.kill();
    let claim = data.join("work/1/a0/1.process");
    let result = data.join(format!("blobs/spanwise/runs/local/hostile/development/{run}/a0/1/outputs.pb"));
    assert!(claim.exists() && result.exists(), "the claim goes after the commit: {}", server.said());
    journal.execute_batch("ROLLBACK").unwrap();
    drop(journal);
    server.restart();
    wait_until("the run has succeeded", &server, || {
        details(&server, &run).status.phase == ActionPhase::ACTION_PHASE_SUCCEEDED
    });
    assert_eq!((details(&server, &run).attempts.len(), marks(&file).as_str()), (1, "begin\n"));
    wait_until("nothing is left of the attempt but its result", &server, || !data.join("work/1").exists());
    assert!(result.exists());
    server.stop();
}

#[test]
fn the_second_signal_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file) = (directory.path().join("data"), directory.path().join("marks"));
    let mut server = DevServer::serve(&data, &["--drain-seconds", "600"]);
    let run = started(&server, program("serve.stubborn", &["/bin/sh", "-c", &stubborn(&file)]));
    wait_until("the task has begun", &server, || marks(&file) == "begin\n");
    server.tell_to_end();
    wait_until("it says that it is not ready", &server, || state(&server, "/readyz") == Some(503));
    let told = Instant::now();
    server.tell_to_end();
    assert_eq!(server.wait().code(), Some(143), "{}", server.said());
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    server.restart();
    // Its process has outlived the server and is taken up again.
    let abort =
        spanwise_proto::flyteidl2::workflow::AbortRunRequest { run_id: run_id(&run).into(), ..Default::default() };
    assert_eq!(ask(&server, "RunService/AbortRun", &abort).status, 200);
    wait_until("the task is told to end", &server, || marks(&file).contains("term"));
    server.stop();
}
