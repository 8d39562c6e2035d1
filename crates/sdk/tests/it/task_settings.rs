//! What tasks ask for - the cache, resources, secrets, variables, a queue - on the engine of this process.

#![expect(clippy::print_stdout, reason = "the outer process reads what the inner one prints")]

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use spanwise::{Cache, Call, Client, Config, ErrorKind, Overrides, Resources, Secret, TaskEnvironment, task};

use crate::settings::{is_inner, rerun};
use crate::{ENV, memory};

static CACHED: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("cached").cache(Cache::version("v1")));

/// How often the bodies have run, by a name that each test has for itself.
static COUNTS: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

fn count(name: &str) -> u32 {
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.get_or_insert_default().entry(name.to_owned()).or_default();
    *count += 1;
    *count
}

#[task(env = ENV)]
async fn plain(name: String, at: u32) -> spanwise::Result<u32> {
    Ok(count(&name) * 100 + at)
}

#[task(env = ENV, cache(version = "v1", ignored_inputs = ["at"]))]
async fn kept(name: String, at: u32) -> spanwise::Result<u32> {
    Ok(count(&name) * 100 + at)
}

#[task(env = ENV, cache = "auto")]
async fn kept_by_its_text(name: String, at: u32) -> spanwise::Result<u32> {
    Ok(count(&name) * 100 + at)
}

#[task(env = CACHED)]
async fn kept_by_its_environment(name: String, at: u32) -> spanwise::Result<u32> {
    Ok(count(&name) * 100 + at)
}

#[task(env = CACHED, cache = "off")]
async fn kept_against_its_environment(name: String, at: u32) -> spanwise::Result<u32> {
    Ok(count(&name) * 100 + at)
}

type Function = fn(String, u32) -> Call<u32>;

/// The tasks by their numbers: a task is told as a value which one to call.
const FUNCTIONS: [Function; 5] = [plain, kept, kept_by_its_text, kept_by_its_environment, kept_against_its_environment];

fn caches() -> [Option<Cache>; 4] {
    [None, Some(Cache::off()), Some(Cache::version("v2")), Some(Cache::auto())]
}

fn overridden(call: Call<u32>, cache: usize) -> Call<u32> {
    match caches()[cache].clone() {
        Some(cache) => call.override_with(Overrides::new().cache(cache)),
        None => call,
    }
}

#[task(env = ENV)]
async fn calls(function: u32, cache: u32, name: String, at: u32) -> spanwise::Result<u32> {
    overridden(FUNCTIONS[function as usize](name, at), cache as usize).await
}

/// For each task, each override of its cache, and as the root and as a child: what two runs with other values of the second input find.
#[tokio::test]
async fn s5_results_are_kept_as_the_task_its_environment_or_the_call_says() {
    let client = memory();
    // Whether the second run computes anew, with the same inputs and with another second one.
    let (anew, same, ignoring) = ((true, true), (false, true), (false, false));
    let expected = [
        [anew, anew, same, same],
        [ignoring, anew, same, same],
        [same, anew, same, same],
        [same, anew, same, same],
        [anew, anew, same, same],
    ];
    for (function, row) in expected.iter().enumerate() {
        for (cache, (of_same, of_other)) in row.iter().enumerate() {
            for nested in [false, true] {
                let name = format!("{function} {cache} {nested}");
                let call = |at: u32| match nested {
                    true => calls(function as u32, cache as u32, name.clone(), at),
                    false => overridden(FUNCTIONS[function](name.clone(), at), cache),
                };
                let mut found = Vec::new();
                for at in [1, 1, 2] {
                    let run = client.with_runcontext().run(call(at)).await.unwrap();
                    found.push(run.output().await.unwrap() / 100);
                }
                assert_eq!(found[1] > found[0], *of_same, "{name}: {found:?}");
                assert_eq!(found[2] > found[1], *of_other, "{name}: {found:?}");
            }
        }
    }
    client.shutdown().await;
}

#[tokio::test]
async fn s5_what_is_kept_is_there_after_a_restart_and_for_a_rerun_until_it_is_too_old() {
    let directory = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for _ in 0..2 {
        let client = Client::open(Config::new().data_dir(directory.path())).unwrap();
        let run = client.with_runcontext().run(kept("restart".to_owned(), 1)).await.unwrap();
        found.push(run.output().await.unwrap());
        let again = client.with_runcontext().rerun::<u32>(run.name().as_str()).await.unwrap();
        found.push(again.output().await.unwrap());
        client.shutdown().await;
    }
    assert_eq!(found, [101; 4]);
    let client = Client::open(Config::new().data_dir(directory.path())).unwrap();
    let young = Cache::version("v1").ignore_input("at").max_age(Duration::from_millis(1));
    let call = kept("restart".to_owned(), 1).override_with(Overrides::new().cache(young));
    assert_eq!(client.with_runcontext().run(call).await.unwrap().output().await.unwrap(), 201, "it is too old");
    client.shutdown().await;
}

#[tokio::test]
async fn s5_one_action_at_a_time_computes_what_is_serialized() {
    #[task(env = ENV, cache(version = "v1", serialize = true))]
    async fn slow(name: String) -> spanwise::Result<u32> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(count(&name))
    }
    #[task(env = ENV)]
    async fn all() -> spanwise::Result<Vec<u32>> {
        let name = || "serialized".to_owned();
        let (one, two, three) = tokio::try_join!(slow(name()), slow(name()), slow(name()))?;
        Ok(vec![one, two, three])
    }
    let client = memory();
    assert_eq!(client.with_runcontext().run(all()).await.unwrap().output().await.unwrap(), [1, 1, 1]);
    client.shutdown().await;
}

