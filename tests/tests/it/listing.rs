//! Lists: each filter and each order that a client can ask for is honoured or refused by its name, in every list, and never passed over.

use spanwise_proto::Message;
use spanwise_proto::flyteidl2::app::{self, ListResponse};
use spanwise_proto::flyteidl2::common::{Filter, ListRequest, ProjectIdentifier, Sort, filter::Function, sort};
use spanwise_proto::flyteidl2::project::{ListProjectsRequest, ListProjectsResponse};
use spanwise_proto::flyteidl2::task::*;
use spanwise_proto::flyteidl2::trigger::{ListTriggersRequest, ListTriggersResponse};
use spanwise_proto::flyteidl2::workflow::*;

use crate::dev_server::DevServer;
use crate::hostile::{Answer, action_id, ask, program, project, run_id};
use crate::tracked::{create_request, introduced, statuses, update};

/// The names of what a list has, in its order.
type Names = fn(&[u8]) -> Vec<String>;

/// A list as a test asks for it.
struct List {
    rpc: &'static str,
    ask: fn(&DevServer, ListRequest) -> Answer,
    names: Names,
    /// Filters that are honoured, with what passes them.
    honoured: Vec<(&'static str, Function, Vec<&'static str>, Vec<&'static str>)>,
}

fn runs(server: &DevServer, request: ListRequest) -> Answer {
    let scope_by = Some(list_runs_request::ScopeBy::ProjectId(Box::new(project())));
    ask(server, "RunService/ListRuns", &ListRunsRequest { request: request.into(), scope_by, ..Default::default() })
}

fn names_of_runs(body: &[u8]) -> Vec<String> {
    let runs = ListRunsResponse::decode_from_slice(body).unwrap().runs;
    runs.iter().map(|run| run.action.id.run.name.clone()).collect()
}

fn tracked_runs(server: &DevServer, request: ListRequest) -> Answer {
    let scope_by = Some(list_runs_request::ScopeBy::ProjectId(Box::new(project())));
    let request = ListRunsRequest { request: request.into(), scope_by, ..Default::default() };
    ask(server, "TrackedRunService/ListRuns", &request)
}

fn actions(server: &DevServer, request: ListRequest) -> Answer {
    let request =
        ListActionsRequest { request: request.into(), run_id: run_id("local-2").into(), ..Default::default() };
    ask(server, "RunService/ListActions", &request)
}

fn names_of_actions(body: &[u8]) -> Vec<String> {
    let actions = ListActionsResponse::decode_from_slice(body).unwrap().actions;
    actions.iter().map(|action| action.id.name.clone()).collect()
}

fn tasks(server: &DevServer, request: ListRequest) -> Answer {
    let scope_by = Some(list_tasks_request::ScopeBy::ProjectId(Box::new(project())));
    ask(server, "TaskService/ListTasks", &ListTasksRequest { request: request.into(), scope_by, ..Default::default() })
}

fn names_of_tasks(body: &[u8]) -> Vec<String> {
    let tasks = ListTasksResponse::decode_from_slice(body).unwrap().tasks;
    tasks.iter().map(|task| task.task_id.name.clone()).collect()
}

fn versions(server: &DevServer, request: ListRequest) -> Answer {
    let ProjectIdentifier { name: project, domain, .. } = project();
    let task = TaskName { project, domain, name: "hostile.one".to_owned(), ..TaskName::default() };
    let request = ListVersionsRequest { request: request.into(), task_name: task.into(), ..Default::default() };
    ask(server, "TaskService/ListVersions", &request)
}

fn names_of_versions(body: &[u8]) -> Vec<String> {
    let versions = ListVersionsResponse::decode_from_slice(body).unwrap().versions;
    versions.iter().map(|version| version.version.clone()).collect()
}

fn triggers(server: &DevServer, request: ListRequest) -> Answer {
    ask(server, "TriggerService/ListTriggers", &ListTriggersRequest { request: request.into(), ..Default::default() })
}

fn names_of_triggers(body: &[u8]) -> Vec<String> {
    let triggers = ListTriggersResponse::decode_from_slice(body).unwrap().triggers;
    triggers.iter().map(|trigger| trigger.id.name.name.clone()).collect()
}

fn apps(server: &DevServer, request: ListRequest) -> Answer {
    ask(server, "AppService/List", &app::ListRequest { request: request.into(), ..Default::default() })
}

fn names_of_apps(body: &[u8]) -> Vec<String> {
    let apps = ListResponse::decode_from_slice(body).unwrap().apps;
    apps.iter().map(|app| app.metadata.id.name.clone()).collect()
}

fn filter(field: &str, function: Function, values: &[&str]) -> Filter {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Filter { field: field.to_owned(), function: function.into(), values, ..Filter::default() }
}

fn filtered(filters: Vec<Filter>) -> ListRequest {
    ListRequest { filters, ..ListRequest::default() }
}

fn sorted(key: &str, direction: sort::Direction) -> ListRequest {
    let sort = Sort { key: key.to_owned(), direction: direction.into(), ..Sort::default() };
    ListRequest { sort_by: sort.into(), ..ListRequest::default() }
}

/// Every filter that the stock SDK has for any list, and some that nobody has.
const FIELDS: [&str; 14] = [
    "phase",
    "task_name",
    "task_version",
    "created_by",
    "created_at",
    "updated_at",
    "labels.team",
    "parent_name",
    "action_type",
    "name",
    "status_phase",
    "state",
    "archived",
    "color",
];

const FUNCTIONS: [Function; 6] = [
    Function::EQUAL,
    Function::VALUE_IN,
    Function::CONTAINS,
    Function::GREATER_THAN_OR_EQUAL,
    Function::EXISTS,
    Function::NOT_EQUAL,
];

const LATER: &str = "2100-01-01T00:00:00+00:00";
const EARLIER: &str = "2000-01-01T00:00:00+00:00";

fn lists() -> Vec<List> {
    use Function::*;
    let of_times = |both: Vec<&'static str>| {
        ["created_at", "updated_at"].into_iter().flat_map(move |field| {
            [
                (field, GREATER_THAN_OR_EQUAL, vec![EARLIER], both.clone()),
                (field, GREATER_THAN_OR_EQUAL, vec![LATER], vec![]),
                (field, GREATER_THAN, vec![LATER], vec![]),
                (field, LESS_THAN, vec![LATER], both.clone()),
                (field, LESS_THAN_OR_EQUAL, vec![EARLIER], vec![]),
            ]
        })
    };
    let of_runs: Vec<_> = of_times(vec!["local-2", "local-1"])
        .chain([
            ("phase", EQUAL, vec!["5"], vec!["local-1"]),
            ("phase", VALUE_IN, vec!["4", "5"], vec!["local-2", "local-1"]),
            ("task_name", EQUAL, vec!["hostile.two"], vec!["local-2"]),
            ("task_version", EQUAL, vec!["v1"], vec!["local-1"]),
            ("created_by", EQUAL, vec!["local"], vec!["local-2", "local-1"]),
            ("created_by", EQUAL, vec!["ann"], vec![]),
            ("labels.team", EQUAL, vec!["a"], vec!["local-1"]),
            ("labels.team", EXISTS, vec![], vec!["local-1"]),
            ("labels.color", EXISTS, vec![], vec![]),
        ])
        .collect();
    let of_actions = of_times(vec!["a0", "b", "c"])
        .chain([
            ("phase", EQUAL, vec!["5"], vec!["b"]),
            ("phase", VALUE_IN, vec!["4", "5"], vec!["a0", "b", "c"]),
            ("parent_name", EQUAL, vec!["b"], vec!["c"]),
            ("action_type", EQUAL, vec!["1"], vec!["a0", "b", "c"]),
            ("action_type", VALUE_IN, vec!["2", "3"], vec![]),
            ("task_name", EQUAL, vec!["hostile.child"], vec!["b", "c"]),
        ])
        .collect();
    let of_tasks = vec![
        // One that is named comes in all its versions.
        ("name", EQUAL, vec!["hostile.one"], vec!["hostile.one", "hostile.one"]),
        ("task_name", EQUAL, vec!["hostile.one"], vec!["hostile.one", "hostile.one"]),
        ("name", CONTAINS, vec!["none"], vec![]),
        ("task_name", CONTAINS, vec!["one"], vec!["hostile.one"]),
    ];
    let of_apps = vec![
        ("name", EQUAL, vec!["x"], vec![]),
        ("name", CONTAINS, vec!["x"], vec![]),
        ("created_by", EQUAL, vec!["local"], vec![]),
        ("status_phase", EQUAL, vec!["DEPLOYMENT_STATUS_ACTIVE"], vec![]),
        ("status_phase", VALUE_IN, vec!["DEPLOYMENT_STATUS_ACTIVE"], vec![]),
    ];
    let list = |rpc, ask, names, honoured| List { rpc, ask, names, honoured };
    vec![
        list("RunService/ListRuns", runs, names_of_runs, of_runs.clone()),
        list("TrackedRunService/ListRuns", tracked_runs, names_of_runs, of_runs),
        list("RunService/ListActions", actions, names_of_actions, of_actions),
        list("TaskService/ListTasks", tasks, names_of_tasks, of_tasks),
        list("TaskService/ListVersions", versions, names_of_versions, vec![]),
        list("TriggerService/ListTriggers", triggers, names_of_triggers, vec![]),
        list("AppService/List", apps, names_of_apps, of_apps),
    ]
}

