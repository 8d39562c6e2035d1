//! Task types: which of them a process of this machine can be, and what of their `custom` settings holds there.
//!
//! A type says which plugin of a cluster runs the task. Where the container starts the SDK's entry point, the body does its work in the
//! task's process, whatever the type; what the plugin would do around it is told, or refused where the task would not do what it says.

use serde_json::Value as Json;
use spanwise_proto::flyteidl2::core::TaskTemplate;

use super::{CORE_SLEEP, IMAGE_BUILD};
use crate::shown;

/// What stands first in the arguments of a task of the stock SDK.
pub const ENTRY_POINT: &str = "a0";

/// Types whose container may start any program.
const PROGRAMS: [&str; 3] = ["python", "actor", "rust"];

/// Types that no process can be, whatever their container starts: why, and what to do.
const REFUSED: [(&str, &str); 4] = [
    (
        "clustered-task",
        "it is started by a JobSet of Kubernetes, with peers on other machines: use a plain TaskEnvironment, or the Elastic settings \
         of flyteplugins-pytorch with nnodes=1",
    ),
    (
        "databricks",
        "a connector submits it to Databricks: use the Spark settings of flyteplugins-spark, which run on this machine",
    ),
    ("snowflake", CONNECTOR),
    ("bigquery_query_job_task", CONNECTOR),
];

const CONNECTOR: &str =
    "a connector sends it to a service, and there are no connectors here: call the service from a Python task";

/// What of `custom` is told: the type, the setting, and what holds instead.
const TOLD: [(&str, &str, &str); 13] = [
    ("spark", "sparkConf", SPARK),
    ("spark", "hadoopConf", SPARK),
    ("spark", "driverPod", "the driver is the task's process"),
    ("spark", "executorPod", "there are no executors beside the task's process"),
    ("ray", "rayCluster", "ray.init() starts Ray on this machine alone, without workers elsewhere"),
    ("ray", "runtimeEnv", RUNTIME_ENV),
    ("ray", "runtimeEnvYaml", RUNTIME_ENV),
    ("dask", "scheduler", DASK),
    ("dask", "workers", DASK),
    (
        "pytorch",
        "elasticConfig",
        "the task's process is the only node; its nproc_per_node, rdzv_backend and max_restarts hold",
    ),
    ("pytorch", "workerReplicas", "the task's process is the only node"),
    ("pytorch", "runPolicy", RUN_POLICY),
    ("python-task", "runPolicy", RUN_POLICY),
];

const SPARK: &str = "Spark runs in the task's process: set what you need by SparkSession.builder.config(..)";
const RUNTIME_ENV: &str = "put its packages into the task's image";
const DASK: &str = "a distributed.Client() starts its scheduler and its workers on this machine";
const RUN_POLICY: &str = "use the task's retries and timeout";

/// Settings of `custom` that say nothing which does not hold here, by type.
const HOLDS: [(&str, &str); 8] = [
    ("spark", "mainApplicationFile"),
    ("spark", "executorPath"),
    ("spark", "applicationType"),
    ("spark", "mainClass"),
    ("ray", "shutdownAfterJobFinishes"),
    ("ray", "ttlSecondsAfterFinished"),
    ("python-task", "elasticConfig"),
    ("python-task", "workerReplicas"),
];

/// Why a task cannot be a process, and what to do; none if it can.
pub(super) fn refusal(template: &TaskTemplate, argv: &[String]) -> Option<String> {
    let kind = template.r#type.as_str();
    if kind == IMAGE_BUILD || kind == CORE_SLEEP {
        return None;
    }
    let of = |why: &str| format!("a task of type `{}` cannot be run here: {why}", shown(kind));
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == kind) {
        return Some(of(why));
    }
    let Some(program) = argv.first() else {
        return Some(of("it has no container, so there is nothing to start"));
    };
    if kind == "pytorch"
        && let Some(nodes) = least_nodes(template).filter(|nodes| *nodes > 1)
    {
        return Some(of(&format!(
            "it needs {nodes} machines, and there is one: use nnodes=1, or a range that begins with it"
        )));
    }
    if program != ENTRY_POINT && !PROGRAMS.contains(&kind) {
        let program = shown(program);
        return Some(of(&format!(
            "its container starts `{program}`, and not the SDK's entry point `{ENTRY_POINT}`: make it a Python task, or one of type `python`"
        )));
    }
    None
}

/// How many nodes a PyTorch job has at least.
fn least_nodes(template: &TaskTemplate) -> Option<u64> {
    let custom = Json::from(template.custom.as_option()?);
    custom.get("elasticConfig")?.get("minReplicas")?.as_u64()
}

