//! Lifecycle spans of the server in a receiver of somebody else's: each row of the span table, and what becomes of them when a task, the
//! server or the receiver is killed.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::json;

use crate::dev_server::DevServer;
use crate::guide::Services;
use crate::python::Program;
use crate::tap::{Span, Tap};

const CALLER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";
const CALLER_STATE: &str = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";

/// Kinds and status codes of OTLP.
const INTERNAL: i64 = 1;
const SERVER: i64 = 2;
const CONSUMER: i64 = 5;
const OK: i64 = 1;
const ERROR: i64 = 2;

fn server_for(tap: &Tap, data: &std::path::Path) -> DevServer {
    DevServer::start_with(data, &[("SPANWISE_TRACE_ENDPOINT", &tap.endpoint())])
}

/// The spans of a run in the order of their starts.
pub(crate) fn of_run(spans: &[Span], run: &str) -> Vec<Span> {
    let mut found: Vec<Span> =
        spans.iter().filter(|span| span.is_lifecycle() && span.text("flyte.run_name") == run).cloned().collect();
    found.sort_by_key(|span| (span.start(), span.end()));
    found
}

pub(crate) fn parts<'a>(spans: &'a [Span], task: &str, part: &str) -> Vec<&'a Span> {
    let is_it = |span: &&Span| {
        let names = ["flyte.task_name", "flyte.step_name", "flyte.condition_name"].map(|key| span.text(key));
        names.iter().any(|name| name == task) && span.part() == part
    };
    spans.iter().filter(is_it).collect()
}

pub(crate) fn one<'a>(spans: &'a [Span], task: &str, part: &str) -> &'a Span {
    match parts(spans, task, part)[..] {
        [span] => span,
        ref found => panic!("one {part} of {task} is expected, not {}: {:#?}", found.len(), names(spans)),
    }
}

fn names(spans: &[Span]) -> Vec<String> {
    spans.iter().map(|span| format!("{} ({})", span.name, span.text("flyte.action_name"))).collect()
}

pub(crate) fn is_under(span: &Span, parent: &Span) {
    assert_eq!(span.parent_span_id, parent.span_id, "{} > {}", parent.name, span.name);
}

pub(crate) fn links(span: &Span) -> Vec<(String, String)> {
    let why = |link: &serde_json::Value| link["attributes"][0]["value"]["stringValue"].as_str().unwrap().to_owned();
    span.links.iter().map(|link| (why(link), link["spanId"].as_str().unwrap().to_owned())).collect()
}

/// Each arrived once, under a span that has arrived or that is the caller's; and the parts of each action cover it.
pub(crate) fn check_whole(spans: &[Span], arrived: &[Span]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    spans.iter().for_each(|span| *counts.entry(&span.span_id).or_default() += 1);
    assert!(counts.values().all(|count| *count == 1), "{:#?}", names(spans));
    let known: HashSet<&str> = arrived.iter().map(|span| &*span.span_id).collect();
    for span in spans.iter().filter(|span| !span.parent_span_id.is_empty() && span.parent_span_id != CALLER_SPAN) {
        assert!(known.contains(&*span.parent_span_id), "{} has no parent", span.name);
    }
    let mut actions: HashMap<String, Vec<&Span>> = HashMap::new();
    for span in spans.iter().filter(|span| ["queued", "lookup", "attempt", "backoff"].contains(&&*span.part())) {
        actions.entry(span.text("flyte.action_name")).or_default().push(span);
    }
    for action in spans.iter().filter(|span| span.part() == "action") {
        let mut reached = action.start();
        for part in &actions[&action.text("flyte.action_name")] {
            assert!((part.start() - reached).abs() <= 1000, "{}: a gap before {}", action.name, part.name);
            reached = part.end();
        }
        assert!((action.end() - reached).abs() <= 1000, "{}: a gap at its end", action.name);
    }
}

#[test]
fn every_row_of_the_table_arrives_with_its_parent_links_and_status() {
    let (data, tap) = (tempfile::tempdir().unwrap(), Tap::start());
    let server = server_for(&tap, data.path());
    let found = Program::new(&server, "lifecycle.py").arg("story").start().result(&server);
    let spans = of_run(&tap.wait_for_run(found["run"].as_str().unwrap()), found["run"].as_str().unwrap());
    check_whole(&spans, &spans);
    for span in &spans {
        assert_eq!((&*span.trace_id, span.flags & 0xff), (CALLER_TRACE, 3), "{}", span.name);
        assert_eq!(span.trace_state, CALLER_STATE, "{}", span.name);
    }
    runs_and_actions(&spans);
    retries(&spans, found["delivered"].as_str().unwrap());
    cache_and_condition(&spans);
    failures(&spans);
    server.stop();
}

