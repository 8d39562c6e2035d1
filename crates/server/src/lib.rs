//! The control plane: Flyte 2's API on one port, and tasks as processes of this machine.

mod api;
mod apps;
mod artifacts;
mod attempt;
pub mod blobs;
mod calls;
mod config;
mod control;
mod definitions;
mod foreign;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod http;
pub mod image_plan;
mod layout;
mod leftovers;
mod notify;
mod origin;
mod os;
mod pages;
mod peers;
mod privacy;
mod queues;
mod readiness;
mod running;
mod secrecy;
mod secrets;
mod serve;
mod server;
mod text;
mod trace;
mod upload_copies;
mod waits;

pub use attempt::{BESIDE_SDK, can_run_containers};
pub use config::{Config, DEFAULT_PORT, ServerResources};
pub use notify::{BadMailServer, MailServer};
pub use peers::Users;
pub use running::{Interpreter, Running, at as running_at};
pub use secrets::NoSecretKey;
pub use server::{Error, Server};
pub use spanwise_collector::{
    BadTarget, Config as CollectorConfig, DEFAULT_PORT as DEFAULT_COLLECTOR_PORT, Error as CollectorError, TeeTarget,
};
pub use spanwise_core::admission::{NotARate, QueueLimits, check_queue_name};
pub use spanwise_core::lifecycle::TraceLevel;
pub use spanwise_core::trigger::{CatchUp, FiringRules, Overlap};
pub use spanwise_engine::{Durability, NotificationLimits, Retention};