/// A run that has ended, one that has not, with two children under one another, and a deployed task in two versions.
fn prepare(server: &DevServer) {
    use spanwise_proto::flyteidl2::common::ActionPhase::{
        ACTION_PHASE_RUNNING as RUNNING, ACTION_PHASE_SUCCEEDED as SUCCEEDED,
    };
    let mut task = program("hostile.one", &["x"]);
    task.task_template.get_or_insert_default().id.get_or_insert_default().version = "v1".to_owned();
    let labels = [("team".to_owned(), "a".to_owned())].into_iter().collect();
    let first = CreateTrackedRunRequest { labels, ..create_request("local-1", task.clone()) };
    let second = create_request("local-2", program("hostile.two", &["x"]));
    for request in [first, second] {
        assert_eq!(ask(server, "TrackedRunService/CreateRun", &request).status, 200);
    }
    let child = |name: &str, parent: &str, phase| {
        let mut update = update(&action_id("local-2", name), 1, phase);
        introduced(&mut update);
        update.parent_name = parent.to_owned();
        update
    };
    let of_second = vec![
        update(&action_id("local-2", "a0"), 0, RUNNING),
        child("b", "a0", RUNNING),
        child("c", "b", RUNNING),
        update(&action_id("local-2", "b"), 2, SUCCEEDED),
    ];
    for (run, updates) in [("local-1", vec![update(&action_id("local-1", "a0"), 0, SUCCEEDED)]), ("local-2", of_second)]
    {
        let request = ReportTrackedActionsRequest { run_id: run_id(run).into(), updates, ..Default::default() };
        let said = statuses(&ask(server, "TrackedRunService/ReportActions", &request));
        assert!(said.iter().all(|status| status.code == 0), "{said:?}");
    }
    let ProjectIdentifier { name: project, domain, .. } = project();
    for version in ["v1", "v2"] {
        let id = TaskIdentifier {
            project: project.clone(),
            domain: domain.clone(),
            name: "hostile.one".to_owned(),
            version: version.to_owned(),
            ..TaskIdentifier::default()
        };
        let request = DeployTaskRequest { task_id: id.into(), spec: task.clone().into(), ..Default::default() };
        assert_eq!(ask(server, "TaskService/DeployTask", &request).status, 200);
    }
}

