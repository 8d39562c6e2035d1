//! The conformance suite of all stores, and what only a database on disk can show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod catalog;
mod conformance;
mod lost;
mod on_disk;
mod queries;
mod retention;
mod stored_form;
