//! Options that are missing, unknown or make no sense.

use std::sync::LazyLock;

use spanwise::{Result, TaskEnvironment, task};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("compile"));

#[task]
async fn has_no_env() -> Result<()> {
    Ok(())
}

#[task(retries = 3)]
async fn has_no_env_either() -> Result<()> {
    Ok(())
}

#[task(env = ENV, retry = 3)]
async fn unknown_option() -> Result<()> {
    Ok(())
}

#[task(env = ENV, timeout = "30 parsecs")]
async fn unknown_unit() -> Result<()> {
    Ok(())
}

#[task(env = ENV, timeout = "30")]
async fn no_unit() -> Result<()> {
    Ok(())
}

#[task(env = ENV, timeout = 30)]
async fn a_number_for_a_duration() -> Result<()> {
    Ok(())
}

#[task(env = ENV, timeout(max_run_time = "30s"))]
async fn unknown_timeout() -> Result<()> {
    Ok(())
}

#[task(env = ENV, retries = -1)]
async fn negative_retries() -> Result<()> {
    Ok(())
}

#[task(env = ENV, retries = "3")]
async fn retries_in_quotes() -> Result<()> {
    Ok(())
}

#[task(env = ENV, backoff(base = "1s", factor = 0.5))]
async fn factor_below_one() -> Result<()> {
    Ok(())
}

#[task(env = ENV, backoff(base = "1s", factor = "2"))]
async fn factor_in_quotes() -> Result<()> {
    Ok(())
}

#[task(env = ENV, backoff(factor = 2))]
async fn backoff_without_base() -> Result<()> {
    Ok(())
}

#[task(env = ENV, backoff = "1s")]
async fn backoff_without_parentheses() -> Result<()> {
    Ok(())
}

fn main() {}
