//! What the store of spans keeps, and what becomes of its file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod spans;
