//! Settings of one call of a task.

use std::time::Duration;

use spanwise_core::settings::{Cache, Resources, Secret, TaskSettings};
use spanwise_core::{Backoff, RetryPolicy, Timeouts};

use crate::error::{Error, ErrorKind, Result};

/// The methods that say what tasks ask for, of whatever has `settings`.
macro_rules! setters {
    ($whose:literal) => {
        #[doc = concat!("Whether results are kept, ", $whose, ".")]
        pub fn cache(mut self, cache: Cache) -> Self {
            self.settings.cache = Some(cache);
            self
        }

        #[doc = concat!("What attempts need, ", $whose, ".")]
        pub fn resources(mut self, resources: Resources) -> Self {
            self.settings.resources = Some(resources);
            self
        }

        #[doc = concat!("The secrets that attempts are given, ", $whose, ": `[\"db-password\"]`, or [`Secret`]s.")]
        pub fn secrets(mut self, secrets: impl IntoIterator<Item = impl Into<Secret>>) -> Self {
            self.settings.secrets = Some(secrets.into_iter().map(Into::into).collect());
            self
        }

        #[doc = concat!("Variables of the processes, ", $whose, ".")]
        pub fn env_vars(mut self, variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
            let owned = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
            self.settings.env_vars = Some(owned.collect());
            self
        }

        #[doc = concat!("The queue, ", $whose, ": a name of the server's settings.")]
        pub fn queue(mut self, queue: impl Into<String>) -> Self {
            self.settings.queue = Some(queue.into());
            self
        }
    };
}
pub(crate) use setters;

/// Settings of one call that replace those of its task, each as a whole (Flyte: `task.override(..)`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    retries: Option<u32>,
    backoff: Option<Backoff>,
    max_runtime: Option<Duration>,
    max_queued_time: Option<Duration>,
    deadline: Option<Duration>,
    pub(crate) settings: TaskSettings,
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

    setters!("of this call");

    /// Refuses a backoff that cannot be stored, and settings that make no sense.
    pub(crate) fn check(&self) -> Result<()> {
        let checked = self.backoff.as_ref().map_or(Ok(()), Backoff::check);
        checked.map_err(|error| Error::of(ErrorKind::Usage, "InvalidArgument", error))?;
        self.settings.check().map_err(|error| Error::of(ErrorKind::Usage, "InvalidArgument", error))
    }

    /// Refuses what is said and means nothing for `what`, which only has these settings.
    pub(crate) fn only(&self, settings_of: &[&str], what: &str) -> Result<()> {
        let Overrides { retries, backoff, max_runtime, max_queued_time, deadline, settings } = self;
        let TaskSettings { cache, resources, secrets, env_vars, queue } = settings;
        let said = [
            ("retries", retries.is_some()),
            ("backoff", backoff.is_some()),
            ("timeout", max_runtime.is_some()),
            ("max_queued_time", max_queued_time.is_some()),
            ("deadline", deadline.is_some()),
            ("cache", cache.is_some()),
            ("resources", resources.is_some()),
            ("secrets", secrets.is_some()),
            ("env_vars", env_vars.is_some()),
            ("queue", queue.is_some()),
        ];
        match said.iter().find(|(name, is_said)| *is_said && !settings_of.contains(name)) {
            Some((name, _)) => Err(Error::usage(format!("{name}: {what} has none; it has {}", settings_of.join(", ")))),
            None => Ok(()),
        }
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
