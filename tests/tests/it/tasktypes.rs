//! Task types of plugins: a process runs what starts the SDK's entry point, and what it cannot be is refused by its name. As the root of a
//! run, as a child, in a run that a task starts, deployed, and while the server is killed.

use serde_json::{Value, json};

use crate::dev_server::DevServer;
use crate::images::logs;
use crate::python::{Program, run_case};
use crate::waiting::page;

const TOLD: &str = "custom.pool of type `team-pool` is not honoured";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn s10_a_task_of_any_type_runs_by_the_sdks_entry_point_and_what_it_asks_of_a_cluster_is_told() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let found = run_case(&server, "tasktypes.py", "a_type_of_a_plugin");
    let expected = json!({
        "root": "prepared 3", "child": "prepared 101", "run of a run": "prepared 1001", "deployed": "prepared 15",
    });
    assert_eq!(found["found"], expected);
    let page_of = |run: &Value, action: &str| {
        page(&server, &format!("/v2/domain/development/project/flytesnacks/runs/{}{action}", text(run)))
    };
    let shown = |page: &str| page.replace("&#96;", "`");
    let run = shown(&page_of(&found["run"], ""));
    assert!(
        run.contains(TOLD) && !run.contains("<dt>Warning</dt>"),
        "with the run, and not once more as a fact of its root: {run}"
    );
    let parent = page_of(&found["parent"], "");
    assert!(!shown(&parent).contains(TOLD), "the parent asks for nothing");
    let child = page_of(&found["parent"], &format!("?i={}", text(&found["child"])));
    assert!(shown(&child).contains(TOLD), "with the child: {child}");
    // In the log of each attempt: of the root, of the child, of the run of a run, of the deployed one.
    let said = logs(&data.path().join("logs"));
    assert_eq!(said.matches(TOLD).count(), 4, "{said}");
    assert!(!said.contains("custom.quiet"), "what says nothing is not told: {said}");
    assert!(server.said().contains("custom.pool"), "{}", server.said());
}

#[test]
fn s10_what_a_strict_server_would_not_honour_it_refuses_of_a_child_too() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start_with(data.path(), &[("SPANWISE_STRICT", "true")]);
    let refused = run_case(&server, "tasktypes.py", "strict");
    for path in ["root", "child", "deployed"] {
        assert!(text(&refused[path]).contains(TOLD), "{path}: {refused}");
    }
}

#[test]
fn what_no_process_can_be_is_refused_by_name_on_every_path_and_never_run_on_the_machine() {
    let server = DevServer::shared();
    let found = run_case(&server, "tasktypes.py", "what_no_process_can_be");
    for path in ["root", "child", "deployed"] {
        assert!(text(&found[path]).contains("a task of type `snowflake` cannot be run here"), "{path}: {found}");
    }
    assert_eq!(found["ran"], false, "its body was run");
}

#[test]
fn a_task_of_a_plugins_type_goes_on_while_the_server_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let mut program = Program::new(&server, "tasktypes.py").arg("across_a_restart").start();
    program.wait_for_marks("slow", |lines| !lines.is_empty(), &server);
    server.kill();
    server.restart();
    program.touch("go");
    let found = program.result(&server);
    assert_eq!(found["value"], "prepared 7");
    assert_eq!(found["log"].as_array().unwrap().len(), 1, "it ran once: {found}");
    server.stop();
}
