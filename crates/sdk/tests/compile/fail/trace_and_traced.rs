//! Attributes in the wrong order or in the wrong place.

use spanwise::{trace, traced};

#[traced("fetch")]
#[spanwise::task(env = ENV)]
async fn span_above_the_task(url: String) -> spanwise::Result<u64> {
    Ok(url.len() as u64)
}

#[traced]
#[trace]
async fn span_above_the_step(url: String) -> spanwise::Result<u64> {
    Ok(url.len() as u64)
}

#[traced(name = "fetch")]
async fn span_with_an_option(url: String) -> spanwise::Result<u64> {
    Ok(url.len() as u64)
}

#[trace]
fn blocking_step(url: String) -> spanwise::Result<u64> {
    Ok(url.len() as u64)
}

#[trace]
async fn borrowing_step(url: &str) -> spanwise::Result<u64> {
    Ok(url.len() as u64)
}

#[trace("2")]
async fn step_with_a_bare_version(url: String) -> spanwise::Result<u64> {
    Ok(url.len() as u64)
}

#[trace]
async fn step_without_a_result(url: String) -> u64 {
    url.len() as u64
}

#[trace]
async fn step_whose_error_cannot_be_ours(text: String) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

fn main() {}
