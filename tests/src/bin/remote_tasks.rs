//! One program for both places where runs are run: by the engine of this process, and, with `SPANWISE_ENDPOINT`, by a server that
//! starts it for each attempt. `remote_tasks CASE [COUNT]` runs a case and prints what it found as one line `RESULT {..}`.
//!
//! `REMOTE_SCRATCH` names a folder for marks that outlive a process.

use std::collections::{BTreeMap, HashMap};
use std::future::IntoFuture;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use spanwise::{
    ActionKind, ActionView, Answer, CustomContext, Error, ExitCode, Overrides, Result, Run, TaskEnvironment,
    TaskOutput, Terminal, condition, ctx, custom_context, group, map, remote_task, task, trace,
};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("remote"));

/// Leaves a mark: a line in a file.
fn mark(scratch: &str, file: &str) -> Result<()> {
    let path = Path::new(scratch).join(file);
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(writeln!(file, "x")?)
}

fn marks(scratch: &str, file: &str) -> usize {
    std::fs::read_to_string(Path::new(scratch).join(file)).map_or(0, |text| text.lines().count())
}

/// Waits for a mark.
async fn marked(scratch: &str, file: &str) {
    while marks(scratch, file) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn attempt() -> u32 {
    ctx().task().map_or(u32::MAX, |task| task.attempt_number())
}

/// Adds two numbers.
///
/// The second line of its documentation.
#[task(env = ENV)]
async fn add(left: i64, right: i64) -> Result<i64> {
    Ok(left + right)
}

#[task(env = ENV)]
fn add_blocking(left: i64, right: i64) -> Result<i64> {
    add(left, right).wait()
}

#[task(env = ENV)]
async fn nested(depth: i64) -> Result<i64> {
    if depth == 0 { Ok(0) } else { Ok(Box::pin(nested(depth - 1)).await? + 1) }
}

#[task(env = ENV)]
async fn gathers(count: i64) -> Result<Vec<i64>> {
    let calls: Vec<_> = (0..count).map(|index| tokio::spawn(add(index, index))).collect();
    let mut sums = Vec::new();
    for call in calls {
        sums.push(call.await??);
    }
    sums.push(add_blocking(1, 2).await?);
    sums.push(nested(2).await?);
    Ok(sums)
}

#[task(env = ENV)]
async fn mapped() -> Result<Vec<i64>> {
    let all = map(|index| add(index, 1), 0..5).concurrency(2).all().await?;
    let grouped = group("named").scope(async { add(10, 1).await }).await?;
    Ok([all, vec![grouped]].concat())
}

#[task(env = ENV, retries = 2, backoff(base = "10ms", factor = 2))]
async fn flaky(needed: u32) -> Result<u32> {
    let attempt = attempt();
    if attempt < needed { Err(Error::user("OnPurpose", format!("attempt {attempt} fails"))) } else { Ok(attempt) }
}

#[derive(Debug, thiserror::Error)]
#[error("the outer one")]
struct Outer(#[source] std::num::ParseIntError);

#[task(env = ENV)]
async fn fails(how: String) -> Result<i64> {
    match how.as_str() {
        "user" => Err(Error::user("MyCode", "my message \u{1f680}")),
        "causes" => Err("x".parse::<u8>().map_err(Outer).map(i64::from).expect_err("it is no number").into()),
        "terminal" => Err(Terminal::new("never again").into()),
        "panic" => panic!("a panic of {how}"),
        "timeout" => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            Ok(0)
        }
        _ => Ok(1),
    }
}

/// What is known of an error, without what differs by nature: the place of a panic has the line of this file.
fn described(error: &Error) -> Json {
    json!({
        "kind": format!("{:?}", error.kind()),
        "code": error.code(),
        "message": error.message(),
        "causes": error.causes(),
        "has_place": error.place().is_some(),
        "terminal": error.is_terminal(),
    })
}

#[task(env = ENV)]
async fn catches(how: String) -> Result<String> {
    let limit = if how == "timeout" { Duration::from_millis(500) } else { Duration::ZERO };
    let call = fails(how).override_with(Overrides::new().timeout(limit));
    Ok(call.await.map_or_else(|error| described(&error), |value| json!(value)).to_string())
}

#[task(env = ENV)]
async fn sleeps(scratch: String, name: String) -> Result<i64> {
    mark(&scratch, &name)?;
    std::future::pending().await
}

#[task(env = ENV)]
async fn two_that_sleep(scratch: String) -> Result<i64> {
    let (one, other) =
        tokio::try_join!(sleeps(scratch.clone(), "one".to_owned()), sleeps(scratch, "other".to_owned()))?;
    Ok(one + other)
}

/// Drops a child that runs, and goes on.
#[task(env = ENV)]
async fn drops(scratch: String) -> Result<i64> {
    tokio::select! {
        done = sleeps(scratch.clone(), "dropped".to_owned()) => done,
        () = marked(&scratch, "dropped") => add(1, 1).await,
    }
}

#[trace]
async fn step(scratch: String, name: String) -> Result<i64> {
    mark(&scratch, &name)?;
    Ok(7)
}

#[trace]
async fn broken_step(scratch: String) -> Result<i64> {
    mark(&scratch, "broken")?;
    if marks(&scratch, "broken") == 1 { Err(Error::user("Once", "the first time")) } else { Ok(1) }
}

#[trace]
async fn final_step(scratch: String) -> Result<i64> {
    mark(&scratch, "final")?;
    Err(Error::terminal("for good"))
}

#[trace]
async fn outer_step(scratch: String) -> Result<i64> {
    step(scratch, "inner".to_owned()).await
}

#[task(env = ENV)]
async fn counted(scratch: String) -> Result<i64> {
    mark(&scratch, "child")?;
    Ok(1)
}

/// Fails in its first attempt, after steps and a child.
#[task(env = ENV, retries = 1)]
async fn with_steps(scratch: String) -> Result<Vec<i64>> {
    let done = step(scratch.clone(), "step".to_owned()).await? + outer_step(scratch.clone()).await?;
    let child = counted(scratch.clone()).await?;
    let refused = final_step(scratch.clone()).await.is_err_and(|error| error.is_terminal());
    let once = broken_step(scratch.clone()).await?;
    Ok(vec![done, child, i64::from(refused), once, i64::from(attempt())])
}

#[task(env = ENV)]
async fn seen(key: String) -> Result<Option<String>> {
    Ok(ctx().custom_context().get(&key).map(str::to_owned))
}

#[task(env = ENV)]
async fn contexts() -> Result<Vec<Option<String>>> {
    let key = || "key".to_owned();
    let before = seen(key()).await?;
    let (inside, spawned, other) = custom_context([("key", "inner"), ("other", "2")])
        .scope(async { (seen(key()).await, tokio::spawn(seen(key())), seen("other".to_owned()).await) })
        .await;
    let after = seen(key()).await?;
    let spawned = spawned.await??;
    Ok(vec![before, inside?, spawned, other?, after, seen("other".to_owned()).await?])
}

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, spanwise::Value)]
struct Order {
    id: i64,
    name: String,
    lines: Vec<String>,
    prices: HashMap<String, f64>,
    note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, spanwise::Value)]