fn runs_and_actions(spans: &[Span]) {
    let run = one(spans, "lifecycle.everything", "run");
    assert_eq!((&*run.name, run.kind, &*run.parent_span_id), ("RUN lifecycle.everything", SERVER, CALLER_SPAN));
    assert_eq!((&run.status["code"], run.text("cicd.pipeline.result")), (&json!(OK), "success".to_owned()));
    let action = one(spans, "lifecycle.everything", "action");
    assert_eq!((&*action.name, action.kind), ("lifecycle.everything", INTERNAL));
    is_under(action, run);
    let attempt = one(spans, "lifecycle.everything", "attempt");
    assert_eq!((&*attempt.name, attempt.kind), ("attempt 1", CONSUMER));
    is_under(attempt, action);
    is_under(one(spans, "lifecycle.everything", "queued"), action);
    is_under(one(spans, "lifecycle.everything", "starting"), attempt);
    let step = one(spans, "step", "step");
    is_under(step, attempt);
    assert!(step.end() - step.start() >= 50_000);
    for task in ["flaky", "slow", "broken", "killed"] {
        is_under(one(spans, &format!("lifecycle.{task}"), "action"), attempt);
    }
}

fn retries(spans: &[Span], delivered: &str) {
    let [first, second] = parts(spans, "lifecycle.flaky", "attempt")[..] else { panic!("two attempts of flaky") };
    assert_eq!((&first.status["code"], &*first.text("error.type")), (&json!(ERROR), "RuntimeError"));
    assert_eq!(first.events[0]["name"], "exception");
    assert_eq!(links(second), [("previous attempt".to_owned(), first.span_id.clone())]);
    let backoff = one(spans, "lifecycle.flaky", "backoff");
    assert!(backoff.end() - backoff.start() >= 300_000);
    assert_eq!(links(backoff), [("next attempt".to_owned(), second.span_id.clone())]);
    let span = format!("00-{CALLER_TRACE}-{}-03", second.span_id);
    assert_eq!(delivered, format!("{span} {span}"));
}

fn cache_and_condition(spans: &[Span]) {
    let [miss, hit] = parts(spans, "lifecycle.costly", "lookup")[..] else {
        panic!("two lookups: {:#?}", names(spans))
    };
    let status = "spanwise.cache.status";
    assert_eq!((&*miss.name, miss.text(status), hit.text(status)), ("cache lookup", "miss".into(), "hit".into()));
    let producer = one(spans, "lifecycle.costly", "attempt");
    assert_eq!(links(hit), [("producer".to_owned(), producer.span_id.clone())]);
    let wait = one(spans, "go", "wait");
    assert_eq!((&*wait.name, wait.kind), ("wait go", INTERNAL));
    is_under(wait, one(spans, "lifecycle.everything", "attempt"));
    assert!(!wait.text("spanwise.signal.by").is_empty());
}

fn failures(spans: &[Span]) {
    let result = |task: &str| one(spans, task, "action").text("cicd.pipeline.task.run.result");
    assert_eq!(result("lifecycle.slow"), "timeout");
    assert_eq!(result("lifecycle.broken"), "failure");
    let broken = one(spans, "lifecycle.broken", "attempt");
    assert_eq!((&broken.status["code"], &*broken.text("error.type")), (&json!(ERROR), "ValueError"));
    let [killed, again] = parts(spans, "lifecycle.killed", "attempt")[..] else { panic!("two attempts of killed") };
    assert_eq!((&killed.status["code"], &again.status["code"]), (&json!(ERROR), &json!(OK)));
    assert_eq!(one(spans, "lifecycle.killed", "action").status["code"], OK);
}

#[test]
fn an_unsampled_caller_gets_nothing_and_an_unknown_level_is_refused() {
    let (data, tap) = (tempfile::tempdir().unwrap(), Tap::start());
    let server = server_for(&tap, data.path());
    let found = Program::new(&server, "lifecycle.py").arg("unsampled").start().result(&server);
    let caller = found["caller"].as_str().unwrap();
    assert_eq!(found["delivered"], format!("{caller} {caller}"));
    let refused = Program::new(&server, "lifecycle.py").arg("unknown_level").start().result(&server);
    assert!(refused["message"].as_str().unwrap().contains("spanwise.trace"), "{refused}");
    let aborted = Program::new(&server, "lifecycle.py").arg("aborted").start().result(&server);
    let run = aborted["run"].as_str().unwrap();
    let arrived = tap.wait_for_run(run);
    assert!(arrived.iter().all(|span| span.text("flyte.run_name") == run), "{:#?}", names(&arrived));
    let spans = of_run(&arrived, run);
    check_whole(&spans, &spans);
    let root = one(&spans, "lifecycle.sleeps_for_ever", "run");
    assert_eq!((root.text("cicd.pipeline.result"), &root.status["code"]), ("cancellation".to_owned(), &json!(0)));
    assert_eq!(root.text("spanwise.abort.reason"), "enough");
    assert!(root.parent_span_id.is_empty());
    server.stop();
}

