//! Conditions: a run that waits for somebody is seen to wait, and is answered by every way in under one rule.

use serde_json::Value;
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::actions::{Action, EnqueueRequest, SignalRequest, action};
use spanwise_proto::flyteidl2::common::ListRequest;
use spanwise_proto::flyteidl2::core::{Literal, LiteralType, SimpleType, literal_type};
use spanwise_proto::flyteidl2::dataproxy::{GetActionDataRequest, GetActionDataResponse};
use spanwise_proto::flyteidl2::workflow::{
    ConditionAction, EventPayload, ListRunsRequest, ListRunsResponse, SignalEventRequest, event_payload,
    list_runs_request,
};

use crate::command_line::spanwise;
use crate::dev_server::DevServer;
use crate::hostile::{action_id, ask, endless, project};

/// The content of a page.
pub(crate) fn page(server: &DevServer, path: &str) -> String {
    let answer = ureq::get(format!("http://{}{path}", server.endpoint())).call();
    answer.unwrap().body_mut().read_to_string().unwrap()
}

/// Sends a form of a run's page as the browser does that has loaded it; its status and what the answer says.
pub(crate) fn post(server: &DevServer, run: &str, form: &str, fields: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let url = format!("http://{}{run}", server.endpoint());
    let mut page = agent.get(&url).call().unwrap();
    let cookie = page.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let (_, token) = cookie.split_once('=').unwrap();
    let fields = format!("token={token}&{fields}");
    let _ = page.body_mut().read_to_string();
    let request = agent.post(format!("{url}/{form}")).header("cookie", &cookie);
    let request = request.header("origin", format!("http://{}", server.endpoint()));
    let mut answer =
        request.header("content-type", "application/x-www-form-urlencoded").send(fields.as_bytes()).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap_or_default())
}

