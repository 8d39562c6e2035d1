//! Which interpreter runs a task, and how its process is started.

use std::path::{Path, PathBuf};

use spanwise_core::Failure;

use super::{bin_of, system};
use crate::process::{self, Launch, Process};
use crate::wire::task::Program;

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
        process::spawn(&launch).map_err(|error| system("start the task's process", &error))
    }
}
