//! The work: tasks that do nothing, one after the other and all at once.

use std::sync::LazyLock;

use spanwise::{TaskEnvironment, map, task, traced};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("bench"));

/// Does nothing.
#[task(env = ENV)]
pub async fn noop(index: i64) -> spanwise::Result<i64> {
    Ok(index)
}

/// Does nothing, in a span.
#[task(env = ENV)]
#[traced("noop")]
pub async fn traced_noop(index: i64) -> spanwise::Result<i64> {
    Ok(index)
}

/// Calls one child after the other.
#[task(env = ENV)]
pub async fn sequence(count: i64) -> spanwise::Result<i64> {
    let mut sum = 0;
    for index in 0..count {
        sum += noop(index).await?;
    }
    Ok(sum)
}

/// The same, with a span each.
#[task(env = ENV)]
#[traced("sequence")]
pub async fn traced_sequence(count: i64) -> spanwise::Result<i64> {
    let mut sum = 0;
    for index in 0..count {
        sum += traced_noop(index).await?;
    }
    Ok(sum)
}

/// Calls all children at once.
#[task(env = ENV)]
pub async fn fan_out(count: i64) -> spanwise::Result<i64> {
    Ok(map(noop, 0..count).all().await?.into_iter().sum())
}

/// The same, with a span each.
#[task(env = ENV)]
#[traced("fan_out")]
pub async fn traced_fan_out(count: i64) -> spanwise::Result<i64> {
    Ok(map(traced_noop, 0..count).all().await?.into_iter().sum())
}
