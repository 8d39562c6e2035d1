//! The SDK on the embedded engine, rule by rule.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod compile;
mod conditions;
mod context;
mod golden;
mod hardships;
#[cfg(feature = "otel-sdk")]
mod lifecycle;
mod names;
mod recover;
mod reports;
mod resume;
mod settings;
mod steps;
mod task_settings;
mod tasks;
mod timers;
mod values;

use std::sync::LazyLock;

use spanwise::{Client, Config, TaskEnvironment};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("it"));

/// An engine of the test's own, in memory.
fn memory() -> Client {
    Client::open(Config::new().in_memory()).unwrap()
}
