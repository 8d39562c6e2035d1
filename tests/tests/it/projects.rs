//! Projects, by the stock SDK and command line, across a kill of the server.

use serde_json::json;

use crate::dev_server::DevServer;
use crate::python::run_case;
use crate::waiting::page;

#[test]
fn projects_are_registered_changed_and_archived_by_the_stock_command_line_across_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let found = run_case(&server, "projects.py", "registered");
    let created = json!({
        "name": "Models \u{1f680}", "description": "of ours", "labels": {"team": "ml"}, "state": 0, "domains": 3,
    });
    assert_eq!(found["created"], created);
    assert!(found["again"].as_str().unwrap().contains("project `ml` exists"), "{found}");
    let changed = json!({
        "name": "Models \u{1f680}", "description": "größer", "labels": {"team": "ai", "stage": "dev"}, "state": 0,
        "domains": 3,
    });
    assert_eq!(found["changed"], changed);
    assert_eq!(found["listed"], json!(["flytesnacks", "ml"]));
    assert_eq!(found["archived"], json!(["ml"]));
    assert_eq!(found["active"], json!(["flytesnacks", "other"]));
    let other = |name: &str| json!({"name": name, "description": "", "labels": {}, "state": 0, "domains": 3});
    assert_eq!((&found["before"], &found["after"]), (&other("other"), &other("The other")));
    assert_eq!(found["in_archived"], 6);
    for (what, said) in [("bad", "project.id"), ("long", "65 characters, the limit is 64"), ("unknown", "`nobody`")] {
        assert!(found[what].as_str().unwrap().contains(said), "{what}: {found}");
    }
    server.kill();
    server.restart();
    let found = run_case(&server, "projects.py", "after_a_restart");
    let mut archived = changed;
    archived["state"] = json!(1);
    assert_eq!((&found["project"], &found["archived"]), (&archived, &json!(["ml"])));
    assert_eq!(found["active"], json!(["flytesnacks", "ml", "other"]));
    assert!(found["shown"].as_str().unwrap().contains("größer"), "{found}");
    // The console's lists are of runs, whatever their project is.
    assert!(page(&server, "/v2/domain/development/project/ml/runs").contains("projects.double"));
    server.stop();
}
