//! What ended runs leave in the server's memory: nothing. Every allocation of this program is counted, whoever makes it, so that no list
//! of what could grow has to be kept here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::alloc::System;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use spanwise_proto::Message;
use spanwise_proto::flyteidl2::common::{ActionIdentifier, ActionPhase, ProjectIdentifier, RunIdentifier};
use spanwise_proto::flyteidl2::core::{Container, Identifier, TaskTemplate};
use spanwise_proto::flyteidl2::task::TaskSpec;
use spanwise_proto::flyteidl2::workflow::{
    CreateRunRequest, CreateRunResponse, GetActionDetailsRequest, GetActionDetailsResponse, create_run_request,
};
use spanwise_server::{CollectorConfig, Config, Server, TraceLevel};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Runs until everything that is kept for all of them, or for the last ones, is there.
const FIRST: usize = 100;

/// Runs after those.
const MORE: usize = 200;

/// Far beyond what anything here takes.
const DEADLINE: Duration = Duration::from_secs(120);

/// Allocations that are there now, and their bytes.
fn held() -> (isize, isize) {
    let stats = ALLOCATOR.stats();
    let blocks = stats.allocations as isize - stats.deallocations as isize;
    (blocks, stats.bytes_allocated as isize - stats.bytes_deallocated as isize)
}

/// The same when what goes on after the end of a run is over.
fn held_at_rest() -> (isize, isize) {
    let since = Instant::now();
    let mut before = held();
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = held();
        if (now.0 - before.0).abs() < 8 || since.elapsed() > DEADLINE {
            return now;
        }
        before = now;
    }
}

/// A client of the server, on a connection that it keeps.
struct Client {
    agent: ureq::Agent,
    url: String,
}

impl Client {
    fn ask<T: Message + Default>(&self, method: &str, message: &impl Message) -> T {
        let url = format!("{}/flyteidl2.workflow.RunService/{method}", self.url);
        let sent = self.agent.post(url).content_type("application/proto").send(&message.encode_to_vec()[..]);
        T::decode_from_slice(&sent.unwrap().into_body().read_to_vec().unwrap()).unwrap()
    }

    /// One run from its start to its end, with a span of its own and a look at its page.
    fn run(&self, number: usize) {
        let project = ProjectIdentifier { name: "p".into(), domain: "development".into(), ..Default::default() };
        let request = CreateRunRequest {
            id: Some(create_run_request::Id::ProjectId(Box::new(project))),
            task: Some(create_run_request::Task::TaskSpec(Box::new(task()))),
            ..Default::default()
        };
        let created: CreateRunResponse = self.ask("CreateRun", &request);
        let name = created.run.action.id.run.name.clone();
        self.wait_for(&name);
        self.send_span(number);
        let page = format!("{}/v2/domain/development/project/p/runs/{name}", self.url);
        assert!(self.agent.get(page).call().unwrap().into_body().read_to_string().unwrap().contains(&name));
    }

    fn wait_for(&self, name: &str) {
        let run = RunIdentifier {
            project: "p".into(),
            domain: "development".into(),
            name: name.into(),
            ..Default::default()
        };
        let action_id = ActionIdentifier { run: run.into(), name: "a0".into(), ..Default::default() };
        let request = GetActionDetailsRequest { action_id: action_id.into(), ..Default::default() };
        let since = Instant::now();
        loop {
            let answer: GetActionDetailsResponse = self.ask("GetActionDetails", &request);
            if answer.details.status.phase == ActionPhase::ACTION_PHASE_SUCCEEDED {
                return;
            }
            assert!(since.elapsed() < DEADLINE, "{:?}", answer.details.status);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn send_span(&self, number: usize) {
        let span = format!(
            r#"{{"traceId":"{:032x}","spanId":"{:016x}","name":"work","startTimeUnixNano":"1","endTimeUnixNano":"2"}}"#,
            number + 1,
            number + 1
        );
        let request = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
        let sent = self.agent.post(format!("{}/v1/traces", self.url)).content_type("application/json").send(&request);
        assert_eq!(sent.unwrap().into_body().read_to_string().unwrap(), "{}");
    }
}

/// A task that leaves its outputs where the SDK's entry point does, and ends.
fn task() -> TaskSpec {
    let args = ["/bin/sh", "-c", ": > \"$PWD.outputs.pb\""].map(str::to_owned).to_vec();
    let template = TaskTemplate {
        id: Identifier { name: "memory.small".into(), ..Default::default() }.into(),
        r#type: "python".into(),
        target: Some(Container { args, ..Default::default() }.into()),
        ..Default::default()
    };
    TaskSpec { task_template: template.into(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_runs_leave_nothing_in_memory() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(Config {
        port: 0,
        cold: true,
        trace: TraceLevel::Lifecycle,
        collector: Some(CollectorConfig { port: 0, ..CollectorConfig::default() }),
        python: Some(PathBuf::from("python3")),
        ..Config::dev(data.path())
    })
    .await
    .unwrap();
    let client = Client { agent: ureq::Agent::new_with_defaults(), url: format!("http://127.0.0.1:{}", server.port()) };
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async move { drop(ended.await) }));
    let used = tokio::task::spawn_blocking(move || {
        (0..FIRST).for_each(|number| client.run(number));
        let before = held_at_rest();
        (FIRST..FIRST + MORE).for_each(|number| client.run(number));
        let after = held_at_rest();
        (after.0 - before.0, after.1 - before.1)
    });
    let (blocks, bytes) = used.await.unwrap();
    // A map with one small entry for each run has one allocation more for each, or is larger by these entries.
    assert!(blocks < MORE as isize / 2 && bytes < 8 * MORE as isize, "{MORE} runs left {blocks} blocks, {bytes} bytes");
    drop(end);
    serving.await.unwrap().unwrap();
}
