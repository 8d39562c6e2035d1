//! Apps of the stock SDK (semantics S12): answered through the server, scaled to zero, restarted, stopped and deleted; and what becomes of
//! them when they or the server are killed.

use serde_json::{Value, json};

use crate::command_line::spanwise;
use crate::dev_server::{DevServer, status_of};
use crate::images::wait_until;
use crate::python::run_case;
use crate::waiting::{page, post};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

#[test]
fn s12_an_app_answers_by_its_path_and_by_its_host_and_is_no_page_of_the_console() {
    // Of its own: nobody else changes the app meanwhile.
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let found = run_case(&server, "apps.py", "answers");
    let (endpoint, host) = (text(&found["endpoint"]), text(&found["host"]));
    assert_eq!(endpoint, format!("http://{}/apps/flytesnacks/development/web", server.endpoint()));
    assert_eq!(host, format!("http://web-flytesnacks-development.localhost:{}", server.port()));
    assert_eq!((&found["active"], &found["by_path"]["path"]), (&json!(true), &json!("/x%20y?z=1")));
    assert_eq!(found["by_path"]["color"], "blue \u{1f680}");
    let headers = &found["by_path"]["headers"];
    assert_eq!(headers["x-forwarded-prefix"], "/apps/flytesnacks/development/web");
    assert_eq!(
        (&headers["x-forwarded-host"], &headers["x-forwarded-proto"]),
        (&json!(server.endpoint()), &json!("http"))
    );
    let by_host = &found["by_host"]["headers"];
    assert!(by_host["x-forwarded-prefix"].is_null() && host.ends_with(text(&by_host["host"])), "{by_host}");
    assert_eq!(found["navigated"], json!([307, format!("{host}/page")]));
    assert_eq!((&found["fetched"], &found["foreign"], &found["own"]), (&json!(403), &json!(403), &json!(200)));
    assert_eq!(found["sealed"], "sandbox");
    assert_eq!(found["moved"], json!([302, "/apps/flytesnacks/development/web/landed"]));
    assert!(found["listed"].as_array().unwrap().contains(&json!("web")), "{found}");
}

#[test]
fn s12_a_connection_that_goes_over_to_another_protocol_goes_through() {
    let found = run_case(&DevServer::shared(), "apps.py", "an_upgrade");
    assert!(text(&found["status"]).contains("101"), "{found}");
    assert_eq!(found["said"], "hello you\n");
}

#[test]
fn s12_a_task_asks_an_app_in_the_trace_of_its_run_and_both_are_deployed_at_once() {
    let found = run_case(&DevServer::shared(), "apps.py", "from_a_task");
    assert_eq!(found["found"]["path"], "/from-a-task?a=1");
    let traceparent = text(&found["found"]["headers"]["traceparent"]);
    assert!(traceparent.contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{traceparent}");
}

#[test]
fn s12_an_app_finds_another_one_by_its_parameter() {
    let found = run_case(&DevServer::shared(), "apps.py", "parameters");
    assert_eq!(found["found"], "/from-friend");
    assert!(text(&found["other"]).ends_with("/apps/flytesnacks/development/web"), "{found}");
    assert_eq!(found["other"], found["variable"]);
}

#[test]
fn s12_an_app_that_nobody_asks_for_ends_and_requests_wait_until_it_is_back() {
    let found = run_case(&DevServer::shared(), "apps.py", "scaled_to_zero");
    let woken_in = found["woken_in"].as_f64().unwrap();
    assert!(woken_in < 3.0, "{woken_in} s, most of which is the start of an interpreter");
}

#[test]
fn s12_an_app_that_fails_is_told_with_what_it_said() {
    let found = run_case(&DevServer::shared(), "apps.py", "fails");
    assert!(text(&found["raised"]).contains("has failed"), "{found}");
    let message = text(&found["message"]);
    assert!(message.contains("exit code 3") && message.contains("no model here"), "{message}");
    assert_eq!(found["asked"], 503);
    assert!(found["lines"].as_array().unwrap().iter().any(|line| text(line).contains("no model here")), "{found}");
}

#[test]
fn s12_the_command_line_of_the_sdk_serves_shows_updates_deploys_and_deletes_apps() {
    assert_eq!(run_case(&DevServer::shared(), "cli.py", "apps")["left"], false);
}

#[test]
fn s12_an_app_is_stopped_started_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let found = run_case(&server, "apps.py", "stopped_and_deleted");
    assert_eq!(found["stopped"][0], 503);
    assert!(text(&found["stopped"][1]).contains("app `web` is stopped"), "{found}");
    assert_eq!((&found["deleted"], &found["revision"]), (&json!(404), &json!(3)));
}

