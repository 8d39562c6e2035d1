//! Values that Flyte has no type for.

use std::sync::LazyLock;

use spanwise::{TaskEnvironment, task};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("compile"));

struct Handle;

#[task(env = ENV)]
async fn takes_a_handle(handle: Handle) -> spanwise::Result<()> {
    drop(handle);
    Ok(())
}

#[task(env = ENV)]
async fn gives_a_handle() -> spanwise::Result<Handle> {
    Ok(Handle)
}

fn main() {}
