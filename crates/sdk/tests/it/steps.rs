//! S6: steps are recorded once they are done, and not done again.

use std::sync::Mutex;

use spanwise::{Error, Phase, Terminal, ctx, task, trace};

use crate::{ENV, memory};

/// What ran, by test; each test has a name of its own.
static RAN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn ran(what: &str) -> usize {
    RAN.lock().unwrap().push(what.to_owned());
    times(what)
}

fn times(what: &str) -> usize {
    RAN.lock().unwrap().iter().filter(|known| *known == what).count()
}

fn fail_first_attempt() -> spanwise::Result<()> {
    if ctx().task()?.attempt_number() == 0 { Err(Error::user("Again", "the task tries again")) } else { Ok(()) }
}

#[trace]
async fn load(what: String) -> spanwise::Result<usize> {
    Ok(ran(&what))
}

#[task(env = ENV, retries = 1)]
async fn loads_twice() -> spanwise::Result<Vec<u64>> {
    let first = load("replay".to_owned()).await?;
    let second = load("replay".to_owned()).await?;
    fail_first_attempt()?;
    Ok(vec![first as u64, second as u64])
}

#[tokio::test]
async fn s6_a_recorded_step_is_not_done_again_and_equal_steps_are_apart() {
    let run = memory().with_runcontext().run(loads_twice()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), [1, 2]);
    assert_eq!(times("replay"), 2);
    let steps: Vec<_> =
        run.actions().await.unwrap().into_iter().filter(|action| action.kind == spanwise::ActionKind::Step).collect();
    assert_eq!(steps.len(), 2);
    assert!(steps.iter().all(|step| step.phase == Phase::Succeeded && step.task.as_str() == "load"));
    assert!(steps.iter().all(|step| step.started_at.unwrap() <= step.ended_at.unwrap()));
}

#[trace]
async fn breaks_once(what: String) -> spanwise::Result<usize> {
    match ran(&what) {
        1 => Err(Error::user("Broken", "first time")),
        count => Ok(count),
    }
}

#[task(env = ENV, retries = 1)]
async fn recovers() -> spanwise::Result<u64> {
    Ok(breaks_once("recoverable".to_owned()).await? as u64)
}

#[tokio::test]
async fn s6_a_recoverable_failure_is_done_again_and_recorded_over() {
    let run = memory().with_runcontext().run(recovers()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 2);
    assert_eq!(run.actions().await.unwrap()[1].phase, Phase::Succeeded);
}

#[trace]
async fn breaks_for_good() -> spanwise::Result<()> {
    ran("terminal");
    Err(Terminal::new("there is no such order"))?
}

#[task(env = ENV, retries = 1)]
async fn remembers_the_failure() -> spanwise::Result<String> {
    let error = breaks_for_good().await.unwrap_err();
    fail_first_attempt()?;
    Ok(error.message().to_owned())
}

#[tokio::test]
async fn s6_a_failure_that_is_not_recoverable_is_raised_again() {
    let run = memory().with_runcontext().run(remembers_the_failure()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), "there is no such order");
    assert_eq!(times("terminal"), 1);
}

#[task(env = ENV)]
async fn any_task() -> spanwise::Result<()> {
    Ok(())
}

#[trace]
async fn calls_a_task() -> spanwise::Result<()> {
    any_task().await
}

#[task(env = ENV)]
async fn step_with_a_task() -> spanwise::Result<()> {
    calls_a_task().await
}

#[tokio::test]
async fn s6_a_task_inside_a_step_is_a_typed_error() {
    let error = memory().with_runcontext().run(step_with_a_task()).await.unwrap().output().await.unwrap_err();
    assert!(error.message().contains("task `it.any_task` is called inside a step"), "{error}");
}

#[trace]
async fn outer(what: String) -> spanwise::Result<usize> {
    load(what).await
}

#[task(env = ENV, retries = 1)]
async fn nested() -> spanwise::Result<u64> {
    let count = outer("nested".to_owned()).await?;
    fail_first_attempt()?;
    Ok(count as u64)
}

#[tokio::test]
async fn s6_steps_inside_steps_are_recorded_too() {
    let run = memory().with_runcontext().run(nested()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), 1);
    assert_eq!(times("nested"), 1);
    let parents: Vec<_> = run.actions().await.unwrap().into_iter().skip(1).map(|step| step.parent.unwrap()).collect();
    assert_eq!(parents, [spanwise::ActionName::ROOT; 2], "the real task is the parent on the record");
}

#[trace(version = "2")]
async fn versioned() -> spanwise::Result<()> {
    Ok(())
}

#[tokio::test]
async fn s6_outside_a_task_a_step_is_the_plain_function() {
    assert_eq!(load("plain".to_owned()).await.unwrap(), 1);
    assert_eq!(load("plain".to_owned()).await.unwrap(), 2);
    versioned().await.unwrap();
}