#[test]
fn s12_an_app_survives_its_own_kill_and_that_of_the_server_and_ends_with_its_orderly_end() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let found = run_case(&server, "apps.py", "killed");
    assert_eq!(found["broken_off"][0], 502);
    assert!(text(&found["broken_off"][1]).contains("app `steady`"), "{found}");
    assert_eq!(found["foreign"], 200, "it asks for no login");
    let pid = |server: &DevServer| run_case(server, "apps.py", "pid")["pid"].as_u64().unwrap();
    let before = pid(&server);
    server.kill();
    assert!(is_alive(before), "it outlives the server");
    server.restart();
    assert_eq!(pid(&server), before, "it is adopted");
    // A process that has ended while nobody looked is started anew.
    server.kill();
    assert!(std::process::Command::new("kill").args(["-9", &before.to_string()]).status().unwrap().success());
    server.restart();
    let after = pid(&server);
    assert_ne!(after, before);
    let url = format!("http://{}/healthz", server.endpoint());
    server.stop();
    assert_eq!(status_of(&url), None);
    wait_until("the app has ended", || !is_alive(after));
}

#[test]
fn s12_an_app_that_is_deleted_and_made_again_waits_for_the_end_of_the_first_one() {
    let found = run_case(&DevServer::shared(), "apps.py", "made_again");
    assert_eq!((&found["revision"], &found["same"]), (&json!(1), &json!(true)));
}

#[test]
fn s12_a_fastapi_app_is_asked_by_a_task_in_its_trace_woken_and_killed_and_has_the_files_of_its_image() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let found = run_case(&server, "fastapi_app.py", "lives");
    assert_eq!((&found["asked"]["item"], &found["asked"]["words"]), (&json!(7), &json!("from the image")));
    assert!(text(&found["asked"]["traceparent"]).contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{found}");
    assert_eq!(
        (&found["refused"], &found["documented"], &found["killed"]),
        (&json!(422), &json!(200), &json!(502)),
        "{found}"
    );
    let woken_in = found["woken_in"].as_f64().unwrap();
    eprintln!("a FastAPI app that slept has answered 20 requests within {woken_in} s");
    assert!(woken_in < 1.0, "it is forked from an interpreter that has imported what it needs: {woken_in} s");
    let pid = |server: &DevServer| run_case(server, "fastapi_app.py", "pid")["pid"].as_u64().unwrap();
    let before = pid(&server);
    server.kill();
    server.restart();
    let after = pid(&server);
    assert!(is_alive(after) && (after == before || !is_alive(before)), "{before} {after}");
}

#[test]
fn s12_an_app_runs_with_packages_that_do_not_go_together_with_the_sdk_and_a_task_says_why_it_does_not() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let check = |found: &Value| {
        assert_eq!((&found["served"], &found["alone"]), (&found["version"], &found["version"]), "{found}");
        let failed = found["failed"].to_string();
        assert!(failed.contains("do not go together with flyte") && failed.contains("protobuf"), "{failed}");
    };
    check(&run_case(&server, "apps_without_sdk.py", "runs"));
    server.kill();
    server.restart();
    check(&run_case(&server, "apps_without_sdk.py", "runs"));
}

#[test]
fn s12_the_command_line_and_the_console_show_an_app_stop_it_and_start_it() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let apps = |arguments: &[&str]| {
        let output = spanwise(&server, &[&["apps"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(apps(&["ls"]).trim(), "no apps");
    assert!(page(&server, "/apps").contains("No apps"));
    let host = text(&run_case(&server, "apps.py", "answers")["host"]).to_owned();
    let listed: Value = serde_json::from_str(&apps(&["ls", "-o", "json"])).unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["state"], &listed[0]["url"]),
        (&json!("web"), &json!("ACTIVE"), &json!(host))
    );
    assert!(apps(&["ls"]).contains("web") && apps(&["show", "web"]).contains(&host));
    let address = "/v2/domain/development/project/flytesnacks/apps/web";
    for list in ["/apps", "/v2/domain/development/project/flytesnacks/apps"] {
        assert!(page(&server, list).contains(address), "{list}");
    }
    let shown = page(&server, address);
    for part in [host.as_str(), "Active", "COLOR=blue", "GET /x", "fserve", "/apps/flytesnacks/development/web"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let (status, body) = post(&server, address, "stop", "");
    assert_eq!(status, 303, "{body}");
    wait_until("it is stopped", || apps(&["show", "web", "-o", "json"]).contains("\"STOPPED\""));
    assert!(apps(&["logs", "web"]).contains("GET /x"));
    assert!(page(&server, address).contains("from the console"));
    assert!(apps(&["start", "web"]).contains("web is DEPLOYING"));
    wait_until("it is there again", || apps(&["show", "web", "-o", "json"]).contains("\"ACTIVE\""));
    assert!(apps(&["stop", "web"]).contains("web is "));
    assert!(apps(&["delete", "web"]).contains("deleted web"));
    assert_eq!(spanwise(&server, &["apps", "show", "web"]).status.code(), Some(1));
}