#[test]
fn a_killed_server_and_a_dead_receiver_lose_nothing_and_send_nothing_twice() {
    let (data, tap) = (tempfile::tempdir().unwrap(), Tap::start());
    let port = tap.port();
    let mut server = server_for(&tap, data.path());
    drop(tap);
    let mut program = Program::new(&server, "lifecycle.py").arg("long_naps").start();
    program.wait_for_marks("naps", |lines| lines.len() == 4, &server);
    server.kill();
    server.restart();
    let found = program.result(&server);
    let tap = Tap::start_on(port);
    let run = found["run"].as_str().unwrap();
    let spans = of_run(&tap.wait_for_run(run), run);
    check_whole(&spans, &spans);
    assert_eq!(parts(&spans, "lifecycle.nap", "action").len(), 4);
    assert_eq!(parts(&spans, "lifecycle.nap", "attempt").len(), 4);
    let root = one(&spans, "lifecycle.naps", "run");
    assert!(spans.iter().all(|span| span.trace_id == root.trace_id));
    server.stop();
}

#[test]
fn a_malformed_tracestate_is_left_out_and_the_trace_stays() {
    let (data, tap) = (tempfile::tempdir().unwrap(), Tap::start());
    let server = server_for(&tap, data.path());
    let found = Program::new(&server, "lifecycle.py").arg("malformed_state").start().result(&server);
    let run = found["run"].as_str().unwrap();
    let spans = of_run(&tap.wait_for_run(run), run);
    check_whole(&spans, &spans);
    assert!(spans.iter().all(|span| span.trace_id == CALLER_TRACE && span.trace_state.is_empty()), "{spans:#?}");
    // To the task it is what it was: the map is the user's.
    assert_eq!(found["state"], "Not=a,list");
    server.stop();
}

