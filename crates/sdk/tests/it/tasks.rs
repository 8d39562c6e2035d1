//! S3 and S4: names, attempts, failures, timeouts, aborts.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use spanwise::{
    ActionName, ActionView, Backoff, Cache, Error, ErrorContext, ErrorKind, Overrides, Phase, Run, Terminal, ctx,
    group, map, task,
};

use crate::{ENV, memory};

#[task(env = ENV)]
async fn add(a: i64, b: i64) -> spanwise::Result<i64> {
    Ok(a + b)
}

/// A wider sum.
#[task(env = ENV)]
fn add_blocking(a: i64, b: i64) -> spanwise::Result<i64> {
    Ok(a + b)
}

#[task(env = ENV)]
async fn sums() -> spanwise::Result<Vec<i64>> {
    let (first, second) = tokio::try_join!(add(1, 2), add_blocking(3, 4))?;
    Ok(vec![first, second, add(1, 2).await?])
}

async fn children<T: spanwise::TaskOutput>(run: &Run<T>) -> Vec<ActionView> {
    run.actions().await.unwrap().into_iter().filter(|action| !action.name.is_root()).collect()
}

#[tokio::test]
async fn a_task_outside_a_run_is_the_plain_function() {
    assert_eq!(add(1, 2).await.unwrap(), 3);
    assert_eq!(add_blocking(1, 2).await.unwrap(), 3);
    assert_eq!(sums().await.unwrap(), [3, 7, 3]);
}

#[test]
fn a_task_can_be_waited_for_without_async() {
    assert_eq!(add_blocking(1, 2).wait().unwrap(), 3);
}

#[tokio::test]
async fn a_task_inside_a_task_is_a_child_action() {
    let run = memory().with_runcontext().run(sums()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), [3, 7, 3]);
    let children = children(&run).await;
    let tasks: Vec<&str> = children.iter().map(|child| child.task.as_str()).collect();
    assert_eq!(tasks.iter().filter(|task| **task == "it.add").count(), 2);
    assert_eq!(tasks.iter().filter(|task| **task == "it.add_blocking").count(), 1);
    assert!(
        children
            .iter()
            .all(|child| child.phase == Phase::Succeeded && child.parent == Some(spanwise::ActionName::ROOT))
    );
}

#[tokio::test]
async fn s3_names_are_derived_so_equal_programs_name_equal_calls_alike() {
    let names = async || {
        let run = memory().with_runcontext().run(sums()).await.unwrap();
        run.output().await.unwrap();
        let mut names: Vec<_> = children(&run).await.iter().map(|child| child.name).collect();
        names.sort();
        names
    };
    let (first, second) = (names().await, names().await);
    assert_eq!(first, second);
    assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), 3, "equal calls have different names");
}

#[tokio::test]
async fn s3_a_run_name_is_unique_and_checked() {
    let client = memory();
    let run = client.with_runcontext().name("sum").run(add(1, 2)).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 3);
    let taken = client.with_runcontext().name("sum").run(add(1, 2)).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    assert!(taken.message().contains("spanwise::resume(\"sum\")"), "{taken}");
    let bad = client.with_runcontext().name("Sum!").run(add(1, 2)).await.unwrap_err();
    assert!(bad.message().contains("run name `Sum!`"), "{bad}");
    let random = client.with_runcontext().run(add(1, 2)).await.unwrap();
    assert_eq!(random.name().as_str().len(), 20);
}

#[tokio::test]
async fn s3_the_url_has_flytes_shape_and_says_what_opens_it() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        spanwise::Config::new().data_dir(directory.path()).project("p").domain("d").console("http://localhost:1/");
    let client = spanwise::Client::open(config).unwrap();
    let run = client.with_runcontext().name("one").run(add(1, 2)).await.unwrap();
    assert_eq!(run.url().to_string(), "http://localhost:1/v2/domain/d/project/p/runs/one");
    let how = run.url().how_to_open();
    assert!(how.ends_with(&format!("spanwise dev --data-dir {}", directory.path().display())), "{how}");
    client.shutdown().await;
}

static TRIES: AtomicU32 = AtomicU32::new(0);

#[task(env = ENV, retries = 2, backoff(base = "5ms", factor = 2, cap = "1s"))]
async fn third_time_lucky() -> spanwise::Result<u32> {
    assert_eq!(ctx().task()?.attempt_number(), TRIES.load(Ordering::SeqCst));
    match TRIES.fetch_add(1, Ordering::SeqCst) {
        2 => Ok(3),
        _ => Ok("x".parse::<u32>()?),
    }
}

