//! An environment that is none.

use spanwise::{Result, task};

static ENV: &str = "compile";

#[task(env = ENV)]
async fn fetch() -> Result<()> {
    Ok(())
}

#[task(env = MISSING)]
async fn fetch_again() -> Result<()> {
    Ok(())
}

fn main() {}