enum Priority {
    Low,
    High,
}

fn order() -> Order {
    Order {
        id: 7,
        name: "größe \u{1f680}".to_owned(),
        lines: vec!["a".to_owned(), String::new()],
        prices: HashMap::from([("x".to_owned(), 1.5), ("y".to_owned(), -0.25)]),
        note: None,
    }
}

#[task(env = ENV)]
async fn echo_order(order: Order) -> Result<Order> {
    Ok(order)
}

/// Gives a priority back.
#[task(env = ENV)]
async fn echo_priority(
    /// How urgent it is.
    priority: Priority,
) -> Result<Priority> {
    Ok(priority)
}

#[task(env = ENV)]
async fn echo_optional(value: Option<i64>) -> Result<Option<i64>> {
    Ok(value)
}

#[task(env = ENV)]
async fn echo_map(value: HashMap<String, i64>) -> Result<HashMap<String, i64>> {
    Ok(value)
}

#[task(env = ENV)]
async fn echo_time(at: SystemTime, during: Duration) -> Result<Vec<SystemTime>> {
    Ok(vec![at, at + during])
}

#[task(env = ENV)]
async fn nothing() -> Result<()> {
    Ok(())
}

#[task(env = ENV)]
async fn echoes() -> Result<bool> {
    nothing().await?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    let during = Duration::from_millis(1500);
    let counts = HashMap::from([("one".to_owned(), 1), ("zwei \u{1f680}".to_owned(), -2)]);
    Ok(echo_order(order()).await? == order()
        && echo_priority(Priority::High).await? == Priority::High
        && echo_optional(Some(3)).await? == Some(3)
        && echo_optional(None).await?.is_none()
        && echo_map(counts.clone()).await? == counts
        && echo_time(at, during).await? == [at, at + during])
}

