//! Whose failure it is, and who takes up a place, with the stock SDK against the binary.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::dev_server::DevServer;
use crate::python::{Program, Running, run_case};

const CASES: &str = "blame.py";

fn marks(found: &Value) -> usize {
    found["marks"].as_array().unwrap().len()
}

#[test]
fn s4_an_exit_with_0_in_the_middle_of_a_body_is_no_success_whatever_the_interface() {
    let found = run_case(&DevServer::shared(), CASES, "an_exit_with_0_is_no_success");
    for case in ["nothing_os", "nothing_sys", "number_os", "number_sys"] {
        let found = &found[case];
        let expected = (&json!("failed"), &json!("MaxSystemFailuresExceeded"), &json!(2), 3);
        assert_eq!((&found["phase"], &found["code"], &found["kind"], marks(found)), expected, "{case}: {found}");
        assert!(found["text"].as_str().unwrap().contains("neither outputs nor an error"), "{found}");
        assert!(found["marks"].as_array().unwrap().iter().all(|mark| mark == "begin"), "{found}");
    }
}

#[test]
fn s4_a_childs_system_failure_is_its_parents_to_handle_and_reruns_none() {
    let found = run_case(&DevServer::shared(), CASES, "a_system_failure_of_a_child_is_the_parents_to_handle");
    let count = |who: &str| found["marks"].as_array().unwrap().iter().filter(|mark| *mark == who).count();
    // The child has the system's attempts, its parent its own, and the root only one.
    assert_eq!((count("ill"), count("middle"), count("top")), (3, 2, 1), "{found}");
    assert_eq!(found["kinds"], json!({ "ill": 2, "middle": 1, "top": 1 }), "{found}");
    assert_eq!(found["handled"], "MaxSystemFailuresExceeded");
}

#[test]
fn s4_what_another_attempt_would_meet_again_is_the_users_and_says_its_limit() {
    let found = run_case(&DevServer::shared(), CASES, "a_limit_is_the_users");
    for (case, attempts, ran, code, text) in [
        ("large_output", 1, 1, "InlineIOMaxBytesBreached", "12000029 bytes, the limit is 11534336"),
        ("large_final_error", 1, 1, "NonRecoverableError", "mmmm"),
        ("large_error", 2, 2, "ValueError", "[cut here: it was longer]"),
        ("large_context", 1, 1, "RuntimeSystemError", "custom_context has 65 keys, the limit is 64"),
        ("in_a_broken_environment", 1, 0, "TaskCannotStart", "environment variable `LONG` has 200005 bytes"),
        ("in_a_misnamed_environment", 1, 0, "TaskCannotStart", "`A=B` is no name of an environment variable"),
    ] {
        let found = &found[case];
        assert_eq!((&found["phase"], &found["kind"]), (&json!("failed"), &json!(1)), "{case}: {found}");
        assert_eq!((&found["attempts"], marks(found)), (&json!(attempts), ran), "{case}: {found}");
        assert_eq!(found["code"], code, "{case}: {found}");
        assert!(found["text"].as_str().unwrap().contains(text), "{case}: {found}");
    }
}

#[test]
fn s1_9_reserved_keys_have_a_limit_of_their_own_and_are_not_inherited() {
    assert_eq!(run_case(&DevServer::shared(), CASES, "reserved_keys_have_a_limit_of_their_own")["keys"], json!([]));
}

#[test]
fn s4_a_task_that_waits_for_a_run_takes_up_no_place() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::serve(data.path(), &["--max-tasks", "1"]);
    let found = Program::new(&server, CASES).arg("who_waits_for_a_run_takes_no_place").start().result(&server);
    assert_eq!(found["outputs"], json!([7, 7, 7, 7]));
    server.stop();
}

#[test]
fn s4_what_waits_for_a_place_says_who_has_it() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::serve(data.path(), &["--max-tasks", "1"]);
    let found = Program::new(&server, CASES).arg("what_is_in_the_way_is_told").start().result(&server);
    let first = found["first"].as_str().unwrap();
    assert_eq!(found["told"], json!([format!("1 of 1 slots busy: {first} a0")]));
    assert_eq!(found["then"], json!([]), "nothing is in the way any more");
    server.stop();
}

/// How often the server is killed at its start.
const KILLS: usize = 6;

/// As the journal has it.
fn is_launched(data: &Path, attempt: usize) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let Ok(journal) = Connection::open_with_flags(data.join("journal.db"), flags) else { return false };
    let launched = format!(r#"%"type":"launched","attempt":{attempt}}}%"#);
    let count = journal.query_row("SELECT count(*) FROM events WHERE body LIKE ?1", [launched], |row| row.get(0));
    count.is_ok_and(|count: i64| count > 0)
}

#[test]
fn s4_a_server_that_is_killed_at_each_of_its_starts_fails_no_run() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let mut program = Program::new(&server, CASES).arg("killed_at_each_start").start();
    let has = |lines: &[String], wanted: &str| lines.iter().any(|line| line == wanted);
    program.wait_for_marks("killed", |lines| has(lines, "running") && has(lines, "attempt 1"), &server);
    server.kill();
    program.wait_for_marks("killed", |lines| has(lines, "alone"), &server);
    for attempt in 2..2 + KILLS {
        server.restart();
        // The interpreter that its process is forked from takes longer to start. A client of the server takes longer to come back, too.
        let is_over = |program: &Running| has(&program.marks("killed"), "again");
        program.wait_until(|program| is_launched(data.path(), attempt) || is_over(program), &server);
        server.kill();
    }
    server.restart();
    let found = program.result(&server);
    assert_eq!((&found["phase"], &found["output"]), (&json!("succeeded"), &json!(7)), "{found}");
    assert!(found["attempts"].as_u64().unwrap() > 4, "hardly one start was hit: {found}");
    server.stop();
}
