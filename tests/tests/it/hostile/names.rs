//! Names that would lead elsewhere, or that nobody can read, in every field that holds one.

use spanwise_proto::flyteidl2::actions::{Action, EnqueueRequest, WatchForUpdatesRequest, watch_for_updates_request};
use spanwise_proto::flyteidl2::common::{
    ActionIdentifier, Filter, ListRequest, OffloadedInputData, ProjectIdentifier, RunIdentifier, TriggerName, filter,
};
use spanwise_proto::flyteidl2::dataproxy::{
    CreateUploadLocationRequest, GetActionDataRequest, UploadInputsRequest, upload_inputs_request,
};
use spanwise_proto::flyteidl2::project::GetProjectRequest;
use spanwise_proto::flyteidl2::secret::{
    CreateSecretRequest, GetSecretRequest, ListSecretsRequest, SecretIdentifier, SecretSpec,
};
use spanwise_proto::flyteidl2::task::{DeployTaskRequest, GetTaskDetailsRequest, OutputReferences, TaskIdentifier};
use spanwise_proto::flyteidl2::trigger::GetTriggerDetailsRequest;
use spanwise_proto::flyteidl2::workflow::{
    AbortRunRequest, CreateRunRequest, EnqueueActionRequest, GetActionDetailsRequest, GetRunDetailsRequest,
    ListActionsRequest, ListRunsRequest, TaskAction, TraceAction, create_run_request, list_runs_request,
};

use super::{action_id, ask, assert_well, create_run_of, endless, program, project, run_id};
use crate::dev_server::DevServer;

fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "..",
        ".",
        ".every",
        "../x",
        "a/../b",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        "a b",
        "%2e%2e",
        "a%2fb",
        "é",
        "\u{202e}x",
        "\u{1f680}",
    ]
    .map(str::to_owned)
    .into();
    names.extend(["a".repeat(64), "a".repeat(1 << 20), "../".repeat(1 << 18)]);
    names
}

#[test]
fn a_run_is_named_by_labels_only() {
    let server = DevServer::shared();
    for name in hostile() {
        let good = run_id("r1");
        let ids = [
            ("org", RunIdentifier { org: name.clone(), ..good.clone() }),
            ("project", RunIdentifier { project: name.clone(), ..good.clone() }),
            ("domain", RunIdentifier { domain: name.clone(), ..good.clone() }),
            ("run name", RunIdentifier { name: name.clone(), ..good.clone() }),
        ];
        for (field, id) in ids {
            let what = format!("{field} {}", name.escape_debug().take(30).collect::<String>());
            let check = |answer: super::Answer| answer.assert_error(&what, "invalid_argument", field);
            let get = GetRunDetailsRequest { run_id: id.clone().into(), ..GetRunDetailsRequest::default() };
            check(ask(&server, "RunService/GetRunDetails", &get));
            let abort = AbortRunRequest { run_id: id.clone().into(), ..AbortRunRequest::default() };
            check(ask(&server, "RunService/AbortRun", &abort));
            let list = ListActionsRequest { run_id: id.clone().into(), ..ListActionsRequest::default() };
            check(ask(&server, "RunService/ListActions", &list));
            let action = ActionIdentifier { run: id.clone().into(), name: "a0".into(), ..ActionIdentifier::default() };
            let data = GetActionDataRequest { action_id: action.clone().into(), ..GetActionDataRequest::default() };
            check(ask(&server, "DataProxyService/GetActionData", &data));
            let parent = watch_for_updates_request::Filter::ParentActionId(Box::new(action));
            let watch = WatchForUpdatesRequest { filter: Some(parent), ..WatchForUpdatesRequest::default() };
            check(ask(&server, "ActionsService/WatchForUpdates", &watch));
            let create = CreateRunRequest {
                id: Some(create_run_request::Id::RunId(Box::new(id.clone()))),
                ..create_run_of(program("hostile.named", &["/bin/true"]))
            };
            check(ask(&server, "RunService/CreateRun", &create));
            let upload = UploadInputsRequest {
                id: Some(upload_inputs_request::Id::RunId(Box::new(id.clone()))),
                ..UploadInputsRequest::default()
            };
            if field != "run name" {
                check(ask(&server, "DataProxyService/UploadInputs", &upload));
            }
        }
    }
    assert_well(&server);
}

