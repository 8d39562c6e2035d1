//! Attempts of the stock SDK without the start of an interpreter each: a fork server for each Python environment, see
//! `warm.py`. A warm process is one like any other. Whatever cannot be warm is started cold.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Error, Launch, Process, fit, spawn};
use fork_server::{ForkServer, NotForked};
use script::Script;

mod fork_server;
mod script;

/// After a failed start, the environment is left alone for so long: a launch in between is cold at once.
const REST: Duration = Duration::from_secs(60);

/// The fork servers, one for each interpreter, started on first use. They end with this, their children do not.
#[derive(Debug)]
pub struct Warm {
    environment: Vec<(String, String)>,
    slots: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<Slot>>>>,
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

    /// Starts the fork server of `python` ahead, and returns whether it runs. Whoever spawns meanwhile waits for it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn prepare(&self, python: &Path) -> bool {
        match Script::of(python) {
            Some(script) => self.server(&script).await.is_some(),
            None => false,
        }
    }

    /// Starts `launch` as a fork if its program is the script `a0` beside `python`, and as [`spawn`] does if it is
    /// another one, or if there is no fork server to be had.
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
    pub async fn spawn(&self, python: &Path, launch: &Launch) -> Result<Process, Error> {
        fit::check(launch)?;
        let script = Script::of(python).and_then(|script| Some((script.called_by(launch)?, script)));
        if let Some((program, script)) = script {
            // Twice, because a server that runs may turn out to be of yesterday's environment.
            for _ in 0..2 {
                let Some(server) = self.server(&script).await else { break };
                match server.fork(&program, launch).await {
                    Ok(process) => return Ok(process),
                    Err(NotForked::Refused(reason)) => {
                        tracing::info!(python = %python.display(), reason, "a fork server refuses a launch");
                        break;
                    }
                    Err(NotForked::Ended | NotForked::Stale) => server.retire(),
                }
            }
        }
        spawn(launch)
    }

    async fn server(&self, script: &Script) -> Option<Arc<ForkServer>> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.entry(script.interpreter.clone()).or_default().clone()
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
