//! The same task for many items.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};

use crate::call::Call;
use crate::ctx::Ambient;
use crate::error::Result;
use crate::task::TaskOutput;

/// Calls a task for each item, concurrently: `map(fetch, urls).concurrency(10).await`. A task with several arguments takes a tuple of them:
/// `map(resize, [(photo, 100), (photo, 200)])`.
///
/// A closure that uses its argument's fields or methods says its type: `map(|order: Order| ship(order.id), orders)`.
///
/// Async bodies take turns on the thread that polls the map, as with `tokio::join!`; tasks that compute are functions that are
/// not async: they run on the pool for blocking work, in parallel.
///
/// The results come in the order of the items. Inside a task each call is a child action, in the group `{task}_map` as in
/// Flyte; dropping the map aborts those that are under way.
pub fn map<F, I, S>(task: F, items: I) -> Map<F::Output>
where
    F: MapOver<I::Item, S> + Send + 'static,
    I: IntoIterator,
    I::IntoIter: Send + 'static,
{
    let calls = items.into_iter().map(move |item| task.call(item));
    Map { calls: Box::new(calls), concurrency: 0, group: None, ambient: Ambient::current() }
}

/// What [`map`] can call for an item: a function with one argument, or one with several for a tuple of them. `S` is its signature, which
/// the compiler finds.
pub trait MapOver<I, S> {
    /// What a call gives.
    type Output: TaskOutput;

    /// The call for an item.
    fn call(&self, item: I) -> Call<Self::Output>;
}

impl<F: Fn(I) -> Call<T>, I, T: TaskOutput> MapOver<I, fn(I) -> T> for F {
    type Output = T;

    fn call(&self, item: I) -> Call<T> {
        self(item)
    }
}

macro_rules! map_over_tuples {
    ($($argument:ident)+) => {
        impl<F: Fn($($argument),+) -> Call<T>, $($argument,)+ T: TaskOutput> MapOver<($($argument,)+), fn($($argument),+) -> T> for F {
            type Output = T;

            #[expect(non_snake_case, reason = "an argument is called as its type is")]
            fn call(&self, ($($argument,)+): ($($argument,)+)) -> Call<T> {
                self($($argument),+)
            }
        }
    };
}

map_over_tuples!(A B);
map_over_tuples!(A B C);
map_over_tuples!(A B C D);
map_over_tuples!(A B C D E);
map_over_tuples!(A B C D E G);
map_over_tuples!(A B C D E G H);
map_over_tuples!(A B C D E G H J);
map_over_tuples!(A B C D E G H J K);
map_over_tuples!(A B C D E G H J K L);
map_over_tuples!(A B C D E G H J K L M);
map_over_tuples!(A B C D E G H J K L M N);

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
        self.collect(true).await.into_iter().collect()
    }

    /// Makes the calls, `concurrency` at a time.
    async fn collect(mut self, stop_at_error: bool) -> Vec<Result<T>> {
        let limit = if self.concurrency == 0 { usize::MAX } else { self.concurrency };
        let mut results: Vec<Option<Result<T>>> = Vec::new();
        let calls = std::iter::from_fn(|| self.next_call()).enumerate();
        let mut done =
            stream::iter(calls.map(|(index, call)| call.map(move |result| (index, result)))).buffer_unordered(limit);
        while let Some((index, result)) = done.next().await {
            if stop_at_error && result.is_err() {
                return vec![result];
            }
            if results.len() <= index {
                results.resize_with(index + 1, || None);
            }
            results[index] = Some(result);
        }
        results.into_iter().flatten().collect()
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
        Box::pin(self.collect(false))
    }
}

impl<T> std::fmt::Debug for Map<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Map").field("concurrency", &self.concurrency).finish_non_exhaustive()
    }
}