#[task(env = ENV)]
async fn starts_a_run() -> Result<Vec<String>> {
    let run = spanwise::with_runcontext().custom_context([("own", "1")]).run(seen("given".to_owned())).await?;
    let given = run.output().await?.unwrap_or_default();
    Ok(vec![given, format!("{:?}", run.relation().is_some())])
}

/// What a timer came to, and whether it took at least so long.
async fn waited(call: spanwise::Call<()>, at_least: Duration) -> String {
    let since = Instant::now();
    match call.await {
        Ok(()) if since.elapsed() >= at_least => "waited".to_owned(),
        Ok(()) => format!("only {:?}", since.elapsed()),
        Err(error) => format!("{:?} {}", error.kind(), error.code()),
    }
}

#[trace]
async fn step_that_sleeps() -> Result<()> {
    spanwise::sleep(Duration::ZERO).await
}

#[task(env = ENV)]
fn sleeps_blocking() -> Result<()> {
    spanwise::sleep(Duration::from_millis(20)).wait()
}

#[task(env = ENV)]
async fn naps() -> Result<Vec<String>> {
    let short = Duration::from_millis(50);
    let hour = || spanwise::sleep(Duration::from_secs(3600));
    let limit = |overrides: Overrides| hour().override_with(overrides);
    let mut found = vec![
        waited(spanwise::sleep(short), short).await,
        waited(spanwise::sleep(short), short).await,
        waited(spanwise::sleep(Duration::ZERO), Duration::ZERO).await,
        waited(spanwise::sleep_until(SystemTime::now() + short), Duration::from_millis(40)).await,
        waited(spanwise::sleep_until(SystemTime::UNIX_EPOCH - short), Duration::ZERO).await,
        waited(limit(Overrides::new().deadline(short)), short).await,
        waited(limit(Overrides::new().timeout(short)), short).await,
    ];
    let far = [spanwise::sleep(Duration::MAX), spanwise::sleep_until(SystemTime::now() + Duration::from_secs(1 << 40))];
    for far in far {
        tokio::select! {
            done = far => found.push(format!("{done:?}")),
            () = tokio::time::sleep(short) => found.push("dropped".to_owned()),
        }
    }
    let together = || (0..20).map(|index| tokio::spawn(spanwise::sleep(short + Duration::from_micros(index))));
    for slept in group("größe").sync_scope(|| together().collect::<Vec<_>>()) {
        slept.await??;
    }
    sleeps_blocking().await?;
    let refused = step_that_sleeps().await.err().map(|error| format!("{:?}", error.kind()));
    found.push(refused.unwrap_or_default());
    Ok(found)
}

#[trace]
async fn step_that_asks() -> Result<bool> {
    condition("in-a-step").timeout(Duration::from_secs(3600)).await
}

/// Asks for an answer of each kind, and for two that do not come.
#[task(env = ENV)]
async fn asks() -> Result<Vec<String>> {
    let text = format!("{:?}", condition::<String>("text").prompt("Which?").description("One of them.").await?);
    let (yes, number) =
        tokio::try_join!(condition::<bool>("yes").into_future(), condition::<i64>("number").into_future())?;
    let part = group("named").scope(async { condition::<f64>("part").await }).await?;
    let limit = Duration::from_millis(200);
    let late = condition::<bool>("late")
        .timeout(limit)
        .await
        .err()
        .map(|error| format!("{:?} {}", error.kind(), error.code()));
    let of_call = Overrides::new().deadline(limit);
    let again = condition::<bool>("late").into_future().override_with(of_call).await.is_err();
    let mut refused = Vec::new();
    let tried_again = condition("retried").into_future().override_with(Overrides::new().retries(1));
    for call in
        [condition::<bool>("").into_future(), condition("zero").timeout(Duration::ZERO).into_future(), tried_again]
    {
        refused.push(call.await.err().map(|error| format!("{:?} {error}", error.kind())).unwrap_or_default());
    }
    let in_step = step_that_asks().await.err().map(|error| format!("{:?}", error.kind())).unwrap_or_default();
    Ok([vec![text, format!("{yes} {number} {part} {again}"), late.unwrap_or_default(), in_step], refused].concat())
}

/// Answers a condition as soon as it waits.
async fn answer<T: TaskOutput>(run: &Run<T>, name: &str, value: impl Answer + Clone) -> Result<()> {
    let since = Instant::now();
    loop {
        match run.signal(name, value.clone()).await {
            Err(error) if error.code() == "ConditionNotFound" && since.elapsed() < Duration::from_secs(60) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            answered => return answered,
        }
    }
}