#[test]
fn an_action_is_named_by_thirty_plain_characters() {
    let server = DevServer::shared();
    for name in hostile() {
        let id = action_id("r1", &name);
        let details = GetActionDetailsRequest { action_id: id.clone().into(), ..GetActionDetailsRequest::default() };
        ask(&server, "RunService/GetActionDetails", &details).assert_error(&id.name, "invalid_argument", "action name");
        let queued = EnqueueActionRequest {
            action_id: action_id("r1", "a1").into(),
            parent_action_name: Some(name.clone()),
            ..EnqueueActionRequest::default()
        };
        ask(&server, "QueueService/EnqueueAction", &queued).assert_error(&name, "invalid_argument", "action name");
    }
    assert_well(&server);
}

#[test]
fn projects_of_lists_uploads_and_secrets_are_names() {
    let server = DevServer::shared();
    for name in hostile() {
        let ids = [
            ("project", ProjectIdentifier { name: name.clone(), ..project() }),
            ("domain", ProjectIdentifier { domain: name.clone(), ..project() }),
            ("org", ProjectIdentifier { organization: name.clone(), ..project() }),
        ];
        for (field, id) in ids {
            let list = ListRunsRequest {
                scope_by: Some(list_runs_request::ScopeBy::ProjectId(Box::new(id.clone()))),
                ..ListRunsRequest::default()
            };
            ask(&server, "RunService/ListRuns", &list).assert_error(&name, "invalid_argument", field);
        }
        let id = SecretIdentifier { name: "s".into(), ..SecretIdentifier::default() };
        let secrets = [
            ("org", SecretIdentifier { organization: name.clone(), ..id.clone() }),
            ("project", SecretIdentifier { project: name.clone(), ..id.clone() }),
            ("domain", SecretIdentifier { domain: name.clone(), ..id.clone() }),
            ("secret name", SecretIdentifier { name: name.clone(), ..id.clone() }),
        ];
        for (field, id) in secrets {
            let create = CreateSecretRequest {
                id: id.clone().into(),
                secret_spec: SecretSpec { value: Some("x".to_owned().into_value()), ..SecretSpec::default() }.into(),
                ..CreateSecretRequest::default()
            };
            ask(&server, "SecretService/CreateSecret", &create).assert_error(&name, "invalid_argument", field);
            let get = GetSecretRequest { id: id.into(), ..GetSecretRequest::default() };
            ask(&server, "SecretService/GetSecret", &get).assert_error(&name, "invalid_argument", field);
        }
        let list = ListSecretsRequest { project: name.clone(), ..ListSecretsRequest::default() };
        ask(&server, "SecretService/ListSecrets", &list).assert_error(&name, "invalid_argument", "project");
        let get = GetProjectRequest { id: name.clone(), ..GetProjectRequest::default() };
        ask(&server, "ProjectService/GetProject", &get).assert_error(&name, "not_found", "project");
    }
    assert_well(&server);
}

trait IntoValue {
    fn into_value(self) -> spanwise_proto::flyteidl2::secret::secret_spec::Value;
}

impl IntoValue for String {
    fn into_value(self) -> spanwise_proto::flyteidl2::secret::secret_spec::Value {
        spanwise_proto::flyteidl2::secret::secret_spec::Value::StringValue(self)
    }
}

#[test]
fn an_upload_stays_in_its_project_and_domain() {
    let server = DevServer::shared();
    let good = CreateUploadLocationRequest {
        project: "hostile".into(),
        domain: "development".into(),
        filename: "fast.tar.gz".into(),
        content_md5: b"0123456789abcdef".to_vec(),
        ..CreateUploadLocationRequest::default()
    };
    assert_eq!(ask(&server, "DataProxyService/CreateUploadLocation", &good).status, 200);
    for name in ["..", "../x", "a/../../../x", "/etc/passwd", "a//b", "a/", "a\0b", "a\nb"]
        .map(str::to_owned)
        .into_iter()
        .chain(["x".repeat(1 << 20), "x/".repeat(600)])
    {
        let requests = [
            ("project", CreateUploadLocationRequest { project: name.clone(), ..good.clone() }),
            ("domain", CreateUploadLocationRequest { domain: name.clone(), ..good.clone() }),
            ("filename", CreateUploadLocationRequest { filename: name.clone(), ..good.clone() }),
            ("filename_root", CreateUploadLocationRequest { filename_root: name.clone(), ..good.clone() }),
        ];
        for (field, request) in requests {
            let answer = ask(&server, "DataProxyService/CreateUploadLocation", &request);
            answer.assert_error(&format!("{field} {name:.30}"), "invalid_argument", field);
        }
    }
    let digest = CreateUploadLocationRequest { content_md5: vec![0; 1 << 20], ..good };
    let answer = ask(&server, "DataProxyService/CreateUploadLocation", &digest);
    answer.assert_error("digest", "invalid_argument", "content_md5");
    assert_well(&server);
}

