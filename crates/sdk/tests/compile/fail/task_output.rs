//! A task that does not return a `Result`.

use std::sync::LazyLock;

use spanwise::{TaskEnvironment, task};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("compile"));

#[task(env = ENV)]
async fn returns_a_value(a: u64) -> u64 {
    a
}

#[task(env = ENV)]
async fn returns_nothing(a: u64) {
    drop(a);
}

#[task(env = ENV)]
fn returns_a_tuple(a: u64) -> (u64, u64) {
    (a, a)
}

#[task(env = ENV)]
async fn returns_an_option(a: u64) -> Option<u64> {
    Some(a)
}

fn main() {}
