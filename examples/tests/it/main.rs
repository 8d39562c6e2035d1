//! The examples as a user runs them: real programs, a real web service and a real OTLP receiver on the loopback interface.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod burst;
mod endings;
mod exporters;
mod page;
mod program;
mod receiver;
mod s1_context;
mod s2_trace;
mod spans;
mod vendors;
mod web;
