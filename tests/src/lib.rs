//! What the tests of the whole know of the workspace.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

pub mod cargo;