#[tokio::test]
async fn s4_any_error_is_retried_by_the_tasks_policy() {
    let run = memory().with_runcontext().run(third_time_lucky()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 3);
    assert_eq!(run.actions().await.unwrap()[0].attempts, 3);
}

#[task(env = ENV, retries = 5)]
async fn gives_up() -> spanwise::Result<()> {
    Err(Terminal::new("x".parse::<u32>().unwrap_err()))?
}

#[tokio::test]
async fn s4_terminal_stops_retries() {
    let run = memory().with_runcontext().run(gives_up()).await.unwrap();
    let error = run.output().await.unwrap_err();
    assert_eq!((error.code(), run.actions().await.unwrap()[0].attempts), ("NonRecoverableError", 1));
}

#[derive(Debug, thiserror::Error)]
#[error("the order is not valid")]
struct InvalidOrder(#[source] std::num::ParseIntError);

#[task(env = ENV)]
async fn invalid_order() -> spanwise::Result<()> {
    Err(InvalidOrder("x".parse::<u32>().unwrap_err()))?
}

#[task(env = ENV)]
async fn hands_on() -> spanwise::Result<()> {
    invalid_order().await
}

#[tokio::test]
async fn s4_an_error_keeps_its_code_its_kind_and_its_causes_across_two_borders() {
    let error = memory().with_runcontext().run(hands_on()).await.unwrap().output().await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("InvalidOrder", ErrorKind::User));
    assert_eq!(format!("{error:#}"), "the order is not valid: invalid digit found in string");
}

#[task(env = ENV, retries = 1)]
async fn panics() -> spanwise::Result<()> {
    panic!("index {} is out of reach", 7)
}

#[task(env = ENV)]
fn panics_blocking() -> spanwise::Result<()> {
    panic!("on the pool")
}

#[tokio::test]
async fn s4_a_panic_is_an_attempt_failure_with_its_message_and_place() {
    let run = memory().with_runcontext().run(panics()).await.unwrap();
    let error = run.output().await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("Panic", "index 7 is out of reach"));
    assert!(error.place().unwrap().contains("tests/it/tasks.rs:"), "{error:?}");
    assert_eq!(run.actions().await.unwrap()[0].attempts, 2);
    let error = memory().with_runcontext().run(panics_blocking()).await.unwrap().output().await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("Panic", "on the pool"));
}

#[task(env = ENV, retries = 1, timeout = "20ms")]
async fn sleeps() -> spanwise::Result<()> {
    std::future::pending().await
}

#[task(env = ENV, retries = 9, timeout(deadline = "40ms"), backoff(base = "15ms"))]
async fn never_in_time() -> spanwise::Result<()> {
    Err(Error::user("No", "not yet"))
}

#[tokio::test]
async fn s4_timeouts_have_their_codes() {
    let run = memory().with_runcontext().run(sleeps()).await.unwrap();
    let error = run.output().await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("MAX_RUNTIME_EXCEEDED", ErrorKind::TimedOut));
    assert_eq!(run.actions().await.unwrap()[0].attempts, 2);
    let error = memory().with_runcontext().run(never_in_time()).await.unwrap().output().await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("DEADLINE_EXCEEDED", ErrorKind::TimedOut));
}

#[task(env = ENV)]
async fn overridden() -> spanwise::Result<String> {
    let limit =
        Overrides::new().retries(0).timeout(Duration::from_millis(5)).backoff(Backoff::constant(Duration::ZERO));
    let error = sleeps().override_with(limit).await.unwrap_err();
    Ok(error.code().to_owned())
}

#[tokio::test]
async fn s4_settings_are_overridden_at_the_call() {
    let run = memory().with_runcontext().run(overridden()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), "MAX_RUNTIME_EXCEEDED");
    assert_eq!(children(&run).await[0].attempts, 1);
}

#[task(env = ENV)]
async fn pends() -> spanwise::Result<()> {
    std::future::pending().await
}

#[task(env = ENV)]
async fn parent_of_pending() -> spanwise::Result<()> {
    let background = tokio::spawn(pends());
    tokio::try_join!(pends(), async { background.await? })?;
    Ok(())
}

