//! The stock Python SDK against the server: one test for each case of the programs in `tests/python`, which check values themselves.

use serde_json::{Value, json};

use crate::dev_server::DevServer;
use crate::python::run_case;

/// What a case found, on the server that the tests share.
fn found(program: &str, case: &str) -> Value {
    run_case(&DevServer::shared(), program, case)
}

fn check_error(found: &Value, class: &str, code: &str) {
    assert_eq!((&found["class"], &found["code"]), (&json!(format!("flyte.errors.{class}")), &json!(code)), "{found}");
}

fn text<'a>(found: &'a Value, key: &str) -> &'a str {
    found[key].as_str().unwrap_or_else(|| panic!("`{key}` in {found}"))
}

mod values {
    use super::*;

    #[test]
    fn scalars() {
        assert_eq!(found("values.py", "scalars")["value"], "7 8");
    }

    #[test]
    fn structures() {
        assert_eq!(found("values.py", "structures")["value"], 1);
    }

    #[test]
    fn from_the_driver() {
        assert!(text(&found("values.py", "from_the_driver"), "text").contains("世界 \u{1f680}"));
    }

    #[test]
    fn inputs_are_kept() {
        found("values.py", "inputs_are_kept");
    }

    #[test]
    fn files() {
        assert_eq!(found("values.py", "files"), json!({ "a.txt": 1, "inner/b.bin": 256 }));
    }

    #[test]
    fn a_file_outlives_its_local_copy() {
        found("values.py", "a_file_outlives_its_local_copy");
    }

    #[test]
    fn a_file_from_the_driver() {
        found("values.py", "a_file_from_the_driver");
    }

    #[test]
    fn a_file_to_the_driver() {
        assert!(!text(&found("values.py", "a_file_to_the_driver"), "path").is_empty());
    }

    #[test]
    fn three_megabytes() {
        assert!(found("values.py", "three_megabytes")["bytes"].as_u64().unwrap() > 3 * 1024 * 1024);
    }
}

mod concurrency {
    use super::*;

    #[test]
    fn a_hundred_children() {
        assert_eq!(found("concurrency.py", "a_hundred_children")["actions"], 101);
    }

    #[test]
    fn equal_calls_are_different_actions() {
        found("concurrency.py", "equal_calls");
    }

    #[test]
    fn parents_that_wait_take_no_place() {
        found("concurrency.py", "twelve_levels");
    }

    #[test]
    fn a_tree_of_calls() {
        found("concurrency.py", "a_tree_of_calls");
    }

    #[test]
    fn sync_tasks_and_map() {
        assert_eq!(found("concurrency.py", "sync_tasks_and_map")["children"], 23);
    }

    #[test]
    fn map_with_a_limit() {
        found("concurrency.py", "map_with_a_limit");
    }

    #[test]
    fn groups() {
        let expected = json!(["", "first", "first", "zweite \u{1f680}", "zweite \u{1f680}"]);
        assert_eq!(found("concurrency.py", "groups")["groups"], expected);
    }

    #[test]
    fn a_cancelled_child_is_aborted() {
        found("concurrency.py", "a_cancelled_child_is_aborted");
    }

    #[test]
    fn a_run_started_by_a_task() {
        found("concurrency.py", "a_run_started_by_a_task");
    }
}

mod failures {
    use super::*;

    #[test]
    fn user_error() {
        let found = found("failures.py", "user_error");
        check_error(&found, "RuntimeUserError", "ValueError");
        assert!(text(&found, "message").contains("no such \u{1f680}"));
        assert_eq!(found["attempts"], json!(["0"]));
    }

    #[test]
    fn user_error_of_the_root() {
        let found = found("failures.py", "user_error_of_the_root");
        check_error(&found, "RuntimeUserError", "ValueError");
        assert!(text(&found, "info").contains("no such \u{1f680}"));
        assert_eq!((&found["phase"], &found["kind"]), (&json!("failed"), &json!(1)));
    }

    #[test]
    fn user_error_of_a_child_fails_the_run() {
        let found = found("failures.py", "user_error_of_a_child_fails_the_run");
        check_error(&found, "RuntimeUserError", "ValueError");
        assert_eq!(found["phases"], json!({ "let_it_pass": ["failed"], "raise_value_error": ["failed"] }));
    }

