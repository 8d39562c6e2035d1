//! One process a data directory, and a process that is asked to end.

use crate::command_line::spanwise;
use crate::dev_server::DevServer;
use crate::journal;
use crate::log;
use crate::workload::{RESULT, Workload, text};

#[test]
fn a_second_process_is_told_who_has_the_data_directory() {
    let workload = Workload::default();
    let first = workload.start_with_gate();
    workload.wait_for_begin("gate");

    let second = workload.start().finish();
    let said = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("in use by process {}", first.id())), "{said}");
    assert_eq!(text(&second.stdout), "");

    workload.open_gate();
    let first = first.finish();
    assert_eq!((first.status.code(), text(&first.stdout)), (Some(0), RESULT.to_owned()), "{}", text(&first.stderr));
    log::check(&workload.log(), &[]).unwrap();
}

#[test]
fn an_interrupted_process_gives_its_attempts_back() {
    asked_to_end("INT", 130);
}

#[test]
fn a_terminated_process_gives_its_attempts_back() {
    asked_to_end("TERM", 143);
}

#[test]
fn a_server_shows_the_runs_of_a_program_and_leaves_them_to_it() {
    let workload = Workload::default();
    let mut process = workload.start_with_gate();
    workload.wait_for_begin("gate");
    process.kill();
    let killed_at = workload.log().len();

    let server = DevServer::start(&workload.data());
    let listed = spanwise(&server, &["list", "--output", "json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["phase"], "RUNNING", "{listed}");
    let name = listed[0]["name"].as_str().unwrap();
    let page = format!("http://{}/v2/domain/development/project/flytesnacks/runs/{name}", server.endpoint());
    let text_of_page = ureq::get(&page).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(text_of_page.contains("it goes on when that program is started again"), "{text_of_page}");
    assert!(!text_of_page.contains("Run again") && !text_of_page.contains("Run it again"), "{text_of_page}");
    server.stop();

    workload.open_gate();
    let next = workload.start().finish();
    assert_eq!(text(&next.stdout), RESULT, "{}", text(&next.stderr));
    log::check(&workload.log(), &[killed_at]).unwrap();
}

fn asked_to_end(signal: &str, code: i32) {
    let workload = Workload::default();
    let process = workload.start_with_gate();
    workload.wait_for_begin("gate");
    process.signal(signal);
    let ended = process.finish();
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(code), "{said}");
    assert!(said.contains(&format!("interrupted by SIG{signal}")), "{said}");
    let asked_at = workload.log().len();

    workload.open_gate();
    let next = workload.start().finish();
    assert_eq!(text(&next.stdout), RESULT, "{}", text(&next.stderr));
    log::check(&workload.log(), &[asked_at]).unwrap();
    let facts = journal::inspect(&workload.data()).unwrap().facts();
    assert!(facts.iter().any(|fact| fact.contains("AttemptReleased")), "{facts:?}");
    assert!(!facts.iter().any(|fact| fact.contains("AttemptLost")), "{facts:?}");
}
