//! Runs on a server: this program as a driver that starts them, and as a process that the server starts for one attempt.
//!
//! Both sides speak Flyte's protocol, so that a task in Rust and one in Python cannot be told apart by the other.

mod attempt;
mod children;
mod connection;
mod parent;
mod program;
mod reference;
mod run;
mod server;
mod turns;

use std::time::{SystemTime, UNIX_EPOCH};

use spanwise_core::Timestamp;

pub(crate) use attempt::{is_attempt, take_over};
pub(crate) use parent::Parent;
pub use reference::{RemoteTask, remote_task};
pub(crate) use run::RemoteRun;
pub(crate) use server::{NewRun, Server};

/// The address of a server's pages.
pub(crate) fn address_of(endpoint: &str) -> crate::Result<String> {
    Ok(connection::Connection::new(endpoint, None)?.address().to_owned())
}

/// The time of this machine.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
