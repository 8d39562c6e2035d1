//! Queues with the stock SDK: limits, what a full one pushes back, tasks that need no processor, and a server that is killed meanwhile.

use std::path::Path;

use serde_json::json;

use crate::dev_server::DevServer;
use crate::python::{Program, run_case};
use crate::waiting::page;

const CASES: &str = "queues.py";

/// A server for one person, set up by the environment.
fn dev(data: &Path, queues: &str) -> DevServer {
    DevServer::start_with(data, &[("SPANWISE_QUEUES", queues), ("SPANWISE_MAX_TASKS", "4")])
}

/// A server that is set up by a file.
fn serve(data: &Path, settings: &str, arguments: &[&str]) -> DevServer {
    let file = data.join("mine.toml");
    std::fs::write(&file, settings).unwrap();
    let arguments = [&["--config", file.to_str().unwrap()], arguments].concat();
    DevServer::serve(&data.join("data"), &arguments)
}

#[test]
fn s14_1_no_more_tasks_run_at_one_time_than_their_queue_has() {
    let data = tempfile::tempdir().unwrap();
    let server = dev(data.path(), "narrow concurrency=2,shallow");
    let found = run_case(&server, CASES, "no_more_at_once_than_a_queue_has");
    assert_eq!(found, json!({"env": 2, "run": 2}));
    server.stop();
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path(), "max_tasks = 4\n[queues.narrow]\nconcurrency = 1\n", &[]);
    assert_eq!(run_case(&server, CASES, "no_more_at_once_than_an_override_has"), json!({"most": 1}));
    server.stop();
}

#[test]
fn s14_1_each_task_sees_the_gpus_that_are_its_own_whenever_the_server_was_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start_with(data.path(), &[("SPANWISE_GPUS", "7,GPU-x"), ("SPANWISE_MAX_TASKS", "4")]);
    let mut program = Program::new(&server, CASES).arg("gpus").start();
    program.wait_for_marks("marks", |lines| !lines.is_empty(), &server);
    server.kill();
    server.restart();
    let found = program.result(&server);
    assert_eq!(found, json!({"own": "", "seen": ["7", "GPU-x"], "most": 2}));
    server.stop();
}

/// What is under way counts before anything of another run is launched.
#[test]
fn s14_1_no_more_tasks_of_several_runs_run_at_one_time_when_the_server_was_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut server = dev(data.path(), "narrow concurrency=1,shallow");
    let mut program = Program::new(&server, CASES).arg("no_more_at_once_in_several_runs").start();
    for _ in 0..2 {
        program.wait_for_marks("runs", |lines| !lines.is_empty(), &server);
        server.kill();
        server.restart();
    }
    let found = program.result(&server);
    let lines = ["begin 2", "end 2", "begin 1", "end 1"];
    assert_eq!(found, json!({"outputs": [1, 2], "most": 1, "lines": lines}));
    server.stop();
}

#[test]
fn s14_5_what_a_full_queue_pushes_back_comes_again_whenever_the_server_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut server = dev(data.path(), "shallow concurrency=2 depth=3");
    let mut program = Program::new(&server, CASES).arg("what_is_pushed_back_comes_again").start();
    for begun in [5, 20] {
        program.wait_for_marks("shallow", |lines| lines.len() >= 2 * begun, &server);
        server.kill();
        server.restart();
    }
    let found = program.result(&server);
    assert_eq!(found["outputs"], json!(true), "{found}");
    assert_eq!(found["begun"], json!(true), "each has run, and once: {found}");
    assert_eq!(found["most"], json!(2), "{found}");
    server.stop();
}

#[test]
fn s14_5_a_run_is_refused_while_its_queue_is_full() {
    let data = tempfile::tempdir().unwrap();
    let server = dev(data.path(), "shallow concurrency=1 depth=3");
    let found = run_case(&server, CASES, "a_run_is_refused_by_a_full_queue");
    let said = found["message"].as_str().unwrap();
    assert!(said.contains("queue `shallow` is full: 3 wait"), "{found}");
    server.stop();
}

#[test]
fn s14_3_tasks_that_need_no_processor_sleep_beside_each_other() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start_with(data.path(), &[("SPANWISE_MAX_TASKS", "2")]);
    let found = run_case(&server, CASES, "who_needs_no_processor_waits_for_no_slot");
    assert!(found["most"].as_u64().unwrap() >= 8, "{found}");
    server.stop();
}

#[test]
fn s10_a_queue_that_is_not_there_is_told_and_refused_by_a_strict_server() {
    let data = tempfile::tempdir().unwrap();
    let server = dev(data.path(), "narrow,shallow");
    let found = run_case(&server, CASES, "a_queue_that_is_not_there_is_told");
    assert_eq!(found["outputs"], json!([7, 7]));
    let told = "queue `elsewhere` is not honoured: this server has none of this name";
    for run in ["root", "child"] {
        let run = found[run].as_str().unwrap();
        assert!(server.said().contains(run), "{}", server.said());
    }
    assert!(server.said().contains(told), "{}", server.said());
    let shown =
        page(&server, &format!("/v2/domain/development/project/flytesnacks/runs/{}", found["root"].as_str().unwrap()));
    assert!(shown.contains("queue `elsewhere` is not honoured"), "{shown}");
    server.stop();
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path(), "strict = true\n[queues.narrow]\n[queues.shallow]\n", &[]);
    let refused = run_case(&server, CASES, "a_queue_that_is_not_there_is_refused");
    for who in ["root", "child"] {
        assert!(refused[who].as_str().unwrap().contains(told), "{refused}");
    }
    server.stop();
}

#[test]
fn s14_4_what_waits_for_its_queue_says_who_has_it() {
    let data = tempfile::tempdir().unwrap();
    let server = dev(data.path(), "narrow,shallow concurrency=1");
    let found = run_case(&server, CASES, "what_waits_is_told_with_its_queue");
    let expected = format!("shallow 1 of 1 busy: {} a0", found["first"].as_str().unwrap());
    assert!(found["told"].as_str().unwrap().contains(&expected), "{found}");
    server.stop();
}