    #[test]
    fn non_recoverable() {
        let found = found("failures.py", "non_recoverable");
        check_error(&found, "RuntimeUserError", "NonRecoverableError");
        assert_eq!(found["attempts"], json!(["0"]));
    }

    #[test]
    fn retries() {
        let found = found("failures.py", "retries");
        assert_eq!((&found["attempts"], &found["count"]), (&json!(["0", "1", "2"]), &json!(3)));
        let messages: Vec<_> =
            found["messages"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        assert!(messages[0].contains("attempt 0") && messages[1].contains("attempt 1"), "{messages:?}");
        assert_eq!((messages.len(), messages[2]), (3, ""));
    }

    #[test]
    fn retries_of_the_root() {
        assert_eq!(found("failures.py", "retries_of_the_root")["attempts"], json!(["0", "1", "2"]));
    }

    #[test]
    fn retries_exhausted() {
        let found = found("failures.py", "retries_exhausted");
        assert_eq!((&found["attempts"], &found["code"]), (&json!(["0", "1", "2"]), &json!("KeyError")));
        let classes = ["flyte.errors.RuntimeUserError", "flyte.errors.RetriesExhaustedError"];
        assert!(classes.contains(&text(&found, "class")), "{found}");
    }

    #[test]
    fn backoff() {
        found("failures.py", "backoff");
    }

    #[test]
    fn timeout() {
        let found = found("failures.py", "timeout");
        assert_eq!(text(&found, "class"), "flyte.errors.MaxRuntimeExceededError", "{found}");
        assert_eq!(found["attempts"], 2);
        assert_eq!(found["phases"], json!({ "catch_timeout": ["succeeded"], "sleeps_too_long": ["timed_out"] }));
    }

    #[test]
    fn deadline() {
        let found = found("failures.py", "deadline");
        assert_eq!(text(&found, "class"), "flyte.errors.DeadlineExceededError", "{found}");
        assert!(found["attempts"].as_u64().unwrap() < 6, "{found}");
    }

    #[test]
    fn out_of_memory() {
        assert_eq!(text(&found("failures.py", "out_of_memory"), "class"), "flyte.errors.OOMError");
    }

    #[test]
    fn an_exit_code_comes_with_the_last_words() {
        let found = found("failures.py", "exit_code");
        assert_eq!(text(&found, "class"), "flyte.errors.RuntimeUserError", "{found}");
        assert!(text(&found, "message").contains('3') && text(&found, "message").contains("the last words"), "{found}");
    }

    #[test]
    fn import_error() {
        let found = found("import_error.py", "child");
        assert_eq!(text(&found, "class"), "flyte.errors.RuntimeUnknownError", "{found}");
        assert!(text(&found, "message").contains("there_is_no_such_module"), "{found}");
    }

    #[test]
    fn abort_of_a_child() {
        let found = found("failures.py", "abort_of_a_child");
        check_error(&found, "ActionAbortedError", "ActionAbortedError");
        assert_eq!(found["reason"], "no longer needed");
        assert_eq!(found["phases"], json!({ "catch_abort": ["succeeded"], "sleeps": ["aborted"] }));
    }

    #[test]
    fn one_failure_among_others() {
        assert_eq!(
            found("failures.py", "one_failure_among_others")["types"],
            json!(["int", "RuntimeUserError", "int"])
        );
    }

    #[test]
    fn children_are_not_run_again() {
        assert_eq!(found("failures.py", "children_are_not_run_again")["log"], json!(["good", "bad"]));
    }
}

mod steps {
    use super::*;

    #[test]
    fn kinds() {
        let found = found("steps.py", "kinds");
        let double = json!(["double", "succeeded"]);
        let expected = json!([
            ["counts_up", "succeeded"],
            double,
            double,
            double,
            double,
            ["double_sync", "succeeded"],
            ["fails", "failed"],
            ["outer", "succeeded"],
        ]);
        assert_eq!(found["steps"], expected);
        assert_eq!(found["parents"].as_array().unwrap().len(), 2, "the root and the sync task: {found}");
    }

