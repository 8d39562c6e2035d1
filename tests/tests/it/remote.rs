//! Rust tasks on a server, in processes of their own: the same program and the same results as with the engine of one process.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cargo;
use crate::dev_server::DevServer;
use crate::guide::{Services, check_trace_of};
use crate::python;

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A driver that is about to be run, in a folder of its own.
struct Driver {
    folder: TempDir,
    command: Command,
}

impl Driver {
    fn new(case: &str) -> Driver {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_remote_tasks"));
        command.arg(case).current_dir(folder.path());
        python::remove_what_would_mislead(&mut command);
        command.env("REMOTE_SCRATCH", folder.path()).stdin(Stdio::null());
        Driver { folder, command }
    }

    fn on(mut self, server: &DevServer) -> Driver {
        self.command.env("SPANWISE_ENDPOINT", server.endpoint());
        self
    }

    fn start(mut self) -> (TempDir, Child) {
        let child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        (self.folder, child)
    }

    fn result(self) -> Value {
        let (_folder, child) = self.start();
        result_of(&child.wait_with_output().unwrap())
    }
}

fn result_of(output: &Output) -> Value {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    let result = stdout.lines().find_map(|line| line.strip_prefix("RESULT "));
    serde_json::from_str(result.unwrap_or_else(|| panic!("no result\n{stdout}\n{stderr}"))).unwrap()
}

/// Runs a case on a server of its own data and on the engine of one process; both must find the same.
fn in_both(case: &str) -> Value {
    let here = Driver::new(case).result();
    let there = Driver::new(case).on(&DevServer::shared()).result();
    assert_eq!(there, here, "on a server, and on the engine of one process");
    there
}

