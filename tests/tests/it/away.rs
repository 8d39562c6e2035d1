//! A server that is away for longer than any client of the SDK waits: nothing fails, and nothing that has ended runs again.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::dev_server::DevServer;
use crate::python::{Program, Running};

/// Of each kind: those that begin and those that end while the server is away. Two more store files.
const TASKS: usize = 8;
const ALL: usize = 2 * TASKS + 2;

/// How long the server is away, `SPANWISE_AWAY_SECONDS`. The SDK by itself gives up after 17 seconds.
fn seconds() -> u64 {
    number("SPANWISE_AWAY_SECONDS", 25)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |given| given.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// How many processes have begun.
fn claims(data: &Path) -> usize {
    let below =
        |folder: std::path::PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let files = below(data.join("work")).flat_map(below).flat_map(below);
    files.filter(|file| file.extension().is_some_and(|extension| extension == "process")).count()
}

fn wait_for_claims(program: &mut Running, data: &Path, count: usize, server: &DevServer) {
    program.wait_until(|_| claims(data) == count, server);
}

fn ended(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.starts_with("end ")).count()
}

fn check(cold: &str) {
    let data = tempfile::tempdir().unwrap();
    let environment = [("SPANWISE_COLD", cold), ("SPANWISE_MAX_TASKS", "32")];
    let mut server = DevServer::start_with(data.path(), &environment);
    let away = seconds();
    let program = Program::new(&server, "away.py").arg("leaves").env("AWAY_SECONDS", away.to_string());
    let mut program = program.start();
    wait_for_claims(&mut program, data.path(), ALL + 1, &server);
    server.kill();
    let gone = Instant::now();
    program.touch("log.away");
    // Their bodies need no server, and their results wait beside their claims.
    program.wait_for_marks("log", |lines| ended(lines) >= TASKS, &server);
    std::thread::sleep(Duration::from_secs(away).saturating_sub(gone.elapsed()));
    server.restart();
    let result = program.result(&server);
    let story = format!("{result}\n{}", server.said());

    let mut lines: Vec<String> = serde_json::from_value(result["log"].clone()).unwrap();
    lines.sort();
    let mut once: Vec<String> =
        (0..ALL).flat_map(|number| [format!("start {number}"), format!("end {number}")]).collect();
    once.sort();
    assert_eq!(lines, once, "each body once: {story}");
    let stored =
        |number| if (TASKS..TASKS + 2).contains(&number) { format!("stored by {number}") } else { number.to_string() };
    assert_eq!(result["found"], json!((0..ALL).map(stored).collect::<Vec<_>>()), "{story}");
    let phases = |count| vec![Value::from("succeeded"); count];
    let expected =
        json!({ "all_of_them": phases(1), "ends": phases(TASKS), "starts": phases(TASKS), "stores": phases(2) });
    assert_eq!(result["phases"], expected, "{story}");
    assert_eq!(result["attempts"], json!(vec![1; ALL + 1]), "{story}");
    server.stop();
}

fn check_often(cold: &str) {
    for _ in 0..number("SPANWISE_AWAY_REPETITIONS", 1) {
        check(cold);
    }
}

#[test]
fn s4_a_server_that_is_away_fails_nothing_and_repeats_nothing() {
    check_often("false");
}

#[test]
fn s4_a_server_that_is_away_fails_nothing_of_what_starts_cold() {
    check_often("true");
}