#[test]
fn tasks_have_names_and_versions_of_a_bounded_length() {
    let server = DevServer::shared();
    for name in ["a".repeat(1025), "x".repeat(1 << 20), "a\0b".to_owned(), "a\nb".to_owned()] {
        let good = TaskIdentifier {
            project: "hostile".into(),
            domain: "development".into(),
            name: "hostile.deployed".into(),
            version: "1".into(),
            ..TaskIdentifier::default()
        };
        let ids = [
            ("task_id.name", TaskIdentifier { name: name.clone(), ..good.clone() }),
            ("task_id.version", TaskIdentifier { version: name.clone(), ..good.clone() }),
        ];
        for (field, id) in ids {
            let spec = program("hostile.deployed", &["/bin/true"]);
            let deploy =
                DeployTaskRequest { task_id: id.clone().into(), spec: spec.into(), ..DeployTaskRequest::default() };
            ask(&server, "TaskService/DeployTask", &deploy).assert_error(field, "invalid_argument", field);
            let get = GetTaskDetailsRequest { task_id: id.into(), ..GetTaskDetailsRequest::default() };
            ask(&server, "TaskService/GetTaskDetails", &get).assert_error(field, "invalid_argument", field);
        }
        let create = create_run_of(program(&name, &["/bin/true"]));
        ask(&server, "RunService/CreateRun", &create).assert_error("run", "invalid_argument", "task_template.id.name");
    }
    assert_well(&server);
}

#[test]
fn what_is_not_known_is_not_found_by_its_name() {
    let server = DevServer::shared();
    let run = endless(&server);
    let details = |run: &str, action: &str| GetActionDetailsRequest {
        action_id: action_id(run, action).into(),
        ..GetActionDetailsRequest::default()
    };
    let ask_details = |run, action| ask(&server, "RunService/GetActionDetails", &details(run, action));
    ask_details("no-such-run", "a0").assert_error("run", "not_found", "`no-such-run`");
    ask_details(&run, "nosuchaction").assert_error("action", "not_found", "`nosuchaction`");
    let id = TaskIdentifier {
        project: "hostile".into(),
        domain: "development".into(),
        name: "no.such.task".into(),
        ..TaskIdentifier::default()
    };
    let get = GetTaskDetailsRequest { task_id: id.clone().into(), ..GetTaskDetailsRequest::default() };
    ask(&server, "TaskService/GetTaskDetails", &get).assert_error("task", "not_found", "`no.such.task`");
    let create = CreateRunRequest {
        task: Some(create_run_request::Task::TaskId(Box::new(id))),
        ..create_run_of(program("x.y", &[]))
    };
    ask(&server, "RunService/CreateRun", &create).assert_error("task", "not_found", "`no.such.task`");
    let trigger = |name: String| {
        let (project, domain, task_name) = ("hostile".into(), "development".into(), "no.such.task".into());
        let name = TriggerName { name, project, domain, task_name, ..TriggerName::default() };
        GetTriggerDetailsRequest { name: name.into(), ..GetTriggerDetailsRequest::default() }
    };
    let get = |name: String| ask(&server, "TriggerService/GetTriggerDetails", &trigger(name));
    get("nightly".into()).assert_error("trigger", "not_found", "`nightly` of task `no.such.task`");
    get("t".repeat(1 << 20)).assert_error("trigger", "invalid_argument", "the limit is 1024");
    let abort = AbortRunRequest { run_id: run_id(&run).into(), ..AbortRunRequest::default() };
    assert_eq!(ask(&server, "RunService/AbortRun", &abort).status, 200);
    assert_well(&server);
}

/// URIs that are not those of a blob of this store.
const ELSEWHERE: [&str; 9] = [
    "/etc/passwd",
    "file:///etc/passwd",
    "http://169.254.169.254/latest",
    "s3://other/inputs.pb",
    "s3://spanwise/../../etc/passwd",
    "s3://spanwise/a/../../b",
    "s3://spanwise//inputs.pb",
    "s3://spanwise/a\0b",
    "S3://SPANWISE/inputs.pb",
];

