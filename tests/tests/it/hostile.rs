//! What a hostile or broken client can send to the real binary: each request gets a typed answer that says what is wrong, and the
//! server goes on as if nothing had been.

use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::common::{ActionIdentifier, ProjectIdentifier, RunIdentifier};
use spanwise_proto::flyteidl2::core::{Container, Identifier, TaskTemplate};
use spanwise_proto::flyteidl2::task::TaskSpec;
use spanwise_proto::flyteidl2::workflow::{CreateRunRequest, CreateRunResponse, create_run_request};

use crate::cargo;
use crate::dev_server::DevServer;

mod bodies;
mod bundle;
mod messages;
mod names;
mod protocols;
mod raw;

/// A request that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// The codes of the Connect protocol that tell a client what it can do about an error. Not among them: `internal` and `unknown`.
const TYPED: [&str; 8] = [
    "invalid_argument",
    "not_found",
    "already_exists",
    "failed_precondition",
    "resource_exhausted",
    "unimplemented",
    "aborted",
    "out_of_range",
];

/// A method of a service.
pub(crate) struct Rpc {
    /// `/package.Service/Method`.
    pub(crate) path: String,
    /// Answers with a stream.
    streams: bool,
}

/// Every method of every service, from the `.proto` files.
fn rpcs() -> &'static [Rpc] {
    static RPCS: OnceLock<Vec<Rpc>> = OnceLock::new();
    RPCS.get_or_init(|| {
        let mut rpcs = Vec::new();
        find_rpcs(&cargo::root().join("crates/proto/proto"), &mut rpcs);
        assert!(rpcs.len() > 50, "only {} methods were found", rpcs.len());
        rpcs
    })
}

fn find_rpcs(folder: &Path, rpcs: &mut Vec<Rpc>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_rpcs(&path, rpcs);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let (mut package, mut service) = ("", "");
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("package") => package = words.next().unwrap().trim_end_matches(';'),
                Some("service") => service = words.next().unwrap(),
                Some("rpc") => {
                    let method = words.next().unwrap().split('(').next().unwrap();
                    rpcs.push(Rpc {
                        path: format!("/{package}.{service}/{method}"),
                        streams: line.contains("(stream "),
                    });
                }
                _ => {}
            }
        }
    }
}

/// The method of this name, as `Service/Method`.
pub(crate) fn rpc(name: &str) -> &'static Rpc {
    let found = rpcs().iter().find(|rpc| rpc.path.ends_with(&format!(".{name}")));
    found.unwrap_or_else(|| panic!("there is no method {name}"))
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The code of the error; empty if there is none.
    pub(crate) code: String,
    /// Its message, or the text of an answer that is no message.
    pub(crate) message: String,
    pub(crate) body: Vec<u8>,
    /// What it warns of, as it is sent in headers.
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// Checks for an error that a client can act on, short enough to be shown.
    fn assert_typed(&self, what: &str) {
        assert!(TYPED.contains(&self.code.as_str()), "{what}: {self:?}");
        assert!(!self.message.is_empty() && self.message.len() < 1000, "{what}: {self:?}");
    }

    pub(crate) fn assert_error(&self, what: &str, code: &str, word: &str) {
        self.assert_typed(what);
        assert!(self.code == code && self.message.contains(word), "{what}: expected {code} with `{word}`, {self:?}");
    }
}

/// Sends a body as it is.
fn send(server: &DevServer, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    static AGENT: OnceLock<ureq::Agent> = OnceLock::new();
    let agent = AGENT.get_or_init(|| {
        ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).http_status_as_error(false).build().into()
    });
    let mut request = agent.post(format!("http://127.0.0.1:{}{path}", server.port()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.send(body).unwrap_or_else(|error| panic!("{path}: {error}\n{}", server.said()));
    let status = answer.status().as_u16();
    let warnings = answer.headers().get_all("spanwise-warning").iter();
    let warnings = warnings.map(|warning| String::from_utf8_lossy(warning.as_bytes()).into_owned()).collect();
    let body = answer.body_mut().read_to_vec().unwrap_or_else(|error| panic!("{path}: {error}"));
    let is_stream = headers.iter().any(|(_, value)| value.starts_with("application/connect+")) && status == 200;
    let end = if is_stream { end_of_stream(&body) } else { body.clone() };
    let error = serde_json::from_slice(&end).unwrap_or(Value::Null);
    let error = if is_stream { &error["error"] } else { &error };
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    let (code, mut message) = (text("code"), text("message"));
    if code.is_empty() && status != 200 {
        message = String::from_utf8_lossy(&body).into_owned();
    }
    Answer { status, code, message, body, warnings }
}

/// The JSON at the end of a stream.
fn end_of_stream(mut body: &[u8]) -> Vec<u8> {
    while let Some((&[flags, a, b, c, d], rest)) = body.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let (message, rest) = rest.split_at(length.min(rest.len()));
        if flags & 2 != 0 {
            return message.to_vec();
        }
        body = rest;
    }
    Vec::new()
}

