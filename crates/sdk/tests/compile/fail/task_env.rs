//! An environment that is none.

use spanwise::task;

static ENV: &str = "compile";

#[task(env = ENV)]
async fn fetch() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = MISSING)]
async fn fetch_again() -> spanwise::Result<()> {
    Ok(())
}

fn main() {}
