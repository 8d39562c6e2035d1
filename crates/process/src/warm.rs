//! Processes of a script without the start of an interpreter each: a fork server for each Python environment, see `warm.py`. A warm process is one like any other. Whatever cannot be warm is started cold.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::cold::start_script;
use crate::{Error, Launch, Process, fit, os, spawn};
use fork_server::{ForkServer, NotForked};
pub use script::Script;

mod fork_server;
mod script;

/// After a failed start, the environment is left alone for so long: a launch in between is cold at once.
const REST: Duration = Duration::from_secs(60);

/// The fork servers, one for each script, started on first use. They end with this, their children do not.
#[derive(Debug)]
pub struct Warm {
    environment: Vec<(String, String)>,
    slots: Mutex<HashMap<Script, Arc<tokio::sync::Mutex<Slot>>>>,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Running(Arc<ForkServer>),
    Failed(Instant),
}

impl Warm {
    /// Fork servers will be started with `environment`, which is best what all tasks have in common. A task for which
    /// the interpreter or the SDK would have started differently with its own (`PYTHON..`, the locale, ..) is started
    /// cold.
    pub fn new(environment: Vec<(String, String)>) -> Warm {
        Warm { environment, slots: Mutex::default() }
    }

    /// Starts the fork server of `script` ahead, and returns whether it runs. Whoever spawns meanwhile waits for it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn prepare(&self, script: &Script) -> bool {
        self.server(script).await.is_some()
    }

    /// Starts `launch` as a fork if it runs the script, and as [`spawn_script`](super::spawn_script) does if it runs another program,
    /// or if there is no fork server to be had.
    ///
    /// # Errors
    ///
    /// As [`spawn`].
    ///
    /// # Cancellation
    ///
    /// Safe: a process that was started for a call which is gone is killed before it runs for long.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn spawn(&self, script: &Script, launch: &Launch) -> Result<Process, Error> {
        fit::check(launch)?;
        let Some(arguments) = script.called_by(launch) else { return spawn(launch) };
        if launch.mounted.is_some() {
            return start_script(script, arguments, launch);
        }
        // Twice: the fork server that runs may have loaded packages that were replaced since.
        for _ in 0..2 {
            let Some(server) = self.server(script).await else { break };
            match server.fork(arguments, launch).await {
                Ok(process) => return Ok(process),
                Err(NotForked::Refused(reason)) => {
                    tracing::info!(python = %script.interpreter.display(), reason, "a fork server refuses a launch");
                    break;
                }
                Err(NotForked::Ended | NotForked::Stale) => server.retire(),
            }
        }
        start_script(script, arguments, launch)
    }

    async fn server(&self, script: &Script) -> Option<Arc<ForkServer>> {
        if !os::CAN_FORK {
            return None;
        }
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.entry(script.clone()).or_default().clone()
        };
        let mut slot = slot.lock().await;
        match &*slot {
            Slot::Running(server) if server.takes_requests() => return Some(server.clone()),
            Slot::Failed(at) if at.elapsed() < REST => return None,
            Slot::Empty | Slot::Running(_) | Slot::Failed(_) => {}
        }
        match ForkServer::start(script, &self.environment).await {
            Ok(server) => {
                *slot = Slot::Running(server.clone());
                Some(server)
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(python = %script.interpreter.display(), error, "tasks of this environment start cold");
                *slot = Slot::Failed(Instant::now());
                None
            }
        }
    }
}
