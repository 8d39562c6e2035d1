//! Bodies that are no message, no message of this kind, or none that makes sense.

use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::{Literal, LiteralCollection, literal};
use spanwise_proto::flyteidl2::dataproxy::{UploadInputsRequest, upload_inputs_request};
use spanwise_proto::flyteidl2::task::{Inputs, NamedLiteral};

use super::{
    Answer, Rpc, ask, ask_raw, assert_well, create_run_of, enveloped, gzipped, program, project, rpc, rpcs, send,
};
use crate::dev_server::DevServer;

/// Methods that answer an empty request because none of their fields is needed.
const NEEDS_NOTHING: [&str; 9] = [
    "AppService/List",
    "ClusterService/SelectCluster",
    "IdentityService/UserInfo",
    "ProjectService/ListProjects",
    "RunService/ListRuns",
    "TrackedRunService/ListRuns",
    "SecretService/ListSecrets",
    "TaskService/ListTasks",
    "TriggerService/ListTriggers",
];

/// What the others miss first in an empty request.
const MISSING: [(&str, &str); 34] = [
    ("ActionsService/Abort", "`action_id`"),
    ("ActionsService/Enqueue", "`action`"),
    ("ActionsService/Signal", "`action_id`"),
    ("ActionsService/WatchForUpdates", "`parent_action_id`"),
    ("DataProxyService/CreateDownloadLink", "source"),
    ("DataProxyService/CreateUploadLocation", "project"),
    ("DataProxyService/GetActionData", "`action_id`"),
    ("DataProxyService/TailLogs", "`action_id`"),
    ("DataProxyService/UploadInputs", "project_id"),
    ("ImageService/GetImage", "`id`"),
    ("ProjectService/GetProject", "`id`"),
    ("QueueService/AbortQueuedAction", "`action_id`"),
    ("QueueService/AbortQueuedRun", "`run_id`"),
    ("QueueService/EnqueueAction", "`action_id`"),
    ("RunService/AbortAction", "`action_id`"),
    ("RunService/AbortRun", "`run_id`"),
    ("RunService/CreateRun", "project_id"),
    ("RunService/GetActionDataURIs", "`action_id`"),
    ("RunService/GetActionDetails", "`action_id`"),
    ("RunService/GetRunDetails", "`run_id`"),
    ("RunService/ListActions", "`run_id`"),
    ("RunService/SignalEvent", "`action_id`"),
    ("RunService/WatchActionDetails", "`action_id`"),
    ("RunService/WatchRunDetails", "`run_id`"),
    ("SecretService/CreateSecret", "secret name"),
    ("SecretService/DeleteSecret", "secret name"),
    ("SecretService/GetSecret", "secret name"),
    ("SecretService/UpdateSecret", "secret name"),
    ("StateService/Watch", "`parent_action_id`"),
    ("TaskService/DeployTask", "`task_id`"),
    ("TaskService/GetTaskDetails", "`task_id`"),
    ("TaskService/ListVersions", "`task_name`"),
    ("TriggerService/GetTriggerDetails", "`name`"),
    ("TriggerService/GetTriggerRevisionHistory", "`name`"),
];

fn short(rpc: &Rpc) -> &str {
    rpc.path.rsplit('.').next().unwrap()
}

#[test]
fn an_empty_message_is_answered_with_the_field_that_it_misses() {
    let server = DevServer::shared();
    for rpc in rpcs() {
        let answer = ask_raw(&server, rpc, &[]);
        let name = short(rpc);
        if NEEDS_NOTHING.contains(&name) {
            assert!(answer.status == 200 && answer.code.is_empty(), "{name}: {answer:?}");
        } else if let Some((_, word)) = MISSING.iter().find(|(known, _)| *known == name) {
            answer.assert_error(name, "invalid_argument", word);
        } else if answer.code == "unimplemented" {
            answer.assert_typed(name);
        } else {
            answer.assert_error(name, "invalid_argument", "missing");
        }
    }
    assert_well(&server);
}