#[test]
fn uris_outside_of_the_store_are_refused_by_their_field() {
    let server = DevServer::shared();
    let run = endless(&server);
    let long = format!("s3://spanwise/{}", "x/".repeat(1 << 19));
    for uri in ELSEWHERE.into_iter().chain([long.as_str()]) {
        let action = Action {
            action_id: action_id(&run, "a1").into(),
            parent_action_name: Some("a0".into()),
            input_uri: uri.to_owned(),
            ..Action::default()
        };
        let task = TaskAction { spec: program("hostile.child", &["/bin/true"]).into(), ..TaskAction::default() };
        let enqueue = EnqueueRequest {
            action: Action { spec: Some(task.into()), ..action.clone() }.into(),
            ..EnqueueRequest::default()
        };
        ask(&server, "ActionsService/Enqueue", &enqueue).assert_error(uri, "invalid_argument", "input_uri");
        let outputs = OutputReferences { output_uri: uri.to_owned(), ..OutputReferences::default() };
        let step = TraceAction { name: "step".into(), outputs: outputs.into(), ..TraceAction::default() };
        let enqueue = EnqueueRequest {
            action: Action { spec: Some(step.into()), input_uri: String::new(), ..action }.into(),
            ..EnqueueRequest::default()
        };
        ask(&server, "ActionsService/Enqueue", &enqueue).assert_error(uri, "invalid_argument", "output_uri");
        let data = OffloadedInputData { uri: uri.to_owned(), ..OffloadedInputData::default() };
        let create = CreateRunRequest {
            input_wrapper: Some(create_run_request::InputWrapper::OffloadedInputData(Box::new(data))),
            ..create_run_of(program("hostile.offloaded", &["/bin/true"]))
        };
        let answer = ask(&server, "RunService/CreateRun", &create);
        answer.assert_error(uri, "invalid_argument", "offloaded_input_data.uri");
        for flag in ["--tgz", "--pkl"] {
            let create = create_run_of(program("hostile.bundled", &["a0", flag, uri]));
            ask(&server, "RunService/CreateRun", &create).assert_error(uri, "invalid_argument", "container.args");
        }
    }
    let abort = AbortRunRequest { run_id: run_id(&run).into(), ..AbortRunRequest::default() };
    assert_eq!(ask(&server, "RunService/AbortRun", &abort).status, 200);
    assert_well(&server);
}

#[test]
fn filters_and_tokens_that_make_no_sense_are_refused() {
    let server = DevServer::shared();
    let long = "x".repeat(1 << 20);
    let filters = [
        ("color", "x"),
        ("phase", "no phase"),
        ("created_at", "yesterday"),
        (long.as_str(), "x"),
        ("phase", long.as_str()),
    ];
    for (field, value) in filters {
        for function in [filter::Function::EQUAL, filter::Function::GREATER_THAN] {
            let filter = Filter {
                field: field.to_owned(),
                function: function.into(),
                values: vec![value.to_owned()],
                ..Filter::default()
            };
            let request = ListRequest { filters: vec![filter], ..ListRequest::default() };
            let list = ListRunsRequest { request: request.into(), ..ListRunsRequest::default() };
            let answer = ask(&server, "RunService/ListRuns", &list);
            answer.assert_error(&format!("{field:.20} {value:.20}"), "invalid_argument", "request.filters");
        }
    }
    for token in ["x", "-1", "1e9", "18446744073709551616", long.as_str()] {
        let request = ListRequest { token: token.to_owned(), ..ListRequest::default() };
        let list = ListRunsRequest { request: request.into(), ..ListRunsRequest::default() };
        ask(&server, "RunService/ListRuns", &list).assert_error(
            &format!("token {token:.30}"),
            "invalid_argument",
            "request.token",
        );
    }
    let last = ListRequest { token: u64::MAX.to_string(), limit: u32::MAX, ..ListRequest::default() };
    for method in ["RunService/ListRuns", "TaskService/ListTasks"] {
        let list = ListRunsRequest { request: last.clone().into(), ..ListRunsRequest::default() };
        let answer = ask(&server, method, &list);
        assert!(answer.code != "internal" && answer.status < 500, "{method}: {answer:?}");
    }
    assert_well(&server);
}
