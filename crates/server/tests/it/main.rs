//! The server's parts as their clients see them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod blobs;
mod python;