/// Bytes that are no protobuf, whatever the message is.
fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a tag without a value", vec![0x0a]),
        ("a length beyond the end", vec![0x0a, 0x7f, b'x']),
        ("a length of 2^63", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("a varint without an end", vec![0xff; 12]),
        ("field number 0", vec![0x02, 0x01, b'x']),
        ("wire type 7", vec![0x0f]),
        ("a group that nobody ends", vec![0xa3, 0x06]),
        ("an end of no group", vec![0xa4, 0x06]),
        ("text", b"{\"run_id\": {\"name\": \"x\"}}".to_vec()),
        ("zeros", vec![0; 64]),
    ]
}

#[test]
fn what_is_no_protobuf_is_an_invalid_argument_of_every_method() {
    let server = DevServer::shared();
    for rpc in rpcs() {
        // What is refused whatever is asked is refused before anybody reads it.
        let code = match ask_raw(&server, rpc, &[]).code.as_str() {
            "unimplemented" => "unimplemented",
            _ => "invalid_argument",
        };
        for (what, bytes) in garbage() {
            let answer = ask_raw(&server, rpc, &bytes);
            answer.assert_error(&format!("{} {what}", rpc.path), code, "");
        }
    }
    assert_well(&server);
}

#[test]
fn a_message_that_is_cut_short_creates_nothing() {
    let server = DevServer::shared();
    let whole = create_run_of(program("hostile.cut", &["/bin/true"])).encode_to_vec();
    let rpc = rpc("RunService/CreateRun");
    for cut in 0..whole.len() {
        let answer = ask_raw(&server, rpc, &whole[..cut]);
        // A cut between two fields leaves a message without the later ones.
        answer.assert_error(&format!("cut at {cut}"), "invalid_argument", "");
    }
    assert_well(&server);
}

#[test]
fn fields_of_another_type_are_refused_or_unknown_and_never_taken() {
    let server = DevServer::shared();
    // Fields 1 to 20 as a varint, eight bytes, a text that is no UTF-8, four bytes.
    let payloads: [(u8, &[u8]); 4] = [(0, &[1]), (1, &[0xff; 8]), (2, &[2, 0xff, 0xfe]), (5, &[0xff; 4])];
    for rpc in rpcs() {
        for (wire_type, payload) in payloads {
            let mut message = Vec::new();
            for field in 1..=15u8 {
                message.push(field << 3 | wire_type);
                message.extend_from_slice(payload);
            }
            let answer = ask_raw(&server, rpc, &message);
            let name = short(rpc);
            let may_answer = NEEDS_NOTHING.contains(&name) && answer.status == 200 && answer.code.is_empty();
            if !may_answer {
                answer.assert_typed(&format!("{name} with wire type {wire_type}"));
            }
        }
    }
    assert_well(&server);
}

fn upload_of(literal: Literal) -> UploadInputsRequest {
    let inputs = Inputs { literals: vec![NamedLiteral::new("x", literal)], ..Inputs::default() };
    UploadInputsRequest {
        id: Some(upload_inputs_request::Id::ProjectId(Box::new(project()))),
        inputs: inputs.into(),
        ..UploadInputsRequest::default()
    }
}

