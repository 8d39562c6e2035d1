//! The commands of `spanwise` that ask a server, against runs of the stock SDK.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::dev_server::{DevServer, binary};
use crate::python::{remove_what_would_mislead, run_case};

/// Runs a command against the server.
pub(crate) fn spanwise(server: &DevServer, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    remove_what_would_mislead(&mut command);
    command.args(arguments).args(["--endpoint", &server.endpoint()]).env("HOME", "/");
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn runs_are_listed_shown_and_their_logs_printed() {
    let directory = tempfile::tempdir().unwrap();
    let server = DevServer::start(directory.path());
    assert_eq!(text(&spanwise(&server, &["list"])).trim(), "no runs");
    run_case(&server, "processes.py", "logs");
    let runs = json(&spanwise(&server, &["list", "--output", "json"]));
    let run = runs[0]["name"].as_str().unwrap();
    assert_eq!((&runs[0]["phase"], runs.as_array().unwrap().len()), (&"SUCCEEDED".into(), 1), "{runs}");
    assert_eq!(json(&spanwise(&server, &["list", "--phase", "failed", "-o", "json"])), Value::Array(Vec::new()));

    let shown = spanwise(&server, &["get", run, "--output", "json"]);
    assert_eq!(shown.status.code(), Some(0));
    let actions = json(&shown)["actions"].clone();
    assert_eq!((&actions[0]["name"], &actions[0]["attempts"]), (&"a0".into(), &2.into()), "{actions}");
    let table = text(&spanwise(&server, &["get", run]));
    assert!(table.contains("a0") && table.contains("SUCCEEDED") && table.contains(&server.endpoint()), "{table}");

    let first = text(&spanwise(&server, &["logs", run, "--attempt", "1"]));
    assert!(first.contains("of attempt 0") && !first.contains("of attempt 1"), "{first}");
    let timed = text(&spanwise(&server, &["logs", run, "a0", "--times"]));
    assert!(timed.lines().all(|line| line.starts_with("20")) && timed.contains("of attempt 1"), "{timed}");
}

#[test]
fn a_trace_is_drawn_and_written_and_its_time_explained() {
    let directory = tempfile::tempdir().unwrap();
    let environment = [("SPANWISE_TRACE", "lifecycle"), ("SPANWISE_LOG", "spanwise_server=info")];
    let server = DevServer::start_with(directory.path(), &environment);
    let found = run_case(&server, "traced.py", "a_retried_run");
    let run = found["run"].as_str().unwrap();
    let drawn = spanwise(&server, &["trace", run, "--follow"]);
    assert_eq!(drawn.status.code(), Some(0), "{drawn:?}");
    let tree = text(&drawn);
    for part in ["RUN shop.checkout", "attempt 2", "backoff", "POST /charges", "cached", "✗ ConnectionError", "█"] {
        assert!(tree.contains(part), "{part}: {tree}");
    }
    assert!(!tree.contains('\u{1b}') && !tree.contains("is missing"), "{tree}");

    let otlp = json(&spanwise(&server, &["trace", run, "--format", "otlp-json"]));
    let spans = |resource: &Value| resource["scopeSpans"][0]["spans"].as_array().unwrap().clone();
    let all: Vec<Value> = otlp["resourceSpans"].as_array().unwrap().iter().flat_map(spans).collect();
    assert!(all.iter().all(|span| span["traceId"] == all[0]["traceId"]), "{otlp}");
    let jaeger = json(&spanwise(&server, &["trace", run, "--format", "jaeger"]));
    assert_eq!(jaeger["data"][0]["traceID"], all[0]["traceId"], "{jaeger}");

    logs_name_the_trace(&server, run, &all);
    let explained = json(&spanwise(&server, &["explain", run, "--output", "json"]));
    let uses = explained["uses"].as_array().unwrap();
    let sum: u64 = uses.iter().map(|used| used["us"].as_u64().unwrap()).sum();
    assert_eq!(Some(sum), explained["wall_us"].as_u64(), "{explained}");
    let backoff = uses.iter().find(|used| used["use"] == "backoff").unwrap();
    assert!(
        backoff["us"].as_u64().unwrap() >= 400_000 && backoff["largest"][0]["task"] == "shop.charge",
        "{explained}"
    );
    let table = text(&spanwise(&server, &["explain", run]));
    assert!(table.contains("backoff") && table.contains("shop.charge") && table.contains("repeated"), "{table}");
    let waited = run_case(&server, "traced.py", "a_hostile_run");
    let failed = spanwise(&server, &["trace", waited["run"].as_str().unwrap(), "--follow"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(text(&failed).contains("<script>alert(1)</script>"), "{failed:?}");
}

/// A line of a task's log and a line of the server's own name the span of the attempt that they belong to.
fn logs_name_the_trace(server: &DevServer, run: &str, spans: &[Value]) {
    let of = |span: &&Value, key: &str, wanted: &str| {
        let attributes = span["attributes"].as_array().unwrap().iter();
        attributes.filter(|pair| pair["key"] == key).any(|pair| pair["value"].to_string().contains(wanted))
    };
    let failed = spans.iter().find(|span| span["name"] == "attempt 1" && of(span, "flyte.task_name", "shop.charge"));
    let failed = failed.unwrap();
    let action = failed["attributes"].as_array().unwrap().iter().find(|pair| pair["key"] == "flyte.action_name");
    let action = action.unwrap()["value"]["stringValue"].as_str().unwrap();
    let printed = text(&spanwise(server, &["logs", run, action, "--attempt", "1", "--output", "json"]));
    assert!(printed.contains("the bank does not answer"), "{printed}");
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let whole = (&line["run"], &line["action"], &line["attempt"], &line["trace_id"], &line["span_id"]);
        assert_eq!(whole, (&run.into(), &action.into(), &1.into(), &failed["traceId"], &failed["spanId"]));
        assert!(line["time"].as_str().unwrap().starts_with("20") && line["message"].is_string(), "{line}");
    }
    let (trace, span) = (failed["traceId"].as_str().unwrap(), failed["spanId"].as_str().unwrap());
    let fields = format!("run={run} action={action} attempt=1 trace_id={trace} span_id={span}");
    assert!(
        server.said().contains(&format!("attempt{{{fields}}}: the process of an attempt has ended")),
        "{}",
        server.said()
    );
    let address = format!(
        "http://127.0.0.1:{}/v2/domain/development/project/flytesnacks/runs/{run}?i={action}&attempt=1",
        server.port()
    );
    let page = ureq::get(&address).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(page.contains(&format!(">{span}</span> of trace <span class=\"mono\">{trace}<")), "{page}");
}

#[test]
fn what_is_not_there_is_said_and_has_an_exit_code() {
    let server = DevServer::shared();
    let unknown = spanwise(&server, &["get", "not-there"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("`not-there` does not exist"), "{unknown:?}");
    assert_eq!(spanwise(&server, &["abort", "not-there"]).status.code(), Some(1));
    for command in ["trace", "explain"] {
        let unknown = spanwise(&server, &[command, "not-there"]);
        assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
        assert!(String::from_utf8_lossy(&unknown.stderr).contains("`not-there` does not exist"), "{unknown:?}");
        let nobody = Command::new(binary()).args([command, "r", "--endpoint", "localhost:1"]).output().unwrap();
        assert_eq!(nobody.status.code(), Some(3), "{nobody:?}");
    }
    assert_eq!(spanwise(&server, &["list", "--phase", "purple"]).status.code(), Some(1));
    assert_eq!(spanwise(&server, &["list", "--limit", "0"]).status.code(), Some(2));
    assert_eq!(text(&spanwise(&server, &["tasks", "--project", "empty"])).trim(), "no tasks are deployed");
    let nobody = Command::new(binary()).args(["list", "--endpoint", "localhost:1"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("spanwise dev"), "{nobody:?}");
}

#[test]
fn the_doctor_finds_what_is_there() {
    let server = DevServer::shared();
    let python = crate::python::python().display().to_string();
    let found = spanwise(&server, &["doctor", "--python", &python]);
    let said = text(&found);
    assert_eq!(found.status.code(), Some(0), "{said}");
    assert!(said.contains("flyte 2.12.1"), "{said}");
    let memory = said.lines().find(|line| line.contains(" memory "));
    assert!(memory.is_some_and(|line| line.starts_with("ok") && line.contains("limited by")), "{said}");
    let missing = spanwise(&server, &["doctor", "--python", "/bin/false"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing).contains("pip install flyte"), "{missing:?}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Command::new(binary()).args(["completions", shell]).output().unwrap();
        assert!(text(&script).contains("doctor"), "{shell}");
    }
}
