//! What a task asks for, where that makes no sense.

use std::sync::LazyLock;

use spanwise::{TaskEnvironment, task};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("compile"));

#[task(env = ENV, secret = ["a"])]
async fn unknown_setting() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, cache = 1)]
async fn a_version_in_no_quotes() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, cache = "")]
async fn an_empty_version() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, cache = "override")]
async fn no_version_at_all() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, cache(salt = "x"))]
async fn unknown_in_cache() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, cache(ignored_inputs = ["at"]))]
async fn ignores_what_there_is_not() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, cache(max_age = "30"))]
async fn an_age_without_unit() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources = 2)]
async fn resources_without_parentheses() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(disk = "1Gi"))]
async fn unknown_resource() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(memory = "1 Gi"))]
async fn no_amount_of_memory() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(memory = 1024))]
async fn memory_in_no_quotes() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(cpu = "lots"))]
async fn no_amount_of_cpu() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(cpu = -1))]
async fn cpu_below_zero() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(gpu = "T4:1"))]
async fn gpu_of_a_kind() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, secrets = [""])]
async fn empty_secret() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, secrets = [secret("a", mount = "/x")])]
async fn secret_of_no_kind() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, secrets = "a")]
async fn secrets_in_no_list() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, env_vars = [("", "b")])]
async fn a_variable_without_name() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, env_vars = [("A", "1"), ("A", "2")])]
async fn a_variable_twice() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, env_vars = ["A"])]
async fn a_variable_without_value() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, queue = 1)]
async fn a_queue_in_no_quotes() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, queue = "")]
async fn an_empty_queue() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, triggers = "daily")]
async fn triggers_in_no_list() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(memory = "0"))]
async fn memory_of_nothing() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(memory = "0.5"))]
async fn memory_of_half_a_byte() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(memory = "99Ei"))]
async fn more_memory_than_can_be_counted() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(cpu = 99999999999999))]
async fn more_processors_than_can_be_counted() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV, resources(cpu = "1e3"))]
async fn processors_with_an_exponent() -> spanwise::Result<()> {
    Ok(())
}

fn main() {}
