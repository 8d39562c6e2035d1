//! The server's store for whoever is not the SDK in a task: other libraries there, and the driver's program.

use serde_json::{Value, json};

use crate::dev_server::DevServer;
use crate::images::wait_until;
use crate::python::{Program, run_case, store_python};

#[test]
fn libraries_of_a_task_find_the_store_by_their_own_variables() {
    let server = DevServer::shared();
    let program = Program::new(&server, "storage.py").arg("clients").env("STORE_PYTHON", store_python());
    let found = program.start().result(&server);
    let found: Value = serde_json::from_str(found["found"].as_str().unwrap()).unwrap();
    assert_eq!(
        found,
        json!({"boto": ["/a \u{1f680}.txt", "/big"], "pyarrow": 3, "deltalake": 3, "pyiceberg": 4}),
        "{found}"
    );
}

#[test]
fn a_run_that_names_an_account_of_its_own_keeps_it() {
    let found = run_case(&DevServer::shared(), "storage.py", "another_account");
    assert_eq!(found["variables"], json!({"AWS_PROFILE": "own", "AWS_REGION": "eu-west-1"}));
}

#[test]
fn a_driver_reads_the_files_of_outputs_with_the_variables_that_the_server_prints() {
    let server = DevServer::shared();
    wait_until("the server has printed them", || server.printed().contains("    export FLYTE_AWS_ENDPOINT="));
    let printed = server.printed();
    let line = printed.lines().find_map(|line| line.trim().strip_prefix("export ")).unwrap();
    let variables: Vec<_> = line.split(' ').map(|word| word.split_once('=').unwrap()).collect();
    assert_eq!(variables.len(), 3, "{line}");
    let program = Program::new(&server, "storage.py").arg("driver");
    let program = variables.into_iter().fold(program, |program, (name, value)| program.env(name, value));
    assert_eq!(program.start().result(&server)["text"], "words \u{1f680}");
}
