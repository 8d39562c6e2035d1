//! A stage: bodies that stand still until the test lets them go, and a record of who ran.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, Failure};
use spanwise_engine::{Attempt, Call, Engine, Error, Executor, NewRun, Outcome, Report, RunHandle};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Body, new_run};

/// What has happened on a stage.
#[derive(Default)]
pub(crate) struct Scene {
    /// `run/action#attempt` of each body, in the order in which they began; adopted ones end with `+`.
    pub(crate) began: Vec<String>,
    reports: HashMap<String, Report>,
}

/// An executor whose bodies wait for [`Stage::ends`].
#[derive(Clone)]
pub(crate) struct Stage(Arc<watch::Sender<Scene>>);

impl Stage {
    pub(crate) fn new() -> Stage {
        Stage(Arc::new(watch::Sender::new(Scene::default())))
    }

    /// Lets the body of `run/action` end with a report, now or when it begins.
    pub(crate) fn ends(&self, who: &str, report: Report) {
        self.0.send_modify(|scene| drop(scene.reports.insert(who.to_owned(), report)));
    }

    pub(crate) fn succeeds(&self, who: &str) {
        self.ends(who, ok());
    }

    pub(crate) fn succeed(&self, all: &[&str]) {
        all.iter().for_each(|who| self.succeeds(who));
    }

    /// Waits until so many bodies have begun, and returns them.
    pub(crate) async fn began(&self, count: usize) -> Vec<String> {
        soon(async {
            let mut scenes = self.0.subscribe();
            scenes.wait_for(|scene| scene.began.len() >= count).await.unwrap().began.clone()
        })
        .await
    }
}

impl Executor for Stage {
    fn execute(&self, attempt: Attempt) -> Body {
        let scenes = Arc::clone(&self.0);
        Box::pin(async move {
            let who = format!("{}/{}", attempt.run.id().name, attempt.scope.action);
            let adopted = if attempt.adopted { "+" } else { "" };
            let began = format!("{who}#{}{adopted}", attempt.scope.attempt);
            scenes.send_modify(|scene| scene.began.push(began));
            let mut scene = scenes.subscribe();
            let scene = scene.wait_for(|scene| scene.reports.contains_key(&who)).await.unwrap();
            scene.reports[&who].clone()
        })
    }
}

/// Waits for what must happen at all.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it happens within half a minute")
}

pub(crate) fn ok() -> Report {
    Report::Succeeded(Bytes::from_static(b"ok"))
}

pub(crate) fn succeeded() -> Outcome {
    Outcome::Succeeded(Bytes::from_static(b"ok"))
}

pub(crate) fn broken() -> Report {
    Report::Failed(Failure::user("E", "no"))
}

pub(crate) fn name(action: &str) -> ActionName {
    ActionName::new(action).unwrap()
}

pub(crate) fn child() -> ActionSpec {
    ActionSpec { parent: Some(ActionName::ROOT), ..ActionSpec::task("env.child") }
}

pub(crate) type Driven = JoinHandle<Result<Outcome, Error>>;

/// Drives an action on a task of its own.
pub(crate) fn drive(run: &RunHandle, action: &str, executor: impl Executor + 'static) -> Driven {
    let (run, action) = (run.clone(), name(action));
    tokio::spawn(async move { run.drive(Call { action, inputs: None, caller: None }, &executor).await })
}

/// Accepts a child of the root and drives it.
pub(crate) fn start(run: &RunHandle, action: &str, spec: ActionSpec, executor: impl Executor + 'static) -> Driven {
    run.enqueue(name(action), spec, Bytes::new()).unwrap();
    drive(run, action, executor)
}

/// A new run whose root is driven.
pub(crate) fn begin(
    engine: &Engine,
    run: &str,
    spec: ActionSpec,
    executor: impl Executor + 'static,
) -> (RunHandle, Driven) {
    begin_with(engine, new_run(run, spec), executor)
}

pub(crate) fn begin_with(engine: &Engine, new: NewRun, executor: impl Executor + 'static) -> (RunHandle, Driven) {
    let run = engine.create_run(new).unwrap();
    let driven = drive(&run, "a0", executor);
    (run, driven)
}

/// Waits until an action satisfies a condition.
pub(crate) async fn until(run: &RunHandle, action: &str, is_so: impl Fn(&spanwise_core::Action) -> bool) {
    let watch = run.watch(name(action));
    soon(async {
        while !run.action(&name(action)).is_some_and(|action| is_so(&action)) {
            watch.changed().await;
        }
    })
    .await;
}