    #[test]
    fn steps_are_not_run_again() {
        let found = found("steps.py", "steps_are_not_run_again");
        assert_eq!(found["log"], json!(["double 1", "double 2", "outer 4", "double 4"]));
        assert_eq!(found["children"], 1);
    }

    /// The SDK does not report the second outcome: the action keeps the phase of the first.
    #[test]
    fn a_failed_step_is_run_again() {
        let found = found("steps.py", "a_failed_step_is_run_again");
        assert_eq!(found["log"], json!(["fails_once", "fails_once"]));
        assert_eq!(found["phases"].as_array().unwrap().len(), 1, "{found}");
    }
}

mod cache {
    use super::*;

    /// `CatalogCacheStatus`: 2 a hit, 3 computed and kept.
    #[test]
    fn hit_and_miss() {
        let expected = json!({ "log": ["1", "2", "3"], "first": [3, 3, 2], "second": [2, 3] });
        assert_eq!(found("cache.py", "hit_and_miss"), expected);
    }

    #[test]
    fn root_and_child_share() {
        assert_eq!(found("cache.py", "root_and_child_share")["log"], json!(["100"]));
    }

    #[test]
    fn overwrite() {
        assert_eq!(found("cache.py", "overwrite")["log"], json!(["200", "200"]));
    }

    #[test]
    fn a_new_version_misses() {
        assert_eq!(found("cache.py", "a_new_version_misses")["log"], json!(["1", "1"]));
    }

    #[test]
    fn serialized() {
        assert_eq!(found("cache.py", "serialized")["log"], json!(["1"]));
    }

    #[test]
    fn failures_are_not_cached() {
        assert_eq!(found("cache.py", "failures_are_not_cached")["log"], json!(["1", "1"]));
    }

    #[test]
    fn auto() {
        assert_eq!(found("cache.py", "auto")["third"], 2);
    }
}

mod context {
    use super::*;

    #[test]
    fn scopes() {
        let expected = json!([
            { "run": "r", "a": "0" },
            { "run": "r", "a": "0" },
            { "run": "r", "a": "1", "b": "1" },
            { "run": "r", "a": "1", "b": "2 ü\u{1f680}", "c": "" },
            { "run": "r", "a": "1", "b": "2 ü\u{1f680}", "c": "" },
            { "run": "r", "a": "1", "b": "1" },
            { "run": "r", "a": "x", "b": "1" },
            { "run": "r", "a": "y", "b": "1" },
            { "run": "r", "a": "0" },
        ]);
        assert_eq!(found("context.py", "scopes")["seen"], expected);
    }

    #[test]
    fn no_context() {
        found("context.py", "no_context");
    }

    #[test]
    fn context_of_a_retry() {
        assert_eq!(found("context.py", "context_of_a_retry"), json!({ "seen": { "a": "1" }, "log": ["1", "1"] }));
    }

    #[test]
    fn trace_variables() {
        let found = found("context.py", "trace_variables");
        let (trace_id, outer, inner) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00000000000000aa");
        let variables = |span_id| json!({ "TRACEPARENT": format!("00-{trace_id}-{span_id}-01"), "TRACESTATE": "vendor=1", "BAGGAGE": "user=ada" });
        assert_eq!(found["with"], json!([variables(outer), variables(inner)]));
        assert_eq!(found["without"], json!([{}]));
    }

    #[test]
    fn variables() {
        let found = found("context.py", "variables");
        let seen = json!({
            "FROM_ENVIRONMENT": "environment ü",
            "FROM_RUN": "run \u{1f680} = \"quoted\"",
            "BOTH": "run",
            "FLYTE_ATTEMPT_NUMBER": "0",
            "FLYTE_INTERNAL_EXECUTION_PROJECT": "flytesnacks",
        });
        assert_eq!(found["seen"], json!([seen, seen]));
    }

    #[test]
    fn nothing_leaks_from_the_server() {
        let data = tempfile::tempdir().unwrap();
        let environment = [
            ("UCTL_CONFIG", "/there/is/no/such/file"),
            ("FLYTECTL_CONFIG", "/there/is/no/such/file"),
            ("EAGER_API_KEY", "x"),
            ("_UNION_EAGER_API_KEY", "x"),
            ("RANK", "1"),
            ("SPANWISE_SECRET_SPANWISE_TEST_GIVEN", "x"),
        ];
        let server = DevServer::start_with(data.path(), &environment);
        assert_eq!(run_case(&server, "context.py", "nothing_leaks_from_the_server")["leaked"], json!({}));
        server.stop();
    }

