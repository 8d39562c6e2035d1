//! Pod templates: the primary container is the task's process, with its variables and its limit of memory; labels and annotations are shown;
//! all else is told by name, or refused where the process would not be what was asked for.

use serde_json::{Value, json};
use spanwise_e2e::cargo;

use crate::dev_server::DevServer;
use crate::images::logs;
use crate::python::{Program, run_case};
use crate::waiting::page;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn s10_the_primary_container_of_a_pod_template_is_the_process_and_the_rest_is_told() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let found = run_case(&server, "pods.py", "templates");
    let looked = |number: u32| json!({"number": number.to_string(), "where": "/r/w", "own": "yes"});
    let expected = json!({
        "root": looked(1), "child": looked(2), "run of a run": looked(3), "deployed": looked(4), "labels alone": 2,
        "a template by its name": 3,
    });
    assert_eq!(found["found"], expected);
    assert_eq!(found["limited"]["code"], "OOMKilled", "{found}");
    assert!(text(&found["limited"]["message"]).contains("its limit of 300Mi"), "{found}");

    let told = ["containers `sidecar`", "imagePullSecrets", "nodeSelector", "volumes"];
    let page_of = |run: &Value, action: &str| {
        page(&server, &format!("/v2/domain/development/project/flytesnacks/runs/{}{action}", text(run)))
            .replace("&#96;", "`")
    };
    let child = format!("?i={}", text(&found["child"]));
    for (run, action) in [(&found["run"], ""), (&found["parent"], child.as_str())] {
        let page = page_of(run, action);
        for field in told {
            assert!(page.contains(&format!("pod_template.{field} is not honoured")), "{action} {field}: {page}");
        }
        for shown in ["Pod labels", "team=größe", "Pod annotations", "ticket=T-7"] {
            assert!(page.contains(shown), "{action} {shown}: {page}");
        }
    }
    assert!(page_of(&found["named"], "").contains("pod_template_name is not honoured"));
    let said = logs(&data.path().join("logs"));
    assert!(said.matches("pod_template.volumes is not honoured").count() >= 4, "{said}");
}

#[test]
fn a_pod_template_that_no_process_can_be_is_refused_by_its_field_on_every_path() {
    let server = DevServer::shared();
    let found = run_case(&server, "pods.py", "refused");
    for path in ["root", "child", "deployed"] {
        assert!(text(&found[path]).contains("pod_template.container.env `TOKEN`"), "{path}: {found}");
    }
}

#[test]
fn a_task_with_a_pod_template_goes_on_while_the_server_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let mut program = Program::new(&server, "pods.py").arg("across_a_restart").start();
    program.wait_for_marks("slow", |lines| !lines.is_empty(), &server);
    server.kill();
    server.restart();
    program.touch("go");
    let found = program.result(&server);
    assert_eq!(found["value"], "/r/w");
    assert_eq!(found["log"].as_array().unwrap().len(), 1, "it ran once: {found}");
    server.stop();
}

/// What becomes of each is shown by `wire`; that none is missing, by the package of Kubernetes itself.
#[test]
fn s10_every_field_that_kubernetes_has_is_in_the_table() {
    let server = DevServer::shared();
    let fields = run_case(&server, "pods.py", "fields");
    let docs = std::fs::read_to_string(cargo::root().join("docs/compatibility.md")).unwrap();
    let table = docs.split("## Pod templates").nth(1).unwrap().split("\n## ").next().unwrap();
    for kind in ["pod", "container"] {
        for field in fields[kind].as_array().unwrap() {
            assert!(table.contains(&format!("`{}`", text(field))), "{kind}: {field}");
        }
    }
}
