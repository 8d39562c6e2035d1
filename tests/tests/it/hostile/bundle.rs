//! A code bundle whose members would be unpacked elsewhere. The server never unpacks one: the task's own entry point does, in the
//! attempt's directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use base64::Engine as _;
use spanwise_proto::Message as _;
use spanwise_proto::flyteidl2::common::ActionPhase;
use spanwise_proto::flyteidl2::dataproxy::{CreateUploadLocationRequest, CreateUploadLocationResponse};
use spanwise_proto::flyteidl2::workflow::{GetActionDetailsRequest, GetActionDetailsResponse};

use super::{DEADLINE, action_id, ask, assert_well, program, started};
use crate::dev_server::DevServer;
use crate::python::python;

/// Writes the archive in `argv[1]`: a module that says where it is, and members that climb, are absolute, or go through a link.
const PACK: &str = r#"
import io, sys, tarfile
archive, outside, kind = sys.argv[1:]
def add(tar, name, text):
    member = tarfile.TarInfo(name)
    member.size = len(text)
    tar.addfile(member, io.BytesIO(text.encode()))
with tarfile.open(archive, "w:gz") as tar:
    add(tar, "hostile_module.py", "import os; print('UNPACKED', os.path.abspath(__file__), flush=True)\nraise SystemExit(3)\n")
    if kind == "climb":
        for up in range(1, 9):
            add(tar, "../" * up + "escaped", "x")
        add(tar, "inner/../../escaped", "x")
    elif kind == "absolute":
        add(tar, outside + "/escaped", "x")
    else:
        for name, target in (("absolute", outside), ("climbing", "../..")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
            add(tar, name + "/escaped", "x")
"#;

fn upload(server: &DevServer, archive: &Path, name: &str) -> String {
    let bytes = std::fs::read(archive).unwrap();
    let request = CreateUploadLocationRequest {
        project: "hostile".into(),
        domain: "development".into(),
        filename: "fast.tar.gz".into(),
        filename_root: name.to_owned(),
        ..CreateUploadLocationRequest::default()
    };
    let answer = ask(server, "DataProxyService/CreateUploadLocation", &request);
    let location = CreateUploadLocationResponse::decode_from_slice(&answer.body).unwrap();
    let put = ureq::put(&location.signed_url).send(&bytes[..]).unwrap();
    assert_eq!(put.status().as_u16(), 200);
    location.native_url
}

/// Runs the stock entry point with a bundle until the action has ended, and gives what the task printed.
fn run_with(server: &DevServer, data: &Path, bundle: &str) -> String {
    let argv = [
        "a0",
        "--inputs",
        "{{.input}}",
        "--outputs-path",
        "{{.outputPrefix}}",
        "--version",
        "1",
        "--raw-data-path",
        "{{.rawOutputDataPrefix}}",
        "--checkpoint-path",
        "{{.checkpointOutputPrefix}}",
        "--prev-checkpoint",
        "{{.prevCheckpointPrefix}}",
        "--run-name",
        "{{.runName}}",
        "--name",
        "{{.actionName}}",
        "--tgz",
        bundle,
        "--dest",
        ".",
        "--resolver",
        "flyte._internal.resolvers.default.DefaultTaskResolver",
        "mod",
        "hostile_module",
        "instance",
        "task",
    ];
    let run = started(server, program("hostile.bundled", &argv));
    let deadline = Instant::now() + DEADLINE;
    let details = GetActionDetailsRequest { action_id: action_id(&run, "a0").into(), ..Default::default() };
    loop {
        let answer = ask(server, "RunService/GetActionDetails", &details);
        assert_eq!(answer.status, 200, "{answer:?}");
        let details = GetActionDetailsResponse::decode_from_slice(&answer.body).unwrap();
        if details.details.status.phase == ActionPhase::ACTION_PHASE_FAILED {
            break;
        }
        assert!(Instant::now() < deadline, "{details:?}\n{}", server.said());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut logs = Vec::new();
    find(&data.join("logs"), "1.log", &mut logs);
    logs.iter().map(|log| std::fs::read_to_string(log).unwrap()).collect()
}

fn find(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            find(&path, name, found);
        } else if path.file_name().is_some_and(|last| last == name) {
            found.push(path);
        }
    }
}

fn check(kind: &str) -> (String, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (data, outside, archive) =
        (folder.path().join("data"), folder.path().join("outside"), folder.path().join("x.tgz"));
    std::fs::create_dir(&outside).unwrap();
    let packed = Command::new(python()).args(["-c", PACK]).arg(&archive).arg(&outside).arg(kind).status().unwrap();
    assert!(packed.success());
    let server = DevServer::start(&data);
    let bundle = upload(&server, &archive, kind);
    let said = run_with(&server, &data, &bundle);
    let mut escaped = Vec::new();
    find(folder.path(), "escaped", &mut escaped);
    for up in data.ancestors().take_while(|up| up.parent().is_some()) {
        escaped.extend(Some(up.join("escaped")).filter(|path| path.exists()));
    }
    // What is in the attempt's directory goes with it; what is left is elsewhere.
    assert!(escaped.is_empty(), "{kind}: {escaped:?}\n{said}");
    assert_well(&server);
    server.stop();
    (said, data)
}

#[test]
fn members_that_climb_are_refused() {
    let (said, _) = check("climb");
    assert!(said.contains("../escaped") && !said.contains("UNPACKED"), "the member is refused by name:\n{said}");
}

#[test]
fn members_with_an_absolute_name_stay_in_the_attempts_directory() {
    let (said, data) = check("absolute");
    assert!(said.contains(&format!("UNPACKED {}", data.join("work").display())), "{said}");
}

#[test]
fn members_behind_a_link_are_not_written_through_it() {
    let (said, _) = check("link");
    assert!(said.contains("absolute/escaped"), "the link is refused by name:\n{said}");
}

#[test]
fn a_digest_that_is_not_the_bundles_is_refused() {
    let server = DevServer::shared();
    let request = CreateUploadLocationRequest {
        project: "hostile".into(),
        domain: "development".into(),
        filename: "fast.tar.gz".into(),
        content_md5: vec![0; 16],
        ..CreateUploadLocationRequest::default()
    };
    let answer = ask(&server, "DataProxyService/CreateUploadLocation", &request);
    let location = CreateUploadLocationResponse::decode_from_slice(&answer.body).unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    for digest in ["!", "AAAA", &base64::engine::general_purpose::STANDARD.encode([0; 16])] {
        let put = agent.put(&location.signed_url).header("content-md5", digest).send(&b"other"[..]).unwrap();
        assert_eq!(put.status().as_u16(), 400, "{digest}");
    }
    assert_well(&server);
}