#[test]
fn each_filter_and_each_order_of_each_list_is_honoured_or_refused_by_its_name() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    prepare(&server);
    for list in lists() {
        let List { rpc, ask, names, honoured } = &list;
        let all = ask(&server, ListRequest::default());
        assert_eq!(all.status, 200, "{rpc}: {all:?}");
        for (field, function, values, expected) in honoured {
            let answer = ask(&server, filtered(vec![filter(field, *function, values)]));
            assert_eq!(answer.status, 200, "{rpc} {field} {function:?}: {answer:?}");
            let mut found = names(&answer.body);
            found.retain(|name| name != "none");
            assert_eq!(&found, expected, "{rpc} {field} {function:?} {values:?}");
        }
        for (field, function) in FIELDS.into_iter().flat_map(|field| FUNCTIONS.map(|function| (field, function))) {
            if honoured.iter().any(|(name, how, ..)| *name == field && *how == function) {
                continue;
            }
            let refused = filter(field, function, &["1"]);
            // Also where no entry passes a filter before it.
            let nobody = honoured.iter().find(|(.., expected)| expected.is_empty());
            let nobody = nobody.map(|(field, function, values, _)| filter(field, *function, values));
            for filters in [vec![refused.clone()], nobody.into_iter().chain([refused]).collect()] {
                let answer = ask(&server, filtered(filters));
                answer.assert_error(&format!("{rpc} {field} {function:?}"), "invalid_argument", field);
            }
        }
        for key in ["updated_at", "name", "color"] {
            let answer = ask(&server, sorted(key, sort::Direction::ASCENDING));
            answer.assert_error(&format!("{rpc} sorted by {key}"), "invalid_argument", &format!("`{key}`"));
        }
        if *rpc != "TriggerService/ListTriggers" {
            let of = |direction| names(&ask(&server, sorted("created_at", direction)).body);
            let mut up = of(sort::Direction::ASCENDING);
            up.reverse();
            assert_eq!(of(sort::Direction::DESCENDING), up, "{rpc}");
        }
        let raw = ListRequest { raw_filters: vec!["eq(color, red)".to_owned()], ..ListRequest::default() };
        ask(&server, raw).assert_error(rpc, "invalid_argument", "raw_filters");
        assert_eq!(in_json(&server, rpc), 415, "{rpc}: JSON is read nowhere");
    }
}

