//! How a task uses the cache.

use std::time::Duration;

use super::InvalidSetting;

/// Whether the results of a task are kept and used again for the same inputs (Flyte: `flyte.Cache`, semantics S5).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cache {
    /// What the results are of, beside the inputs.
    pub version: CacheVersion,
    /// One action at a time computes a result, and the others wait for it.
    pub serialize: bool,
    /// Inputs that make no other result.
    pub ignored_inputs: Vec<String>,
    /// Older results are computed anew.
    pub max_age: Option<Duration>,
}

/// The version of the results of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheVersion {
    /// None is kept.
    Off,
    /// The text of the function: other code gives other results.
    Auto,
    /// What somebody has chosen.
    Given(String),
}

impl Cache {
    fn of(version: CacheVersion) -> Cache {
        Cache { version, serialize: false, ignored_inputs: Vec::new(), max_age: None }
    }

    /// Keeps results until the text of the function changes. What the function calls, and is no part of its text, does not count.
    pub fn auto() -> Cache {
        Cache::of(CacheVersion::Auto)
    }

    /// Keeps results until another version is given here (Flyte: `Cache("override", version_override=..)`).
    pub fn version(version: impl Into<String>) -> Cache {
        Cache::of(CacheVersion::Given(version.into()))
    }

    /// Keeps none, whatever the task or its environment says (Flyte: `cache="disable"`).
    pub fn off() -> Cache {
        Cache::of(CacheVersion::Off)
    }

    /// Has one action at a time compute a result; the others wait for it.
    pub fn serialize(mut self) -> Cache {
        self.serialize = true;
        self
    }

    /// Leaves an input out of what a result is of.
    pub fn ignore_input(mut self, name: impl Into<String>) -> Cache {
        self.ignored_inputs.push(name.into());
        self
    }

    /// Does not use results that are older. Zero means no limit.
    pub fn max_age(mut self, age: Duration) -> Cache {
        self.max_age = Some(age);
        self
    }

    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        match &self.version {
            CacheVersion::Given(version) if version.is_empty() => {
                Err(InvalidSetting::new("cache", "the version is empty"))
            }
            _ => Ok(()),
        }
    }
}
