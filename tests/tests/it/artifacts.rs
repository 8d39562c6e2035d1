//! Artifacts by the stock SDK and command line: registered, produced, found, consumed, and what they start, across kills of the server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command_line::spanwise;
use crate::dev_server::DevServer;
use crate::python::{Program, run_case};
use crate::waiting::page;

const PATIENCE: Duration = Duration::from_secs(60);

fn assert_produced(found: &Value) {
    let run = found["run"].as_str().unwrap();
    assert_eq!(found["version"], json!(format!("{run}-a0-1")));
    assert_eq!((&found["stamp"], &found["description"]), (&found["version"], &json!("größe")));
    assert_eq!(found["attrs"], json!({"framework": "none", "flyte.io/kind": "model"}));
    assert_eq!((&found["kind"], &found["parents"]), (&json!("model"), &json!(["v0"])));
    assert_eq!(found["source"], json!(format!("run {run}/a0 (attempt 0)")));
    assert_eq!(found["versions"], json!(["v2", found["version"]]));
    assert_eq!((&found["events"], &found["latest"]), (&json!(3), &json!(2)));
    assert_eq!(found["partition"], json!({"date": "2026-09-17", "region": "us"}));
    assert!(found["inside"].as_str().unwrap().starts_with("run "), "{found}");
    assert_eq!((&found["of_run"], &found["models"]), (&json!([found["version"]]), &found["versions"]));
    assert_eq!(found["names"], json!(["events", "inside", "model"]));
    // The newest version of each partition, the newest first.
    assert_eq!(found["read"], "one us eu");
}

#[test]
fn s20_artifacts_are_produced_registered_found_and_consumed_across_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start_with(data.path(), &[("SPANWISE_TRACE", "lifecycle")]);
    let found = run_case(&server, "artifacts.py", "produced");
    assert_produced(&found);
    assert_linked(&server, found["run"].as_str().unwrap(), found["consumer"].as_str().unwrap());
    let registered = run_case(&server, "artifacts.py", "registered");
    assert_eq!(registered["listed"], json!(["1-us", "2-us"]));
    assert_eq!((&registered["one"], &registered["names"]), (&json!(true), &json!(1)));
    assert_eq!((&registered["range"], &registered["latest"]), (&json!(["3-us", "2-us"]), &json!("1-eu")));
    assert_eq!((&registered["external"], &registered["attr"]), (&json!(["v1"]), &json!(["v1"])));
    assert_eq!(registered["days"], json!(["2026-09-01", "2026-09-02", "2026-09-03"]));
    assert_eq!(registered["regions"], json!(["eu", "us"]));
    assert_eq!(registered["schema"], json!([["date", "region"], false]));
    assert_eq!(registered["declared"], json!([["hour", "region"], true]));
    assert_eq!((&registered["hour"], &registered["limit"]), (&json!("2026-09-17 13:00:00+00:00"), &json!(4)));
    for (what, said) in [
        ("other_keys", "is partitioned by `date` (day), `region`, not by `day` (day)"),
        ("redeclared", "is partitioned by `date` (day), `region`, not by `date` (day)"),
        ("exists", "has version `v1` already, with other content"),
        ("unknown", "artifact `nobody` has no version"),
        ("unknown_version", "artifact `incoming` has no version `v9`"),
        ("elsewhere", "project `other`"),
    ] {
        assert!(registered[what].as_str().unwrap().contains(said), "{what}: {registered}");
    }
    server.kill();
    server.restart();
    let still = run_case(&server, "artifacts.py", "kept");
    assert_eq!(still, json!({"versions": 2, "raw": 6, "declared": true, "read": "two"}));
    assert_shown(&server, &found);
    server.stop();
}

/// The run that was given a version links to the attempt that has made it.
fn assert_linked(server: &DevServer, producer: &str, consumer: &str) {
    let trace = |run: &str| {
        let output = spanwise(server, &["trace", run, "--format", "otlp-json"]);
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or(Value::Null)
    };
    let spans = |trace: &Value| -> Vec<Value> {
        let groups = trace["resourceSpans"].as_array().into_iter().flatten();
        let scopes = groups.flat_map(|group| group["scopeSpans"].as_array().into_iter().flatten());
        scopes.flat_map(|scope| scope["spans"].as_array().into_iter().flatten().cloned()).collect()
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (made, given) = (spans(&trace(producer)), spans(&trace(consumer)));
        let named =
            |spans: &[Value], name: &str| spans.iter().find(|span| span["name"].as_str() == Some(name)).cloned();
        let run = named(&given, "RUN artifacts.reads");
        let links = run.as_ref().and_then(|run| run["links"].as_array().cloned()).unwrap_or_default();
        let is_of_producer = |link: &Value| made.iter().any(|span| span["spanId"] == link["spanId"]);
        if links.iter().any(is_of_producer) {
            // The model, and two events.
            assert_eq!(links.len(), 3, "{links:?}");
            return;
        }
        assert!(Instant::now() < deadline, "{run:?}\n{made:?}\n{}", server.said());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The pages of the console.
fn assert_shown(server: &DevServer, found: &Value) {
    let all = page(server, "/artifacts");
    for text in ["model", "events", "raw", "hourly"] {
        assert!(all.contains(&format!(">{text}</a>")), "{text}: {all}");
    }
    let (run, consumer) = (found["run"].as_str().unwrap(), found["consumer"].as_str().unwrap());
    let one = page(server, "/v2/domain/development/project/flytesnacks/artifacts/model");
    for text in ["größe", &format!("{run}-a0-1"), run, consumer, "v2", "framework"] {
        assert!(one.contains(text), "{text}: {one}");
    }
    let events = page(server, "/v2/domain/development/project/flytesnacks/artifacts/events");
    assert!(events.contains("date=2026-09-17, region=us"), "{events}");
    let of_project = page(server, "/v2/domain/staging/project/p/artifacts");
    assert!(of_project.contains("No artifacts"), "{of_project}");
}

#[test]
fn s20_6_triggers_wait_for_versions_and_fire_each_once_across_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let found = run_case(&server, "artifacts.py", "triggered");
    let any = |text: &str| format!("{text} 3 2000-01-01  trigger");
    let expected = json!({
        "on_any": [any("one"), any("three"), any("two")],
        "on_us": ["one 1 2026-09-17 us "],
        "on_pinned": ["three 1 2000-01-01  "],
    });
    assert_eq!(found["found"], expected);
    assert_eq!(found["after"]["on_any"], json!([any("five"), any("one"), any("three"), any("two")]));
    assert_eq!((&found["source"], &found["labels"]), (&json!(5), &json!({"team": "a"})));
    assert!(found["described"].as_str().unwrap().contains("us"), "{found}");
    assert!(found["listed"].as_str().unwrap().contains("on_us"), "{found}");
    let triggers = page(&server, "/triggers");
    assert!(triggers.contains("on artifact fresh [region=us]"), "{triggers}");
    let run = found["run"].as_str().unwrap();
    let run = page(&server, &format!("/v2/domain/development/project/flytesnacks/runs/{run}"));
    assert!(run.contains("<dt>Artifacts</dt>") && run.contains("fresh"), "{run}");

    let mut program = Program::new(&server, "artifacts.py").arg("published").start();
    program.wait_for_marks("published", |lines| lines.len() >= 4, &server);
    server.kill();
    server.restart();
    program.result(&server);
    let once = run_case(&server, "artifacts.py", "fired_once");
    let texts: Vec<String> = (0..12).map(|number| format!("many {number}")).collect();
    assert_eq!(once["texts"], json!(texts));
    server.stop();
}