#[task(env = ENV, resources(cpu = "500m", memory = "1Gi", gpu = 2), queue = "gpu")]
async fn needs_much() -> spanwise::Result<()> {
    Ok(())
}

#[tokio::test]
async fn s14_what_a_task_needs_and_its_queue_are_in_the_journal() {
    use spanwise_engine::{Durability, Engine, EngineConfig, RunQuery, Storage};
    let directory = tempfile::tempdir().unwrap();
    let client = Client::open(Config::new().data_dir(directory.path())).unwrap();
    let other = Overrides::new().resources(Resources::new().cpu(0)).queue("other");
    for call in [needs_much(), needs_much().override_with(other)] {
        let run = client.with_runcontext().run(call).await.unwrap();
        run.output().await.unwrap();
    }
    client.shutdown().await;
    drop(client);
    let storage = Storage::Directory { path: directory.path().to_owned(), durability: Durability::Process };
    let engine = Engine::open(EngineConfig::embedded(storage, Default::default())).unwrap();
    let rows = engine.runs(&RunQuery::newest(2)).unwrap();
    let specs: Vec<_> = rows.iter().map(|(_, row)| engine.resume(&row.id).unwrap().root_spec().unwrap()).collect();
    let found: Vec<_> =
        specs.iter().map(|spec| (spec.queue.as_deref(), spec.needs.cpu, spec.needs.memory, spec.needs.gpu)).collect();
    assert_eq!(found, [(Some("other"), Some(0), 0, 0), (Some("gpu"), Some(500), 1 << 30, 2)]);
}

#[task(
    env = ENV,
    secrets = ["test-secret", secret("other", group = "team"), secret("named", as = "TEST_AS"), secret("filed", file)],
    env_vars = [("TEST_MODE", "fast")],
)]
async fn needs_surroundings() -> spanwise::Result<String> {
    Ok(std::env::var("TEST_SECRET")? + &std::env::var("TEST_MODE")?)
}

#[task(env = ENV)]
async fn needs_surroundings_below() -> spanwise::Result<String> {
    needs_surroundings().await
}

/// In a process of its own: each variable and file in turn is missing, or is another one.
#[tokio::test]
async fn s15_1_what_a_task_does_not_find_in_this_process_fails_it_by_its_name() {
    if is_inner() {
        let client = memory();
        let of_call =
            || needs_surroundings().override_with(Overrides::new().secrets(["of-call"]).env_vars([("A", "b")]));
        for call in [needs_surroundings(), needs_surroundings_below(), of_call()] {
            let run = client.with_runcontext().run(call).await.unwrap();
            match run.output().await {
                Ok(found) => println!("found {found}"),
                Err(error) => println!("{} {error}", error.code()),
            }
        }
        client.shutdown().await;
        return;
    }
    let test = "task_settings::s15_1_what_a_task_does_not_find_in_this_process_fails_it_by_its_name";
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("filed"), "x").unwrap();
    let files = directory.path().to_str().unwrap();
    let all = [
        ("TEST_MODE", "fast"),
        ("TEST_SECRET", "s"),
        ("TEAM_OTHER", "o"),
        ("TEST_AS", "n"),
        ("FLYTE_SECRETS_DEFAULT_DIR", files),
    ];
    let printed = rerun(test, &all);
    assert!(printed.matches("found sfast").count() == 2, "{printed}");
    assert!(printed.contains("VariableNotSet env_vars: `A` of task `it.needs_surroundings`"), "{printed}");
    let codes = [
        "VariableNotSet env_vars: `TEST_MODE`",
        "SecretNotFound secret `test-secret`",
        "SecretNotFound secret `other`",
        "SecretNotFound secret `named`",
        "SecretNotFound secret `filed`",
    ];
    for (missing, code) in codes.iter().enumerate() {
        let rest: Vec<_> = all.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, one)| *one).collect();
        let printed = rerun(test, &rest);
        assert_eq!(printed.matches(code).count(), 2, "{code}: {printed}");
    }
    let printed = rerun(test, &[("A", "b"), ("TEST_MODE", "other")]);
    assert!(printed.contains("VariableNotSet env_vars: `TEST_MODE`"), "it has another value: {printed}");
    assert!(printed.contains("SecretNotFound secret `of-call`"), "{printed}");
}

#[tokio::test]
async fn s10_settings_of_a_call_that_make_no_sense_are_refused_by_their_names() {
    let client = memory();
    let call = || kept("refused".to_owned(), 1);
    for (overrides, field) in [
        (Overrides::new().resources(Resources::new().memory("much")), "resources.memory: `much`"),
        (Overrides::new().secrets([Secret::new("x").as_env("lower")]), "secrets: `lower`"),
        (Overrides::new().env_vars([("A=", "b")]), "env_vars: `A=`"),
        (Overrides::new().queue("two words"), "queue: `two words`"),
        (Overrides::new().cache(Cache::version("")), "cache: "),
        (Overrides::new().cache(Cache::auto().ignore_input("no")), "cache.ignored_inputs: the task has no input `no`"),
    ] {
        let refused = client.with_runcontext().run(call().override_with(overrides)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Usage, "{refused}");
        assert!(refused.message().contains(field), "{field}: {refused}");
    }
    client.shutdown().await;
}