/// A condition that waits in a run.
fn ask_for(server: &DevServer, run: &str, action: &str, simple: SimpleType) {
    let kind = LiteralType { r#type: Some(literal_type::Type::Simple(simple.into())), ..LiteralType::default() };
    let condition = ConditionAction {
        name: format!("named {action}"),
        r#type: kind.into(),
        prompt: "Release <b>1250</b> EUR?".into(),
        description: "The ledger is closed".into(),
        ..ConditionAction::default()
    };
    let action = Action {
        action_id: action_id(run, action).into(),
        parent_action_name: Some("a0".to_owned()),
        spec: Some(action::Spec::Condition(Box::new(condition))),
        ..Action::default()
    };
    let answer = ask(server, "ActionsService/Enqueue", &EnqueueRequest { action: action.into(), ..Default::default() });
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// What a condition was answered with.
fn value(server: &DevServer, run: &str, action: &str) -> Option<Literal> {
    let request = GetActionDataRequest { action_id: action_id(run, action).into(), ..Default::default() };
    let answer = ask(server, "DataProxyService/GetActionData", &request);
    let data = GetActionDataResponse::decode_from_slice(&answer.body).unwrap();
    data.outputs.literals.first().map(|output| (*output.value).clone())
}

/// An answer by one of the ways in: nothing, or why it is refused.
type Way = fn(&DevServer, &str, &str, &Typed) -> Result<(), String>;

/// A value as each way takes it.
struct Typed {
    text: &'static str,
    literal: Literal,
    payload: event_payload::Value,
}

fn by_run_service(server: &DevServer, run: &str, action: &str, typed: &Typed) -> Result<(), String> {
    let payload = EventPayload { value: Some(typed.payload.clone()), ..EventPayload::default() };
    let request =
        SignalEventRequest { action_id: action_id(run, action).into(), payload: payload.into(), ..Default::default() };
    let answer = ask(server, "RunService/SignalEvent", &request);
    if answer.status == 200 { Ok(()) } else { Err(format!("{} {}", answer.code, answer.message)) }
}

fn by_actions_service(server: &DevServer, run: &str, action: &str, typed: &Typed) -> Result<(), String> {
    let request = SignalRequest {
        action_id: action_id(run, action).into(),
        value: typed.literal.clone().into(),
        ..Default::default()
    };
    let answer = ask(server, "ActionsService/Signal", &request);
    if answer.status == 200 { Ok(()) } else { Err(format!("{} {}", answer.code, answer.message)) }
}

fn by_page(server: &DevServer, run: &str, action: &str, typed: &Typed) -> Result<(), String> {
    let address = format!("/v2/domain/development/project/hostile/runs/{run}");
    let value: String = typed.text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    match post(server, &address, "signal", &format!("action={action}&value={value}")) {
        (303, _) => Ok(()),
        (400, body) => Err(format!("invalid_argument {body}")),
        (409, body) => Err(format!("failed_precondition {body}")),
        (status, body) => panic!("{status} {body}"),
    }
}

fn by_command(server: &DevServer, run: &str, action: &str, typed: &Typed) -> Result<(), String> {
    let output = spanwise(server, &["signal", run, action, typed.text, "--project", "hostile"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => Ok(()),
        Some(2) => Err(format!("invalid_argument {said}")),
        Some(4) => Err(format!("failed_precondition {said}")),
        code => panic!("{code:?} {said}"),
    }
}

const WAYS: [(&str, Way); 4] = [
    ("RunService", by_run_service),
    ("ActionsService", by_actions_service),
    ("page", by_page),
    ("command", by_command),
];

#[test]
fn s7_an_answer_has_the_type_that_its_condition_waits_for_whichever_way_it_comes() {
    use event_payload::Value as Payload;
    let server = DevServer::shared();
    let run = endless(&server);
    let typed = |text: &'static str, literal: Literal, payload: Payload| Typed { text, literal, payload };
    let cases = [
        (
            SimpleType::BOOLEAN,
            typed("maybe", Literal::integer(1), Payload::IntValue(1)),
            typed("true", Literal::boolean(true), Payload::BoolValue(true)),
            Literal::boolean(true),
        ),
        (
            SimpleType::INTEGER,
            typed("1.5", Literal::float(1.5), Payload::FloatValue(1.5)),
            typed("-7", Literal::integer(-7), Payload::IntValue(-7)),
            Literal::integer(-7),
        ),
        (
            SimpleType::FLOAT,
            typed("1e400", Literal::string("1e400"), Payload::StringValue("1e400".into())),
            typed("3", Literal::integer(3), Payload::IntValue(3)),
            Literal::float(3.0),
        ),
        (
            SimpleType::STRING,
            // Every text is one: only the services can send something else.
            typed("", Literal::boolean(true), Payload::BoolValue(true)),
            typed(
                "gr\u{f6}\u{df}e \u{1f680}",
                Literal::string("gr\u{f6}\u{df}e \u{1f680}"),
                Payload::StringValue("gr\u{f6}\u{df}e \u{1f680}".into()),
            ),
            Literal::string("gr\u{f6}\u{df}e \u{1f680}"),
        ),
    ];
    for (number, (simple, wrong, right, expected)) in cases.iter().enumerate() {
        for (way, answer) in WAYS {
            let (what, action) = (format!("{simple:?} by {way}"), format!("{}{number}", way.to_lowercase()));
            ask_for(&server, &run, &action, *simple);
            if *simple != SimpleType::STRING || way.ends_with("Service") {
                let refused = answer(&server, &run, &action, wrong).expect_err(&what);
                assert!(refused.starts_with("invalid_argument"), "{what}: {refused}");
                assert_eq!(value(&server, &run, &action), None, "{what}: a wrong answer is none");
            }
            answer(&server, &run, &action, right).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(value(&server, &run, &action).as_ref(), Some(expected), "{what}");
            let again = answer(&server, &run, &action, right).expect_err(&what);
            assert!(again.starts_with("failed_precondition"), "{what}: {again}");
        }
    }
    let kind =
        LiteralType { r#type: Some(literal_type::Type::Simple(SimpleType::STRUCT.into())), ..Default::default() };
    let condition = ConditionAction { name: "never".into(), r#type: kind.into(), ..ConditionAction::default() };
    let action = Action {
        action_id: action_id(&run, "never").into(),
        parent_action_name: Some("a0".to_owned()),
        spec: Some(action::Spec::Condition(Box::new(condition))),
        ..Action::default()
    };
    let never = ask(&server, "ActionsService/Enqueue", &EnqueueRequest { action: action.into(), ..Default::default() });
    never.assert_error("a type that nobody can answer", "invalid_argument", "action.condition.type");
    let unknown = by_run_service(&server, &run, "nobody", &cases[0].2).unwrap_err();
    assert!(unknown.starts_with("not_found"), "{unknown}");
    for (_, answer) in [WAYS[0], WAYS[1]] {
        let no_condition = answer(&server, &run, "a0", &cases[0].2).unwrap_err();
        assert!(no_condition.contains("is no condition"), "{no_condition}");
    }
    spanwise(&server, &["abort", &run, "--project", "hostile"]);
}

fn paused_runs(server: &DevServer) -> Vec<String> {
    let request = ListRunsRequest {
        scope_by: Some(list_runs_request::ScopeBy::ProjectId(Box::new(project()))),
        request: ListRequest::default().into(),
        paused_actions_only: true,
        ..ListRunsRequest::default()
    };
    let answer = ask(server, "RunService/ListRuns", &request);
    let runs = ListRunsResponse::decode_from_slice(&answer.body).unwrap().runs;
    runs.iter().map(|run| run.action.id.run.name.clone()).collect()
}

#[test]
fn s7_a_waiting_run_is_seen_to_wait_until_it_is_answered() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let (other, run) = (endless(&server), endless(&server));
    let command = |arguments: &[&str]| {
        let output = spanwise(&server, &[arguments, &["--project", "hostile"]].concat());
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&command(arguments).1).unwrap() };
    let address = format!("/v2/domain/development/project/hostile/runs/{run}");
    let waits = |expected: bool| {
        let listed = json(&["list", "-o", "json"]);
        let of =
            |name: &str| listed.as_array().unwrap().iter().find(|run| run["name"] == *name).unwrap()["waiting"].clone();
        assert_eq!((of(&run), of(&other)), (expected.into(), false.into()), "{listed}");
        assert_eq!(command(&["list"]).1.contains("waits for you"), expected);
        let paused = json(&["list", "--phase", "paused", "-o", "json"]);
        assert_eq!(paused.as_array().unwrap().len(), usize::from(expected), "{paused}");
        assert_eq!(paused_runs(&server), if expected { vec![run.clone()] } else { Vec::new() });
        assert_eq!(json(&["get", &run, "-o", "json"])["waiting"].as_array().unwrap().len(), usize::from(expected));
        let home = page(&server, "/");
        assert_eq!(home.contains("One run waits for you"), expected, "{home}");
        assert_eq!(home.matches(">Waiting for you</span>").count(), usize::from(expected), "{home}");
        let filtered = page(&server, "/?phase=PAUSED");
        assert_eq!(filtered.contains(&run), expected, "{filtered}");
        assert!(!filtered.contains(&other), "{filtered}");
        let shown = page(&server, &address);
        assert_eq!(shown.contains(&format!("{address}/signal")), expected, "{shown}");
        assert_eq!(shown.contains("Release &#60;b&#62;1250&#60;/b&#62; EUR?"), expected, "{shown}");
    };
    waits(false);
    ask_for(&server, &run, "release", SimpleType::BOOLEAN);
    waits(true);
    let shown = command(&["get", &run]).1;
    for part in ["waiting for you: named release (bool)", "Release <b>1250</b> EUR?", "The ledger is closed", "PAUSED"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains(&format!("spanwise signal {run} release true")), "{shown}");
    let question = &json(&["get", &run, "-o", "json"])["waiting"][0];
    assert_eq!((&question["type"], &question["condition"]), (&"bool".into(), &"named release".into()), "{question}");

    for (arguments, code, says) in [
        (["signal", &run, "nothing", "true"], 1, "has no condition `nothing`; it has named release (PAUSED)"),
        (["signal", &other, "release", "true"], 1, "has no condition"),
        (["signal", "not-there", "release", "true"], 1, "does not exist"),
        (["signal", &run, "release", "maybe"], 2, "waits for a bool: expected true or false"),
    ] {
        let (found, said) = command(&arguments);
        assert!(found == Some(code) && said.contains(says), "{arguments:?}: {found:?} {said}");
    }
    // By its own name, which may have blanks.
    let (code, said) = command(&["signal", &run, "named release", "no", "--by", "Ann \u{1f680}"]);
    assert!(code == Some(0) && said.contains("with false"), "{said}");
    waits(false);
    let panel = page(&server, &format!("{address}?i=release"));
    for part in ["Signalled by", "Ann \u{1f680}", "Release &#60;b&#62;", "The ledger is closed"] {
        assert!(panel.contains(part), "{part}: {panel}");
    }
    let (code, said) = command(&["signal", &run, "release", "true"]);
    assert!(code == Some(4) && said.contains("waits no more"), "{said}");
    server.stop();
}
