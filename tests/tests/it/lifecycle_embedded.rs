//! Lifecycle spans of a program with the embedded engine, in a receiver of somebody else's: a run that is out of time, one that is aborted,
//! and one whose program is killed and started again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::lifecycle::{check_whole, links, of_run, one, parts};
use crate::python::remove_what_would_mislead;
use crate::tap::{Span, Tap};

const PATIENCE: Duration = Duration::from_secs(60);

/// The program `traced`, killed at the end of a test that fails.
struct Traced {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Traced {
    fn start(directory: &Path, case: &str, receiver: u16) -> Traced {
        let mut command = Command::new(env!("CARGO_BIN_EXE_traced"));
        remove_what_would_mislead(&mut command);
        command.arg(directory).arg(case).env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{receiver}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Traced { child, lines }
    }

    fn wait_for(&mut self, wanted: &str) {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            if line.trim_end() == wanted {
                return;
            }
            line.clear();
        }
        panic!("the program ended without `{wanted}`");
    }

    fn ends_with(mut self, wanted: &str) {
        self.wait_for(wanted);
        assert!(self.child.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What has arrived of a run that has ended, whole.
fn whole(tap: &Tap, run: &str) -> Vec<Span> {
    let spans = of_run(&tap.wait_for_run(run), run);
    check_whole(&spans, &spans);
    let root = spans.iter().find(|span| span.part() == "run").unwrap();
    assert!(spans.iter().all(|span| span.trace_id == root.trace_id && span.end() >= span.start()));
    let of_lifecycle = |span: &&Span| span.start() >= root.start() && span.end() <= root.end();
    assert_eq!(spans.iter().filter(of_lifecycle).count(), spans.len(), "within the run");
    spans
}

/// Names, results and statuses of the attempts of a task.
fn attempts(spans: &[Span], task: &str) -> Vec<(String, String, serde_json::Value)> {
    let told = |span: &&Span| (span.name.clone(), span.text("spanwise.attempt.result"), span.status["code"].clone());
    parts(spans, task, "attempt").iter().map(told).collect()
}

fn attempt(number: u32, result: &str, status: u32) -> (String, String, serde_json::Value) {
    (format!("attempt {number}"), result.to_owned(), json!(status))
}

const UNSET: u32 = 0;
const OK: u32 = 1;
const ERROR: u32 = 2;

#[test]
fn a_run_that_is_out_of_time_arrives_whole() {
    let (directory, tap) = (tempfile::tempdir().unwrap(), Tap::start());
    Traced::start(directory.path(), "late", tap.port()).ends_with("ENDED TimedOut");
    let spans = whole(&tap, "late");
    let [run, action] = ["run", "action"].map(|part| one(&spans, "traced.late", part));
    assert_eq!((run.text("cicd.pipeline.result"), &run.status["code"]), ("timeout".into(), &json!(ERROR)));
    assert_eq!(
        (action.text("cicd.pipeline.task.run.result"), action.text("spanwise.attempts")),
        ("timeout".into(), "2".into())
    );
    assert_eq!(attempts(&spans, "traced.late"), [attempt(1, "timeout", ERROR), attempt(2, "timeout", ERROR)]);
    for attempt in parts(&spans, "traced.late", "attempt") {
        assert!((150_000..5_000_000).contains(&(attempt.end() - attempt.start())), "{attempt:?}");
        assert_eq!(attempt.events.last().unwrap()["name"], "exception");
        assert!(!attempt.text("error.type").is_empty());
    }
    // The child is kept for the second attempt, and ends with the run.
    let child = one(&spans, "traced.nap", "action");
    assert_eq!(
        (child.text("cicd.pipeline.task.run.result"), &child.status["code"]),
        ("cancellation".into(), &json!(UNSET))
    );
}

#[test]
fn an_aborted_run_arrives_whole() {
    let (directory, tap) = (tempfile::tempdir().unwrap(), Tap::start());
    let mut program = Traced::start(directory.path(), "aborted", tap.port());
    program.wait_for("READY");
    let launched = "SELECT count(*) FROM actions WHERE task = 'traced.nap' AND attempts = 1";
    wait_until("the journal has both naps", || ask(directory.path(), launched) == Some(2));
    writeln!(program.child.stdin.as_ref().unwrap()).unwrap();
    program.ends_with("ENDED Aborted");
    let spans = whole(&tap, "aborted");
    let run = one(&spans, "traced.for_ever", "run");
    assert_eq!((run.text("cicd.pipeline.result"), &run.status["code"]), ("cancellation".into(), &json!(UNSET)));
    assert_eq!(run.text("spanwise.abort.reason"), "enough");
    assert_eq!(attempts(&spans, "traced.for_ever"), [attempt(1, "cancellation", UNSET)]);
    let mut naps = attempts(&spans, "traced.nap");
    naps.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(naps, [attempt(1, "cancellation", UNSET), attempt(1, "success", OK)]);
    let actions: Vec<_> =
        parts(&spans, "traced.nap", "action").iter().map(|span| span.text("cicd.pipeline.task.run.result")).collect();
    assert_eq!(actions, ["success", "cancellation"]);
}

/// The program is killed when its receiver has everything that has ended by then.
#[test]
fn a_program_that_is_killed_sends_each_span_once() {
    let (directory, tap) = (tempfile::tempdir().unwrap(), Tap::start());
    let mut program = Traced::start(directory.path(), "killed", tap.port());
    program.wait_for("READY");
    wait_until_settled(directory.path(), &tap);
    program.kill();
    let before = of_run(&tap.spans(), "killed");
    assert_eq!(parts(&before, "traced.nap", "action").len(), 2, "before the kill");
    std::fs::write(directory.path().join("gate"), "").unwrap();
    Traced::start(directory.path(), "killed", tap.port()).ends_with(KILLED);
    check_killed(&whole(&tap, "killed"));
}

/// The receiver is away as long as the first process lives.
#[test]
fn a_program_that_is_killed_before_its_receiver_was_there_misses_no_span() {
    let (directory, tap) = (tempfile::tempdir().unwrap(), Tap::start());
    let port = tap.port();
    drop(tap);
    let mut program = Traced::start(directory.path(), "killed", port);
    program.wait_for("READY");
    wait_until_written(directory.path());
    program.kill();
    let tap = Tap::start_on(port);
    std::fs::write(directory.path().join("gate"), "").unwrap();
    Traced::start(directory.path(), "killed", port).ends_with(KILLED);
    check_killed(&whole(&tap, "killed"));
}

/// What the run gives: 2 + 1 + 3, 1 + 4, then 11 + 12 + 6.
const KILLED: &str = "ENDED 29";

fn check_killed(spans: &[Span]) {
    let run = one(spans, "traced.killed", "run");
    assert_eq!((run.text("cicd.pipeline.result"), &run.status["code"]), ("success".into(), &json!(OK)));
    for task in ["traced.killed", "traced.gate"] {
        assert_eq!(attempts(spans, task), [attempt(1, "error", ERROR), attempt(2, "success", OK)], "{task}");
        let [lost, again] = parts(spans, task, "attempt")[..] else { unreachable!() };
        assert_eq!(links(again), [("previous attempt".to_owned(), lost.span_id.clone())]);
        assert!(again.start() >= lost.end());
    }
    assert_eq!(attempts(spans, "traced.flaky"), [attempt(1, "failure", ERROR), attempt(2, "success", OK)]);
    assert_eq!(parts(spans, "traced.nap", "action").len(), 3);
    assert_eq!(parts(spans, "step", "step").len(), 2);
    let again = parts(spans, "traced.killed", "attempt")[1];
    assert!(again.events.iter().any(|event| event["name"] == "recorded step"), "{again:?}");
}

/// Waits until the journal has what goes on, and all naps before it have ended.
fn wait_until_written(directory: &Path) {
    wait_until("the journal has the gate", || ask(directory, LAUNCHED) == Some(1) && ask(directory, NAPPED) == Some(2));
}

/// Waits until the receiver has what has ended, and the journal knows it.
fn wait_until_settled(directory: &Path, tap: &Tap) {
    wait_until_written(directory);
    wait_until("what has ended has arrived", || {
        let arrived = of_run(&tap.spans(), "killed");
        let naps = parts(&arrived, "traced.nap", "action").len();
        naps == 2 && ask(directory, "SELECT exported FROM runs") == Some(arrived.len() as i64)
    });
}

const LAUNCHED: &str = "SELECT attempts FROM actions WHERE task = 'traced.gate'";
const NAPPED: &str = "SELECT count(ended_at) FROM actions WHERE task = 'traced.nap'";

/// A number in the journal of a program that runs.
fn ask(directory: &Path, question: &str) -> Option<i64> {
    let journal = rusqlite::Connection::open(directory.join("data/journal.db")).unwrap();
    journal.query_row(question, [], |row| row.get(0)).ok()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
