//! Attempts as processes of this machine.

#[path = "../../../process/tests/it/waiting.rs"]
mod waiting;
mod warm;