/// Sleeps, and notes its attempts and when it wakes.
#[task(env = ENV)]
async fn sleeps_over(scratch: String, millis: u64) -> Result<u32> {
    mark(&scratch, "asleep")?;
    spanwise::sleep(Duration::from_millis(millis)).await?;
    mark(&scratch, "awake")?;
    Ok(attempt())
}

#[task(env = ENV)]
async fn waits_for(scratch: String, gate: String) -> Result<i64> {
    mark(&scratch, "waiting")?;
    marked(&scratch, &gate).await;
    Ok(40)
}

#[task(env = ENV)]
async fn patient(scratch: String) -> Result<i64> {
    let first = waits_for(scratch.clone(), "gate".to_owned()).await?;
    Ok(first + add(1, 1).await? + step(scratch, "after".to_owned()).await?)
}

/// A Rust task between two in Python: gives on what it is given, and the trace that it stands in.
#[task(env = ENV)]
async fn between(order: Order, priority: Priority, at: SystemTime, maybe: Option<i64>) -> Result<String> {
    let answer = remote_task("mixed.last")
        .input("order", Order { id: order.id + 1, ..order })
        .input("priority", priority)
        .input("at", at)
        .input("maybe", maybe)
        .call::<String>()
        .await?;
    let trace = ctx().custom_context().get("traceparent").map(str::to_owned);
    Ok(format!("{answer} {}", trace.unwrap_or_default()))
}

/// Calls a deployed task with what does not fit.
#[task(env = ENV)]
async fn misfits() -> Result<Vec<String>> {
    let mut refused = Vec::new();
    for call in [
        remote_task("mixed.double").input("unknown", 1_i64).call::<i64>(),
        remote_task("mixed.double").input("value", "text".to_owned()).call(),
        remote_task("mixed.double").call(),
        remote_task("mixed.nowhere").call(),
        remote_task("mixed.double").version("never").input("value", 1_i64).call(),
    ] {
        let error = call.await.err().map(|error| format!("{:?}: {error}", error.kind()));
        refused.push(error.unwrap_or_else(|| "it was accepted".to_owned()));
    }
    let doubled: i64 = remote_task("mixed.double").input("value", 21_i64).call().await?;
    refused.push(doubled.to_string());
    Ok(refused)
}

fn main() -> ExitCode {
    spanwise::main(async {
        spanwise::init().await?;
        let case = std::env::args().nth(1).unwrap_or_default();
        let scratch = PathBuf::from(std::env::var("REMOTE_SCRATCH")?).display().to_string();
        let result = run_case(&case, scratch).await?;
        writeln!(std::io::stdout(), "RESULT {result}")?;
        Ok(())
    })
}

async fn start<T: TaskOutput>(call: spanwise::Call<T>) -> Result<Run<T>> {
    spanwise::with_runcontext().run(call).await
}

/// How many actions of each task there are in which phase.
async fn phases<T: TaskOutput>(run: &Run<T>) -> Result<BTreeMap<String, usize>> {
    let mut phases = BTreeMap::new();
    for ActionView { task, phase, attempts, .. } in run.actions().await? {
        *phases.entry(format!("{} {phase} {attempts}", task.short())).or_default() += 1;
    }
    Ok(phases)
}

