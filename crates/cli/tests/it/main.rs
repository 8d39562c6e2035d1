//! `spanwise demo`, the real binary, as a user runs it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// One rule for all tests: the file is that of the tests of the whole.
#[path = "../../../../tests/tests/it/needs.rs"]
mod needs;
mod receiver;
mod terminal;

/// The binary with a directory for temporary files of its own, and without settings of whoever runs the tests.
struct Spanwise {
    temporary: tempfile::TempDir,
}

impl Spanwise {
    fn new() -> Spanwise {
        Spanwise { temporary: tempfile::tempdir().unwrap() }
    }

    /// A program that runs the binary, with its environment.
    fn environment(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("TMPDIR", self.temporary.path()).current_dir(self.temporary.path());
        for name in ["NO_COLOR", "SPANWISE_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "http_proxy", "HTTP_PROXY"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.environment(env!("CARGO_BIN_EXE_spanwise"));
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a run left behind.
    fn leftovers(&self) -> Vec<std::path::PathBuf> {
        std::fs::read_dir(self.temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An address where nobody listens.
fn dead() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// The pieces stand in the text in this order.
fn assert_in_order(text: &str, pieces: &[&str]) {
    let mut rest = text;
    for piece in pieces {
        let (_, after) = rest.split_once(piece).unwrap_or_else(|| panic!("`{piece}` is not (there) in:\n{text}"));
        rest = after;
    }
}

#[test]
fn without_a_terminal_it_prints_each_change_and_the_whole_trace() {
    let spanwise = Spanwise::new();
    let output = spanwise.run(&["demo"]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{}", text(&output.stderr));
    assert!(!stdout.contains('\x1b'), "{stdout:?}");
    let changes = ["main: running", "fetch: running", "score 1: running", "score 20: succeeded", "publish: running"];
    assert_in_order(&stdout, &changes);
    assert_in_order(&stdout, &["render: recorded", "publish: waits for attempt 2", "publish: succeeded, attempt 2"]);
    let tree = [
        "\nTrace ",
        "\nworkflow_run  ",
        "\n└─ main  ",
        "\n   ├─ fetch  ",
        "\n   │  └─ GET  ",
        "(CLIENT, HTTP 200)",
        "\n   │     └─ GET /get  ",
        "(demo-service, SERVER, HTTP 200)",
        "\n   ├─ score  ",
        "\n   ├─ score  ",
        "\n   ├─ score  ",
        "\n   ├─ … 17 more score  ",
        "\n   ├─ publish  ",
        "(attempt 1)  ✗ the printer is busy",
        "\n   │  └─ render  ",
        "\n   └─ publish  ",
        "(attempt 2, render replayed from attempt 1)",
        "\n✓ The trace is whole: one trace id, no orphan, 28 spans.\n",
    ];
    assert_in_order(&stdout, &tree);
    assert_in_order(&stdout, &["HTTP 200", "20 items, 210 points"]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(spanwise.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn help_version_and_usage() {
    let spanwise = Spanwise::new();
    let bare = spanwise.run(&[]);
    assert_eq!(bare.status.code(), Some(2));
    assert!(text(&bare.stderr).contains("Usage: spanwise <COMMAND>"));
    for (arguments, expected) in [
        (["--help"].as_slice(), "demo"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["demo", "--help"], "--otlp <ENDPOINT>"),
    ] {
        let output = spanwise.run(arguments);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(expected), "{arguments:?}");
    }
    for (arguments, expected) in [
        (["demo", "--nope", ""].as_slice(), "--nope"),
        (&["demo", "--url", "localhost:80"], "http://"),
        (&["demo", "--otlp", "nonsense"], "relative URL"),
    ] {
        let output = spanwise.run(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(expected), "{arguments:?} {}", text(&output.stderr));
    }
    let wrong = spanwise.command(&["demo"]).env("SPANWISE_DURABILITY", "maybe").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("SPANWISE_DURABILITY is `maybe`"));
}

#[test]
fn an_address_that_nobody_serves_fails_clearly_and_the_trace_is_shown() {
    let spanwise = Spanwise::new();
    let secure = spanwise.run(&["demo", "--url", &dead().replace("http", "https")]);
    assert_eq!(secure.status.code(), Some(1), "{}", text(&secure.stderr));
    assert!(text(&secure.stderr).contains("Connection refused"), "{}", text(&secure.stderr));

    let address = dead();
    let output = spanwise.run(&["demo", "--url", &address]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stdout}\n{stderr}");
    assert!(stderr.starts_with(&format!("error: the run failed: request GET {address}")), "{stderr}");
    assert!(stderr.contains("Connection refused"), "{stderr}");
    assert_in_order(&stdout, &["fetch: failed", "main: failed"]);
    let tree = ["\nworkflow_run", "main", "fetch", "GET", "(CLIENT)  ✗ ", "The trace is whole", "4 spans"];
    assert_in_order(&stdout, &tree);
}

#[test]
fn a_port_that_does_not_speak_tls_fails_clearly() {
    let spanwise = Spanwise::new();
    let receiver = receiver::start();
    let address = receiver.address.replace("http", "https");
    let output = spanwise.run(&["demo", "--url", &address]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with(&format!("error: the run failed: request GET {address}")), "{stderr}");
    assert!(stderr.contains("corrupt message of type InvalidContentType"), "{stderr}");
}

#[test]
fn any_address_can_be_called_and_gets_the_trace() {
    let spanwise = Spanwise::new();
    let receiver = receiver::start();
    let output = spanwise.run(&["demo", "--url", &format!("{}/anything", receiver.address)]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{}", text(&output.stderr));
    assert!(!stdout.contains("SERVER"), "{stdout}");
    assert!(stdout.contains("27 spans"), "{stdout}");
    let traceparent = receiver.traceparents().pop().unwrap();
    let trace = traceparent.split('-').nth(1).unwrap().to_owned();
    assert!(stdout.contains(&format!("\nTrace {trace}\n")), "{traceparent}\n{stdout}");
}

#[test]
fn a_data_directory_is_kept_and_can_be_used_again() {
    let spanwise = Spanwise::new();
    for _ in 0..2 {
        let output = spanwise.run(&["demo", "--data-dir", "kept"]);
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{stdout}\n{}", text(&output.stderr));
        assert_in_order(
            &stdout,
            &["The run is kept in kept", "spanwise dev --data-dir kept", "http://localhost:8585/v2/"],
        );
    }
    assert_eq!(spanwise.leftovers(), [spanwise.temporary.path().join("kept")]);
}

#[test]
fn a_collector_gets_every_span_of_both_services() {
    let spanwise = Spanwise::new();
    let receiver = receiver::start();
    let output = spanwise.run(&["demo", "--otlp", &receiver.address]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{}", text(&output.stderr));
    assert!(stdout.contains(&format!("Sent 28 spans to {}/v1/traces", receiver.address)), "{stdout}");
    let mut spans = receiver.spans();
    spans.sort();
    let names: Vec<String> = spans.iter().map(|span| format!("{}: {}", span.service, span.name)).collect();
    let program = |name: &str, count: usize| vec![format!("spanwise-demo: {name}"); count];
    let expected = [
        vec!["demo-service: GET /get".to_owned()],
        program("GET", 1),
        program("fetch", 1),
        program("main", 1),
        program("publish", 2),
        program("render", 1),
        program("score", 20),
        program("workflow_run", 1),
    ];
    assert_eq!(names, expected.concat());
    let traces: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.trace).collect();
    assert_eq!(traces.len(), 1);
}

#[test]
fn a_collector_that_is_not_there_costs_one_line() {
    let spanwise = Spanwise::new();
    let address = dead();
    let output = spanwise.run(&["demo", "--otlp", &address]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with(&format!("warning: the spans were not sent to {address}")), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn a_collector_that_does_not_answer_costs_two_seconds_at_the_end() {
    let spanwise = Spanwise::new();
    // Connections are taken by the system and never answered.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let began = Instant::now();
    let output = spanwise.run(&["demo", "--otlp", &address]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stderr).starts_with("warning: the spans were not sent"), "{}", text(&output.stderr));
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

/// Reads the output until a line contains `piece`.
fn read_until(child: &mut Child, piece: &str) {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(piece)), "the output ended before `{piece}`");
}

#[test]
fn an_interrupt_ends_it_within_a_second_and_leaves_nothing_behind() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let spanwise = Spanwise::new();
        let mut child = spanwise.command(&["demo"]).spawn().unwrap();
        read_until(&mut child, "score 1: running");
        let began = Instant::now();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(status.code(), Some(code));
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "interrupted\n");
        assert_eq!(spanwise.leftovers(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let spanwise = Spanwise::new();
    let mut child = spanwise.command(&["demo"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(141), ""));
}
