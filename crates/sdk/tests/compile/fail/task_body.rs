//! A body whose error is no error, or whose future is not `Send`.

use std::rc::Rc;
use std::sync::LazyLock;

use spanwise::{TaskEnvironment, task};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("compile"));

#[task(env = ENV)]
async fn error_is_a_number(name: u8) -> Result<u64, u8> {
    Err(name)
}

#[task(env = ENV)]
async fn holds_an_rc() -> spanwise::Result<u64> {
    let count = Rc::new(1);
    tokio::task::yield_now().await;
    Ok(*count)
}

fn main() {}
