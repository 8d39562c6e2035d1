//! A server that is killed while tasks run: they go on, none is run twice, and the run succeeds.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use serde_json::json;

use crate::dev_server::DevServer;
use crate::python::Program;

const TASKS: usize = 20;

/// The longest wait from the first start of a task to the kill; the tasks sleep two to four seconds.
const LATEST_KILL: u64 = 5_000;

fn repetitions() -> usize {
    let given = std::env::var("SPANWISE_RESTART_REPETITIONS").ok();
    given.map_or(2, |number| number.parse().expect("SPANWISE_RESTART_REPETITIONS is a number"))
}

/// How often each beginning `start N` or `end N` is among the lines.
fn counts(lines: &[String], word: &str) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let mut words = line.split(' ');
        if words.next() == Some(word) {
            *counts.entry(words.next().unwrap().parse().unwrap()).or_default() += 1;
        }
    }
    counts
}

fn check(delay: Duration) {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let mut program = Program::new(&server, "restart.py").arg("twenty").start();
    program.wait_for_marks("restart", |lines| !counts(lines, "start").is_empty(), &server);
    std::thread::sleep(delay);
    server.kill();
    let at_kill = program.marks("restart");
    server.restart();
    let result = program.result(&server);

    let once: BTreeMap<_, _> = (0..TASKS).map(|number| (number, 1)).collect();
    let lines: Vec<String> = serde_json::from_value(result["log"].clone()).unwrap();
    let story = format!("killed {delay:?} after the first start, at {at_kill:?}\nin all {lines:?}\n{}", server.said());
    assert_eq!(counts(&lines, "start"), once, "{story}");
    assert_eq!(counts(&lines, "end"), once, "{story}");
    assert_eq!(result["sum"], 190, "{story}");
    let phases = json!({ "all_of_them": ["succeeded"], "works": vec!["succeeded"; TASKS] });
    assert_eq!(result["phases"], phases, "{story}");
    server.stop();
}

#[test]
fn a_killed_server_takes_its_tasks_up_again() {
    for _ in 0..repetitions() {
        check(Duration::from_millis(RandomState::new().hash_one(0) % LATEST_KILL));
    }
}

/// A server that is asked to end and started again knows what was.
#[test]
fn a_stopped_server_knows_what_was() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    assert_eq!(
        Program::new(&server, "cache.py").arg("hit_and_miss").start().result(&server)["log"],
        json!(["1", "2", "3"])
    );
    let run = Program::new(&server, "context.py").arg("ids").start().result(&server);
    server.stop();
    let server = DevServer::start(data.path());
    let seen = Program::new(&server, "restart.py").arg("look").arg("named-by-the-user").start().result(&server);
    assert_eq!((&seen["phase"], &seen["output"]), (&json!("succeeded"), &run["seen"]));
    server.stop();
}