fn wait_for(path: &Path) {
    let since = Instant::now();
    while !path.exists() {
        assert!(since.elapsed() < PATIENCE, "{} did not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn s4_a_task_that_waits_for_a_run_takes_up_no_place() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::serve(data.path(), &["--max-tasks", "1"]);
    let (_folder, mut driver) = Driver::new("waits_for_a_run").on(&server).start();
    let since = Instant::now();
    while driver.try_wait().unwrap().is_none() {
        if since.elapsed() > PATIENCE {
            driver.kill().unwrap();
            panic!("the run that it waits for never has a place\n{}", server.said());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(result_of(&driver.wait_with_output().unwrap())[1], "true", "it is the run of a task");
    server.stop();
}

#[test]
fn a_hundred_children_and_a_chain() {
    let found = in_both("gathers");
    assert_eq!((&found["sums"][99], &found["sums"][100], &found["sums"][101]), (&json!(198), &json!(3), &json!(2)));
    assert_eq!(found["phases"]["add SUCCEEDED 1"], 101);
}

#[test]
fn s7_map_and_groups() {
    let found = in_both("mapped");
    assert_eq!(found["sums"], json!([1, 2, 3, 4, 5, 11]));
    assert_eq!(found["groups"][0], "named");
}

#[test]
fn s4_retries() {
    let found = in_both("retries");
    assert_eq!((&found["attempt"], &found["phases"]), (&json!(2), &json!({ "flaky SUCCEEDED 3": 1 })));
    assert_eq!((&found["exhausted"]["code"], &found["exhausted"]["kind"]), (&json!("OnPurpose"), &json!("User")));
}

#[test]
fn s4_failures_as_parents_and_drivers_see_them() {
    let found = in_both("failures");
    assert_eq!(found["user"]["message"], "my message \u{1f680}");
    assert_eq!(found["causes"]["causes"], json!(["invalid digit found in string"]));
    assert_eq!((&found["panic"]["code"], &found["panic"]["has_place"]), (&json!("Panic"), &json!(true)));
    assert_eq!(found["timeout"]["kind"], "TimedOut");
}

#[test]
fn s4_an_abort_takes_the_processes_along() {
    let found = in_both("aborts");
    assert_eq!(found["aborted"], true);
    assert_eq!(found["phases"], json!({ "two_that_sleep ABORTED 1": 1, "sleeps ABORTED 1": 2 }));
}

#[test]
fn s4_a_dropped_call_is_aborted() {
    let found = in_both("drops");
    assert_eq!(found["sum"], 2);
    assert_eq!(found["phases"]["sleeps ABORTED 1"], 1);
}

#[test]
fn s6_steps_and_children_are_not_run_again_by_a_retry() {
    let found = in_both("steps");
    assert_eq!(found["found"], json!([14, 1, 1, 1, 1]));
    assert_eq!(found["marks"], json!([1, 1, 1, 1, 2]));
}

#[test]
fn s1_scopes_are_those_of_the_place_of_the_call() {
    assert_eq!(in_both("contexts"), json!(["given", "inner", "inner", "2", "given", null]));
}

#[test]
fn s8_values_of_every_kind() {
    assert_eq!(in_both("echoes"), true);
}

#[test]
fn names_of_runs_lookups_reruns_and_runs_started_by_tasks() {
    let server_data = tempfile::tempdir().unwrap();
    let server = DevServer::start(server_data.path());
    let here = Driver::new("runs").result();
    let there = Driver::new("runs").on(&server).result();
    assert_eq!(there, here);
    assert_eq!((&there["again"], &there["missing"]), (&json!("AlreadyExists"), &json!("NotFound")));
    assert_eq!((&there["rerun"], &there["spawned"]), (&json!("1"), &json!(["2", "true"])));
    server.stop();
}

#[test]
fn a_server_that_is_killed_and_comes_back_fails_nobody() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let (folder, driver) = Driver::new("patient").on(&server).start();
    wait_for(&folder.path().join("waiting"));
    server.kill();
    std::fs::write(folder.path().join("gate"), "x\n").unwrap();
    server.restart();
    assert_eq!(result_of(&driver.wait_with_output().unwrap()), 49);
    server.stop();
}

#[test]
fn s17_timers_of_every_length() {
    let found = in_both("naps");
    let expected = ["waited"; 5].into_iter().chain(["TimedOut DEADLINE_EXCEEDED", "TimedOut MAX_RUNTIME_EXCEEDED"]);
    let expected: Vec<_> = expected.chain(["dropped", "dropped", "Usage"]).collect();
    assert_eq!(found["found"], json!(expected));
    let timers = |phase: &str| found["phases"][format!("timer {phase} 0")].as_u64();
    // Those of the body, twenty in a group, and one of a task that blocks.
    assert_eq!((timers("SUCCEEDED"), timers("TIMED_OUT"), timers("ABORTED")), (Some(26), Some(2), Some(2)), "{found}");
    assert_eq!(found["as a root"], "Usage");
}

/// What sleeps six seconds is away after three and a half: it waits for the rest, or for nothing.
#[test]
fn s17_a_timer_survives_the_death_of_who_waits_and_only_the_rest_is_waited_for() {
    for away in [Duration::ZERO, Duration::from_secs(5)] {
        let data = tempfile::tempdir().unwrap();
        let mut server = DevServer::start(data.path());
        let (folder, driver) = Driver::new("sleeps_over").on(&server).start();
        wait_for(&folder.path().join("asleep"));
        std::thread::sleep(Duration::from_millis(3500));
        server.kill();
        std::thread::sleep(away);
        server.restart();
        let found = result_of(&driver.wait_with_output().unwrap());
        check_woken(&found, "1", away, &folder.path().join("asleep"), 1);
        server.stop();

        let (folder, mut driver) = Driver::new("sleeps_over").start();
        wait_for(&folder.path().join("asleep"));
        std::thread::sleep(Duration::from_millis(3500));
        driver.kill().unwrap();
        let _ = driver.wait();
        std::thread::sleep(away);
        let mut again = Command::new(env!("CARGO_BIN_EXE_remote_tasks"));
        again.arg("sleeps_over").current_dir(folder.path()).env("REMOTE_SCRATCH", folder.path());
        let found = result_of(&again.output().unwrap());
        check_woken(&found, "2", away, &folder.path().join("asleep"), 2);
    }
}

/// It has slept once, and not begun anew, which would have taken 9.5 seconds and the time away at least; and its task was begun so often.
fn check_woken(found: &Value, attempts: &str, away: Duration, asleep: &Path, begun: usize) {
    let slept = Duration::from_millis(found["slept"].as_u64().unwrap());
    assert!(slept >= Duration::from_millis(5900) && slept < Duration::from_millis(9300) + away, "{slept:?}");
    let phases = json!({ format!("sleeps_over SUCCEEDED {attempts}"): 1, "timer SUCCEEDED 0": 1 });
    assert_eq!(found["phases"], phases);
    assert_eq!(std::fs::read_to_string(asleep).unwrap().lines().count(), begun);
}

#[test]
fn s7_conditions_are_answered_or_run_out() {
    let found = in_both("asks");
    let answered = ["\"größe\"", "true 7 2 true", "TimedOut DEADLINE_EXCEEDED", "Usage"];
    for (at, expected) in answered.iter().enumerate() {
        assert_eq!(found["found"][at], *expected, "{found}");
    }
    let refused = |at: usize| found["found"][at].as_str().unwrap();
    assert!(refused(4).contains("it has no name") && refused(5).contains("`zero`: timeout"), "{found}");
    assert!(refused(6).contains("retries: condition `retried` has none"), "{found}");
    assert_eq!(found["wrong"], "Value");
    assert_eq!((&found["phases"]["text SUCCEEDED 0"], &found["phases"]["late TIMED_OUT 0"]), (&json!(1), &json!(2)));
}

#[test]
fn the_program_describes_itself() {
    let said = Command::new(env!("CARGO_BIN_EXE_remote_tasks")).arg("describe").output().unwrap();
    assert!(said.status.success());
    let described: Value = serde_json::from_slice(&said.stdout).unwrap();
    let tasks = described["tasks"].as_array().unwrap();
    let add = tasks.iter().find(|task| task["name"] == "remote.add").unwrap();
    assert_eq!(add["docs"], "Adds two numbers.\n\nThe second line of its documentation.");
    let names: Vec<_> = add["inputs"].as_array().unwrap().iter().map(|input| &input["name"]).collect();
    assert_eq!(names, ["left", "right"]);
    assert_eq!((&add["output"]["type"], &add["retries"]), (&json!("integer"), &json!(0)));
}

#[test]
fn rust_and_python_call_each_other() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let deployed = Driver::new("deploy").on(&server).result();
    assert_eq!((&deployed["again"], &deployed["sum"]), (&json!(true), &json!(3)));
    assert!(deployed["tasks"].as_array().unwrap().contains(&json!("remote.between")));

    assert_eq!(python::run_case(&server, "mixed.py", "rust_as_root")["sum"], 3);
    let found = python::run_case(&server, "mixed.py", "round_trip");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
    assert_eq!(found["answer"], format!("3 {trace} {trace} | None {trace} {trace} | {trace}"));
    let twice = json!(["succeeded", "succeeded"]);
    assert_eq!(found["phases"], json!({ "first": ["succeeded"], "between": twice, "last": twice }));

    let refused = Driver::new("misfits").on(&server).result();
    let refused: Vec<_> = refused.as_array().unwrap().iter().map(|error| error.as_str().unwrap()).collect();
    assert!(refused[0].starts_with("Value: `unknown`: ") && refused[0].contains("[\"value\"]"), "{refused:?}");
    assert!(refused[1].starts_with("Value: `value`: ") && refused[2].starts_with("Value: `value`: "), "{refused:?}");
    assert!(refused[3].starts_with("NotFound: ") && refused[4].starts_with("NotFound: "), "{refused:?}");
    assert_eq!(refused[5], "42");
    server.stop();
}

/// The guide's program of the examples.
fn guide() -> &'static Path {
    static BUILT: OnceLock<std::path::PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| cargo::build("otlp_http"))
}

#[test]
fn s2_the_guide_in_rust_gives_one_trace() {
    let data = tempfile::tempdir().unwrap();
    let services = Services::start();
    let server = DevServer::start_with(data.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", services.collector())]);
    let mut command = Command::new(guide());
    python::remove_what_would_mislead(&mut command);
    command.arg(services.page()).env("SPANWISE_ENDPOINT", server.endpoint());
    let said = command.env("OTEL_EXPORTER_OTLP_ENDPOINT", services.collector()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{stdout}\n{stderr}\n{}", server.said());
    assert_eq!(stdout.lines().last(), Some("200"), "{stdout}");
    check_trace_of(&services);
    server.stop();
}
