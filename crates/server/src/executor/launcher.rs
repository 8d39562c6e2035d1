//! Which interpreter runs a task, and how its process is started.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spanwise_core::Failure;

use super::{bin_of, system};
use crate::process::{self, Launch, Process};
use crate::wire::task::Program;

/// How often, and after which pause, a program is tried again that the system says is being written.
const BUSY_TRIES: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Starts processes.
#[derive(Debug)]
pub(crate) struct Launcher {
    python: PathBuf,
}

/// The Python environment of a task.
#[derive(Clone, Debug)]
pub(crate) struct PythonEnvironment {
    bin: PathBuf,
}

impl PythonEnvironment {
    /// The directory of its programs.
    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }
}

impl Launcher {
    /// Tasks whose image asks for nothing else run with `python`.
    pub(crate) fn new(python: PathBuf) -> Launcher {
        Launcher { python }
    }

    /// The environment that a task's image stands for.
    pub(crate) async fn environment(&self, _program: &Program) -> Result<PythonEnvironment, Failure> {
        Ok(PythonEnvironment { bin: bin_of(&self.python) })
    }

    /// Starts a process of a task.
    pub(crate) async fn start(&self, environment: &PythonEnvironment, mut launch: Launch) -> Result<Process, Failure> {
        if let Some(program) = launch.argv.first_mut()
            && !program.contains('/')
        {
            let own = environment.bin.join(&*program);
            if own.exists() {
                *program = own.display().to_string();
            }
        }
        for _ in 0..BUSY_TRIES {
            match process::spawn(&launch) {
                // Written a moment ago: a process that was forked meanwhile holds it open until it becomes another program.
                Err(process::Error::Start { source, .. }) if source.kind() == ErrorKind::ExecutableFileBusy => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                started => return started.map_err(|error| system("start the task's process", &error)),
            }
        }
        process::spawn(&launch).map_err(|error| system("start the task's process", &error))
    }
}
