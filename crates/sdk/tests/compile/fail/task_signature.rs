//! A signature whose values cannot cross a task border.

use std::sync::LazyLock;

use spanwise::{TaskEnvironment, task};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("compile"));

#[task(env = ENV)]
async fn takes_a_str(url: &str) -> spanwise::Result<u64> {
    Ok(url.len() as u64)
}

#[task(env = ENV)]
async fn takes_a_slice(items: &[u64]) -> spanwise::Result<u64> {
    Ok(items.iter().sum())
}

#[task(env = ENV)]
async fn takes_a_reference(count: u64, list: &Vec<String>) -> spanwise::Result<u64> {
    Ok(count + list.len() as u64)
}

#[task(env = ENV)]
async fn is_generic<T: ToString>(value: T) -> spanwise::Result<String> {
    Ok(value.to_string())
}

#[task(env = ENV)]
async fn has_a_lifetime<'a>(value: String) -> spanwise::Result<String> {
    Ok(value)
}

#[task(env = ENV)]
async fn has_a_where_clause(value: String) -> spanwise::Result<String>
where
    String: Clone,
{
    Ok(value)
}

#[task(env = ENV)]
async fn takes_impl_trait(value: impl ToString) -> spanwise::Result<String> {
    Ok(value.to_string())
}

#[task(env = ENV)]
async fn takes_a_pattern((x, y): (u64, u64)) -> spanwise::Result<u64> {
    Ok(x + y)
}

#[task(env = ENV)]
async fn takes_too_many(
    a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8, m: u8,
) -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV)]
async unsafe fn is_unsafe() -> spanwise::Result<()> {
    Ok(())
}

struct Client;

impl Client {
    #[task(env = ENV)]
    async fn fetch(&self, url: String) -> spanwise::Result<u64> {
        Ok(url.len() as u64)
    }
}

#[task(env = ENV)]
struct NotAFunction;

fn main() {}