/// The status of the same list for a request in JSON.
fn in_json(server: &DevServer, rpc: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let package = match rpc.split('/').next().unwrap() {
        "AppService" => "app",
        "TaskService" => "task",
        "TriggerService" => "trigger",
        _ => "workflow",
    };
    let url = format!("http://{}/flyteidl2.{package}.{rpc}", server.endpoint());
    let request = r#"{"request":{"filters":[{"field":"color","function":"EQUAL","values":["red"]}]}}"#;
    agent.post(&url).header("content-type", "application/json").send(request).unwrap().status().as_u16()
}

#[test]
fn an_organisation_and_paused_actions_choose_runs_and_projects_are_listed_by_their_state() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    prepare(&server);
    let of_org = |org: &str| {
        let scope_by = Some(list_runs_request::ScopeBy::Org(org.to_owned()));
        names_of_runs(&ask(&server, "RunService/ListRuns", &ListRunsRequest { scope_by, ..Default::default() }).body)
    };
    assert_eq!((of_org("local"), of_org("other")), (vec!["local-2".to_owned(), "local-1".to_owned()], vec![]));
    let paused = ListRunsRequest { paused_actions_only: true, ..ListRunsRequest::default() };
    assert!(names_of_runs(&ask(&server, "RunService/ListRuns", &paused).body).is_empty());
    let both = ListRunsRequest { request: filtered(vec![filter("phase", Function::EQUAL, &["5"])]).into(), ..paused };
    ask(&server, "RunService/ListRuns", &both).assert_error("both", "invalid_argument", "paused_actions_only");

    let projects = |filters: &str, limit, token: &str, direction: sort::Direction| {
        let sort = Sort { key: "name".to_owned(), direction: direction.into(), ..Sort::default() };
        let (filters, token) = (filters.to_owned(), token.to_owned());
        let request = ListProjectsRequest { filters, limit, token, sort_by: sort.into(), ..Default::default() };
        let answer = ask(&server, "ProjectService/ListProjects", &request);
        assert_eq!(answer.status, 200, "{answer:?}");
        let found = ListProjectsResponse::decode_from_slice(&answer.body).unwrap().projects;
        let names: Vec<_> = found.projects.iter().map(|project| project.id.clone()).collect();
        (names, found.token.clone())
    };
    use sort::Direction::{ASCENDING, DESCENDING};
    let (flytesnacks, hostile) = ("flytesnacks".to_owned(), "hostile".to_owned());
    assert_eq!(projects("eq(state, 0)", 100, "", ASCENDING).0, [flytesnacks.clone(), hostile.clone()]);
    assert_eq!(projects("", 100, "", DESCENDING).0, [hostile.clone(), flytesnacks.clone()]);
    assert!(projects("eq(state, 1)", 100, "", ASCENDING).0.is_empty(), "none is archived");
    let (first, token) = projects("", 1, "", ASCENDING);
    assert_eq!((first, projects("", 1, &token, ASCENDING)), (vec![flytesnacks], (vec![hostile], String::new())));
    let request = ListProjectsRequest { filters: "eq(color, red)".to_owned(), ..ListProjectsRequest::default() };
    ask(&server, "ProjectService/ListProjects", &request).assert_error("color", "invalid_argument", "eq(color, red)");
}