    #[test]
    fn secrets() {
        let found = found("context.py", "secrets");
        let seen = json!({ "KEPT": "s3cret \u{1f680}", "GIVEN": "given \u{1f680}", "PLAIN_NAME": "bytes" });
        assert_eq!(found["seen"], json!([seen, seen]));
        assert_eq!(found["unasked"], json!({}));
        let listed = found["listed"].as_array().unwrap();
        assert!(listed.contains(&json!("kept-by-the-server")) && listed.contains(&json!("plain_name")), "{found}");
        let missing = text(&found["missing"], "message");
        assert!(missing.contains("kept-by-the-server") || missing.contains("plain_name"), "{found}");
    }

    #[test]
    fn ids() {
        let found = found("context.py", "ids");
        let seen = &found["seen"];
        assert_eq!((&seen["name"], &seen["run"]), (&json!("a0"), &json!("named-by-the-user")));
        assert_eq!((&seen["project"], &seen["domain"]), (&json!("flytesnacks"), &json!("development")));
        assert_eq!(seen["attempt"], "0");
        assert!(text(seen, "started").parse::<f64>().unwrap() > 1.7e9, "{found}");
        for list in ["found", "keys", "by_task"] {
            assert_eq!(found[list], json!(["named-by-the-user"]), "{list}");
        }
        check_error(&found["again"], "RuntimeUserError", "RunAlreadyExistsError");
        assert_eq!(found["phase"], "succeeded");
    }

    #[test]
    fn unicode_names() {
        assert_eq!(found("context.py", "unicode_names")["tasks"], json!(["context.größe"]));
    }
}

mod processes {
    use super::*;

    #[test]
    fn abort_of_a_run() {
        let found = found("processes.py", "abort_of_a_run");
        check_error(&found, "ActionAbortedError", "ActionAbortedError");
        assert!(text(&found, "message").contains("enough \u{1f680}"), "{found}");
        assert_eq!(found["phases"], json!({ "two_that_sleep": ["aborted"], "sleeps": ["aborted", "aborted"] }));
    }

    #[test]
    fn abort_of_one_that_ignores_term() {
        assert_eq!(found("processes.py", "abort_of_one_that_ignores_term")["phase"], "aborted");
    }

    /// The sleep of the grandchild is 300 s; a slow machine is far below this.
    const LONG: f64 = 60.0;

    #[test]
    fn a_grandchild_of_the_same_group() {
        assert!(found("processes.py", "a_grandchild_of_the_same_group")["seconds"].as_f64().unwrap() < LONG);
    }

    #[test]
    fn a_grandchild_with_its_own_session() {
        assert!(found("processes.py", "a_grandchild_with_its_own_session")["seconds"].as_f64().unwrap() < LONG);
    }

    /// The server may bound what it keeps: the end is what a reader needs.
    #[test]
    fn a_hundred_megabytes_of_output() {
        let found = found("processes.py", "a_hundred_megabytes_of_output");
        assert!(text(&found, "last").ends_with("the last line \u{1f680}"), "{found}");
    }

    #[test]
    fn logs() {
        let found = found("processes.py", "logs");
        for (attempt, key) in ["first", "last"].into_iter().enumerate() {
            let log = text(&found, key);
            for line in [
                &*format!("out: \u{1f680} of attempt {attempt}"),
                "err: \u{1f680}",
                "not utf-8: ",
                "no newline at the end",
            ] {
                assert!(log.contains(line), "{line} in {log}");
            }
        }
        assert!(!text(&found, "first").contains("attempt 1"), "{found}");
    }

    #[test]
    fn logs_while_it_runs() {
        assert_eq!(found("processes.py", "logs_while_it_runs")["seen"], json!(["the first line", "after the gate"]));
    }