/// Waits until `done` holds for the actions of a run.
async fn until<T: spanwise::TaskOutput>(run: &Run<T>, done: impl Fn(&[ActionView]) -> bool) {
    let mut changes = run.subscribe();
    let wait = async {
        while !done(&run.actions().await.unwrap()) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the condition comes true");
}

fn running(actions: &[ActionView]) -> usize {
    actions.iter().filter(|action| action.phase == Phase::Running).count()
}

#[tokio::test]
async fn s4_an_abort_takes_everything_along_and_keeps_the_reason() {
    let run = memory().with_runcontext().run(parent_of_pending()).await.unwrap();
    until(&run, |actions| running(actions) == 3).await;
    run.abort("enough").await.unwrap();
    let error = run.output().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
    assert!(error.message().contains("enough"), "{error}");
    assert!(run.actions().await.unwrap().iter().all(|action| action.phase == Phase::Aborted));
}

#[task(env = ENV)]
async fn drops_a_call() -> spanwise::Result<String> {
    let cut = tokio::time::timeout(Duration::from_millis(10), pends()).await;
    Ok(format!("{}", cut.is_err()))
}

#[tokio::test]
async fn s4_dropping_a_call_aborts_its_action() {
    let run = memory().with_runcontext().run(drops_a_call()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), "true");
    assert_eq!(children(&run).await[0].phase, Phase::Aborted);
}

static RACES: AtomicU32 = AtomicU32::new(0);

#[task(env = ENV)]
async fn slow_once() -> spanwise::Result<u32> {
    if RACES.load(Ordering::SeqCst) == 0 { std::future::pending().await } else { Ok(7) }
}

#[task(env = ENV, retries = 1)]
async fn fails_beside_a_child() -> spanwise::Result<u32> {
    let broken = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if RACES.fetch_add(1, Ordering::SeqCst) == 0 { Err(Error::user("Broken", "first try")) } else { Ok(()) }
    };
    let (child, ()) = tokio::try_join!(slow_once(), broken)?;
    Ok(child)
}

#[tokio::test]
async fn s4_a_child_that_falls_with_its_parents_attempt_goes_on_with_the_next() {
    let run = memory().with_runcontext().run(fails_beside_a_child()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 7);
    assert_eq!(children(&run).await[0].phase, Phase::Succeeded);
}

static CHILD_RUNS: AtomicU32 = AtomicU32::new(0);

#[task(env = ENV)]
async fn counted(fail: bool) -> spanwise::Result<u32> {
    let count = CHILD_RUNS.fetch_add(1, Ordering::SeqCst);
    if fail { Err(Error::user("Counted", "always")) } else { Ok(count) }
}

#[task(env = ENV, retries = 2)]
async fn retried_parent() -> spanwise::Result<Vec<u32>> {
    let good = counted(false).await?;
    let bad = counted(true).await.unwrap_err();
    assert_eq!(bad.code(), "Counted");
    if ctx().task()?.attempt_number() < 2 {
        return Err(Error::user("Again", "the parent tries again"));
    }
    Ok(vec![good])
}

#[tokio::test]
async fn s4_a_parents_next_attempt_reuses_finished_children_success_and_failure_alike() {
    let run = memory().with_runcontext().run(retried_parent()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), [0]);
    assert_eq!(CHILD_RUNS.load(Ordering::SeqCst), 2);
    assert_eq!(run.actions().await.unwrap()[0].attempts, 3);
}

#[task(env = ENV)]
async fn square(x: i64) -> spanwise::Result<i64> {
    if x == 3 { Err(Error::user("Three", "no threes")) } else { Ok(x * x) }
}

#[task(env = ENV)]
async fn squares(concurrency: u32) -> spanwise::Result<Vec<String>> {
    let results = map(square, 0..6).concurrency(concurrency as usize).await;
    Ok(results
        .into_iter()
        .map(|result| result.map_or_else(|error| error.code().to_owned(), |x| x.to_string()))
        .collect())
}

