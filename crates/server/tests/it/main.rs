//! The server's parts with real processes, files, interpreters and clients.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod blobs;
mod environments;
mod process;
mod python;
