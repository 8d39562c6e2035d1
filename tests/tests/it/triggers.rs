//! Triggers end to end: the stock SDK and command line deploy, fire, pause and delete them, and a server that is killed and started
//! again fires what it has missed, once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spanwise_proto::flyteidl2::common::{RunIdentifier, TriggerName};
use spanwise_proto::flyteidl2::workflow::{CreateRunRequest, RunSource};
use spanwise_proto::google::protobuf::Timestamp;

use crate::command_line::spanwise;
use crate::dev_server::DevServer;
use crate::hostile::ask;
use crate::python::run_case;
use crate::waiting::page;

/// How long the server is away: a few slots.
const AWAY: Duration = Duration::from_secs(4);

const PATIENCE: Duration = Duration::from_secs(60);

fn json_of(server: &DevServer, arguments: &[&str]) -> Value {
    let output = spanwise(server, arguments);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}\n{}", server.said()))
}

fn text_of(server: &DevServer, arguments: &[&str]) -> String {
    let output = spanwise(server, arguments);
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

fn assert_deployed(found: &Value) {
    assert_eq!(found["names"], json!(["daily", "on_demand", "quick", "rate"]));
    assert_eq!(found["active"], json!({"daily": true, "on_demand": true, "quick": true, "rate": false}));
    assert_eq!((&found["everywhere"], &found["of_version"]), (&found["names"], &json!([])));
    assert_eq!(found["description"], "Fires all the time.");
    // Deployed twice under one version is deployed once.
    assert_eq!((&found["version"], &found["revision"]), (&json!("v1"), &json!(1)));
    // Its shared trace is left out, and it is fired with the rest.
    assert_eq!(found["context"], json!(["who", "_u_kickoff_time_input_arg"]));
    assert_eq!(found["output"], json!({"factor": "3", "fired": "by trigger", "who": "trigger"}));
    assert_eq!((&found["own_trace"], &found["labels"]["team"]), (&json!(true), &json!("a")));
    assert_eq!((&found["source"], &found["trigger_task"]), (&json!(3), &json!("triggers.report")));
}

#[test]
fn s11_5_triggers_fire_by_the_stock_sdk_across_a_kill_of_the_server() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start_with(data.path(), &[("SPANWISE_TRACE", "lifecycle")]);
    let found = run_case(&server, "triggers.py", "deployed");
    assert_deployed(&found);
    let run = found["run"].as_str().unwrap();
    let page_of_run = page(&server, &format!("/v2/domain/development/project/flytesnacks/runs/{run}"));
    assert!(page_of_run.contains("`traceparent` and `tracestate` of a trigger are left out"), "{page_of_run}");
    assert!(page_of_run.contains("<dt>Fired by</dt>") && page_of_run.contains(">quick</a>"), "{page_of_run}");
    assert_traced(&server, run);
    server.kill();
    std::thread::sleep(AWAY);
    server.restart();
    let caught_up = run_case(&server, "triggers.py", "caught_up");
    assert!(caught_up["slots"].as_u64().unwrap() >= 4, "{caught_up}");
    let changed = run_case(&server, "triggers.py", "changed");
    assert_eq!((&changed["plain"], &changed["other"]), (&json!("5"), &json!("7")));
    let explicit = json!({"at": "2020-02-02T00:00:00+00:00", "factor": "3", "fired": "by me", "who": "me"});
    assert_eq!(changed["asked"], explicit);
    // The one that was asked for while the trigger was paused.
    assert_eq!((&changed["unchanged"], &changed["resumed"]), (&json!(1), &json!(true)));
    assert!(changed["gone"].as_str().unwrap().contains("trigger `quick` of task `triggers.report` is not deployed"));
    let by_command_line = run_case(&server, "triggers.py", "by_command_line");
    let refused = by_command_line["refused"].as_str().unwrap();
    assert!(refused.contains("minute 61 is not from 0 to 59"), "{refused}");
    let expected = json!({
        "listed": 4, "shown": true, "paused": true, "active": true, "created": "0 5 * * 1-5",
        "left": ["daily", "on_demand", "quick", "rate"], "refused": refused,
    });
    assert_eq!(by_command_line, expected);
    server.stop();
}

