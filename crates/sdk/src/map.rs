//! The same task for many items.

use std::collections::VecDeque;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::call::Call;
use crate::ctx::Ambient;
use crate::error::{Error, Result};
use crate::task::TaskOutput;

/// Calls a task for each item, in parallel: `map(fetch, urls).concurrency(10).await`.
///
/// The results come in the order of the items. Inside a task each call is a child action, in the group `{task}_map` as in
/// Flyte; dropping the map aborts those that are under way.
pub fn map<F, I, T>(task: F, items: I) -> Map<T>
where
    F: Fn(I::Item) -> Call<T> + Send + 'static,
    I: IntoIterator,
    I::IntoIter: Send + 'static,
    T: TaskOutput,
{
    let calls = items.into_iter().map(task);
    Map { calls: Box::new(calls), concurrency: 0, group: None, ambient: Ambient::current() }
}

/// Made by [`map`].
#[must_use = "a map does nothing until it is awaited"]
pub struct Map<T> {
    calls: Box<dyn Iterator<Item = Call<T>> + Send>,
    concurrency: usize,
    group: Option<Arc<str>>,
    ambient: Option<Ambient>,
}

impl<T: TaskOutput> Map<T> {
    /// At most this many calls at one time; 0 means all at once.
    pub fn concurrency(mut self, limit: usize) -> Map<T> {
        self.concurrency = limit;
        self
    }

    /// Names the group: `{task}_{name}`.
    pub fn group_name(mut self, name: &str) -> Map<T> {
        self.group = Some(name.into());
        self
    }

    /// All results, or the first error; calls that are still under way are aborted then.
    ///
    /// # Errors
    /// The first error that happens.
    pub async fn all(self) -> Result<Vec<T>> {
        let results = self.collect(true).await?;
        results.into_iter().collect()
    }

    /// Makes the calls, `concurrency` at a time; each runs as a tokio task of its own, so that they use all threads.
    async fn collect(mut self, stop_at_error: bool) -> Result<Vec<Result<T>>> {
        let limit = if self.concurrency == 0 { usize::MAX } else { self.concurrency };
        let mut running = JoinSet::new();
        let mut results: VecDeque<Option<Result<T>>> = VecDeque::new();
        loop {
            while running.len() < limit
                && let Some(call) = self.next_call()
            {
                let index = results.len();
                results.push_back(None);
                running.spawn(async move { (index, call.await) });
            }
            let Some(joined) = running.join_next().await else { break };
            let (index, result) = match joined {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(error) => return Err(Error::from(error)),
                },
            };
            if stop_at_error && result.is_err() {
                return Ok(vec![result]);
            }
            results[index] = Some(result);
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// Makes the next call where the map was written, so that it carries that place's context.
    fn next_call(&mut self) -> Option<Call<T>> {
        let Some(ambient) = self.ambient.clone() else { return self.calls.next() };
        let call = ambient.sync_scope(|| self.calls.next())?;
        let suffix = self.group.as_deref().unwrap_or("map");
        let group = call.task_name().map(|task| format!("{task}_{suffix}"));
        Some(match group {
            Some(group) => call.in_group(&group.into()),
            None => call,
        })
    }
}

impl<T: TaskOutput> IntoFuture for Map<T> {
    type Output = Vec<Result<T>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Vec<Result<T>>> + Send>>;

    /// Every result, errors among them (Flyte: `return_exceptions=True`, its default).
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.collect(false).await.unwrap_or_else(|error| vec![Err(error)]) })
    }
}

impl<T> std::fmt::Debug for Map<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Map").field("concurrency", &self.concurrency).finish_non_exhaustive()
    }
}
