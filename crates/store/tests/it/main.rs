//! The conformance suite of all stores, and what only a database on disk can show.

mod conformance;
mod on_disk;
mod stored_form;
