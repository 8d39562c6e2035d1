//! Tracked runs (semantics S16): the stock SDK runs them, and the server has them like any run, whoever is killed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::task::TaskSpec;
use spanwise_proto::flyteidl2::workflow::*;
use spanwise_proto::google::protobuf::Timestamp;

use crate::dev_server::{DevServer, body_of};
use crate::hostile::{Answer, action_id, ask, endless, program, project, run_id};
use crate::python::{Program, run_case};

const DEADLINE: Duration = Duration::from_secs(60);

fn strict(data: &std::path::Path) -> DevServer {
    DevServer::start_with(data, &[("SPANWISE_STRICT", "true")])
}

#[test]
fn s16_the_stock_command_line_runs_it_and_the_server_has_it_like_any_run() {
    let data = tempfile::tempdir().unwrap();
    let mut server = strict(data.path());
    let found = run_case(&server, "tracked.py", "everything");
    let expected = json!({
        "main": ["succeeded"], "middle": ["succeeded"], "doubled": ["succeeded"], "leaf": ["succeeded"],
        "remembered": ["succeeded", "succeeded"], "flaky": ["succeeded"], "reported": ["succeeded"], "broken": ["failed"],
    });
    assert_eq!(found["phases"], expected, "{found}");
    assert!(found["output"].as_str().unwrap().starts_with("9 40 40 4 4 "), "{found}");
    assert_eq!((&found["input"], &found["child"]), (&json!(4), &json!([4, 9])), "{found}");
    assert_eq!(found["source"], json!(RunSource::RUN_SOURCE_TRACKED as i32));
    assert_eq!(found["attempts"], json!([2, 2]));
    assert!(found["first_failure"].as_str().unwrap().contains("not yet \u{1f680}"), "{found}");
    assert_eq!((&found["broken"][0], &found["broken"][2]), (&json!("failed"), &json!(1)), "{found}");
    assert!(found["broken"][1].as_str().unwrap().contains("no such 4"), "{found}");
    assert_eq!(found["parents"], json!(["a0", true, true]), "{found}");
    assert_eq!((&found["group"], &found["kinds"]), (&json!("nested"), &json!([1, 2])), "{found}");
    // A miss that was stored, and a hit.
    assert_eq!(found["cache"], json!([2, 3]), "{found}");
    assert_eq!(found["report"][2], "report.html", "{found}");
    assert_eq!(found["page"], json!([true, true, false]), "{found}");

    // The waterfall and where the time went, now and after the server was killed.
    let base = format!("http://{}/v2/domain/development/project/flytesnacks/runs/local-everything", server.endpoint());
    let explained = || serde_json::from_str::<Value>(&body_of(&format!("{base}/explain.json"))).unwrap();
    let spans = || {
        let trace: Value = serde_json::from_str(&body_of(&format!("{base}/trace.json"))).unwrap();
        let spans = trace["resourceSpans"].as_array().unwrap().iter();
        let spans =
            spans.flat_map(|of| of["scopeSpans"].as_array().unwrap()).flat_map(|of| of["spans"].as_array().unwrap());
        let mut spans: Vec<String> = spans.map(Value::to_string).collect();
        spans.sort_unstable();
        spans
    };
    let trace = spans();
    for name in ["RUN tracked.main", "doubled", "attempt 2", "backoff"] {
        assert!(trace.iter().any(|span| span.contains(&format!("\"{name}\""))), "{name}: {trace:?}");
    }
    let before = explained();
    assert!(before.to_string().contains("tracked.main"), "{before}");
    server.kill();
    server.restart();
    assert_eq!(explained(), before);
    for (one, other) in spans().iter().zip(&trace) {
        assert_eq!(one, other);
    }
}

#[test]
fn s16_a_root_that_fails_has_failed() {
    let data = tempfile::tempdir().unwrap();
    let found = run_case(&strict(data.path()), "tracked.py", "a_failing_root");
    assert_eq!(found["phases"], json!({ "fails": ["failed"], "broken": ["failed"] }), "{found}");
    assert!(found["message"].as_str().unwrap().contains("no such 3"), "{found}");
    assert_eq!(found["said"], true, "{found}");
}