async fn run_case(case: &str, scratch: String) -> Result<Json> {
    Ok(match case {
        "gathers" => {
            let count = std::env::args().nth(2).map_or(Ok(100), |count| count.parse())?;
            let run = start(gathers(count)).await?;
            json!({ "sums": run.output().await?, "phases": phases(&run).await? })
        }
        "mapped" => {
            let run = start(mapped()).await?;
            let sums = run.output().await?;
            let mut groups: Vec<_> = run.actions().await?.into_iter().filter_map(|action| action.group).collect();
            groups.sort();
            json!({ "sums": sums, "groups": groups })
        }
        "retries" => {
            let run = start(flaky(2)).await?;
            let exhausted = start(flaky(9)).await?;
            let error = exhausted.output().await.err().map(|error| described(&error));
            json!({ "attempt": run.output().await?, "phases": phases(&run).await?, "exhausted": error })
        }
        "failures" => failures().await?,
        "aborts" => {
            let run = start(two_that_sleep(scratch.clone())).await?;
            tokio::join!(marked(&scratch, "one"), marked(&scratch, "other"));
            run.abort("enough").await?;
            let error = run.output().await.err().map(|error| format!("{:?} {}", error.kind(), error.message()));
            let aborted =
                error.is_some_and(|error| error.starts_with("Aborted aborted by ") && error.ends_with(": enough"));
            json!({ "aborted": aborted, "phases": phases(&run).await? })
        }
        "drops" => {
            let run = start(drops(scratch)).await?;
            json!({ "sum": run.output().await?, "phases": phases(&run).await? })
        }
        "steps" => {
            let run = start(with_steps(scratch.clone())).await?;
            let found = run.output().await?;
            let count = |file: &str| marks(&scratch, file);
            let marks = ["step", "inner", "child", "final", "broken"].map(count);
            json!({ "found": found, "marks": marks, "phases": phases(&run).await? })
        }
        "contexts" => {
            let context = CustomContext::from([("key", "given")]);
            let run = spanwise::with_runcontext().custom_context(context).run(contexts()).await?;
            json!(run.output().await?)
        }
        "echoes" => json!(start(echoes()).await?.output().await?),
        "runs" => runs().await?,
        "waits_for_a_run" => json!(start(starts_a_run()).await?.output().await?),
        "patient" => json!(start(patient(scratch)).await?.output().await?),
        "deploy" => {
            let deployed = spanwise::deploy().await?;
            let again = spanwise::deploy().await?;
            let sum: i64 = start(remote_task("remote.add").input("left", 1_i64).input("right", 2_i64).call())
                .await?
                .output()
                .await?;
            json!({ "again": deployed == again, "version": deployed.version, "tasks": deployed.tasks, "sum": sum })
        }
        "naps" => {
            let run = start(naps()).await?;
            let error = start(spanwise::sleep(Duration::ZERO)).await.err().map(|error| format!("{:?}", error.kind()));
            json!({ "found": run.output().await?, "phases": phases(&run).await?, "as a root": error })
        }
        "asks" => {
            let run = start(asks()).await?;
            let wrong = answer(&run, "text", true).await.err().map(|error| format!("{:?}", error.kind()));
            answer(&run, "text", "größe".to_owned()).await?;
            answer(&run, "number", 7_i64).await?;
            answer(&run, "yes", true).await?;
            answer(&run, "part", 2_i64).await?;
            json!({ "found": run.output().await?, "wrong": wrong, "phases": phases(&run).await? })
        }
        "sleeps_over" => {
            let run = spanwise::with_runcontext().name("sleeps-over").run(sleeps_over(scratch, 6000)).await?;
            let attempt = run.output().await?;
            let actions = run.actions().await?;
            let timer = actions.iter().find(|view| view.kind == ActionKind::Timer);
            let slept = timer.and_then(|view| Some(view.ended_at?.since(view.enqueued_at).as_millis() as u64));
            json!({ "attempt": attempt, "phases": phases(&run).await?, "slept": slept })
        }
        "misfits" => json!(start(misfits()).await?.output().await?),
        other => return Err(Error::terminal(format!("there is no case `{other}`"))),
    })
}

/// Each failure as the parent sees it, and as the driver does.
async fn failures() -> Result<Json> {
    let mut found = BTreeMap::new();
    for how in ["user", "causes", "terminal", "panic", "timeout"] {
        let caught: Json = serde_json::from_str(&start(catches(how.to_owned())).await?.output().await?)?;
        found.insert(how.to_owned(), caught);
        if how != "timeout" {
            let error = start(fails(how.to_owned())).await?.output().await.err();
            found.insert(format!("{how} of the root"), error.map(|error| described(&error)).into());
        }
    }
    Ok(json!(found))
}

/// Names of runs: taken, looked up, run again, started by tasks.
async fn runs() -> Result<Json> {
    let named = || spanwise::with_runcontext().name("named-by-the-user");
    let run = named().custom_context([("key", "1"), ("traceparent", "00-1-2-03")]).run(seen("key".to_owned())).await?;
    let first = run.output().await?;
    let again = named().run(add(1, 2)).await.err().map(|error| format!("{:?}", error.kind()));
    let looked_up = spanwise::resume::<Option<String>>("named-by-the-user").await?;
    let missing = spanwise::resume::<()>("there-is-none").await.err().map(|error| format!("{:?}", error.kind()));
    let rerun = spanwise::with_runcontext().rerun::<Option<String>>("named-by-the-user").await?;
    let spawned = spanwise::with_runcontext().custom_context([("given", "2")]).run(starts_a_run()).await?;
    Ok(json!({
        "first": first,
        "again": again,
        "looked_up": looked_up.output().await?,
        "missing": missing,
        "rerun": rerun.output().await?,
        "rerun_relation": rerun.relation().is_some(),
        "spawned": spawned.output().await?,
        "url": run.url().as_str().split_once("/v2/").map(|(_, page)| page),
    }))
}
