//! What the benchmarks measure and what they compare it with.
//!
//! One absolute figure on a shared machine is noise, so every figure is measured in rounds that take turns with its
//! yardstick (raw SQLite on the same disk, the same work without tracing), and what counts is the ratio. A benchmark library
//! measures one thing after the other and reports times; that is why none is used here.

pub mod raw;
pub mod rounds;
pub mod server;
pub mod spans;
pub mod tasks;
