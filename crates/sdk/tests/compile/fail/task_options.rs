//! Options that are missing, unknown or make no sense.

use std::sync::LazyLock;

use spanwise::{TaskEnvironment, task};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("compile"));

#[task]
async fn has_no_env() -> spanwise::Result<()> {
    Ok(())
}

#[task(retries = 3)]
async fn has_no_env_either() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, retry = 3)]
async fn unknown_option() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, timeout = "30 parsecs")]
async fn unknown_unit() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, timeout = "30")]
async fn no_unit() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, timeout = 30)]
async fn a_number_for_a_duration() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, timeout(max_run_time = "30s"))]
async fn unknown_timeout() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, retries = -1)]
async fn negative_retries() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, retries = "3")]
async fn retries_in_quotes() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, backoff(base = "1s", factor = 0.5))]
async fn factor_below_one() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, backoff(base = "1s", factor = "2"))]
async fn factor_in_quotes() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, backoff(factor = 2))]
async fn backoff_without_base() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, backoff = "1s")]
async fn backoff_without_parentheses() -> spanwise::Result<()> {
    Ok(())
}

fn main() {}
