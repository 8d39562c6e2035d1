//! The configuration file of Flyte's own SDK: for the command line what is not said elsewhere, for programs only if they ask for it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::dev_server::{DevServer, binary};
use crate::python;

const PROGRAM: &str = env!("CARGO_BIN_EXE_remote_tasks");

fn run(program: impl AsRef<std::ffi::OsStr>, home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    python::remove_what_would_mislead(&mut command);
    command.args(arguments).envs(variables.iter().copied());
    command.env("HOME", home).env("REMOTE_SCRATCH", home).env("RUST_BACKTRACE", "0").current_dir(home);
    command.stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn write(home: &Path, file: &str, text: &str) {
    let file = home.join(file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

fn names(server: &DevServer) -> String {
    format!(
        "admin:\n  endpoint: dns:///{}\n  insecure: true\ntask:\n  project: from-file\n  domain: staging\n",
        server.endpoint()
    )
}

#[test]
fn the_command_line_takes_what_is_not_said_from_the_file() {
    let server = DevServer::shared();
    let home = tempfile::tempdir().unwrap();
    write(home.path(), ".flyte/config.yaml", &names(&server));
    let ran = run(binary(), home.path(), &["run", PROGRAM, "add", "--left", "1", "--right", "2"], &[]);
    assert!(ran.status.success() && said(&ran).contains("/domain/staging/project/from-file/"), "{}", said(&ran));
    let listed = run(binary(), home.path(), &["list"], &[]);
    assert!(said(&listed).contains("remote.add"), "{}", said(&listed));
    let listed = run(binary(), home.path(), &["list", "--project", "of-nobody"], &[]);
    assert!(said(&listed).contains("no runs"), "{}", said(&listed));
    let listed = run(binary(), home.path(), &["list"], &[("SPANWISE_ENDPOINT", "localhost:1")]);
    assert_eq!(listed.status.code(), Some(3), "{}", said(&listed));

    write(home.path(), "config.yaml", "admin: {endpoint: example.com}");
    let refused = run(binary(), home.path(), &["list"], &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    for part in ["config.yaml", "`admin.insecure` is not true", "--endpoint"] {
        assert!(said(&refused).contains(part), "{part}: {}", said(&refused));
    }
    write(home.path(), "config.yaml", "{{ another program's");
    assert_eq!(run(binary(), home.path(), &["list"], &[]).status.code(), Some(2));
    let listed = run(binary(), home.path(), &["list", "--endpoint", &server.endpoint()], &[]);
    assert!(listed.status.success(), "{}", said(&listed));
}

#[test]
fn a_program_goes_to_a_server_of_the_file_only_if_it_is_asked_to() {
    let server = DevServer::shared();
    let home = tempfile::tempdir().unwrap();
    write(home.path(), ".flyte/config.yaml", &names(&server));
    let journal = home.path().join(".spanwise/journal.db");
    let there = run(PROGRAM, home.path(), &["gathers", "1"], &[("SPANWISE_FLYTE_CONFIG", "auto")]);
    assert!(there.status.success() && !journal.exists(), "{}", said(&there));
    let named = home.path().join(".flyte/config.yaml").display().to_string();
    let there = run(PROGRAM, home.path(), &["gathers", "1"], &[("SPANWISE_FLYTE_CONFIG", &named)]);
    assert!(there.status.success() && !journal.exists(), "{}", said(&there));
    let here = run(PROGRAM, home.path(), &["gathers", "1"], &[]);
    assert!(here.status.success() && journal.exists(), "{}", said(&here));

    let refused = |variables: &[(&str, &str)], part: &str| {
        let refused = run(PROGRAM, home.path(), &["gathers", "1"], variables);
        assert!(refused.status.code() == Some(1) && said(&refused).contains(part), "{part}: {}", said(&refused));
    };
    refused(&[("SPANWISE_FLYTE_CONFIG", "not-there.yaml")], "not-there.yaml");
    write(home.path(), "config.yaml", "task: {project: one}");
    refused(&[("SPANWISE_FLYTE_CONFIG", "auto")], "config.yaml: no server is named (`admin.endpoint`)");
    write(home.path(), "config.yaml", "admin: {endpoint: example.com, clientId: me}");
    refused(&[("SPANWISE_FLYTE_CONFIG", "auto")], "`admin.clientId`");
    let endpoint = server.endpoint();
    let stronger = [("SPANWISE_FLYTE_CONFIG", "auto"), ("SPANWISE_ENDPOINT", endpoint.as_str())];
    let there = run(PROGRAM, home.path(), &["gathers", "1"], &stronger);
    assert!(there.status.success(), "{}", said(&there));
}
