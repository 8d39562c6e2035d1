//! Told, never ignored: what an answer says holds, and what cannot be done is refused by its name.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::common::{ListRequest, Relation};
use spanwise_proto::flyteidl2::core::{Container, Resources, resources, task_metadata, task_template};
use spanwise_proto::flyteidl2::task::{DeployTaskRequest, RunSpec, TaskIdentifier, TaskSpec};
use spanwise_proto::flyteidl2::workflow::{
    AbortActionRequest, AbortRunRequest, CreateRunRequest, CreateRunResponse, ListRunsRequest, ListRunsResponse,
    create_run_request, list_runs_request,
};

use crate::command_line::spanwise;
use crate::dev_server::DevServer;
use crate::hostile::{Answer, action_id, ask, create_run_of, endless, program, run_id, started};
use crate::python::{Program, run_case};
use crate::waiting::{page, post};

const PATIENCE: Duration = Duration::from_secs(60);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json_of(server: &DevServer, arguments: &[&str]) -> Value {
    let output = spanwise(server, arguments);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn wait_for_the_end(server: &DevServer, run: &str, project: &str) {
    let deadline = Instant::now() + PATIENCE;
    while json_of(server, &["get", run, "--project", project, "-o", "json"])["ended"].is_null() {
        assert!(Instant::now() < deadline, "{run} goes on\n{}", server.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_abort_of_what_has_ended_says_so_whichever_way_it_is_asked_for() {
    let server = DevServer::shared();
    let run = endless(&server);
    let address = format!("/v2/domain/development/project/hostile/runs/{run}");
    let abort = |action: &str| spanwise(&server, &["abort", &run, action, "--project", "hostile"]);
    let first = abort("a0");
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let shown = |output: &std::process::Output| text(&output.stdout) + &text(&output.stderr);
    for again in [abort("a0"), spanwise(&server, &["abort", &run, "--project", "hostile"])] {
        assert_eq!(again.status.code(), Some(4), "{again:?}");
        assert!(shown(&again).contains("had ended already (ABORTED)"), "{again:?}");
    }
    assert_eq!(abort("nothing").status.code(), Some(1));
    // The stock SDK shows an error as a traceback: for it, nothing to do is well done.
    let run_abort = AbortRunRequest { run_id: run_id(&run).into(), ..AbortRunRequest::default() };
    assert_eq!(ask(&server, "RunService/AbortRun", &run_abort).status, 200);
    let action_abort = AbortActionRequest { action_id: action_id(&run, "a0").into(), ..AbortActionRequest::default() };
    assert_eq!(ask(&server, "RunService/AbortAction", &action_abort).status, 200);
    for fields in ["reason=late", "reason=late&action=a0"] {
        let (status, body) = post(&server, &address, "abort", fields);
        assert!(status == 409 && body.contains("had ended already (aborted)"), "{status} {body}");
    }
}

#[test]
fn annotations_are_kept_and_shown_wherever_a_run_is() {
    let server = DevServer::shared();
    let told = run_case(&server, "told.py", "a_run_with_annotations");
    let run = told["run"].as_str().unwrap();
    let annotations = json!({"owner": "größe <b>", "ticket": "T-7"});
    assert_eq!(told["annotations"], annotations);
    assert_eq!(json_of(&server, &["get", run, "-o", "json"])["options"]["annotations"], annotations);
    let page = page(&server, &format!("/v2/domain/development/project/flytesnacks/runs/{run}"));
    assert!(page.contains("<dt>Annotations</dt>") && page.contains("owner=größe &#60;b&#62;"), "{page}");
    assert!(!page.contains("is not honoured"), "{page}");
}

#[test]
fn created_started_ended_took_and_ran_mean_one_thing_everywhere() {
    let server = DevServer::shared();
    let sdk = run_case(&server, "told.py", "times");
    let run = sdk["run"].as_str().unwrap();
    let got = json_of(&server, &["get", run, "-o", "json"]);
    let listed = json_of(&server, &["list", "-n", "1000", "-o", "json"]);
    let listed = listed.as_array().unwrap().iter().find(|other| other["name"] == *run).unwrap().clone();
    let times =
        |value: &Value| ["created", "started", "ended", "duration_ms", "ran_ms"].map(|key| (key, value[key].clone()));
    assert_eq!(times(&got), times(&listed));
    assert_eq!(times(&got), times(&got["actions"][0]), "a run has the times of its root");
    let micros = |key: &str| {
        let time = humantime_of(got[key].as_str().unwrap());
        i64::try_from(time.as_micros()).unwrap()
    };
    let (created, started, ended) = (micros("created"), micros("started"), micros("ended"));
    assert!(created < started && started < ended, "{got}");
    assert_eq!(got["duration_ms"], json!((ended - created) / 1000), "created and took give ended: {got}");
    assert_eq!(got["ran_ms"], json!((ended - started) / 1000), "started and ran give ended: {got}");
    // The SDK's start is that of the action, which never moves, and its run time is what it took.
    let seconds = |key: &str| sdk[key].as_f64().unwrap();
    assert!((seconds("start") - created as f64 / 1e6).abs() < 1e-3, "{sdk} {got}");
    assert!((seconds("start") - seconds("queued")).abs() < 1e-3, "{sdk}");
    assert!((seconds("runtime") - seconds("duration")).abs() < 2e-3, "{sdk}");
    let table = text(&spanwise(&server, &["get", run]).stdout);
    let list = text(&spanwise(&server, &["list", "-n", "1000"]).stdout);
    for word in ["CREATED", "TOOK", "RAN"] {
        assert!(table.contains(word) && list.contains(word), "{word}: {table}\n{list}");
    }
    let second = |key: &str| got[key].as_str().unwrap()[..19].to_owned();
    assert!(table.contains(&format!("created {}", second("created"))), "{table}");
    let page = page(&server, &format!("/v2/domain/development/project/flytesnacks/runs/{run}"));
    // In the head of the page, and in the panel of the root.
    for (word, key) in [("Created", "created"), ("Started", "started"), ("Ended", "ended")] {
        let facts: Vec<&str> = page.split(&format!("<dt>{word}</dt>")).skip(1).collect();
        assert_eq!(facts.len(), 2, "{word}: {page}");
        for fact in facts {
            let fact = fact.split("</dd>").next().unwrap();
            assert!(fact.contains(&second(key)), "{word} is {}: {fact}", second(key));
        }
    }
    for word in ["Took", "Ran"] {
        assert_eq!(page.matches(&format!("<dt>{word}</dt>")).count(), 2, "{word}: {page}");
    }
}

/// A time since the epoch, as RFC 3339 has it in UTC.
fn humantime_of(text: &str) -> Duration {
    let (seconds, nanos) = spanwise_proto::json::datetime(text).unwrap();
    Duration::new(u64::try_from(seconds).unwrap(), u32::try_from(nanos).unwrap())
}

fn task_id(name: &str, version: &str) -> TaskIdentifier {
    TaskIdentifier {
        project: "hostile".into(),
        domain: "development".into(),
        name: name.to_owned(),
        version: version.to_owned(),
        ..TaskIdentifier::default()
    }
}

fn deploy(server: &DevServer, name: &str, version: &str, spec: TaskSpec) -> Answer {
    let request =
        DeployTaskRequest { task_id: task_id(name, version).into(), spec: spec.into(), ..DeployTaskRequest::default() };
    ask(server, "TaskService/DeployTask", &request)
}

fn run_deployed(server: &DevServer, name: &str, version: &str) -> String {
    let request = CreateRunRequest {
        task: Some(create_run_request::Task::TaskId(Box::new(task_id(name, version)))),
        ..create_run_of(TaskSpec::default())
    };
    let answer = ask(server, "RunService/CreateRun", &request);
    assert_eq!(answer.status, 200, "{answer:?}");
    CreateRunResponse::decode_from_slice(&answer.body).unwrap().run.action.id.run.name.clone()
}

#[test]
fn what_a_deployed_task_asks_for_in_vain_is_told_with_the_answer() {
    let server = DevServer::shared();
    let name = "told.in_vain";
    let quiet = deploy(&server, name, "v1", program(name, &["/bin/true"]));
    assert!(quiet.status == 200 && quiet.warnings.is_empty(), "{quiet:?}");
    let mut spec = program(name, &["/bin/true"]);
    spec.task_template.get_or_insert_default().metadata.get_or_insert_default().interruptible_value =
        Some(task_metadata::InterruptibleValue::Interruptible(true));
    let told = deploy(&server, name, "v2", spec);
    assert!(told.status == 200 && told.warnings.iter().any(|said| said.contains("interruptible")), "{told:?}");
}

#[test]
fn a_version_that_is_deployed_again_with_other_content_is_refused_and_said() {
    let server = DevServer::shared();
    let name = "told.versioned";
    assert_eq!(deploy(&server, name, "v1", program(name, &["/bin/true"])).status, 200);
    let same = deploy(&server, name, "v1", program(name, &["/bin/true"]));
    same.assert_error("the same", "already_exists", "`v1`");
    assert!(!same.message.contains("other content"), "{same:?}");
    let mut documented = program(name, &["/bin/true"]);
    documented.documentation.get_or_insert_default().short_description = "another word about it".into();
    let same = deploy(&server, name, "v1", documented);
    assert!(same.code == "already_exists" && !same.message.contains("other content"), "{same:?}");
    let quiet = spanwise(&server, &["tasks", "--project", "hostile"]);
    assert!(!text(&quiet.stderr).contains(name), "{quiet:?}");

    deploy(&server, name, "v1", program(name, &["/bin/false"])).assert_error(
        "other",
        "already_exists",
        "other content",
    );
    let deadline = Instant::now() + PATIENCE;
    while !server.said().contains("was deployed again with other content") {
        assert!(Instant::now() < deadline, "{}", server.said());
        std::thread::sleep(Duration::from_millis(10));
    }
    let tasks = spanwise(&server, &["tasks", "--project", "hostile"]);
    assert!(text(&tasks.stderr).contains("`told.versioned` was deployed again in version `v1`"), "{tasks:?}");
    let run = run_deployed(&server, name, "v1");
    let shown = page(&server, &format!("/v2/domain/development/project/hostile/runs/{run}"));
    assert!(shown.contains("was deployed again in version"), "{shown}");
    wait_for_the_end(&server, &run, "hostile");

    // Runs are found by the version of their task too.
    assert_eq!(deploy(&server, name, "v2", program(name, &["/bin/true"])).status, 200);
    let other = run_deployed(&server, name, "v2");
    for (version, expected) in [("v1", vec![&run]), ("v2", vec![&other]), ("v3", Vec::new()), ("", vec![&other, &run])]
    {
        let request = ListRunsRequest {
            scope_by: Some(list_runs_request::ScopeBy::TaskId(Box::new(task_id(name, version)))),
            request: ListRequest::default().into(),
            ..ListRunsRequest::default()
        };
        let answer = ask(&server, "RunService/ListRuns", &request);
        let found = ListRunsResponse::decode_from_slice(&answer.body).unwrap().runs;
        let found: Vec<&String> = found.iter().map(|run| &run.action.id.run.name).collect();
        assert_eq!(found, expected, "{version}");
    }
}

#[test]
fn a_relation_is_recorded_refused_or_said_to_be_neither() {
    let server = DevServer::shared();
    let source = started(&server, program("told.source", &["/bin/true"]));
    wait_for_the_end(&server, &source, "hostile");
    let create = |kind: i32, project: &str| {
        let mut related = run_id(&source);
        related.project = project.to_owned();
        let relation = Relation {
            related_to: related.into(),
            relation_type: spanwise_proto::EnumValue::from(kind),
            ..Relation::default()
        };
        let settings = RunSpec { relation: relation.into(), ..RunSpec::default() };
        let request =
            CreateRunRequest { run_spec: settings.into(), ..create_run_of(program("told.related", &["/bin/true"])) };
        ask(&server, "RunService/CreateRun", &request)
    };
    for kind in [0, 4, 99] {
        create(kind, "hostile").assert_error("an unknown relation", "invalid_argument", "relation_type");
    }
    for kind in [1, 2] {
        create(kind, "elsewhere").assert_error("a run of elsewhere", "invalid_argument", "related_to");
    }
    for (kind, project, shown) in
        [(1, "hostile", "repeats"), (3, "hostile", "started by"), (3, "elsewhere", "is not recorded")]
    {
        let answer = create(kind, project);
        assert_eq!(answer.status, 200, "{answer:?}");
        let created = CreateRunResponse::decode_from_slice(&answer.body).unwrap();
        let name = &created.run.action.id.run.name;
        let page = page(&server, &format!("/v2/domain/development/project/hostile/runs/{name}"));
        assert!(page.contains(shown), "{kind} {project}: {page}");
    }
}

#[test]
fn a_memory_request_limits_a_task_and_its_error_names_it() {
    let server = DevServer::shared();
    let found = run_case(&server, "told.py", "a_memory_request_limits");
    assert_eq!((&found["fits"], &found["code"]), (&json!(64), &json!("OOMKilled")), "{found}");
    assert!(found["message"].as_str().unwrap().contains("its limit of 256Mi"), "{found}");
    for wrong in ["1e400", "much", ""] {
        let mut spec = program("told.wrong", &["/bin/true"]);
        let memory = resources::ResourceEntry {
            name: resources::ResourceName::MEMORY.into(),
            value: wrong.to_owned(),
            ..resources::ResourceEntry::default()
        };
        let asked = Resources { requests: vec![memory], ..Resources::default() };
        let template = spec.task_template.get_or_insert_default();
        let Some(task_template::Target::Container(container)) = &mut template.target else { panic!() };
        **container = Container { resources: asked.into(), ..(**container).clone() };
        let named = format!("memory `{wrong}`");
        ask(&server, "RunService/CreateRun", &create_run_of(spec.clone())).assert_error(
            wrong,
            "invalid_argument",
            &named,
        );
        deploy(&server, "told.wrong", "v1", spec).assert_error(wrong, "invalid_argument", &named);
    }
}

#[test]
fn s8_a_map_whose_keys_are_numbers_is_printed_everywhere() {
    let server = DevServer::shared();
    let found = run_case(&server, "told.py", "a_map_by_numbers");
    let run = found["run"].as_str().unwrap();
    let expected = json!({"1": "one", "-2": "two"});
    assert_eq!(json_of(&server, &["get", run, "-o", "json"])["output"], expected);
    let table = text(&spanwise(&server, &["get", run]).stdout);
    assert!(table.contains("\"-2\":\"two\"") && table.contains("\"1\":\"one\""), "{table}");
    let page = page(&server, &format!("/v2/domain/development/project/flytesnacks/runs/{run}"));
    let shown = page.replace("&#34;", "\"").replace("&quot;", "\"");
    assert!(shown.contains("-2: \"two\"") && shown.contains("1: \"one\""), "{page}");
}

/// The client remembers its upload, the new data directory does not have it, and the run succeeds all the same; without the copy it is
/// refused with what to do.
#[test]
fn a_fresh_data_directory_heals_for_a_client_that_remembers_its_upload() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    std::fs::create_dir(place("home")).unwrap();
    let cache = place("cache").display().to_string();
    let environment = [("SPANWISE_UPLOAD_CACHE", cache.as_str()), ("SPANWISE_LOG", "spanwise_server=info")];
    let mut server = DevServer::start_with(&place("data"), &environment);
    let case = |server: &DevServer, case: &str| {
        Program::new(server, "told.py").arg(case).env("HOME", place("home")).start().result(server)
    };
    let afresh = |server: &mut DevServer| {
        server.kill();
        std::fs::remove_dir_all(place("data")).unwrap();
        server.restart();
    };
    case(&server, "a_map_by_numbers");
    assert_eq!(files_in(&place("cache")), 1);
    afresh(&mut server);
    case(&server, "a_map_by_numbers");
    assert!(server.said().contains("remembers an upload to another data directory"), "{}", server.said());
    std::fs::remove_dir_all(place("cache")).unwrap();
    afresh(&mut server);
    let refused = case(&server, "a_run_of_code_that_is_gone");
    let message = refused["message"].as_str().unwrap();
    for part in ["is not in the blob store", "disable_run_cache=True", "flyte delete local-cache"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    server.stop();
}

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}
