//! `WatchRuns` and `WatchActions`: the present state first, then what changes, and all of it again for whoever begins anew.

use std::collections::BTreeMap;
use std::io::Read;

use spanwise_proto::Message;
use spanwise_proto::flyteidl2::common::{ActionPhase, Filter, filter::Function};
use spanwise_proto::flyteidl2::workflow::*;

use crate::dev_server::DevServer;
use crate::hostile::{action_id, ask, enveloped, program, project, rpc, run_id, started};
use crate::tracked::{create_request, introduced, statuses, update};

/// The messages of a stream, one by one, to its end.
fn stream(server: &DevServer, name: &str, message: &impl Message) -> Box<dyn Iterator<Item = Vec<u8>>> {
    let url = format!("http://127.0.0.1:{}{}", server.port(), rpc(name).path);
    let request = ureq::post(&url).header("content-type", "application/connect+proto");
    let request = request.header("connect-protocol-version", "1").header("accept-encoding", "identity");
    let answer = request.send(&enveloped(0, &message.encode_to_vec())[..]).unwrap();
    let mut body = answer.into_body().into_reader();
    Box::new(std::iter::from_fn(move || {
        let mut head = [0; 5];
        body.read_exact(&mut head).ok()?;
        let mut message = vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize];
        body.read_exact(&mut message).ok()?;
        (head[0] & 2 == 0).then_some(message)
    }))
}

/// Names and phases of runs, as far as a stream tells them until something is as wanted.
fn runs_until(
    stream: &mut impl Iterator<Item = Vec<u8>>,
    wanted: impl Fn(&BTreeMap<String, i32>) -> bool,
) -> BTreeMap<String, i32> {
    let mut runs = BTreeMap::new();
    while !wanted(&runs) {
        let message = WatchRunsResponse::decode_from_slice(&stream.next().expect("it goes on")).unwrap();
        for run in message.runs {
            runs.insert(run.action.id.run.name.clone(), run.action.status.phase.to_i32());
        }
    }
    runs
}

fn tracked_run(server: &DevServer, name: &str) {
    let request = create_request(name, program("hostile.main", &["x"]));
    assert_eq!(ask(server, "TrackedRunService/CreateRun", &request).status, 200);
}

fn report(server: &DevServer, run: &str, updates: Vec<TrackedActionUpdate>) {
    let request = ReportTrackedActionsRequest { run_id: run_id(run).into(), updates, ..Default::default() };
    let said = statuses(&ask(server, "TrackedRunService/ReportActions", &request));
    assert!(said.iter().all(|status| status.code == 0), "{said:?}");
}

const QUEUED: i32 = ActionPhase::ACTION_PHASE_QUEUED as i32;
const RUNNING: i32 = ActionPhase::ACTION_PHASE_RUNNING as i32;
const SUCCEEDED: i32 = ActionPhase::ACTION_PHASE_SUCCEEDED as i32;

#[test]
fn runs_are_told_as_they_are_and_then_as_they_change_also_after_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let names: Vec<String> = (0..120).map(|index| format!("local-{index}")).collect();
    names.iter().for_each(|name| tracked_run(&server, name));
    let of_project = || WatchRunsRequest { target: Some(project().into()), ..WatchRunsRequest::default() };
    let mut watch = stream(&server, "RunService/WatchRuns", &of_project());
    let mut other = stream(
        &server,
        "RunService/WatchRuns",
        &WatchRunsRequest { target: Some(watch_runs_request::Target::Org("other".to_owned())), ..Default::default() },
    );
    let mut tracked = stream(&server, "TrackedRunService/WatchRuns", &of_project());
    for watch in [&mut watch, &mut tracked] {
        let present = runs_until(watch, |runs| runs.len() == 120);
        assert!(names.iter().all(|name| present[name] == QUEUED), "{present:?}");
    }
    assert!(WatchRunsResponse::decode_from_slice(&other.next().unwrap()).unwrap().runs.is_empty());
    let own = started(&server, program("hostile.quick", &["/bin/true"]));
    report(&server, "local-7", vec![update(&action_id("local-7", "a0"), 0, ActionPhase::ACTION_PHASE_RUNNING)]);
    let changed = runs_until(&mut watch, |runs| runs.get("local-7") == Some(&RUNNING) && runs.contains_key(&own));
    assert_eq!(changed.len(), 2, "{changed:?}");
    let changed = runs_until(&mut tracked, |runs| runs.get("local-7") == Some(&RUNNING));
    assert_eq!(changed.len(), 1, "{changed:?}");

    server.kill();
    assert_eq!(watch.next(), None);
    server.restart();
    let mut again = stream(&server, "RunService/WatchRuns", &of_project());
    let present = runs_until(&mut again, |runs| runs.len() == 121);
    assert_eq!(present["local-7"], RUNNING);
    ask(&server, "RunService/WatchRuns", &WatchRunsRequest::default()).assert_error(
        "none",
        "invalid_argument",
        "target",
    );
}

