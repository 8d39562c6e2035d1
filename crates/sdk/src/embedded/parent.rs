//! An attempt that the engine of this process runs, as the parent of actions: its calls are driven where they are awaited.

use std::sync::Arc;

use bytes::Bytes;
use spanwise_core::{ActionName, ActionSpec, AttemptNo, RunId, RunName, Timeouts, Timestamp};
use spanwise_engine::{
    AttemptScope, Call, CallToken, Executor, NewStep, Outcome, OutsideWait, Relation, RunHandle, StepRecord,
};
use tokio::task::{JoinError, JoinHandle};

use super::no_body::NoBody;
use super::reports;
use crate::error::Result;
use crate::parent::{self, Child, CompletedStep, NewCondition, NewTimer};
use crate::wait;

/// One attempt of a run of this process.
pub(crate) struct Parent {
    run: RunHandle,
    scope: Arc<AttemptScope>,
}

impl Parent {
    /// `scope` is what the engine keeps of the attempt.
    pub(super) fn new(run: RunHandle, scope: Arc<AttemptScope>) -> Parent {
        Parent { run, scope }
    }

    /// Has an action accepted, unless it is there.
    fn accept(&self, action: ActionName, spec: ActionSpec, inputs: Bytes) -> Result<Call> {
        let is_new = self.run.enqueue(action, spec, inputs.clone())?;
        Ok(Call { action, inputs: is_new.then_some(inputs), caller: Some(Arc::clone(&self.scope)) })
    }

    /// Drives an action to its end where it is awaited.
    async fn drive<E: Executor + 'static>(&self, call: Call, executor: E) -> Result<Outcome> {
        if let Some(Relation::Recover { run }) = &self.run.settings().relation {
            Box::pin(recover(&self.run, run, call.action, &executor)).await?;
        }
        if !self.run.settings().is_limited() {
            return Ok(self.run.drive(call, &executor).await?);
        }
        // A child that has one of a few slots must go on even while its caller is not polled.
        let run = self.run.clone();
        let driven = on_own_task(Box::pin(async move { run.drive(call, &executor).await })).await;
        Ok(driven.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?)
    }
}

/// In a run that recovers another one, ends an action that has succeeded there with what it delivered there. What is not there any more, or cannot be
/// read, is run again.
async fn recover(run: &RunHandle, source: &RunName, action: ActionName, executor: &dyn Executor) -> Result<()> {
    let is_run_again = run.settings().options.rerun_actions.iter().any(|name| name == action.as_str());
    if is_run_again || !run.is_untouched(&action) {
        return Ok(());
    }
    let source = match run.engine().resume(&run.id().scope().run(source.clone())) {
        Err(spanwise_engine::Error::NotFound(_)) => return Ok(()),
        Err(error) if error.is_damage() => return Ok(()),
        source => source?,
    };
    match source.delivered(&action).await {
        Ok(Some((from, outputs))) => Ok(run.reuse(action, from, outputs, executor).await?),
        Ok(None) => Ok(()),
        Err(error) if error.is_damage() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl parent::Parent for Parent {
    fn run_id(&self) -> &RunId {
        self.run.id()
    }

    fn action(&self) -> ActionName {
        self.scope.action
    }

    fn attempt(&self) -> AttemptNo {
        self.scope.attempt
    }

    fn now(&self) -> Timestamp {
        self.run.now()
    }

    async fn child<E: Executor + 'static>(&self, child: Box<Child>, in_process: E) -> Result<Outcome> {
        let call = {
            let Child { action, mut spec, inputs, task: _, effective, cache_key } = *child;
            spec.cache = cache_key.map(|key| effective.cache_policy(&key, &self.run.id().scope()));
            self.accept(action, spec, inputs)?
        };
        self.drive(call, in_process).await
    }

    async fn timer(&self, timer: NewTimer) -> Result<Outcome> {
        let NewTimer { action, group, wait, timeouts, inputs } = timer;
        let wake = wait.wake(self.run.machine_time());
        let spec = ActionSpec { group, timeouts, ..ActionSpec::timer(wait::NAME, Some(self.scope.action), wake) };
        let call = self.accept(action, spec, inputs)?;
        self.drive(call, NoBody).await
    }

    async fn condition(&self, condition: NewCondition) -> Result<Outcome> {
        let NewCondition { action, group, question, inputs } = condition;
        // It has no attempts, so its deadline is the one limit that counts; whoever awaits it drives it, and minds that.
        let timeouts = Timeouts { deadline: question.timeout, ..Timeouts::default() };
        let spec = ActionSpec { group, timeouts, ..ActionSpec::condition(question.name.as_str(), self.scope.action) };
        let call = self.accept(action, spec, inputs)?;
        self.drive(call, NoBody).await
    }

    async fn step(&self, action: ActionName) -> Result<Option<StepRecord>> {
        Ok(self.run.step(action).await?)
    }

    async fn record_step(&self, step: CompletedStep) -> Result<()> {
        let CompletedStep { action, spec, started, inputs, outcome, observed } = step;
        let new = NewStep { spec, started, inputs, outcome, observed, definition: None };
        Ok(self.run.record_step(action, new).await?)
    }

    async fn write_report(&self, page: String) -> Result<()> {
        let (engine, run) = (self.run.engine().clone(), self.run.id().clone());
        let (action, attempt) = (self.scope.action, self.scope.attempt);
        let written = tokio::task::spawn_blocking(move || {
            let Some(data) = engine.directory() else { return Ok(()) };
            reports::remove_of_pruned(&engine);
            reports::write(data, &run, &action, attempt, &page)
        });
        let written = written.await.map_err(std::io::Error::other).flatten();
        written.map_err(|error| reports::failed("write", &error))
    }

    fn count_call(&self) -> Option<CallToken> {
        Some(CallToken::new(self.run.engine(), &self.scope))
    }

    fn wait_for(&self, other: &RunId) -> Option<OutsideWait> {
        (self.run.id() != other).then(|| self.run.wait_outside(self.scope.action, self.scope.attempt))
    }

    fn is_traced(&self) -> bool {
        self.run.is_traced()
    }

    #[cfg(feature = "otel")]
    fn timeout(&self) -> Option<String> {
        self.run.timeout_of(&self.scope)
    }

    async fn interrupted(&self) {
        self.run.engine().interrupted().await;
    }
}

/// Runs a future as a tokio task that ends with the caller.
pub(super) async fn on_own_task<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    let mut own = AbortOnDrop(tokio::spawn(future));
    (&mut own.0).await
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
