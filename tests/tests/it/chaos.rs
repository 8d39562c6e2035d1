//! A server that is killed at random moments, again and again, while runs of every kind go on: each run ends right, no body completes
//! twice, and no lifecycle span is lost. `just chaos` is the long form of this.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::crash::Random;
use crate::dev_server::{DevServer, status_of};
use crate::python::{Program, Running};
use crate::tap::{Span, Tap};

/// What completed, by the name of the body, of the run and of the action.
const COMPLETED: &str = "completed";

/// What tells the program to begin no more runs.
const STOP: &str = "stop";

/// The longest that a server lives: about as long as a run takes.
const ALIVE: Duration = Duration::from_secs(8);

/// How often it is killed among the other tests, and the most seconds that it is away then.
const SHORT: (u32, u32) = (10, 6);

/// From the end of the last harm to the end of the last run, on a slow machine.
const REST: Duration = Duration::from_secs(240);

/// A span of a run that has ended leaves in the next lull.
const LULL: Duration = Duration::from_secs(60);

/// How much is done to the server.
pub(crate) struct Plan {
    pub(crate) kills: u32,
    /// The longest that it is away, or that its disk is full.
    pub(crate) away: Duration,
    /// How often its disk is full.
    pub(crate) full: u32,
    pub(crate) random: Random,
}

impl Plan {
    /// That of the variables, else what fits among the other tests.
    pub(crate) fn from_environment() -> Plan {
        let number = |name: &str, short: u32| {
            let given = std::env::var(name).ok();
            given.map_or(short, |number| number.parse().unwrap_or_else(|_| panic!("{name} is a number")))
        };
        Plan {
            kills: number("SPANWISE_CHAOS_KILLS", SHORT.0),
            away: Duration::from_secs(number("SPANWISE_CHAOS_AWAY_SECONDS", SHORT.1).into()),
            full: number("SPANWISE_CHAOS_FULL", crate::chaos_disk::SHORT),
            random: Random::from_environment(),
        }
    }

    /// How long it takes at most.
    pub(crate) fn limit(&self, harms: u32) -> Duration {
        // A start of the server counts as much as its life.
        harms * (2 * ALIVE + self.away) + REST
    }

    pub(crate) fn alive(&mut self) -> Duration {
        self.random.up_to(ALIVE)
    }

    pub(crate) fn harmed(&mut self) -> Duration {
        self.random.up_to(self.away)
    }
}

/// What the program says at its end.
#[derive(Deserialize)]
struct Found {
    runs: Vec<Ended>,
    bodies: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Ended {
    run: String,
    phase: String,
    output: Value,
    expected: i64,
    /// Actions that did not succeed.
    wrong: Vec<Value>,
}

/// A server, the program whose runs it has, and what happened to them.
pub(crate) struct Chaos {
    pub(crate) server: DevServer,
    program: Running,
    tap: Tap,
    data: PathBuf,
    began: Instant,
    story: String,
}

impl Chaos {
    /// Returns when the first body has completed.
    pub(crate) fn begin(data: &Path, limit: Duration) -> Chaos {
        let tap = Tap::start();
        let environment = [("SPANWISE_TRACE_ENDPOINT", &*tap.endpoint()), ("SPANWISE_TRACE", "lifecycle")];
        let server = DevServer::start_with(data, &environment);
        let mut program = Program::new(&server, "chaos.py").arg("runs").within(limit).start();
        program.wait_for_marks(COMPLETED, |lines| !lines.is_empty(), &server);
        Chaos { server, program, tap, data: data.to_owned(), began: Instant::now(), story: String::new() }
    }

    /// Notes what is done, and shows it at once to whoever waits for an hour.
    pub(crate) fn note(&mut self, what: &str) {
        let line = format!("{:7.1} s {what}", self.began.elapsed().as_secs_f64());
        eprintln!("{line}");
        let _ = writeln!(self.story, "{line}");
    }

