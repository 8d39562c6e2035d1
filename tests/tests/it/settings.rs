//! Settings of an organisation, a domain and a project, by the stock SDK and command line, across a kill of the server.

use serde_json::{Value, json};

use crate::dev_server::DevServer;
use crate::python::{Program, run_case};
use crate::waiting::page;

fn variables(org: &str, domain: &str, project: &str, run: &str) -> Value {
    json!({"BY_ORG": org, "BY_DOMAIN": domain, "BY_PROJECT": project, "BY_TASK": "task", "BY_RUN": run})
}

#[test]
fn s19_settings_are_inherited_honoured_and_changed_by_who_has_read_the_last_version() {
    let data = tempfile::tempdir().unwrap();
    let server = DevServer::start(data.path());
    let found = run_case(&server, "settings.py", "inherited");
    assert_eq!(found["before"], variables("", "", "", "task"));
    // The variables reach the child as well; a task's own are above, a run's above those.
    assert_eq!(found["run"], variables("org", "domain", "project", "run"));
    assert_eq!(found["again"], found["run"]);
    assert_eq!(found["labels"], json!({"team": "project", "of_org": "yes", "own": "run"}));
    assert_eq!(found["other"], variables("org", "domain", "domain", "task"));
    assert_eq!(found["elsewhere"], variables("org", "org", "org", "task"));
    assert_eq!(found["effective"]["run.max_action_concurrency"], 3);
    assert_eq!(found["origins"]["run.max_action_concurrency"], "DOMAIN(development)");
    assert_eq!(found["origins"]["security.service_account"], "ORG");
    let local = json!(["environment_variables", "labels", "task_resource.max.memory"]);
    assert_eq!((&found["local"], &found["version"]), (&local, &json!(1)));
    assert_eq!(found["greedy"]["class"], "flyte.errors.OOMError", "{found}");
    assert!(found["greedy"]["message"].as_str().unwrap().contains("its limit of 512Mi"), "{found}");
    assert_eq!(found["says_so"], 700 << 20);
    assert!(found["shown"].as_str().unwrap().contains("defined at ORG"), "{found}");
    let run = found["name"].as_str().unwrap();
    let page = page(&server, &format!("/v2/domain/development/project/flytesnacks/runs/{run}"));
    assert!(page.contains("settings: security.service_account is not honoured"), "{page}");
    let found = run_case(&server, "settings.py", "changed");
    assert!(found["conflict"].as_str().unwrap().contains("are in version 2, not 1"), "{found}");
    assert!(found["code"].as_str().unwrap().to_lowercase().contains("aborted"), "{found}");
    assert!(found["exists"].as_str().unwrap().contains("has settings already, in version 2"), "{found}");
    assert_eq!(found["unset"], variables("", "", "", "task"));
    assert!(found["refused"].as_str().unwrap().contains("run.max_action_concurrency: 1 must be"), "{found}");
    assert_eq!(found["cleared"], variables("org", "domain", "domain", "task"));
    assert_eq!(found["version"], 4);
    server.stop();
}

#[test]
fn s19_6_a_run_keeps_the_settings_that_it_was_created_with_across_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let mut server = DevServer::start(data.path());
    let case = |server: &DevServer, case: &str| {
        let program = Program::new(server, "settings.py").arg(case).env("SPANWISE_TEST_SCRATCH", scratch.path());
        program.start().result(server)
    };
    case(&server, "begins");
    server.kill();
    server.restart();
    let found = case(&server, "goes_on");
    assert_eq!(found, json!({"old": {"before": "old", "after": "old"}, "new": "new"}));
    server.stop();
}
