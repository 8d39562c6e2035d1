//! Setting up a program. A process that was started for one attempt, or to start one task, does that here instead of going on.

use crate::client::{self, Client};
use crate::config::Config;
use crate::error::Result;
use crate::purpose::Purpose;
use crate::{launch, remote};

/// Sets Spanwise up from the environment: see [`Config`].
///
/// # Errors
/// See [`init_with`].
pub async fn init() -> Result<()> {
    init_with(Config::new()).await
}

/// Sets Spanwise up. Doing it again replaces the client for runs that are started from then on.
///
/// In a process that a server has started to run one attempt of a task, this function does not return: it runs the attempt and
/// ends the process, after the hooks of [`at_exit`](crate::at_exit). So what a program does before it, above all setting up its
/// tracer provider, happens in drivers and in task processes alike, and what comes after it in drivers only. Read the program's
/// arguments after it: a task process has others.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if a setting makes no sense; [`ErrorKind::System`](crate::ErrorKind::System) if the data directory cannot be used, for instance
/// because another process has it.
pub async fn init_with(config: Config) -> Result<()> {
    match Purpose::of_process() {
        Purpose::Attempt => remote::take_over().await,
        Purpose::Launch => Box::pin(launch::take_over(config.clone())).await,
        Purpose::Program | Purpose::Describe => {}
    }
    client::set_default(Client::open(config)?);
    Ok(())
}
