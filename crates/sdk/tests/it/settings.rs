//! Settings from the environment: honoured, or refused with their name. In processes of their own: the environment is global.

#![expect(clippy::print_stdout, reason = "the outer process reads what the inner one prints")]

use std::process::Command;

/// Runs a test of this binary in a process of its own, with variables set.
pub(crate) fn rerun(test: &str, variables: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("SPANWISE_TEST_INNER", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn is_inner() -> bool {
    std::env::var_os("SPANWISE_TEST_INNER").is_some()
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    if is_inner() {
        let refused = spanwise::Client::open(spanwise::Config::new().data_dir("never made")).unwrap_err();
        println!("refused: {refused}");
        return;
    }
    let test = "settings::settings_that_make_no_sense_are_refused_by_name";
    let endpoint = rerun(test, &[("SPANWISE_ENDPOINT", "https://example.com")]);
    assert!(endpoint.contains("endpoint ") && endpoint.contains("`https://example.com`"), "{endpoint}");
    let durability = rerun(test, &[("SPANWISE_DURABILITY", "forever")]);
    assert!(
        durability.contains("refused: SPANWISE_DURABILITY is `forever`: expected `process` or `disk`"),
        "{durability}"
    );
}

#[cfg(feature = "remote")]
#[test]
fn code_is_stronger_than_flytes_configuration_and_memory_needs_none() {
    use spanwise::{Client, Config};
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    std::fs::write(&file, "admin: {endpoint: 'localhost:1', insecure: true}\ntask: {project: from-file}").unwrap();
    let opened = |config: Config| format!("{:?}", Client::open(config.flyte_config_file(&file)));
    assert!(opened(Config::new()).contains("http://localhost:1"), "{}", opened(Config::new()));
    assert!(opened(Config::new().endpoint("localhost:2")).contains("http://localhost:2"));
    assert!(opened(Config::new().in_memory()).contains("directory: None"));
    std::fs::write(&file, "admin: {endpoint: 'example.com'}").unwrap();
    assert!(opened(Config::new()).contains("`admin.insecure` is not true"));
    let missing = Client::open(Config::new().flyte_config_file("not-there.yaml")).unwrap_err().to_string();
    assert!(missing.contains("not-there.yaml"), "{missing}");
}

#[tokio::test]
async fn variables_for_processes_are_refused_where_there_are_none() {
    let client = spanwise::Client::open(spanwise::Config::new().in_memory()).unwrap();
    let run = client.with_runcontext().label("team", "one").run(crate::context::seen()).await;
    assert!(run.is_ok(), "a label is kept with every run");
    let refused = client.with_runcontext().env("MODE", "x").run(crate::context::seen()).await.unwrap_err();
    assert_eq!(refused.kind(), spanwise::ErrorKind::Usage);
    assert!(refused.message().contains("`MODE`"), "{refused}");
    client.shutdown().await;
}

#[tokio::test]
async fn a_label_that_the_journal_would_shorten_is_refused_by_its_name() {
    let client = spanwise::Client::open(spanwise::Config::new().in_memory()).unwrap();
    for (label, value) in [("team", "a\0b"), ("te\0am", "a")] {
        let refused = client.with_runcontext().label(label, value).run(crate::context::seen()).await.unwrap_err();
        assert_eq!(refused.kind(), spanwise::ErrorKind::Usage);
        assert!(refused.message().contains("holds a NUL"), "{refused}");
    }
    client.shutdown().await;
}

#[tokio::test]
async fn labels_and_annotations_are_in_the_journal_of_the_engine_here() {
    use spanwise_engine::{Durability, Engine, EngineConfig, RunQuery, RunSettings, Storage};
    let directory = tempfile::tempdir().unwrap();
    let client = spanwise::Client::open(spanwise::Config::new().data_dir(directory.path())).unwrap();
    let described = client.with_runcontext().label("team", "one").annotation("why", "größe");
    let run = described.run(crate::context::seen()).await.unwrap();
    run.output().await.unwrap();
    drop(run);
    client.shutdown().await;
    drop(client);
    let storage = Storage::Directory { path: directory.path().to_owned(), durability: Durability::Process };
    let engine = Engine::open(EngineConfig::embedded(storage, Default::default())).unwrap();
    let rows = engine.runs(&RunQuery::newest(1)).unwrap();
    let options = RunSettings::of(&rows[0].1).options;
    assert_eq!((options.labels["team"].as_str(), options.annotations["why"].as_str()), ("one", "größe"));
}

#[tokio::test]
async fn the_environment_says_where_runs_belong() {
    if is_inner() {
        let client = spanwise::Client::open(spanwise::Config::new().domain("from-code")).unwrap();
        let run = client.with_runcontext().name("one").run(crate::context::seen()).await.unwrap();
        println!("{} {}", run.url(), run.url().how_to_open());
        client.shutdown().await;
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("größe");
    let variables =
        [("SPANWISE_DATA_DIR", data.to_str().unwrap()), ("SPANWISE_PROJECT", "shop"), ("SPANWISE_DOMAIN", "lost")];
    let printed = rerun("settings::the_environment_says_where_runs_belong", &variables);
    assert!(printed.contains("http://localhost:8585/v2/domain/from-code/project/shop/runs/one"), "{printed}");
    assert!(printed.contains("größe") && data.join("journal.db").exists(), "{printed}");
}