/// What of the type's own settings is not honoured, one sentence each.
pub(super) fn not_honoured(template: &TaskTemplate) -> Vec<String> {
    let kind = template.r#type.as_str();
    let mut said = Vec::new();
    if kind == "echo" {
        said.push(
            "type `echo` is not honoured: the task's body is run, where a cluster's plugin gives the inputs back unseen".to_owned(),
        );
    }
    if kind == CORE_SLEEP && template.metadata.discoverable {
        said.push("the cache of type `core-sleep` is not honoured: it has no outputs, and waits each time".to_owned());
    }
    // What an actor says is the policy of its environment, which has a line of its own.
    let Some(custom) = template.custom.as_option().filter(|_| kind != "actor") else { return said };
    for (key, value) in &custom.fields {
        let value = Json::from(value);
        let holds = HOLDS.contains(&(kind, key.as_str())) && !is_foreign_program(key, &value);
        if is_nothing(&value) || holds || is_one_node(kind, key, &value) {
            continue;
        }
        let row = TOLD.iter().find(|(of, setting, _)| *of == kind && setting == key);
        let instead = row.map_or("nothing is known of it here, and the task's body is run", |(.., instead)| instead);
        said.push(format!("custom.{} of type `{}` is not honoured: {instead}", shown(key), shown(kind)));
    }
    said.sort();
    said
}

/// A setting that is there and says nothing.
fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(object) => object.values().all(is_nothing),
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::Bool(true) => false,
    }
}

/// An application that is not the SDK's own entry point, which the plugin gives as a file of the image.
fn is_foreign_program(key: &str, value: &Json) -> bool {
    key == "mainApplicationFile" && value.as_str().is_some_and(|file| !file.starts_with("local://"))
}

/// One node is what there is.
fn is_one_node(kind: &str, key: &str, value: &Json) -> bool {
    let number = |name: &str| value.get(name).and_then(Json::as_u64);
    match (kind, key) {
        ("pytorch", "elasticConfig") => number("maxReplicas").is_none_or(|most| most <= 1),
        ("pytorch", "workerReplicas") => number("replicas").is_none_or(|most| most <= 1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(kind: &str, custom: Json) -> TaskTemplate {
        let Json::Object(custom) = custom else { panic!("{custom}") };
        let custom = spanwise_proto::google::protobuf::Struct::from(custom).into();
        TaskTemplate { r#type: kind.to_owned(), custom, ..TaskTemplate::default() }
    }

    fn refused(kind: &str, program: &str, custom: Json) -> Option<String> {
        refusal(&template(kind, custom), &[program.to_owned()])
    }

    #[test]
    fn any_type_is_a_process_if_its_container_starts_the_sdk() {
        for kind in [
            "python",
            "actor",
            "rust",
            "python-task",
            "spark",
            "ray",
            "dask",
            "pytorch",
            "echo",
            "core-sleep",
            "sandboxed-python",
            "x",
        ] {
            assert_eq!(refused(kind, "a0", json!({})), None, "{kind}");
        }
        for (kind, program, part) in [
            ("spark", "/bin/true", "`/bin/true`"),
            ("x", "", "entry point"),
            ("clustered-task", "clustered", "JobSet"),
            ("databricks", "a0", "Databricks"),
        ] {
            let said = refused(kind, program, json!({})).unwrap_or_else(|| panic!("{kind}"));
            assert!(said.contains(part) && said.contains(&format!("`{kind}`")), "{kind}: {said}");
        }
        for kind in ["python", "actor", "rust"] {
            assert_eq!(refused(kind, "/bin/true", json!({})), None, "{kind}");
            assert!(refusal(&template(kind, json!({})), &[]).unwrap().contains("nothing to start"));
        }
    }

    #[test]
    fn a_job_of_several_machines_is_refused_and_a_range_that_begins_with_one_is_not() {
        let nodes = |least: u32, most: u32| json!({"elasticConfig": {"minReplicas": least, "maxReplicas": most}});
        assert!(refused("pytorch", "a0", nodes(2, 4)).unwrap().contains("2 machines"));
        assert_eq!(refused("pytorch", "a0", nodes(1, 4)), None);
        let told = |least, most| not_honoured(&template("pytorch", nodes(least, most)));
        assert_eq!(told(1, 1), Vec::<String>::new());
        assert!(told(1, 4)[0].contains("custom.elasticConfig of type `pytorch`"), "{:?}", told(1, 4));
    }

    #[test]
    fn s10_what_custom_asks_of_a_cluster_is_told_by_its_name() {
        let spark = json!({"sparkConf": {"a": "1"}, "hadoopConf": {}, "mainApplicationFile": "local:///a0", "executorPath": "python"});
        let told = not_honoured(&template("spark", spark));
        assert!(told.len() == 1 && told[0].starts_with("custom.sparkConf of type `spark`"), "{told:?}");
        let foreign = not_honoured(&template("spark", json!({"mainApplicationFile": "s3://b/app.py"})));
        assert!(foreign[0].contains("mainApplicationFile"), "{foreign:?}");
        let unknown = not_honoured(&template("mine", json!({"pool": {"size": 3}, "off": false})));
        assert!(unknown.len() == 1 && unknown[0].contains("custom.pool of type `mine`"), "{unknown:?}");
        assert_eq!(not_honoured(&template("actor", json!({"name": "x"}))), Vec::<String>::new());
        for (kind, setting, instead) in TOLD {
            let said = not_honoured(&template(kind, json!({setting: {"x": 1, "replicas": 2, "maxReplicas": 2}})));
            assert!(said.len() == 1 && said[0].ends_with(instead), "{kind} {setting}: {said:?}");
        }
    }
}
