//! Runs on a server: this program as a driver that starts them, and as a process that the server starts for one attempt.
//!
//! Both sides speak Flyte's protocol, so that a task in Rust and one in Python cannot be told apart by the other.

mod attempt;
mod call;
mod children;
mod connection;
mod deployed;
mod flyte_config;
mod parent;
mod process;
mod program;
mod reference;
mod run;
mod server;
mod triggers;

pub(crate) use attempt::is_attempt;
pub(crate) use connection::address_of;
pub use flyte_config::FlyteConfig;
pub(crate) use flyte_config::read_flyte_config;
pub(crate) use parent::Parent;
pub(crate) use process::take_over;
pub use reference::{RemoteTask, remote_task};
pub(crate) use server::connect;

/// True if programs can start runs on servers.
pub(crate) const IS_SUPPORTED: bool = true;
