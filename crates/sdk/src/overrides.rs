//! Retries and timeouts: those of a task, and those of one call of it.

use std::time::Duration;

use spanwise_core::{Backoff, RetryPolicy, Timeouts};

use crate::error::{Error, ErrorKind, Result};

/// Settings of one call that replace those of its task (Flyte: `task.override(..)`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    retries: Option<u32>,
    backoff: Option<Backoff>,
    max_runtime: Option<Duration>,
    max_queued_time: Option<Duration>,
    deadline: Option<Duration>,
}

impl Overrides {
    /// Replaces nothing.
    pub fn new() -> Overrides {
        Overrides::default()
    }

    /// Attempts after the first one.
    pub fn retries(mut self, retries: u32) -> Overrides {
        self.retries = Some(retries);
        self
    }

    /// The pause before each retry.
    pub fn backoff(mut self, backoff: Backoff) -> Overrides {
        self.backoff = Some(backoff);
        self
    }

    /// The limit of each attempt in RUNNING (Flyte: a bare `timeout`). Zero means no limit.
    pub fn timeout(mut self, max_runtime: Duration) -> Overrides {
        self.max_runtime = Some(max_runtime);
        self
    }

    /// The limit of each attempt before RUNNING. Zero means no limit.
    pub fn max_queued_time(mut self, limit: Duration) -> Overrides {
        self.max_queued_time = Some(limit);
        self
    }

    /// The limit of the whole action, over all attempts. Zero means no limit.
    pub fn deadline(mut self, limit: Duration) -> Overrides {
        self.deadline = Some(limit);
        self
    }

    /// Refuses a backoff that cannot be stored.
    pub(crate) fn check(&self) -> Result<()> {
        let checked = self.backoff.as_ref().map_or(Ok(()), Backoff::check);
        checked.map_err(|error| Error::of(ErrorKind::Usage, "InvalidArgument", error))
    }

    /// The limits in time alone, for what is never tried again.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let (mut retry, mut timeouts) = Default::default();
        self.apply(&mut retry, &mut timeouts);
        timeouts
    }

    /// `options` with these settings on top.
    pub(crate) fn apply(&self, retry: &mut RetryPolicy, timeouts: &mut Timeouts) {
        retry.retries = self.retries.unwrap_or(retry.retries);
        if self.backoff.is_some() {
            retry.backoff.clone_from(&self.backoff);
        }
        timeouts.max_runtime = self.max_runtime.or(timeouts.max_runtime);
        timeouts.max_queued_time = self.max_queued_time.or(timeouts.max_queued_time);
        timeouts.deadline = self.deadline.or(timeouts.deadline);
    }
}
