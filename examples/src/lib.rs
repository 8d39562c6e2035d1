//! What the examples share: an HTTP call that carries the trace, the tasks of the guide, and the end of a provider.
//!
//! The examples themselves are in `src/bin`: `cargo run -p spanwise-examples --bin guide -- https://httpbin.org/get`.

pub mod http;
pub mod json_lines;
pub mod seed;
pub mod telemetry;

/// The argument of this number, or a message that says what is missing.
///
/// # Errors
/// If there is no such argument.
pub fn argument(number: usize, name: &str) -> spanwise::Result<String> {
    let argument = std::env::args().nth(number);
    argument.ok_or_else(|| spanwise::Error::terminal(format!("argument {number} is missing: {name}")))
}