    /// Lets the runs end, and looks at everything that is left.
    pub(crate) fn end(mut self) {
        self.program.touch(STOP);
        self.note("no more harm");
        let found: Found = serde_json::from_value(self.program.finish(&self.server)).unwrap();
        let marks = self.program.marks(COMPLETED);
        let mut problems = wrong_ends(&found);
        problems.extend(wrong_counts(&found, &marks));
        problems.extend(found.runs.iter().flat_map(|ended| wrong_spans(&self.server, &self.tap, &ended.run)));
        eprintln!("{} runs, {} bodies and steps, {} spans", found.runs.len(), marks.len(), self.tap.spans().len());
        assert!(!found.runs.is_empty());
        assert!(problems.is_empty(), "{}", self.told(&problems, &marks));
        self.server.stop();
    }
}

impl Chaos {
    /// Everything that helps to understand a failure.
    fn told(&self, problems: &[String], marks: &[String]) -> String {
        let mut told = format!("{}\nwhat was done:\n{}", problems.join("\n"), self.story);
        let concerned = |action: &str| action.len() > 2 && problems.iter().any(|problem| problem.contains(action));
        for mark in marks.iter().filter(|mark| mark.split(' ').nth(2).is_some_and(concerned)) {
            let _ = writeln!(told, "it completed: {mark}");
        }
        for log in files(&self.data.join("logs")) {
            let action = log.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
            if action.is_some_and(|action| concerned(&action)) {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let _ = writeln!(told, "--- {}\n{text}", log.display());
            }
        }
        format!("{told}\nthe server said:\n{}", self.server.said())
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn wrong_ends(found: &Found) -> Vec<String> {
    let mut problems = Vec::new();
    for Ended { run, phase, output, expected, wrong } in &found.runs {
        if phase != "succeeded" || output != expected || !wrong.is_empty() {
            problems.push(format!("{run} is {phase} with {output} instead of {expected}: {wrong:?}"));
        }
    }
    problems
}

/// Each body of each action completed once, and all of them did.
fn wrong_counts(found: &Found, marks: &[String]) -> Vec<String> {
    let mut by_action: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for mark in marks {
        let [body, run, action, _attempt] = mark.split(' ').collect::<Vec<_>>()[..] else { panic!("{mark}") };
        *by_action.entry((body, run, action)).or_default() += 1;
    }
    let twice = by_action.iter().filter(|(_, count)| **count > 1);
    let mut problems: Vec<String> = twice
        .map(|((body, run, action), count)| format!("{body} of {run}, action {action}, completed {count} times"))
        .collect();
    for ended in found.runs.iter().filter(|ended| ended.phase == "succeeded") {
        for (body, expected) in &found.bodies {
            let count = by_action.keys().filter(|(of, run, _)| of == body && *run == ended.run).count();
            if count != *expected {
                problems.push(format!("{count} actions completed {body} in {}, not {expected}", ended.run));
            }
        }
    }
    problems
}

/// Each lifecycle span of the journal has arrived; one that has arrived twice is the same.
fn wrong_spans(server: &DevServer, tap: &Tap, run: &str) -> Vec<String> {
    let expected = of_journal(server, run);
    if expected.is_empty() {
        return vec![format!("{run} has no lifecycle spans in the server's own trace")];
    }
    let deadline = Instant::now() + LULL;
    loop {
        let arrived = of_receiver(tap, run);
        let missing: Vec<&String> =
            expected.iter().filter(|(id, _)| !arrived.contains_key(*id)).map(|(_, name)| name).collect();
        if missing.is_empty() || Instant::now() > deadline {
            let lost = missing.iter().map(|name| format!("a span of {run} was lost: {name}"));
            let foreign = arrived.iter().filter(|(id, _)| !expected.contains_key(*id));
            let foreign = foreign.map(|(_, forms)| format!("a span of {run} is not in its trace: {forms:?}"));
            let doubled = arrived.values().filter(|forms| forms.len() > 1);
            let doubled = doubled.map(|forms| format!("a span of {run} came with different contents: {forms:#?}"));
            return lost.chain(foreign).chain(doubled).collect();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The lifecycle spans of a run that the server shows: their ids with their names.
fn of_journal(server: &DevServer, run: &str) -> BTreeMap<String, String> {
    let run = format!("http://127.0.0.1:{}/v2/domain/development/project/flytesnacks/runs/{run}", server.port());
    let body = ureq::get(&format!("{run}/trace.json")).call().unwrap().body_mut().read_to_string().unwrap();
    let trace: Value = serde_json::from_str(&body).unwrap();
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let scopes = list(&trace, "resourceSpans").into_iter().flat_map(|resource| list(&resource, "scopeSpans"));
    let spans = scopes.flat_map(|scope| list(&scope, "spans"));
    let lifecycle = spans.filter(|span| {
        // Calls of the API are no part of the journal, and steps of a program's own are not the engine's.
        list(span, "attributes").iter().any(|attribute| attribute["key"] == "spanwise.part")
    });
    let text = |span: &Value, key: &str| span[key].as_str().unwrap_or_default().to_owned();
    lifecycle.map(|span| (text(&span, "spanId"), text(&span, "name"))).collect()
}

/// The lifecycle spans of a run that have arrived: their ids with each content that they came with.
fn of_receiver(tap: &Tap, run: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut arrived: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let is_it = |span: &Span| span.is_lifecycle() && span.text("flyte.run_name") == run;
    for span in tap.spans().into_iter().filter(is_it) {
        arrived.entry(span.span_id.clone()).or_default().insert(format!("{span:?}"));
    }
    arrived
}

/// Says something to whoever runs the tests, although the test succeeds.
pub(crate) fn say_loudly(what: &str) {
    // Not by `eprintln`, which the test harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "\n*** {what} ***\n");
}

/// True if the server answers that it can work.
pub(crate) fn is_ready(server: &DevServer) -> bool {
    status_of(&format!("http://127.0.0.1:{}/readyz", server.port())) == Some(200)
}

#[test]
fn s4_a_server_that_is_killed_again_and_again_ends_every_run_right() {
    let mut plan = Plan::from_environment();
    let data = tempfile::tempdir().unwrap();
    let mut chaos = Chaos::begin(data.path(), plan.limit(plan.kills));
    for number in 1..=plan.kills {
        let (alive, away) = (plan.alive(), plan.harmed());
        std::thread::sleep(alive);
        chaos.server.kill();
        chaos.note(&format!("kill {number}, away for {:.1} s", away.as_secs_f64()));
        std::thread::sleep(away);
        chaos.server.restart();
    }
    chaos.end();
}