/// The phase of an action, if it is there.
fn phase(server: &DevServer, of: &spanwise_proto::flyteidl2::common::ActionIdentifier) -> Option<ActionDetails> {
    let request = GetActionDetailsRequest { action_id: of.clone().into(), ..GetActionDetailsRequest::default() };
    let answer = ask(server, "TrackedRunService/GetActionDetails", &request);
    (answer.status == 200)
        .then(|| GetActionDetailsResponse::decode_from_slice(&answer.body).unwrap().details.into_option().unwrap())
}

fn wait_for(
    server: &DevServer,
    of: &spanwise_proto::flyteidl2::common::ActionIdentifier,
    wanted: ActionPhase,
) -> ActionDetails {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let details = phase(server, of);
        if let Some(details) = details.clone().filter(|details| details.status.phase == wanted) {
            return details;
        }
        assert!(Instant::now() < deadline, "{wanted:?}: {details:?}\n{}", server.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The root of the run of `goes_on`.
fn goes_on() -> spanwise_proto::flyteidl2::common::ActionIdentifier {
    let mut root = action_id("local-goes-on", "a0");
    root.run.get_or_insert_default().project = "flytesnacks".to_owned();
    root
}

#[test]
fn s16_a_server_that_is_killed_in_the_middle_loses_nothing_that_was_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let mut server = strict(data.path());
    let mut program = Program::new(&server, "tracked.py").arg("goes_on").start();
    program.wait_until(|program| !program.marks("pids").is_empty() && program.exists("waits1"), &server);
    let before = wait_for(&server, &goes_on(), ActionPhase::ACTION_PHASE_RUNNING);
    server.kill();
    server.restart();
    let after = wait_for(&server, &goes_on(), ActionPhase::ACTION_PHASE_RUNNING);
    assert_eq!(after, before);
    program.touch("go");
    let found = program.result(&server);
    let expected = json!({ "two_halves": ["succeeded"], "leaf": ["succeeded"], "waits": ["succeeded"] });
    assert_eq!((&found["phases"], &found["output"]), (&expected, &json!(3)), "{found}");
}

#[test]
fn s16_a_program_that_is_killed_is_told_as_lost_after_a_silence() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start_with(data.path(), &[("SPANWISE_TRACKED_SILENCE_SECONDS", "2")]);
    let mut program = Program::new(&server, "tracked.py").arg("goes_on").start();
    program.wait_until(|program| program.exists("waits1"), &server);
    wait_for(&server, &goes_on(), ActionPhase::ACTION_PHASE_RUNNING);
    let pid = program.marks("pids")[0].clone();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    assert_eq!(program.result(&server)["killed"], 9);
    let lost = wait_for(&server, &goes_on(), ActionPhase::ACTION_PHASE_FAILED);
    let Some(action_details::Result::ErrorInfo(error)) = &lost.result else { panic!("{lost:?}") };
    assert_eq!((error.code.as_str(), error.kind.as_known()), ("AttemptLost", Some(error_info::Kind::KIND_SYSTEM)));
    assert!(error.message.contains("nothing was heard of the program for 2 s"), "{error:?}");
    assert_eq!(lost.attempts[0].phase, ActionPhase::ACTION_PHASE_FAILED);
    server.kill();
    server.restart();
    assert_eq!(phase(&server, &goes_on()), Some(lost));
    // It may be heard again all the same.
    let said = report(&server, &goes_on(), 9, ActionPhase::ACTION_PHASE_RUNNING, |_| {});
    assert_eq!(said[0].code, 0, "{said:?}");
    wait_for(&server, &goes_on(), ActionPhase::ACTION_PHASE_RUNNING);
    let abort = AbortRunRequest { run_id: goes_on().run.into_option().into(), ..AbortRunRequest::default() };
    assert_eq!(ask(&server, "TrackedRunService/AbortRun", &abort).status, 200);
    let aborted = wait_for(&server, &goes_on(), ActionPhase::ACTION_PHASE_ABORTED);
    assert!(matches!(aborted.result, Some(action_details::Result::AbortInfo(_))));
    let after = report(&server, &goes_on(), 10, ActionPhase::ACTION_PHASE_RUNNING, |_| {});
    assert_eq!((after[0].code, after[0].message.as_str()), (9, "cannot take a report about `a0`: it is ABORTED"));
}

fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp { seconds: now.as_secs() as i64, nanos: now.subsec_nanos() as i32, ..Timestamp::default() }
}

/// A report about an action, in its first attempt.
pub(crate) fn update(
    of: &spanwise_proto::flyteidl2::common::ActionIdentifier,
    version: u32,
    phase: ActionPhase,
) -> TrackedActionUpdate {
    let event = ActionEvent {
        id: of.clone().into(),
        attempt: 1,
        version,
        phase: phase.into(),
        updated_time: now().into(),
        ..ActionEvent::default()
    };
    TrackedActionUpdate { event: event.into(), ..TrackedActionUpdate::default() }
}

/// The answers to a report about one action.
fn report(
    server: &DevServer,
    of: &spanwise_proto::flyteidl2::common::ActionIdentifier,
    version: u32,
    phase: ActionPhase,
    change: impl Fn(&mut TrackedActionUpdate),
) -> Vec<spanwise_proto::google::rpc::Status> {
    let mut update = update(of, version, phase);
    change(&mut update);
    statuses(&send(server, &of.run.name, vec![update], |request| request.run_id = of.run.as_option().cloned().into()))
}

fn send(
    server: &DevServer,
    run: &str,
    updates: Vec<TrackedActionUpdate>,
    change: impl Fn(&mut ReportTrackedActionsRequest),
) -> Answer {
    let mut request =
        ReportTrackedActionsRequest { run_id: run_id(run).into(), updates, ..ReportTrackedActionsRequest::default() };
    change(&mut request);
    ask(server, "TrackedRunService/ReportActions", &request)
}

/// What is said of each of many reports.
pub(crate) fn statuses(answer: &Answer) -> Vec<spanwise_proto::google::rpc::Status> {
    assert_eq!(answer.status, 200, "{answer:?}");
    ReportTrackedActionsResponse::decode_from_slice(&answer.body).unwrap().statuses
}

/// The request for a tracked run of the project of hostile clients.
pub(crate) fn create_request(name: &str, task: TaskSpec) -> CreateTrackedRunRequest {
    CreateTrackedRunRequest {
        id: Some(run_id(name).into()),
        task: Some(task.into()),
        run_start_time: now().into(),
        ..CreateTrackedRunRequest::default()
    }
}

fn created(server: &DevServer, name: &str, task: TaskSpec) -> Answer {
    ask(server, "TrackedRunService/CreateRun", &create_request(name, task))
}

/// Says what an action is, as the first report about it does.
pub(crate) fn introduced(update: &mut TrackedActionUpdate) {
    let task = TaskAction { spec: program("hostile.child", &[]).into(), ..TaskAction::default() };
    update.spec = Some(task.into());
}