/// A trace of its own, which says what has fired it, and when it should have been fired.
fn assert_traced(server: &DevServer, run: &str) {
    let deadline = Instant::now() + PATIENCE;
    let trace = loop {
        let trace = text_of(server, &["trace", run, "--format", "otlp-json"]);
        if trace.contains("RUN triggers.report") {
            break trace;
        }
        assert!(Instant::now() < deadline, "{trace}\n{}", server.said());
        std::thread::sleep(Duration::from_millis(20));
    };
    for attribute in ["spanwise.trigger.name", "spanwise.scheduled_at", "spanwise.late_ms"] {
        assert!(trace.contains(attribute), "{attribute}: {trace}");
    }
    assert!(trace.contains("previous firing"), "{trace}");
    assert!(!trace.contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{trace}");
}

#[test]
fn s11_7_runs_of_a_trigger_do_not_overlap_where_it_says_so() {
    let server = DevServer::shared();
    let steps = run_case(&server, "triggers.py", "overlapping");
    let of = |name: &str| -> Vec<f64> { serde_json::from_value(steps[name].clone()).unwrap() };
    // None is left out of those that wait; of the others all are that came meanwhile.
    assert!(of("queues").iter().all(|step| *step == 1.0), "{steps}");
    assert!(of("skips").iter().all(|step| *step >= 2.0), "{steps}");
}

#[test]
fn s11_8_triggers_follow_the_version_of_their_task_that_was_deployed_last() {
    let server = DevServer::shared();
    let found = run_case(&server, "triggers.py", "redeployed");
    let expected = json!({
        "first": ["daily", "extra"], "second": ["daily"], "goes_on": true, "of_second": "v2",
        "reverted": {"daily": "v1", "extra": "v1"}, "active": false,
        "deleted": ["daily"], "without_any": ["daily"],
    });
    assert_eq!(found, expected);
}

#[test]
fn s11_10_a_trigger_that_makes_no_sense_is_refused_before_anything_is_deployed() {
    let server = DevServer::shared();
    let refused = run_case(&server, "triggers.py", "refused");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("trigger `never`") && message.contains("minute 61"), "{message}");
    assert_eq!(refused["deployed"], false);
}

/// Whoever says that a schedule fires a run says its slot, under its name.
fn assert_only_slots_are_fired_as_slots(server: &DevServer) {
    let fire = |trigger: &str, name: &str, seconds: i64, nanos: i32| {
        let scope = || ("flytesnacks".to_owned(), "development".to_owned());
        let ((project, domain), task_name) = (scope(), "triggers.report".to_owned());
        let named = TriggerName { name: trigger.to_owned(), project, domain, task_name, ..TriggerName::default() };
        let (project, domain) = scope();
        let id = RunIdentifier { project, domain, name: name.to_owned(), ..RunIdentifier::default() };
        let request = CreateRunRequest {
            id: Some(id.into()),
            task: Some(named.into()),
            source: RunSource::RUN_SOURCE_SCHEDULE_TRIGGER.into(),
            run_start_time: Timestamp { seconds, nanos, ..Timestamp::default() }.into(),
            ..CreateRunRequest::default()
        };
        ask(server, "RunService/CreateRun", &request)
    };
    const MIDNIGHT: i64 = 1_767_225_600;
    for (trigger, name, seconds, nanos, said) in [
        ("daily", "", MIDNIGHT + 1, 0, "is no slot"),
        ("daily", "", MIDNIGHT, 1000, "is no slot"),
        ("daily", "mine", MIDNIGHT, 0, "run_id.name: the run of this slot is `r"),
        ("daily", "", MIDNIGHT + 100 * 365 * 86_400, 0, "lies in the future"),
        ("on_demand", "", MIDNIGHT, 0, "there is no schedule"),
    ] {
        fire(trigger, name, seconds, nanos).assert_error(said, "invalid_argument", said);
    }
}