/// A receiver that nobody ever sees again: the run does not notice, and what is given up is counted where a user looks.
#[test]
fn a_dead_receiver_is_given_up_and_counted() {
    let (data, tap) = (tempfile::tempdir().unwrap(), Tap::start());
    let endpoint = tap.endpoint();
    drop(tap);
    let environment = [("SPANWISE_TRACE_ENDPOINT", &*endpoint), ("SPANWISE_TRACE_PATIENCE_SECONDS", "1")];
    let server = DevServer::start_with(data.path(), &environment);
    let found = Program::new(&server, "lifecycle.py").arg("traced").start().result(&server);
    assert_eq!(found["output"], 3);
    let run = found["run"].as_str().unwrap();
    let address = format!("http://127.0.0.1:{}/v2/domain/development/project/flytesnacks/runs/{run}", server.port());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let told = loop {
        let page = ureq::get(&address).call().unwrap().body_mut().read_to_string().unwrap();
        let told =
            page.split("lifecycle: ").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned();
        if told.contains("given up") && !told.contains("so far") {
            break told;
        }
        assert!(std::time::Instant::now() < deadline, "{told}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    // All that the run has: itself, its action, queue, attempt and start.
    let (exported, given_up) = told.split_once(" spans exported, ").unwrap();
    let given_up: usize = given_up.split(' ').next().unwrap().parse().unwrap();
    assert!(exported == "0" && given_up >= 4, "{told}");
    assert!(server.said().contains("lifecycle spans were given up"), "{}", server.said());
    server.stop();
}

/// A program with Flyte's plugin makes spans of its steps itself, and the run says so.
#[test]
fn a_step_whose_span_the_program_makes_has_one() {
    let (data, tap) = (tempfile::tempdir().unwrap(), Tap::start());
    let server = server_for(&tap, data.path());
    let program =
        Program::new(&server, "observed.py").arg("steps_of").env("OTEL_EXPORTER_OTLP_ENDPOINT", tap.endpoint());
    let found = program.start().result(&server);
    let of = |key: &str| {
        let run = found[key].as_str().unwrap();
        let arrived = tap.wait_for_run(run);
        let steps = arrived.iter().filter(|span| span.name == "step" && span.text("flyte.run_name") == run);
        let mut makers: Vec<_> = steps.map(|span| if span.is_lifecycle() { "engine" } else { "program" }).collect();
        makers.sort_unstable();
        check_whole(&of_run(&arrived, run), &arrived);
        makers
    };
    assert_eq!(of("off"), ["program"]);
    assert_eq!(of("on"), ["engine", "program"]);
    assert!(found["refused"].as_str().unwrap().contains("spanwise.steps: `perhaps`"), "{found}");
    server.stop();
}

/// The guide word for word, with everything traced by the server: one trace, the guide's spans under their attempts, and the API calls
/// under the client's spans of them.
#[test]
fn the_guides_spans_hang_under_their_attempts() {
    let (data, tap, services) = (tempfile::tempdir().unwrap(), Tap::start(), Services::start());
    let environment = [("SPANWISE_TRACE", "full"), ("SPANWISE_TRACE_ENDPOINT", &*tap.endpoint())];
    let server = DevServer::start_with(data.path(), &environment);
    let driver = Program::new(&server, "guide.py").env("GUIDE_URL", services.page());
    let result = driver.env("OTEL_EXPORTER_OTLP_ENDPOINT", tap.endpoint()).start().result(&server);
    let run = result["url"].as_str().unwrap().rsplit('/').next().unwrap();
    let arrived = tap.wait_for_run(run);
    let workflow = check_guide(&arrived, run, "guide");
    let spans = of_run(&arrived, run);
    // A call that the client makes outside of the guide's span is in a trace of the client's own.
    let lifecycle = spans.iter().filter(|span| span.part() != "call");
    assert_eq!(lifecycle.filter(|span| span.trace_id != workflow.trace_id).count(), 0);
    let created = spans.iter().find(|span| span.name == "flyteidl2.workflow.RunService/CreateRun").unwrap();
    assert_eq!((created.kind, &*created.text("rpc.system.name")), (SERVER, "connectrpc"));
    let client = arrived.iter().find(|span| span.span_id == created.parent_span_id).unwrap();
    assert!(!client.is_lifecycle(), "{}", client.name);
    assert!(spans.iter().any(|span| span.name.ends_with("ActionsService/Enqueue")), "{:#?}", names(&spans));
    server.stop();
}

/// One trace without an orphan: the guide's spans under the attempts of its tasks, a child under the span that called it. Gives the first.
fn check_guide(arrived: &[Span], run: &str, environment: &str) -> Span {
    let user = |name: &str| {
        let found: Vec<_> = arrived.iter().filter(|span| span.name == name && !span.is_lifecycle()).collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0].clone()
    };
    let spans = of_run(arrived, run);
    let [workflow, main, fetch, get] = ["workflow_run", "main", "fetch", "GET"].map(user);
    let task = |name: &str| format!("{environment}.{name}");
    is_under(one(&spans, &task("main"), "run"), &workflow);
    is_under(&main, one(&spans, &task("main"), "attempt"));
    is_under(one(&spans, &task("fetch"), "action"), &main);
    is_under(&fetch, one(&spans, &task("fetch"), "attempt"));
    is_under(&get, &fetch);
    let known: HashSet<&str> = arrived.iter().map(|span| &*span.span_id).collect();
    for span in arrived.iter().filter(|span| span.trace_id == workflow.trace_id && !span.parent_span_id.is_empty()) {
        assert!(known.contains(&*span.parent_span_id), "{} is an orphan", span.name);
    }
    workflow
}

/// The same guide in Rust, on the embedded engine, with an exporter that its program has chosen.
#[test]
fn the_rust_guide_on_the_embedded_engine_gives_the_same_trace() {
    let (data, tap, services) = (tempfile::tempdir().unwrap(), Tap::start(), Services::start());
    let mut command = std::process::Command::new(crate::cargo::build("lifecycle"));
    crate::python::remove_what_would_mislead(&mut command);
    command.arg(services.page()).env("SPANWISE_DATA_DIR", data.path());
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", tap.endpoint());
    let ended = command.output().unwrap();
    let (printed, said) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{printed}\n{said}");
    let (page, _) = printed.split_once(" (").unwrap();
    let run = page.rsplit('/').next().unwrap();
    let arrived = tap.wait_for_run(run);
    let workflow = check_guide(&arrived, run, "otel");
    let spans = of_run(&arrived, run);
    check_whole(&spans, &arrived);
    assert!(spans.iter().all(|span| span.trace_id == workflow.trace_id));
}
