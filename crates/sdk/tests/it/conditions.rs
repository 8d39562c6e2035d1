//! S7: a task waits until somebody answers, on the engine of this process. Nothing here waits for longer than it has to.

use std::future::IntoFuture;
use std::time::Duration;

use spanwise::{
    ActionKind, Answer, Cache, Client, Config, ErrorKind, Overrides, Phase, Resources, Run, TaskOutput, condition,
    task, trace,
};

use crate::{ENV, memory};

/// A hang fails here.
const PATIENCE: Duration = Duration::from_secs(30);

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it comes to an end")
}

/// Waits until so many conditions of a run wait.
async fn paused<T: TaskOutput>(run: &Run<T>, count: usize) {
    in_time(async {
        loop {
            let actions = run.actions().await.unwrap();
            let waits =
                |view: &&spanwise::ActionView| view.kind == ActionKind::Condition && view.phase == Phase::Paused;
            if actions.iter().filter(waits).count() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[task(env = ENV)]
async fn asks(kind: String) -> spanwise::Result<String> {
    Ok(match kind.as_str() {
        "bool" => format!("{:?}", condition::<bool>("ask").prompt("Ship it?").await?),
        "int" => format!("{:?}", condition::<i64>("ask").await?),
        "float" => format!("{:?}", condition::<f64>("ask").await?),
        _ => format!("{:?}", condition::<String>("ask").description("Any text.").await?),
    })
}

async fn signalled(client: &Client, kind: &str, value: impl Answer) -> Result<String, spanwise::Error> {
    let run = client.with_runcontext().run(asks(kind.to_owned())).await?;
    paused(&run, 1).await;
    run.signal("ask", value).await?;
    in_time(run.output()).await
}

#[tokio::test]
async fn s7_a_condition_is_answered_with_a_value_of_its_type() {
    let client = memory();
    assert_eq!(signalled(&client, "bool", true).await.unwrap(), "true");
    assert_eq!(signalled(&client, "int", -7_i64).await.unwrap(), "-7");
    assert_eq!(signalled(&client, "float", 0.5).await.unwrap(), "0.5");
    assert_eq!(signalled(&client, "float", 2_i64).await.unwrap(), "2.0");
    assert_eq!(signalled(&client, "int", 2.0).await.unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(signalled(&client, "str", "größe".to_owned()).await.unwrap(), "\"größe\"");
    let refused = signalled(&client, "bool", 1_i64).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Value);
    assert!(refused.message().contains("condition `ask` waits for a bool, and a int is given"), "{refused}");
    client.shutdown().await;
}

#[task(env = ENV)]
async fn asks_in_time(name: String, millis: u64) -> spanwise::Result<bool> {
    condition(name).timeout(Duration::from_millis(millis)).await
}

#[tokio::test]
async fn s7_a_condition_that_nobody_answers_ends_at_its_deadline() {
    let client = memory();
    let run = client.with_runcontext().run(asks_in_time("late".to_owned(), 50)).await.unwrap();
    let error = in_time(run.output()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::User, "DEADLINE_EXCEEDED"));
    let late = run.actions().await.unwrap().into_iter().find(|view| view.kind == ActionKind::Condition).unwrap();
    assert_eq!((late.phase, late.task.as_str()), (Phase::TimedOut, "late"));
    let answered = client.with_runcontext().run(asks_in_time("soon".to_owned(), 3_600_000)).await.unwrap();
    paused(&answered, 1).await;
    answered.signal("soon", false).await.unwrap();
    assert!(!in_time(answered.output()).await.unwrap());
    client.shutdown().await;
}

/// The settings that a call may name, by their names.
fn overrides(name: &str) -> Overrides {
    let (new, hour) = (Overrides::new(), Duration::from_secs(3600));
    match name {
        "retries" => new.retries(1),
        "backoff" => new.backoff(spanwise::Backoff { base: hour, factor: 1.0, cap: None }),
        "timeout" => new.timeout(hour),
        "max_queued_time" => new.max_queued_time(hour),
        "deadline" => new.deadline(Duration::from_millis(20)),
        "no deadline" => new.deadline(Duration::ZERO),
        "cache" => new.cache(Cache::off()),
        "resources" => new.resources(Resources::new().cpu(1)),
        "secrets" => new.secrets(["a"]),
        "env_vars" => new.env_vars([("A", "b")]),
        "queue" => new.queue("gpu"),
        _ => new,
    }
}

/// A condition, or a timer, with a setting of its call.
#[task(env = ENV)]
async fn waits_with(what: String, name: String) -> spanwise::Result<bool> {
    let moment = Duration::from_millis(20);
    match what.as_str() {
        "timer" => spanwise::sleep(moment).override_with(overrides(&name)).await.map(|()| true),
        _ => condition("limited").timeout(moment).into_future().override_with(overrides(&name)).await,
    }
}

#[tokio::test]
async fn s10_what_only_waits_is_refused_what_means_nothing_for_it_by_name() {
    let client = memory();
    let outcome = async |what: &str, name: &str| {
        let run = client.with_runcontext().run(waits_with(what.to_owned(), name.to_owned())).await.unwrap();
        in_time(run.output()).await
    };
    for name in
        ["retries", "backoff", "timeout", "max_queued_time", "cache", "resources", "secrets", "env_vars", "queue"]
    {
        let refused = outcome("condition", name).await.unwrap_err();
        let said = format!("{name}: condition `limited` has none; it has deadline");
        assert!(refused.message().contains(&said), "{name}: {refused}");
        match outcome("timer", name).await {
            Ok(_) => assert!(["timeout", "max_queued_time"].contains(&name), "{name}"),
            Err(refused) => {
                assert!(refused.message().contains(&format!("{name}: a timer has none")), "{name}: {refused}")
            }
        }
    }
    client.shutdown().await;
}

#[task(env = ENV)]
async fn asks_with_a_deadline(own: Option<u64>, name: String) -> spanwise::Result<bool> {
    let question = condition("limited");
    let question = match own {
        Some(millis) => question.timeout(Duration::from_millis(millis)),
        None => question,
    };
    question.into_future().override_with(overrides(&name)).await
}

#[tokio::test]
async fn s7_the_deadline_of_the_call_is_that_of_its_condition() {
    let client = memory();
    for own in [None, Some(3_600_000)] {
        let run = client.with_runcontext().run(asks_with_a_deadline(own, "deadline".to_owned())).await.unwrap();
        assert_eq!(in_time(run.output()).await.unwrap_err().code(), "DEADLINE_EXCEEDED", "{own:?}");
    }
    let unlimited =
        client.with_runcontext().run(asks_with_a_deadline(Some(50), "no deadline".to_owned())).await.unwrap();
    paused(&unlimited, 1).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    unlimited.signal("limited", true).await.unwrap();
    assert!(in_time(unlimited.output()).await.unwrap());
    client.shutdown().await;
}

#[trace]
async fn step_that_asks() -> spanwise::Result<bool> {
    condition("in-a-step").await
}

#[task(env = ENV)]
async fn asks_in_a_step() -> spanwise::Result<bool> {
    step_that_asks().await
}

#[tokio::test]
async fn s7_what_nobody_could_answer_is_refused_at_once() {
    let client = memory();
    for (call, said) in [
        (asks_in_time(String::new(), 1), "it has no name"),
        (asks_in_time("a\nb".to_owned(), 1), "condition.name `a"),
        (asks_in_time("zero".to_owned(), 0), "condition `zero`: timeout: zero"),
        (asks_in_a_step(), "inside a step"),
    ] {
        let run = client.with_runcontext().run(call).await.unwrap();
        let error = in_time(run.output()).await.unwrap_err();
        assert!(error.message().contains(said), "{said}: {error}");
    }
    let outside = in_time(condition::<bool>("outside").into_future()).await.unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::Usage);
    let root = client.with_runcontext().run(condition::<bool>("root").into_future()).await.unwrap_err();
    assert_eq!(root.kind(), ErrorKind::Usage);
    client.shutdown().await;
}

#[task(env = ENV)]
async fn asks_twice() -> spanwise::Result<i64> {
    let (one, two) = tokio::try_join!(condition::<i64>("same").into_future(), condition::<i64>("same").into_future())?;
    Ok(one + two)
}

#[tokio::test]
async fn s7_whom_a_signal_means_has_to_be_clear() {
    let client = memory();
    let run = client.with_runcontext().run(asks_twice()).await.unwrap();
    paused(&run, 2).await;
    let unclear = run.signal("same", 1_i64).await.unwrap_err();
    assert!(unclear.kind() == ErrorKind::Usage && unclear.message().contains("several conditions `same`"), "{unclear}");
    let unknown = run.signal("other", 1_i64).await.unwrap_err();
    assert_eq!((unknown.kind(), unknown.code()), (ErrorKind::NotFound, "ConditionNotFound"));
    run.abort("enough").await.unwrap();
    assert_eq!(in_time(run.output()).await.unwrap_err().kind(), ErrorKind::Aborted);
    client.shutdown().await;
}

#[tokio::test]
async fn s7_a_condition_and_its_answer_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Client::open(Config::new().data_dir(directory.path())).unwrap();
    let client = open();
    let run = client.with_runcontext().name("asks").run(asks("int".to_owned())).await.unwrap();
    paused(&run, 1).await;
    client.shutdown().await;
    drop((run, client));
    let client = open();
    let run = client.resume::<String>("asks").await.unwrap();
    paused(&run, 1).await;
    run.signal("ask", 5_i64).await.unwrap();
    assert_eq!(in_time(run.output()).await.unwrap(), "5");
    let conditions = run.actions().await.unwrap().into_iter().filter(|view| view.kind == ActionKind::Condition);
    assert_eq!(conditions.count(), 1, "the same one waits on");
    client.shutdown().await;
}
