//! `spanwise run`: a task of a program, started from the command line, on a server and in the program itself.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dev_server::{DevServer, binary};
use crate::{needs, python};

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program with tasks of many kinds.
const PROGRAM: &str = env!("CARGO_BIN_EXE_remote_tasks");

/// Runs of one folder: what is run locally keeps its journal there.
struct Runner {
    folder: TempDir,
    endpoint: Option<String>,
}

impl Runner {
    fn on(server: &DevServer) -> Runner {
        Runner { folder: tempfile::tempdir().unwrap(), endpoint: Some(server.endpoint()) }
    }

    fn alone() -> Runner {
        Runner { folder: tempfile::tempdir().unwrap(), endpoint: None }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.prepared(Command::new(binary()), |command| {
            command.arg("run").args(arguments);
        })
    }

    fn prepared(&self, mut command: Command, with: impl FnOnce(&mut Command)) -> Command {
        python::remove_what_would_mislead(&mut command);
        with(&mut command);
        if let Some(endpoint) = &self.endpoint {
            command.env("SPANWISE_ENDPOINT", endpoint);
        }
        command.current_dir(self.folder.path()).env("HOME", self.folder.path()).env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Ran {
    #[track_caller]
    fn succeeded(self) -> Ran {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// Refused with the exit code 2, with each of these in what is said.
    #[track_caller]
    fn refused(&self, parts: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(2), ""), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{part}: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

#[test]
fn a_task_runs_on_the_server_and_its_output_is_printed_alone() {
    let server = DevServer::shared();
    let runner = Runner::on(&server);
    let sum = runner.run(&[PROGRAM, "remote.add", "--left", "-1", "--right=43"]).succeeded();
    assert_eq!(sum.stdout, "42\n");
    assert!(sum.stderr.contains("add: succeeded") && sum.stderr.contains("/runs/"), "{}", sum.stderr);
    assert!(!sum.stderr.contains('\u{1b}'), "{}", sum.stderr);

    let words =
        ["-o", "json", PROGRAM, "seen", "--key", "Schlüssel \u{1f680}", "--context", "Schlüssel \u{1f680}=größe=1"];
    let seen = runner.run(&words).succeeded().json();
    assert_eq!(
        (&seen["phase"], &seen["output"], &seen["error"]),
        (&"SUCCEEDED".into(), &"größe=1".into(), &Value::Null)
    );
    let text = runner.run(&[PROGRAM, "seen", "--key", "absent"]).succeeded();
    assert_eq!(text.stdout, "", "there is nothing to print for none");
}

#[test]
fn structured_values_are_json_or_files_and_come_back_as_they_were() {
    let server = DevServer::shared();
    let runner = Runner::on(&server);
    let order =
        json!({"id": 7, "name": "größe \u{1f680}", "lines": ["a", ""], "prices": {"x": 1.5, "y": 2.0}, "note": null});
    std::fs::write(runner.folder.path().join("order.json"), order.to_string()).unwrap();
    let echoed = runner.run(&[PROGRAM, "echo_order", "--order", "@order.json"]).succeeded();
    assert_eq!(echoed.json(), order);
    let echoed = runner.run(&[PROGRAM, "echo_order", "--order", &order.to_string(), "--output", "json"]).succeeded();
    assert_eq!(echoed.json()["output"], order);
    let counts = json!({"one": 1, "zwei \u{1f680}": -2});
    assert_eq!(runner.run(&[PROGRAM, "echo_map", "--value", &counts.to_string()]).succeeded().json(), counts);
    assert_eq!(runner.run(&[PROGRAM, "echo_optional"]).succeeded().stdout, "");
    assert_eq!(runner.run(&[PROGRAM, "echo_optional", "--value", "3"]).succeeded().stdout, "3\n");
    assert_eq!(runner.run(&[PROGRAM, "echo_priority", "--priority", "High"]).succeeded().stdout, "High\n");
    let times = ["echo_time", "--at", "2024-02-29T12:00:00.25+01:00", "--during", "1h30m"];
    let times = runner.run(&[&[PROGRAM], &times[..]].concat()).succeeded().json();
    assert_eq!(times, json!(["2024-02-29T11:00:00.25Z", "2024-02-29T12:30:00.25Z"]));
}

#[test]
fn help_shows_what_a_task_takes_and_without_a_task_what_tasks_there_are() {
    let runner = Runner::alone();
    let help = runner.run(&[PROGRAM, "remote.echo_priority", "--help"]).succeeded().stdout;
    for part in
        ["Gives a priority back.", "--priority <NAME>", "How urgent it is.", "Low", "High", "required", "--detach"]
    {
        assert!(help.contains(part), "{part}: {help}");
    }
    let help = runner.run(&[PROGRAM, "echo_time", "-h"]).succeeded().stdout;
    for part in ["--at <TIME>", "--during <DURATION>"] {
        assert!(help.contains(part), "{part}: {help}");
    }
    for arguments in [&[PROGRAM][..], &[PROGRAM, "--help"]] {
        let tasks = runner.run(arguments).succeeded().stdout;
        assert!(tasks.contains("remote.add ") && tasks.contains("Adds two numbers."), "{tasks}");
    }
    assert!(runner.run(&["--help"]).succeeded().stdout.contains("spanwise run [OPTIONS] PROGRAM"));
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_name() {
    let runner = Runner { endpoint: Some("localhost:1".to_owned()), ..Runner::alone() };
    let add = |tail: &[&str]| runner.run(&[&[PROGRAM, "add"], tail].concat());
    add(&["--left", "1"]).refused(&["--right <INTEGER>"]);
    add(&["--left", "1", "--right", "two"]).refused(&["--right <INTEGER>", "'two'", "an integer"]);
    add(&["--left", "1", "--right", "2", "--rigth", "3"]).refused(&["--rigth", "--right"]);
    add(&["--left", "1", "--right", "2.5"]).refused(&["an integer"]);
    add(&["--left", "1", "--right", "2", "--env", "NOTHING"]).refused(&["--env", "NAME=VALUE"]);
    add(&["--left", "1", "--right", "2", "--local", "--detach"]).refused(&["--local", "--detach"]);
    let order = |value: &str| runner.run(&[PROGRAM, "echo_order", "--order", value]);
    order("{").refused(&["--order", "expected JSON"]);
    order("@not-there.json").refused(&["--order", "not-there.json"]);
    order(r#"{"id": 1, "name": "x", "lines": [], "prices": {"x": "1"}}"#).refused(&["`prices.x`", "a number"]);
    order(r#"{"id": 1, "name": "x", "lines": []}"#).refused(&["`prices`"]);
    runner.run(&[PROGRAM, "echo_priority", "--priority", "low"]).refused(&["Low, High"]);
    runner.run(&[PROGRAM, "echo_time", "--at", "soon", "--during", "1s"]).refused(&["--at <TIME>", "a time such as"]);
    runner.run(&[PROGRAM, "nowhere"]).refused(&["`nowhere`", "remote.add, remote.add_blocking"]);
    runner.run(&[PROGRAM, "--local", "add"]).refused(&["`--local`", "behind the task"]);
    runner.run(&["./not-there"]).refused(&["start ./not-there"]);
    runner.run(&["/bin/false"]).refused(&["/bin/false describe", "`spanwise::main`"]);
    runner.run(&["/bin/echo"]).refused(&["/bin/echo describe", "JSON"]);
    assert_eq!(runner.run(&[]).code, Some(2));
}

#[test]
fn what_only_the_program_can_know_is_refused_by_the_program() {
    let server = DevServer::shared();
    let runner = Runner::on(&server);
    runner.run(&[PROGRAM, "flaky", "--needed", "-1"]).refused(&["`needed`", "u32"]);
    runner.run(&[PROGRAM, "--", "add"]).refused(&["`--`"]);
    runner.run(&["--name", "no_name", PROGRAM, "nothing"]).refused(&["no_name", "DNS-1035"]);
    runner.run(&["--name", "taken", PROGRAM, "nothing"]).succeeded();
    let taken = runner.run(&["--name", "taken", PROGRAM, "nothing"]);
    assert_eq!(taken.code, Some(1), "{}", taken.stderr);
    assert!(taken.stderr.contains("`taken` already exists"), "{}", taken.stderr);
}

#[test]
fn a_run_that_fails_gives_its_error_and_the_exit_code_1() {
    let server = DevServer::shared();
    let runner = Runner::on(&server);
    for place in [&[][..], &["--local"]] {
        let failed = runner.run(&[place, &[PROGRAM, "fails", "--how", "user"]].concat());
        assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""), "{}", failed.stderr);
        for part in ["error: the run failed: [MyCode] my message \u{1f680}", "an error of the task's code"] {
            assert!(failed.stderr.contains(part), "{part}: {}", failed.stderr);
        }
        let failed = runner.run(&[place, &["-o", "json", PROGRAM, "fails", "--how", "user"]].concat());
        let (code, failed) = (failed.code, failed.json());
        assert_eq!((code, &failed["phase"], &failed["error"]["code"]), (Some(1), &"FAILED".into(), &"MyCode".into()));
    }
    for place in [&[][..], &["--local"]] {
        let caused = runner.run(&[place, &["-o", "json", PROGRAM, "fails", "--how", "causes"]].concat()).json();
        assert_eq!(caused["error"]["causes"], json!(["invalid digit found in string"]), "{caused}");
    }
}

#[test]
fn a_program_runs_its_task_itself_with_local() {
    let runner = Runner { endpoint: Some("localhost:1".to_owned()), ..Runner::alone() };
    let sums = runner.run(&["--local", "--name", "mine", PROGRAM, "mapped"]).succeeded();
    assert_eq!(sums.json(), json!([1, 2, 3, 4, 5, 11]));
    assert!(sums.stderr.contains("mapped: succeeded") && sums.stderr.contains("run mine"), "{}", sums.stderr);
    assert!(runner.folder.path().join(".spanwise/journal.db").exists());
    let scoped = runner.run(&["--local", PROGRAM, "seen", "--key", "a", "--context", "a=ü"]).succeeded();
    assert_eq!(scoped.stdout, "ü\n");
    runner.run(&["--local", PROGRAM, "flaky", "--needed", "-1"]).refused(&["`needed`"]);
    runner.run(&["--local", "--trace", "lifecycle", PROGRAM, "nothing"]).refused(&["trace is `lifecycle`"]);
    let again = runner.run(&["--local", "--name", "mine", PROGRAM, "mapped"]);
    assert!(again.code == Some(1) && again.stderr.contains("`mine`"), "{}", again.stderr);
}

#[test]
fn a_detached_run_goes_on_with_its_labels_and_variables() {
    let server = DevServer::shared();
    let runner = Runner::on(&server);
    let scratch = runner.folder.path().display().to_string();
    let variable = format!("RUN_COMMAND={scratch}");
    let options =
        ["--detach", "--label", "team=größe", "--annotation", "why=b=c", "--env", &variable, "--name", "detached"];
    let task = [PROGRAM, "waits_for", "--scratch", &scratch, "--gate", "gate"];
    let detached = runner.run(&[&options[..], &task[..]].concat()).succeeded();
    let (name, url) = detached.stdout.trim_end().split_once("  ").unwrap();
    assert!(name == "detached" && url.starts_with("http://") && url.ends_with("/runs/detached"), "{name} {url}");
    wait_for(&runner.folder.path().join("waiting"));
    let listed = runner.prepared(Command::new(binary()), |command| {
        command.args(["list", "--label", "team=größe", "-o", "json"]);
    });
    let listed = Ran::from({ listed }.output().unwrap()).json();
    assert_eq!((&listed[0]["name"], &listed[0]["ended"]), (&"detached".into(), &Value::Null), "{listed}");
    let got = runner.prepared(Command::new(binary()), |command| {
        command.args(["get", "detached", "-o", "json"]);
    });
    let got = Ran::from({ got }.output().unwrap()).json();
    assert_eq!(got["options"], json!({"labels": {"team": "größe"}, "annotations": {"why": "b=c"}}));
    assert!(environments_with(&variable).lines().any(|line| line == variable));
    std::fs::write(runner.folder.path().join("gate"), "x\n").unwrap();
}

/// The environment of the processes of tasks that have this in it.
fn environments_with(part: &str) -> String {
    let mut all = String::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| {
            String::from_utf8_lossy(&std::fs::read(process.path().join(file)).unwrap_or_default()).replace('\0', "\n")
        };
        let environment = read("environ");
        if read("cmdline").contains("spanwise-attempt") && environment.contains(part) {
            all.push_str(&environment);
        }
    }
    all
}

fn wait_for(path: &Path) {
    let since = Instant::now();
    while !path.exists() {
        assert!(since.elapsed() < PATIENCE, "{} did not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads a pipe until a line has this in it; what was read.
fn read_until(pipe: &mut impl BufRead, part: &str) -> String {
    let mut read = String::new();
    while !read.contains(part) {
        let count = pipe.read_line(&mut read).unwrap();
        assert!(count > 0, "ended without `{part}`: {read}");
    }
    read
}

fn interrupt(child: &Child) {
    let told = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
}

#[test]
fn ctrl_c_leaves_a_run_on_the_server_and_says_how_to_end_it() {
    let server = DevServer::shared();
    let runner = Runner::on(&server);
    let scratch = runner.folder.path().display().to_string();
    let mut child = runner.command(&["--name", "left", PROGRAM, "sleeps", "--scratch", &scratch, "--name", "one"]);
    let mut child = child.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = read_until(&mut stderr, "sleeps: running");
    interrupt(&child);
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("the run goes on") && said.contains("spanwise abort left"), "{said}");
    let abort = |arguments: &[&str]| {
        let mut command = runner.prepared(Command::new(binary()), |command| {
            command.args(arguments);
        });
        Ran::from(command.output().unwrap())
    };
    abort(&["abort", "left"]).succeeded();
    assert_eq!(abort(&["get", "left", "-o", "json"]).json()["phase"], "ABORTED");
}

#[test]
fn a_server_that_is_killed_and_comes_back_is_waited_for() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let runner = Runner::on(&server);
    let scratch = runner.folder.path().display().to_string();
    let mut child = runner.command(&[PROGRAM, "patient", "--scratch", &scratch]).spawn().unwrap();
    wait_for(&runner.folder.path().join("waiting"));
    server.kill();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut stderr, "the server does not answer");
    std::fs::write(runner.folder.path().join("gate"), "x\n").unwrap();
    server.restart();
    let ended = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "49\n"));
    server.stop();
}

#[test]
fn ctrl_c_interrupts_a_local_run_which_goes_on_under_its_name() {
    let runner = Runner::alone();
    let scratch = runner.folder.path().display().to_string();
    let task = ["--local", "--name", "mine", PROGRAM, "patient", "--scratch", &scratch];
    let mut child = runner.command(&task).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = read_until(&mut stderr, "waits_for: running");
    wait_for(&runner.folder.path().join("waiting"));
    interrupt(&child);
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("--name mine"), "{said}");
    std::fs::write(runner.folder.path().join("gate"), "x\n").unwrap();
    assert_eq!(runner.run(&task).succeeded().stdout, "49\n");
}

#[test]
fn nobody_who_answers_is_the_exit_code_3() {
    let runner = Runner { endpoint: Some("localhost:1".to_owned()), ..Runner::alone() };
    for arguments in [&[PROGRAM, "nothing"][..], &["--deployed", "remote.add", "--left", "1"]] {
        let nobody = runner.run(arguments);
        assert_eq!(nobody.code, Some(3), "{}", nobody.stderr);
        assert!(nobody.stderr.contains("spanwise dev"), "{}", nobody.stderr);
    }
    let tls = runner.run(&["--endpoint", "https://localhost:1", PROGRAM, "nothing"]);
    assert!(tls.code != Some(0) && tls.stderr.contains("plain HTTP"), "{}", tls.stderr);
}

#[test]
fn a_terminal_shows_the_tree_in_place_and_gets_its_cursor_back() {
    if !needs::has(&["script"], "bsdutils", "run_command::a_terminal_shows_the_tree_in_place_and_gets_its_cursor_back")
    {
        return;
    }
    let server = DevServer::shared();
    let runner = Runner::on(&server);
    let line = format!("stty cols 100 rows 30; exec {} run {PROGRAM} gathers --count 12", binary().display());
    let mut script = runner.prepared(Command::new("script"), |command| {
        command.env("TERM", "xterm-256color").args(["-qec", &line, "/dev/null"]);
    });
    let shown = Ran::from(script.output().unwrap()).succeeded().stdout;
    for part in ["\u{1b}[?25l", "\u{1b}[?25h", "\u{1b}[K", "gathers", "add ×12", "12 succeeded", "18 succeeded", "22"]
    {
        assert!(shown.contains(part), "{part:?}: {shown:?}");
    }
}

#[test]
fn deployed_tasks_of_both_languages_are_run_by_their_names() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let runner = Runner::on(&server);
    let mut deploy = runner.prepared(Command::new(PROGRAM), |command| {
        command.arg("deploy").env("REMOTE_SCRATCH", data.path());
    });
    let deployed = Ran::from(deploy.output().unwrap()).succeeded();
    let version = deployed.stdout.split("\"version\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    python::run_case(&server, "mixed.py", "deploy");

    let sum = runner.run(&["--deployed", "remote.add", "--left", "40", "--right", "2"]).succeeded();
    assert_eq!(sum.stdout, "42\n");
    let options = ["--deployed", "--version", version, "--name", "byname", "--context", "key=ü"];
    let seen = runner.run(&[&options[..], &["remote.seen", "--key", "key", "-o", "json"]].concat()).succeeded().json();
    assert_eq!((&seen["run"], &seen["output"]), (&"byname".into(), &"ü".into()));
    let help = runner.run(&["--deployed", "remote.echo_order", "--help"]).succeeded().stdout;
    assert!(help.contains("--order <JSON|@FILE>") && help.contains("prices: object of float"), "{help}");
    runner.run(&["--deployed", "remote.add", "--left", "x"]).refused(&["--left <INTEGER>", "an integer"]);
    runner.run(&["--deployed", "remote.add", "--left", "1"]).refused(&["--right <INTEGER>"]);
    runner.run(&["--deployed", "remote.nowhere"]).refused(&["`remote.nowhere`", "spanwise tasks"]);
    runner.run(&["--deployed", "--version", "v0", "remote.add"]).refused(&["version v0"]);

    let doubled = runner.run(&["--deployed", "mixed.double", "--value", "21"]).succeeded();
    assert_eq!(doubled.stdout, "42\n");
    let order =
        json!({"id": 8, "name": "größe \u{1f680}", "lines": ["a", ""], "prices": {"x": 1.5, "y": -0.25}, "note": null});
    let (order, trace) = (order.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03");
    let context = format!("traceparent={trace}");
    let options = ["--deployed", "--context", &context, "mixed.last"];
    let inputs = ["--order", &order, "--priority", "High", "--at", "2026-03-01T13:30:15.25+01:00"];
    let seen_by_python = runner.run(&[&options[..], &inputs[..]].concat()).succeeded();
    assert_eq!(seen_by_python.stdout, format!("None {trace}\n"));
    server.stop();
}