/// A list in a list in a list, made without recursion: field 1 of `LiteralCollection` in field 2 of `Literal`.
fn nested(depth: usize) -> Vec<u8> {
    let wrap = |tag: u8, inner: Vec<u8>| {
        let mut length = Vec::new();
        let mut rest = inner.len();
        while rest >= 0x80 {
            length.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        length.push(rest as u8);
        [&[tag], &length[..], &inner].concat()
    };
    let mut literal = Literal::integer(1).encode_to_vec();
    for _ in 0..depth {
        literal = wrap(0x12, wrap(0x0a, literal));
    }
    let named = [wrap(0x0a, b"x".to_vec()), wrap(0x12, literal)].concat();
    let project = wrap(0x12, project().encode_to_vec());
    [project, wrap(0x32, wrap(0x0a, named))].concat()
}

#[test]
fn literals_may_be_nested_and_not_without_end() {
    let server = DevServer::shared();
    let mut list = Literal::integer(1);
    for _ in 0..20 {
        let collection = LiteralCollection { literals: vec![list], ..LiteralCollection::default() };
        list = Literal { value: Some(literal::Value::Collection(collection.into())), ..Literal::default() };
    }
    assert_eq!(ask(&server, "DataProxyService/UploadInputs", &upload_of(list)).status, 200);
    let upload = rpc("DataProxyService/UploadInputs");
    assert_eq!(ask_raw(&server, upload, &nested(20)).status, 200, "the bytes are those of the message");
    for depth in [100, 1_000, 100_000] {
        ask_raw(&server, upload, &nested(depth)).assert_error(
            &format!("depth {depth}"),
            "invalid_argument",
            "recursion",
        );
    }
    assert_well(&server);
}

#[test]
fn a_body_of_another_kind_is_refused_by_its_kind() {
    let server = DevServer::shared();
    for rpc in rpcs() {
        let kinds: [&[(&str, &str)]; 6] = [
            &[],
            &[("content-type", "text/plain")],
            &[("content-type", "application/x-www-form-urlencoded")],
            &[("content-type", "multipart/form-data; boundary=x")],
            &[("content-type", "application/xml")],
            &[("content-type", "")],
        ];
        for headers in kinds {
            let answer = send(&server, &rpc.path, headers, b"x");
            assert_eq!(answer.status, 415, "{} {headers:?}: {answer:?}", rpc.path);
        }
    }
    assert_well(&server);
}

#[test]
fn a_compression_that_is_not_known_or_not_there_is_refused() {
    let server = DevServer::shared();
    let check = |answer: Answer, what: &str, code: &str| answer.assert_error(what, code, "");
    for rpc in rpcs().iter().filter(|rpc| !rpc.streams) {
        let proto = ("content-type", "application/proto");
        let with = |encoding| [proto, ("content-encoding", encoding)];
        check(send(&server, &rpc.path, &with("br"), b"x"), &rpc.path, "unimplemented");
        check(send(&server, &rpc.path, &with("gzip"), b"not gzip"), &rpc.path, "invalid_argument");
        let cut = gzipped(&[7; 4096]);
        check(send(&server, &rpc.path, &with("gzip"), &cut[..cut.len() / 2]), &rpc.path, "invalid_argument");
    }
    for rpc in rpcs().iter().filter(|rpc| rpc.streams) {
        let proto = ("content-type", "application/connect+proto");
        let with = |encoding| [proto, ("connect-content-encoding", encoding)];
        check(send(&server, &rpc.path, &with("br"), &enveloped(1, b"x")), &rpc.path, "unimplemented");
        check(send(&server, &rpc.path, &with("gzip"), &enveloped(1, b"not gzip")), &rpc.path, "invalid_argument");
    }
    assert_well(&server);
}

#[test]
fn an_envelope_that_is_none_ends_the_stream_with_a_code() {
    let server = DevServer::shared();
    for rpc in rpcs().iter().filter(|rpc| rpc.streams) {
        let bodies = [vec![], vec![0], vec![0, 0, 0, 0, 9, 1], vec![0, 0xff, 0xff, 0xff, 0xff], vec![0xf8, 0, 0, 0, 0]];
        for body in bodies {
            let headers = [("content-type", "application/connect+proto")];
            let answer = send(&server, &rpc.path, &headers, &body);
            answer.assert_typed(&format!("{} {body:?}", rpc.path));
        }
        let twice = [enveloped(0, &[]), enveloped(0, &[])].concat();
        let answer = send(&server, &rpc.path, &[("content-type", "application/connect+proto")], &twice);
        answer.assert_typed(&format!("{} with two messages", rpc.path));
    }
    assert_well(&server);
}

#[test]
fn a_method_that_is_not_there_is_unimplemented() {
    let server = DevServer::shared();
    let headers = [("content-type", "application/proto")];
    for path in ["/flyteidl2.workflow.RunService/Destroy", "/flyteidl2.nothing.Service/Get", "/a.b/../c.d/E"] {
        let answer = send(&server, path, &headers, &[]);
        assert!(answer.status == 404 || answer.code == "unimplemented", "{path}: {answer:?}");
    }
    assert_well(&server);
}
