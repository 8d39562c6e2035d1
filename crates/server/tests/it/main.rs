//! The server with real processes, files and interpreters.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod process;
mod python;
