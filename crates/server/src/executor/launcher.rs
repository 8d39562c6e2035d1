//! Which interpreter runs a task, and how its process is started.

use std::path::{Path, PathBuf};

use spanwise_core::Failure;

use super::contract::inherited;
use super::{bin_of, system};
use crate::process::{self, Launch, Process, Warm};
use crate::wire::task::Program;

/// Starts processes.
#[derive(Debug)]
pub(crate) struct Launcher {
    python: PathBuf,
    /// None: every process starts from nothing.
    warm: Option<Warm>,
}

/// The Python environment of a task.
#[derive(Clone, Debug)]
pub(crate) struct PythonEnvironment {
    python: PathBuf,
    bin: PathBuf,
}

impl PythonEnvironment {
    /// The directory of its programs.
    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }
}

impl Launcher {
    /// Tasks whose image asks for nothing else run with `python`; stock ones are forked from a warm one unless they are to be
    /// `cold`.
    pub(crate) fn new(python: PathBuf, cold: bool) -> Launcher {
        let mut common = inherited(std::env::vars(), &bin_of(&python));
        common.push(("PYTHONUNBUFFERED".to_owned(), "1".to_owned()));
        Launcher { python, warm: (!cold).then(|| Warm::new(common)) }
    }

    /// The environment that a task's image stands for.
    pub(crate) async fn environment(&self, _program: &Program) -> Result<PythonEnvironment, Failure> {
        Ok(PythonEnvironment { python: self.python.clone(), bin: bin_of(&self.python) })
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
        let started = match &self.warm {
            Some(warm) => warm.spawn(&environment.python, &launch).await,
            None => process::spawn(&launch),
        };
        started.map_err(|error| system("start the task's process", &error))
    }

    /// Starts the warm interpreter ahead of the first task.
    pub(crate) async fn prepare(&self) {
        if let Some(warm) = &self.warm {
            warm.prepare(&self.python).await;
        }
    }
}