#[test]
fn s16_what_makes_no_sense_is_refused_by_its_field_and_the_rest_of_a_report_is_taken() {
    use ActionPhase::{ACTION_PHASE_RUNNING as RUNNING, ACTION_PHASE_SUCCEEDED as SUCCEEDED};
    let data = tempfile::tempdir().unwrap();
    let server = strict(data.path());
    let (name, root) = ("local-1", action_id("local-1", "a0"));
    assert_eq!(created(&server, name, program("hostile.main", &["x"])).status, 200);
    // Who did not hear the answer asks again, and has the same run; another program has not.
    assert_eq!(created(&server, name, program("hostile.main", &["x"])).status, 200);
    created(&server, name, program("hostile.other", &["x"])).assert_error("another", "already_exists", name);
    let unnamed = CreateTrackedRunRequest { id: Some(project().into()), ..CreateTrackedRunRequest::default() };
    ask(&server, "TrackedRunService/CreateRun", &unnamed).assert_error(
        "no task",
        "invalid_argument",
        "task_id or task_spec",
    );
    ask(&server, "TrackedRunService/CreateRun", &CreateTrackedRunRequest::default()).assert_error(
        "no id",
        "invalid_argument",
        "run_id or project_id",
    );

    let one = || vec![update(&root, 0, RUNNING)];
    send(&server, "nobody", one(), |_| {}).assert_error("unknown run", "not_found", "nobody");
    send(&server, name, Vec::new(), |_| {}).assert_error("empty", "invalid_argument", "updates");
    send(&server, name, one(), |request| request.run_id = None.into()).assert_error(
        "no run",
        "invalid_argument",
        "run_id",
    );
    let other = endless(&server);
    send(&server, &other, vec![update(&action_id(&other, "a0"), 0, RUNNING)], |_| {}).assert_error(
        "a run of the server",
        "not_found",
        "is not tracked",
    );
    let many = vec![TrackedActionUpdate::default(); 50_001];
    send(&server, name, many, |_| {}).assert_error("too many", "invalid_argument", "updates has 50001 entries");

    let child = action_id(name, "b");
    let mut of_nobody = update(&action_id(name, "c"), 0, RUNNING);
    introduced(&mut of_nobody);
    of_nobody.parent_name = "nobody".to_owned();
    let mut first = update(&child, 0, RUNNING);
    introduced(&mut first);
    let mut with_logs = update(&root, 5, RUNNING);
    with_logs.event.get_or_insert_default().log_context = Some(Default::default()).into();
    let updates = vec![
        update(&root, 1, RUNNING),
        update(&root, 0, RUNNING),
        update(&child, 0, RUNNING),
        of_nobody,
        first,
        update(&child, 1, SUCCEEDED),
        update(&child, 2, RUNNING),
        TrackedActionUpdate::default(),
        with_logs,
    ];
    let said = statuses(&send(&server, name, updates, |_| {}));
    created(&server, name, program("hostile.main", &["x"])).assert_error("reported on", "already_exists", name);
    let expected = [
        (0, ""),
        (0, ""),
        (9, "`b` is new to the run"),
        (5, "action `nobody` is not known to the run"),
        (0, ""),
        (0, ""),
        (9, "cannot take a report about `b`: it is SUCCEEDED"),
        (3, "`event` is missing"),
        (3, "event.log_context"),
    ];
    assert_eq!(said.len(), expected.len());
    for (status, (code, message)) in said.iter().zip(expected) {
        assert!(status.code == code && status.message.starts_with(message), "{status:?}, expected {code} {message}");
    }
    let abort = AbortActionRequest { action_id: child.into(), ..AbortActionRequest::default() };
    ask(&server, "RunService/AbortAction", &abort).assert_error("a child", "failed_precondition", "tracked run");
    let listed = ask(&server, "TrackedRunService/ListRuns", &ListRunsRequest::default());
    let listed = ListRunsResponse::decode_from_slice(&listed.body).unwrap();
    let names: Vec<_> = listed.runs.iter().map(|run| run.action.id.run.name.clone()).collect();
    assert_eq!(names, [name]);
    assert_eq!(listed.runs[0].action.metadata.source, RunSource::RUN_SOURCE_TRACKED);
}

#[test]
fn s16_ten_thousand_actions_are_reported_at_once() {
    use ActionPhase::{ACTION_PHASE_RUNNING as RUNNING, ACTION_PHASE_SUCCEEDED as SUCCEEDED};
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    assert_eq!(created(&server, "local-many", program("hostile.main", &["x"])).status, 200);
    let mut updates = vec![update(&action_id("local-many", "a0"), 0, RUNNING)];
    updates.extend((0..9_999).map(|index| {
        let mut update = update(&action_id("local-many", &format!("c{index}")), 0, SUCCEEDED);
        introduced(&mut update);
        update
    }));
    let begun = Instant::now();
    let said = statuses(&send(&server, "local-many", updates, |_| {}));
    assert!(
        said.len() == 10_000 && said.iter().all(|status| status.code == 0),
        "{:?}",
        said.iter().find(|s| s.code != 0)
    );
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    server.kill();
    server.restart();
    let request = ListActionsRequest { run_id: run_id("local-many").into(), ..ListActionsRequest::default() };
    let listed = ask(&server, "RunService/ListActions", &request);
    assert_eq!(ListActionsResponse::decode_from_slice(&listed.body).unwrap().actions.len(), 100);
    wait_for(&server, &action_id("local-many", "c9998"), SUCCEEDED);
}
