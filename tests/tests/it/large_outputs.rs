//! Outputs between what a Connect client takes without being told (4 MiB) and what a task may deliver (11 MiB): the command and the page show
//! them like others.

use std::time::{Duration, Instant};

use serde_json::Value;
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::task::{NamedLiteral, Outputs};

use crate::command_line::spanwise;
use crate::dev_server::DevServer;
use crate::hostile::{program, started};
use crate::waiting::page;

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn an_output_of_ten_mebibytes_is_shown_by_the_command_and_cut_on_the_page() {
    let server = DevServer::shared();
    let folder = tempfile::tempdir().unwrap();
    for mebibytes in [5, 10] {
        let value = "x".repeat(mebibytes << 20);
        let named = NamedLiteral { name: "o0".into(), value: Literal::string(&value).into(), ..Default::default() };
        let outputs = Outputs { literals: vec![named], ..Default::default() };
        let file = folder.path().join(mebibytes.to_string());
        std::fs::write(&file, outputs.encode_to_vec()).unwrap();
        let deliver = format!("cp {} \"$PWD.outputs.pb\"", file.display());
        let run = started(&server, program("large.outputs", &["/bin/sh", "-c", &deliver]));
        let arguments = ["get", &run, "--project", "hostile", "-o", "json"];
        let since = Instant::now();
        let shown = loop {
            let answer = spanwise(&server, &arguments);
            let said = String::from_utf8_lossy(&answer.stderr);
            let shown: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
            if shown["phase"] == "SUCCEEDED" {
                break shown;
            }
            assert!(since.elapsed() < DEADLINE, "{}", shown["phase"]);
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(shown["output_error"].is_null(), "{}", shown["output_error"]);
        assert!(shown["output"] == value.as_str(), "{mebibytes} MiB");
        let page = page(&server, &format!("/v2/domain/development/project/hostile/runs/{run}"));
        assert!(page.contains("xxxxxxxxxxxxxxxx") && page.len() < 1 << 20, "{} bytes of page", page.len());
    }
}
