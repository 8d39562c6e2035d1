//! Whether the server can do what it is there for: its files can be written.
//!
//! It is tried, not guessed: a little is written where runs write, at most once a second however often somebody asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spanwise_blobs::Blobs;
use spanwise_engine::Engine;
use tokio::sync::Mutex;

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(1);

/// Asks the disk. A clone shares the answers.
#[derive(Clone)]
pub(crate) struct Readiness {
    engine: Engine,
    blobs: Blobs,
    last: Arc<Mutex<Option<Answer>>>,
}

/// What was found, and when.
#[derive(Clone, Debug)]
struct Answer {
    at: Instant,
    found: Result<(), NotReady>,
}

/// Why nothing new is accepted now; it may be accepted later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: nothing new is accepted until that is over")]
pub(crate) struct NotReady(pub(crate) String);

impl Readiness {
    pub(crate) fn new(engine: Engine, blobs: Blobs) -> Readiness {
        Readiness { engine, blobs, last: Arc::default() }
    }

    /// Refuses while nothing can be written. Every entry that makes something new asks here first, so that all of them say the same.
    pub(crate) async fn check(&self) -> Result<(), NotReady> {
        self.ask(HOLDS).await
    }

    /// The same, whatever was answered a moment ago.
    pub(crate) async fn check_now(&self) -> Result<(), NotReady> {
        self.ask(Duration::ZERO).await
    }

    async fn ask(&self, holds: Duration) -> Result<(), NotReady> {
        let mut last = self.last.lock().await;
        if let Some(answer) = last.as_ref().filter(|answer| answer.at.elapsed() < holds) {
            return answer.found.clone();
        }
        let found = self.try_to_write().await;
        let was_ready = last.as_ref().is_none_or(|answer| answer.found.is_ok());
        match &found {
            Err(NotReady(cause)) if was_ready => {
                tracing::error!(cause, "nothing can be written: nothing new is accepted")
            }
            Ok(()) if !was_ready => tracing::warn!("files can be written again: what is new is accepted"),
            _ => {}
        }
        *last = Some(Answer { at: Instant::now(), found: found.clone() });
        found
    }

    async fn try_to_write(&self) -> Result<(), NotReady> {
        let engine = self.engine.clone();
        let tried = tokio::task::spawn_blocking(move || engine.probe());
        let tried = tried.await.map_err(|error| NotReady(error.to_string()))?;
        tried.map_err(|error| NotReady(in_one_line(&error)))?;
        self.blobs.probe().await.map_err(|error| NotReady(in_one_line(&error)))
    }

    /// Returns when something can be written.
    ///
    /// # Cancellation
    /// Safe.
    pub(crate) async fn room(&self) {
        while self.check().await.is_err() {
            tokio::time::sleep(HOLDS).await;
        }
    }

    /// Says in the log when nothing can be written any more, and when it can again.
    pub(crate) async fn tell(self) {
        let mut stalled = self.engine.stalled();
        while stalled.changed().await.is_ok() {
            let now = stalled.borrow_and_update().clone();
            match now {
                Some(error) => {
                    let cause = in_one_line(&error);
                    tracing::error!(cause, "the journal cannot be written: nothing new is accepted until it can");
                }
                None => tracing::warn!("the journal can be written again: everything goes on"),
            }
        }
    }
}

/// An error with its causes.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