#[task(env = ENV)]
async fn empty_map() -> spanwise::Result<u64> {
    Ok(map(square, Vec::new()).all().await?.len() as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_map_keeps_the_order_of_the_items_and_gives_errors_their_place() {
    for concurrency in [0, 1, 2, 100] {
        let run = memory().with_runcontext().run(squares(concurrency)).await.unwrap();
        assert_eq!(run.output().await.unwrap(), ["0", "1", "4", "Three", "16", "25"]);
        assert!(children(&run).await.iter().all(|child| child.group.as_deref() == Some("it.square_map")));
    }
    assert_eq!(memory().with_runcontext().run(empty_map()).await.unwrap().output().await.unwrap(), 0);
}

#[task(env = ENV)]
async fn grouped() -> spanwise::Result<i64> {
    let outside = add(1, 1).await?;
    let inside = group("größe").scope(async { add(1, 1).await }).await?;
    Ok(outside + inside)
}

#[tokio::test]
async fn s7_a_group_is_shown_and_part_of_the_name() {
    let run = memory().with_runcontext().run(grouped()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 4);
    let groups: Vec<_> = children(&run).await.into_iter().map(|child| child.group).collect();
    assert!(groups.contains(&None) && groups.contains(&Some("größe".to_owned())), "{groups:?}");
}

static AT_ONCE: AtomicU32 = AtomicU32::new(0);
static MOST: AtomicU32 = AtomicU32::new(0);

#[task(env = ENV)]
async fn crowded(_index: i64) -> spanwise::Result<()> {
    MOST.fetch_max(AT_ONCE.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2)).await;
    AT_ONCE.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

#[task(env = ENV)]
async fn crowd() -> spanwise::Result<u64> {
    Ok(map(crowded, 0..30).all().await?.len() as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_max_action_concurrency_holds_and_one_is_refused() {
    let run = memory().with_runcontext().max_action_concurrency(3).run(crowd()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 30);
    assert!(MOST.load(Ordering::SeqCst) <= 3, "{} at once", MOST.load(Ordering::SeqCst));
    let refused = memory().with_runcontext().max_action_concurrency(1).run(crowd()).await.unwrap_err();
    assert!(refused.message().contains("max_action_concurrency is 1"), "{refused}");
}

#[task(env = ENV)]
async fn deep(level: i64) -> spanwise::Result<i64> {
    if level == 0 { Ok(0) } else { Ok(deep(level - 1).await? + 1) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_five_hundred_calls_does_not_overflow_the_stack() {
    let run = memory().with_runcontext().run(deep(500)).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 500);
}

#[task(env = ENV)]
fn blocking_parent() -> spanwise::Result<i64> {
    Ok(add(1, 2).wait()? + add_blocking(3, 4).wait()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_not_async_calls_others_with_wait() {
    let run = memory().with_runcontext().run(blocking_parent()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 10);
    assert_eq!(children(&run).await.len(), 2);
}

#[task(env = ENV)]
async fn background() -> spanwise::Result<()> {
    drop(tokio::spawn(pends()));
    loop {
        match RUN.get() {
            Some(run) if running(&run.actions().await?) >= 2 => return Ok(()),
            _ => tokio::task::yield_now().await,
        }
    }
}

static RUN: std::sync::OnceLock<Run<()>> = std::sync::OnceLock::new();

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_the_roots_end_aborts_what_is_still_alive() {
    let client = memory();
    let run = client.with_runcontext().name("background").run(background()).await.unwrap();
    RUN.set(client.resume("background").await.unwrap()).unwrap();
    run.output().await.unwrap();
    assert_eq!(children(&run).await[0].phase, Phase::Aborted);
}

mod twins {
    use super::*;

    #[task(env = ENV)]
    pub(super) async fn twin() -> spanwise::Result<()> {
        Ok(())
    }
}

#[task(env = ENV)]
async fn twin() -> spanwise::Result<()> {
    twins::twin().await
}

#[task(env = ENV)]
async fn calls_a_twin(other: bool) -> spanwise::Result<()> {
    let cached = || Overrides::new().cache(Cache::version("v1"));
    if other { twins::twin().override_with(cached()).await } else { twin().override_with(cached()).await }
}

#[tokio::test]
async fn two_tasks_of_one_name_are_refused_as_roots_and_as_children() {
    let client = memory();
    let root = client.with_runcontext().run(twin()).await.unwrap_err();
    let mut refused = vec![root];
    for other in [false, true] {
        let run = client.with_runcontext().run(calls_a_twin(other)).await.unwrap();
        refused.push(run.output().await.unwrap_err());
    }
    for error in refused {
        assert!(error.message().contains("two tasks of this program are named `it.twin`"), "{error}");
    }
    client.shutdown().await;
}

#[cfg(feature = "remote")]
#[tokio::test]
async fn s10_two_tasks_of_one_name_are_refused_before_anything_is_deployed() {
    let nobody = spanwise::Client::open(spanwise::Config::new().endpoint("localhost:1")).unwrap();
    let error = nobody.deploy().await.unwrap_err();
    assert!(error.message().contains("two tasks of this program are named `it.twin`"), "{error}");
}

#[task(env = ENV)]
async fn repeated(times: i64, text: String) -> spanwise::Result<String> {
    Ok(text.repeat(usize::try_from(times)?))
}

#[task(env = ENV)]
async fn repeats_a_few() -> spanwise::Result<Vec<String>> {
    let of = |times| (times, "ab".to_owned());
    let mut all = map(repeated, [of(1), of(2)]).all().await?;
    all.extend(map(|times: i64| repeated(times, "c".to_owned()), [3]).all().await?);
    Ok(all)
}

#[tokio::test]
async fn map_gives_a_task_with_several_arguments_the_parts_of_each_item() {
    let run = memory().with_runcontext().run(repeats_a_few()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), ["ab", "abab", "ccc"]);
    let names: Vec<String> = run.actions().await.unwrap().into_iter().filter_map(|action| action.group).collect();
    assert_eq!(names, ["it.repeated_map"; 3]);
}

#[task(env = ENV)]
async fn fails_with(what: String) -> spanwise::Result<()> {
    let broken = || Err::<(), _>("x".parse::<u8>().unwrap_err());
    match what.as_str() {
        "anyhow" => Err(anyhow::anyhow!("inner").context("outer"))?,
        "terminal" => Err(anyhow::Error::new(Terminal::new("no use")).context("outer"))?,
        "bare terminal" => Err(anyhow::Error::new(Terminal::new("no use")))?,
        "boxed terminal" => Err(Box::new(Terminal::new("x".parse::<u8>().unwrap_err())))?,
        "into_terminal" => Err(Error::user("Mine", "no use").into_terminal())?,
        "ours" => {
            Err(anyhow::Error::from_boxed(Error::user("Mine", "inner").into_terminal().into_boxed()).context("outer"))?
        }
        "text" => Err("only a text")?,
        "context" => broken().context("reading a number")?,
        "with_context" => broken().with_context(|| format!("reading {what}"))?,
        "none" => None::<()>.context("there is none")?,
        "bail" => spanwise::bail!("{what} out"),
        _ => spanwise::ensure!(what.len() == 1, "{what} is unknown"),
    }
    Ok(())
}

/// Whatever a task fails with is its error, on this side of the border too.
#[tokio::test]
async fn s4_each_way_to_fail_is_told_with_its_causes_and_whether_trying_again_can_help() {
    let client = memory();
    let digit = "invalid digit found in string";
    for (what, code, message, causes, is_terminal) in [
        ("anyhow", "anyhow::Error", "outer", &["inner"][..], false),
        ("terminal", "NonRecoverableError", "outer", &["no use"], true),
        ("bare terminal", "NonRecoverableError", "no use", &[], true),
        ("boxed terminal", "NonRecoverableError", digit, &[], true),
        ("into_terminal", "Mine", "no use", &[], true),
        ("ours", "Mine", "outer", &["inner"], true),
        ("text", "Error", "only a text", &[], false),
        ("context", "ParseIntError", "reading a number", &[digit], false),
        ("with_context", "ParseIntError", "reading with_context", &[digit], false),
        ("none", "Error", "there is none", &[], false),
        ("bail", "Error", "bail out", &[], false),
        ("ensure", "Error", "ensure is unknown", &[], false),
    ] {
        let direct = fails_with(what.to_owned()).await.unwrap_err();
        assert_eq!(direct.is_terminal(), is_terminal, "{what}");
        let run = client.with_runcontext().run(fails_with(what.to_owned())).await.unwrap();
        for error in [direct, run.output().await.unwrap_err()] {
            assert_eq!(
                (error.code(), error.message(), error.causes()),
                (code, message, &causes.iter().map(|cause| (*cause).to_owned()).collect::<Vec<_>>()[..]),
                "{what}"
            );
        }
    }
}

#[task(env = ENV)]
async fn passes_it_on(what: String) -> anyhow::Result<()> {
    fails_with("text".to_owned()).await.unwrap_err();
    fails_with(what).await.context("passing it on").map_err(Error::into_boxed).map_err(anyhow::Error::from_boxed)
}

/// The action where an error began, whoever has passed it on and said more; what a caller has dealt with is not it.
#[tokio::test]
async fn s4_a_failed_run_names_the_action_that_failed_and_its_task() {
    for what in ["bail", "context", "anyhow", "terminal"] {
        let run = memory().with_runcontext().run(passes_it_on(what.to_owned())).await.unwrap();
        let error = run.output().await.unwrap_err();
        let failed = run.actions().await.unwrap().pop().unwrap();
        let (action, task) = error.action().unwrap();
        assert_eq!((action, task.as_str(), error.message()), (failed.name, "it.fails_with", "passing it on"));
        let said = format!("{error:?}");
        assert!(said.ends_with(&format!("\n  in action `{action}` (`it.fails_with`)")), "{said}");
    }
    let run = memory().with_runcontext().run(fails_with("text".to_owned())).await.unwrap();
    let (action, task) =
        run.output().await.unwrap_err().action().map(|(action, task)| (action, task.to_string())).unwrap();
    assert_eq!((action, task.as_str()), (ActionName::ROOT, "it.fails_with"));
}
