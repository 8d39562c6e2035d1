//! Timers of the stock SDK (`flyte.extras.Sleep`, `flyte.durable.sleep`): waited for by the server, shown by every view, and not begun anew by one
//! that is killed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command_line::spanwise;
use crate::dev_server::{DevServer, body_of};
use crate::python::{Program, run_case};
use crate::waiting::page;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

fn run_page(run: &str) -> String {
    format!("/v2/domain/development/project/flytesnacks/runs/{run}")
}

#[test]
fn s17_a_task_that_only_waits_is_a_timer_on_every_path() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let result = run_case(&server, "timers.py", "on_every_path");
    let found = result["found"].as_object().unwrap();
    for (path, took) in found.iter().filter(|(path, _)| *path != "outputs of the root") {
        assert_eq!(took, &json!(true), "{path}: {result}");
    }
    let root = text(&result["root"]);
    let shown = spanwise(&server, &["get", root, "-o", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(
        (&shown["actions"][0]["task"], &shown["actions"][0]["phase"]),
        (&json!("naps.nap"), &json!("SUCCEEDED"))
    );
    assert!(server.said().contains("the cache of type `core-sleep` is not honoured"), "{}", server.said());
    server.stop();
}

#[test]
fn s17_what_is_no_wait_fails_by_the_name_of_its_input() {
    let server = DevServer::shared();
    let found = run_case(&server, "timers.py", "what_is_no_wait");
    for (which, part) in [
        ("too little", "takes one input, a duration or a datetime, and not 0"),
        ("too much", "and not 2"),
        ("of another type", "`seconds` is neither a duration nor a datetime"),
        ("with outputs", "gives no outputs"),
        ("negative", "`duration` is negative"),
    ] {
        let error = &found["child"][which];
        assert!(text(&error["message"]).contains(part), "{which}: {found}");
        assert!(text(&error["code"]).contains("BadTaskSpecification"), "{which}: {error}");
    }
    assert!(text(&found["child"]["timeout"]["class"]).contains("MaxRuntimeExceededError"), "{found}");
    assert!(text(&found["root"]["message"]).contains("neither a duration nor a datetime"), "{found}");
}

#[test]
fn s17_a_killed_server_waits_for_the_rest_and_every_view_says_until_when() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start_with(data.path(), &[("SPANWISE_TRACE", "lifecycle")]);
    let mut program = Program::new(&server, "timers.py").arg("across_a_restart").start();
    for file in ["sleeps", "sleeps_durably", "runs"] {
        program.wait_for_marks(file, |lines| !lines.is_empty(), &server);
    }
    let runs = program.marks("runs")[0].clone();
    let (parent, root) = runs.split_once(' ').unwrap();
    let since = Instant::now();
    let waits = |server: &DevServer, run: &str| {
        let shown: Value = serde_json::from_slice(&spanwise(server, &["get", run, "-o", "json"]).stdout).unwrap();
        let actions = shown["actions"].as_array().unwrap().clone();
        actions.into_iter().find(|action| text(&action["task"]) == "naps.nap")
    };
    let timer = loop {
        match waits(&server, parent) {
            Some(timer) => break timer,
            None => assert!(since.elapsed() < Duration::from_secs(60)),
        }
    };
    let until = text(&timer["waits"]).to_owned();
    assert!(until.starts_with("until 20") && until.ends_with(" UTC"), "{timer}");
    assert_eq!(timer["phase"], "RUNNING", "{timer}");
    let panel = page(&server, &format!("{}?i={}", run_page(parent), text(&timer["name"])));
    assert!(panel.contains(&until) && panel.contains("timer"), "{panel}");
    server.kill();
    server.restart();
    assert_eq!(waits(&server, parent).unwrap()["waits"], json!(until), "decided once");
    let table = String::from_utf8(spanwise(&server, &["get", root]).stdout).unwrap();
    assert!(table.contains("a0 waits: until 20"), "{table}");
    let found = program.result(&server);
    for name in ["sleeps", "sleeps_durably"] {
        let took = found["found"][name]["took"].as_f64().unwrap();
        assert!((19.9..80.0).contains(&took), "{name}: {found}");
        assert_eq!(found["found"][name]["begun"], 1, "{name}: {found}");
    }
    assert_eq!(found["phases"], json!({ "sleeps": ["succeeded"], "nap": ["succeeded"] }));
    assert_eq!(found["root"], json!({ "nap": ["succeeded"] }));
    for run in [parent, root] {
        let trace = String::from_utf8(spanwise(&server, &["trace", run]).stdout).unwrap();
        assert!(trace.contains("wait timer"), "{trace}");
        let explained = body_of(&format!("http://{}{}/explain.json", server.endpoint(), run_page(run)));
        let explained: Value = serde_json::from_str(&explained).unwrap();
        let waiting = explained["uses"].as_array().unwrap().iter().find(|used| used["use"] == "waiting").unwrap();
        assert!(waiting["us"].as_u64().unwrap() > 15_000_000, "{explained}");
    }
    server.stop();
}