#[test]
fn triggers_are_listed_shown_paused_fired_and_backfilled_in_the_terminal_and_shown_on_a_page() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start_with(data.path(), &[("SPANWISE_TRIGGER_OVERLAP", "skip")]);
    assert!(page(&server, "/triggers").contains("No triggers"));
    run_case(&server, "triggers.py", "deployed");
    let listed = json_of(&server, &["triggers", "ls", "-o", "json"]);
    let one = |name: &str| listed.as_array().unwrap().iter().find(|trigger| trigger["name"] == *name).unwrap().clone();
    assert_eq!((&one("daily")["fires"], &one("daily")["active"]), (&json!("0 0 * * * (UTC)"), &json!(true)));
    assert!(one("daily")["next"].as_str().unwrap().ends_with("T00:00:00Z"), "{listed}");
    assert_eq!(one("rate")["fires"], "every 90 minutes from 2000-01-01T00:00:00Z on");
    assert_eq!((&one("rate")["next"], &one("on_demand")["fires"]), (&Value::Null, &json!("on demand")));
    let table = text_of(&server, &["triggers", "ls"]);
    assert!(table.contains("triggers.report") && table.contains("paused"), "{table}");
    assert!(text_of(&server, &["triggers", "pause", "quick"]).contains("triggers.report/quick is paused"));
    assert!(text_of(&server, &["triggers", "resume", "triggers.report/rate"]).contains("is active"));
    let fired = text_of(&server, &["triggers", "fire", "on_demand"]);
    assert!(fired.contains("triggers.report/on_demand has started run "), "{fired}");
    let shown = json_of(&server, &["triggers", "show", "rate", "-o", "json"]);
    let changes: Vec<_> =
        shown["revisions"].as_array().unwrap().iter().map(|revision| revision["change"].clone()).collect();
    assert_eq!((json!(changes), &shown["task_version"]), (json!(["activate", "deploy"]), &json!("v1")));
    let window = ["backfill", "daily", "--from", "2026-01-30", "--to", "2026-02-02", "-o", "json"];
    let planned = json_of(&server, &[&window[..], &["--dry-run"]].concat());
    let slots = ["2026-01-30T00:00:00Z", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"];
    let column = |rows: &Value, key: &str| -> Vec<Value> {
        rows.as_array().unwrap().iter().map(|row| row[key].clone()).collect()
    };
    assert_eq!(
        (column(&planned, "slot"), column(&planned, "became")),
        (slots.map(Value::from).to_vec(), vec!["would be started".into(); 3])
    );
    let started = json_of(&server, &window);
    assert_eq!(
        (column(&started, "run"), column(&started, "became")),
        (column(&planned, "run"), vec!["started".into(); 3])
    );
    assert_eq!(column(&json_of(&server, &window), "became"), vec![Value::from("was there already"); 3]);
    for (arguments, said) in [
        (vec!["backfill", "daily", "--from", "2000-01-01", "--to", "2026-12-31"], "there are more than 1000 slots"),
        (vec!["backfill", "on_demand", "--from", "2026-01-01", "--to", "2026-01-02"], "it has no schedule"),
        (vec!["backfill", "daily", "--from", "soon", "--to", "2026-01-02"], "`soon` is no time"),
        (vec!["triggers", "show", "nightly"], "there is no trigger `nightly`"),
    ] {
        let refused = text_of(&server, &arguments);
        assert!(refused.contains(said), "{arguments:?}: {refused}");
    }
    assert_only_slots_are_fired_as_slots(&server);
    let page_of_triggers = page(&server, "/triggers");
    for text in ["every 90 minutes", "missed: all, overlap: skip", "paused", "?task=triggers.report&#38;trigger=daily"]
    {
        assert!(page_of_triggers.contains(text), "{text}: {page_of_triggers}");
    }
    let one = page(&server, "/v2/domain/development/project/flytesnacks/triggers/triggers.report/rate");
    for text in ["triggers.report/rate", "every 90 minutes", "<dt>Then</dt>", "activated", "deployed"] {
        assert!(one.contains(text), "{text}: {one}");
    }
    let of_project = page(&server, "/v2/domain/development/project/flytesnacks/triggers");
    assert!(
        of_project.contains("on_demand")
            && page(&server, "/v2/domain/staging/project/p/triggers").contains("No triggers")
    );
    let of_daily = page(&server, "/v2/domain/development/project/flytesnacks/runs?task=triggers.report&trigger=daily");
    assert_eq!(of_daily.matches("data-row").count(), 3, "{of_daily}");
    server.stop();
}