    #[test]
    fn a_place_of_its_own() {
        let found = found("processes.py", "a_place_of_its_own");
        let [first, second] = &found["places"].as_array().unwrap()[..] else { panic!("{found}") };
        assert_ne!(first["cwd"], second["cwd"]);
        for place in [first, second] {
            assert_eq!(
                (&place["pid"], &place["stdin"]),
                (&place["group"], &json!("")),
                "a group of its own, and no input"
            );
        }
    }
}

mod conditions {
    use super::*;

    #[test]
    fn signals() {
        let found = found("conditions.py", "signals");
        let answers = json!({ "may i": "True", "how many": "42", "how much": "0.5", "who \u{1f680}": "Ada \u{1f680}" });
        assert_eq!(found["answers"], answers);
        assert_eq!(found["refused"], 4);
        let phases = json!([["may i", "bool"], ["how many", "int"], ["how much", "float"], ["who \u{1f680}", "str"]]);
        assert_eq!(found["phases"], phases);
    }

    #[test]
    fn timeout() {
        let found = found("conditions.py", "timeout");
        assert_eq!(text(&found, "class"), "flyte.errors.ConditionTimedoutError", "{found}");
        assert_eq!(found["phases"], json!(["succeeded", "timed_out"]));
    }

    #[test]
    fn abort_while_it_waits() {
        let found = found("conditions.py", "abort_while_it_waits");
        check_error(&found, "ActionAbortedError", "ActionAbortedError");
        assert_eq!(found["phases"], json!(["aborted", "aborted"]));
    }

    #[test]
    fn watched_as_a_run() {
        let found = found("conditions.py", "watched_as_a_run");
        assert_eq!(found["output"], true);
        let phases = found["phases"].as_array().unwrap();
        let end = ["ACTION_PHASE_RUNNING", "ACTION_PHASE_SUCCEEDED"];
        assert!(phases.len() >= 2 && phases[phases.len() - 2..] == end, "{phases:?}");
    }
}

mod deploy {
    use super::*;

    #[test]
    fn deploy_and_run() {
        let found = found("deploy.py", "deploy_and_run");
        assert_eq!((&found["latest"], &found["by_latest"]), (&json!("v2"), &json!(111)));
        assert_eq!((&found["by_version"], &found["from_a_task"]), (&json!(11), &json!(2)));
        let tasks = found["tasks"].as_array().unwrap();
        for name in ["deploy.add_twice", "deploy.calls_by_name", "deploy_inner.add"] {
            assert!(tasks.contains(&json!(name)), "{name} in {tasks:?}");
        }
        assert_eq!(found["versions"], json!(["v1", "v2"]), "the SDK asks for the oldest first");
        assert_eq!(found["newest_first"], json!(["v2", "v1"]));
    }

    #[test]
    fn rerun() {
        let expected =
            ["expensive 1", "broken_at_first", "expensive 1", "broken_at_first", "expensive 2", "broken_at_first"];
        assert_eq!(found("deploy.py", "rerun")["log"], json!(expected));
    }

    #[test]
    fn recover() {
        let found = found("deploy.py", "recover");
        check_error(&found["failed"], "RuntimeUserError", "RuntimeError");
        assert_eq!(found["log"], json!(["expensive 1", "broken_at_first", "broken_at_first"]));
        let phases = json!({ "pipeline": ["succeeded"], "expensive": ["recovered"], "broken_at_first": ["succeeded"] });
        assert_eq!(found["phases"], phases);
    }

    #[test]
    fn ways_to_ship_code() {
        assert_eq!(found("deploy.py", "ways_to_ship_code"), json!({ "all": 1, "pickle": 111 }));
    }
}

mod cli {
    use super::*;

    #[test]
    fn run_and_get() {
        assert_eq!(found("cli.py", "run_and_get")["actions"], 2);
    }

    #[test]
    fn follow() {
        found("cli.py", "follow");
    }

    #[test]
    fn abort() {
        found("cli.py", "abort");
    }

    #[test]
    fn deploy() {
        found("cli.py", "deploy");
    }

    #[test]
    fn secret() {
        found("cli.py", "secret");
    }

    #[test]
    fn without_a_file() {
        found("cli.py", "without_a_file");
    }

    #[test]
    fn unknown_run() {
        assert!(text(&found("cli.py", "unknown_run"), "printed").contains("NOT FOUND"));
    }
}