pub(crate) fn enveloped(flags: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flags], &length.to_be_bytes()[..], message].concat()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Sends bytes where a message is expected, as the stock SDK does.
fn ask_raw(server: &DevServer, rpc: &Rpc, message: &[u8]) -> Answer {
    let version = ("connect-protocol-version", "1");
    // A client that sends gzip is answered in gzip if it does not say otherwise.
    let plain = [("accept-encoding", "identity"), ("connect-accept-encoding", "identity")];
    if rpc.streams {
        let headers =
            [("content-type", "application/connect+proto"), ("connect-content-encoding", "gzip"), plain[1], version];
        return send(server, &rpc.path, &headers, &enveloped(1, &gzipped(message)));
    }
    let headers = [("content-type", "application/proto"), ("content-encoding", "gzip"), plain[0], version];
    send(server, &rpc.path, &headers, &gzipped(message))
}

pub(crate) fn ask(server: &DevServer, name: &str, message: &impl Message) -> Answer {
    ask_raw(server, rpc(name), &message.encode_to_vec())
}

/// The server is there, and no thread of it has panicked.
fn assert_well(server: &DevServer) {
    let url = format!("http://127.0.0.1:{}/readyz", server.port());
    assert_eq!(crate::dev_server::status_of(&url), Some(200), "{}", server.said());
    assert!(!server.said().contains("panicked"), "{}", server.said());
}

pub(crate) fn project() -> ProjectIdentifier {
    ProjectIdentifier { name: "hostile".into(), domain: "development".into(), ..ProjectIdentifier::default() }
}

pub(crate) fn run_id(name: &str) -> RunIdentifier {
    RunIdentifier {
        project: "hostile".into(),
        domain: "development".into(),
        name: name.to_owned(),
        ..RunIdentifier::default()
    }
}

pub(crate) fn action_id(run: &str, action: &str) -> ActionIdentifier {
    ActionIdentifier { run: run_id(run).into(), name: action.to_owned(), ..ActionIdentifier::default() }
}

/// A task that starts this program.
pub(crate) fn program(name: &str, argv: &[&str]) -> TaskSpec {
    let container = Container { args: argv.iter().map(|word| (*word).to_owned()).collect(), ..Container::default() };
    let id = Identifier { name: name.to_owned(), ..Identifier::default() };
    let template = TaskTemplate {
        id: id.into(),
        r#type: "python".into(),
        target: Some(container.into()),
        ..TaskTemplate::default()
    };
    TaskSpec { task_template: template.into(), ..TaskSpec::default() }
}

pub(crate) fn create_run_of(task: TaskSpec) -> CreateRunRequest {
    CreateRunRequest {
        id: Some(create_run_request::Id::ProjectId(Box::new(project()))),
        task: Some(create_run_request::Task::TaskSpec(Box::new(task))),
        ..CreateRunRequest::default()
    }
}

/// Starts a run and gives its name.
pub(crate) fn started(server: &DevServer, task: TaskSpec) -> String {
    let answer = ask(server, "RunService/CreateRun", &create_run_of(task));
    assert_eq!(answer.status, 200, "{answer:?}");
    let created = CreateRunResponse::decode_from_slice(&answer.body).unwrap();
    created.run.action.id.run.name.clone()
}

/// Starts a run whose root goes on until it is aborted, or the server ends.
pub(crate) fn endless(server: &DevServer) -> String {
    started(server, program("hostile.endless", &["/bin/sh", "-c", "exec sleep 600"]))
}