#[test]
fn actions_are_told_with_their_parents_to_the_end_of_their_run() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    tracked_run(&server, "local-1");
    let child = |index: usize, phase| {
        let mut update = update(&action_id("local-1", &format!("c{index}")), 0, phase);
        introduced(&mut update);
        update
    };
    let root = |version, phase| update(&action_id("local-1", "a0"), version, phase);
    let first = (0..150).map(|index| child(index, ActionPhase::ACTION_PHASE_RUNNING));
    report(&server, "local-1", [root(0, ActionPhase::ACTION_PHASE_RUNNING)].into_iter().chain(first).collect());
    let phase = Filter {
        field: "phase".to_owned(),
        function: Function::EQUAL.into(),
        values: vec![SUCCEEDED.to_string()],
        ..Filter::default()
    };
    let request = WatchActionsRequest { run_id: run_id("local-1").into(), filter: vec![phase], ..Default::default() };
    let mut watch = stream(&server, "RunService/WatchActions", &request);
    let mut actions: BTreeMap<String, EnrichedAction> = BTreeMap::new();
    let mut next = |actions: &mut BTreeMap<String, EnrichedAction>| {
        let Some(message) = watch.next() else { return false };
        let message = WatchActionsResponse::decode_from_slice(&message).unwrap();
        assert!(message.enriched_actions.len() <= 100);
        actions.extend(message.enriched_actions.into_iter().map(|action| (action.action.id.name.clone(), action)));
        true
    };
    while actions.len() < 151 {
        assert!(next(&mut actions));
    }
    assert_eq!(actions["a0"].children_phase_counts, [(RUNNING, 150)].into_iter().collect());
    assert!(actions.values().all(|action| !action.meets_filter));
    report(&server, "local-1", vec![child(200, ActionPhase::ACTION_PHASE_SUCCEEDED)]);
    while !actions.get("c200").is_some_and(|action| action.meets_filter) {
        assert!(next(&mut actions));
    }
    assert_eq!(actions["a0"].children_phase_counts, [(RUNNING, 150), (SUCCEEDED, 1)].into_iter().collect());
    report(&server, "local-1", vec![root(1, ActionPhase::ACTION_PHASE_SUCCEEDED)]);
    while next(&mut actions) {}
    let phases: Vec<i32> = actions.values().map(|action| action.action.status.phase.to_i32()).collect();
    assert_eq!(
        (actions["a0"].action.status.phase.to_i32(), phases.iter().filter(|phase| **phase == RUNNING).count()),
        (SUCCEEDED, 0)
    );

    let color = Filter { field: "color".to_owned(), function: Function::EQUAL.into(), ..Filter::default() };
    let refused = WatchActionsRequest { run_id: run_id("local-1").into(), filter: vec![color], ..Default::default() };
    ask(&server, "RunService/WatchActions", &refused).assert_error("color", "invalid_argument", "color");
    let unknown = WatchActionsRequest { run_id: run_id("nobody").into(), ..WatchActionsRequest::default() };
    ask(&server, "RunService/WatchActions", &unknown).assert_error("nobody", "not_found", "nobody");
    let server_run = started(&server, program("hostile.endless", &["/bin/sleep", "600"]));
    let of_server = WatchActionsRequest { run_id: run_id(&server_run).into(), ..WatchActionsRequest::default() };
    ask(&server, "TrackedRunService/WatchActions", &of_server).assert_error(
        "not tracked",
        "not_found",
        "is not tracked",
    );
}
