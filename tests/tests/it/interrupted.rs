//! Tasks that are cut short have a time of grace for what they clean up, and leave nobody behind.

use serde_json::{Value, json};

use crate::dev_server::{DevServer, body_of};
use crate::python::{Program, run_case};

/// A warm interpreter and none: the rules are the same.
const STARTS: [&str; 2] = ["false", "true"];

fn server(cold: &str, more: &[(&str, &str)]) -> (tempfile::TempDir, DevServer) {
    let data = tempfile::tempdir().unwrap();
    let environment = [&[("SPANWISE_COLD", cold), ("SPANWISE_TRACE", "lifecycle")], more].concat();
    let server = DevServer::start_with(data.path(), &environment);
    (data, server)
}

/// True if the user's span that had ended is in the trace of a run.
fn has_the_ended_span(server: &DevServer, run: &str) -> bool {
    let path = format!("/v2/domain/development/project/flytesnacks/runs/{run}/trace.json");
    let trace: Value = serde_json::from_str(&body_of(&format!("http://127.0.0.1:{}{path}", server.port()))).unwrap();
    trace.to_string().contains(r#""name":"ended""#)
}

#[test]
fn t10_a_task_that_is_cut_short_cleans_up_and_its_ended_spans_arrive() {
    for cold in STARTS {
        let (_data, server) = server(cold, &[]);
        let found = run_case(&server, "interrupted.py", "bodies");
        for (task, found) in found.as_object().unwrap() {
            let story = format!("{task}, cold: {cold}: {found}\n{}", server.said());
            let ending = if task == "in_time" { "timed_out" } else { "aborted" };
            assert_eq!(found["phase"], ending, "{story}");
            assert_eq!(found["attempts"], 1, "{story}");
            // Nothing gets into a thread that sleeps, and asyncio waits for it: the exit functions run without it.
            assert_eq!(found["marks"], json!(["finally", "exit"]), "{story}");
            assert!(has_the_ended_span(&server, found["run"].as_str().unwrap()), "{story}");
        }
        server.stop();
    }
}

#[test]
fn s4_an_attempt_that_is_cut_short_aborts_no_children() {
    for cold in STARTS {
        let (_data, server) = server(cold, &[]);
        let found = run_case(&server, "interrupted.py", "a_child_outlives_its_parents_attempt");
        let marks = ["child began", "child ended", "parent 0", "parent 0 ends", "parent 1", "parent 1 ends"];
        assert_eq!((&found["output"], &found["marks"]), (&json!(7), &json!(marks)), "{found}");
        assert_eq!(found["phases"], json!({ "has_a_child": ["succeeded"], "child": ["succeeded"] }));
        server.stop();
    }
}

#[test]
fn s4_a_server_that_ends_gives_back_what_it_interrupts() {
    for cold in STARTS {
        let (data, mut server) = server(cold, &[("SPANWISE_GRACE_SECONDS", "2")]);
        let mut program = Program::new(&server, "interrupted.py").arg("the_server_ends").start();
        program.wait_for_marks("marks", |lines| lines.len() == 2, &server);
        server.tell_to_end();
        server.wait();
        assert_eq!(program.marks("marks"), ["parent", "child began", "parent ends"]);
        program.touch("marks.go");
        server.restart();
        let found = program.result(&server);
        assert_eq!(found["output"], 7, "{found}\n{}", server.said());
        assert_eq!(found["phases"], json!({ "given_back": ["succeeded"], "child": ["succeeded"] }));
        server.stop();
        drop(data);
    }
}

#[test]
fn processes_of_a_task_end_by_sigterm_as_they_do_elsewhere() {
    for cold in STARTS {
        let (_data, server) = server(cold, &[]);
        let found = run_case(&server, "interrupted.py", "processes_of_a_task_end_by_sigterm");
        assert_eq!(found["code"], -15, "{found}");
        server.stop();
    }
}
