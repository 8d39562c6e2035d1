//! Which interpreter runs a task, and how its process is started.

use std::path::{Path, PathBuf};

use spanwise_core::Failure;

use super::contract::inherited;
use super::{bin_of, system, verdict};
use crate::environments::{Environments, ImageKey};
use crate::process::{self, Launch, Process, Warm};
use crate::wire::task::Program;

/// Starts processes.
#[derive(Debug)]
pub(crate) struct Launcher {
    environments: Environments,
    /// None: every process starts from nothing.
    warm: Option<Warm>,
}

/// The Python environment of a task.
#[derive(Clone, Debug)]
pub(crate) struct PythonEnvironment {
    python: PathBuf,
    bin: PathBuf,
    env: Vec<(String, String)>,
    note: Option<String>,
}

impl PythonEnvironment {
    /// The directory of its programs.
    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }

    /// The variables that the image sets.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        self.env.clone()
    }

    /// What the reader of the task's log should know about it.
    pub(crate) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

impl Launcher {
    /// Tasks whose image asks for nothing else run with the interpreter that environments are made from; stock ones are forked from
    /// a warm one unless they are to be `cold`.
    pub(crate) fn new(environments: Environments, cold: bool) -> Launcher {
        let mut common = inherited(std::env::vars(), &bin_of(environments.base().python()));
        common.push(("PYTHONUNBUFFERED".to_owned(), "1".to_owned()));
        Launcher { environments, warm: (!cold).then(|| Warm::new(common)) }
    }

    pub(crate) fn environments(&self) -> &Environments {
        &self.environments
    }

    /// The environment that a task's image stands for. An image that was not built here is one that another builder has made, or
    /// one that has been deleted since: the task may well run without it, so it is not refused.
    pub(crate) fn environment(&self, program: &Program) -> PythonEnvironment {
        let python = self.environments.base().python();
        let base = PythonEnvironment { python: python.to_owned(), bin: bin_of(python), env: Vec::new(), note: None };
        let Some(key) = ImageKey::of(&program.image).filter(|_| program.task_type != "rust") else { return base };
        if let Some(found) = self.environments.find(&key) {
            let (bin, env) = (found.bin.clone(), found.env.clone());
            return PythonEnvironment { python: bin.join("python"), bin, env, note: None };
        }
        let note = format!(
            "warning: there is no environment for the image {}: the task runs with {}, without the image's packages; \
             set the image builder to `remote` to have it made",
            program.image,
            python.display()
        );
        PythonEnvironment { note: Some(note), ..base }
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
        started.map_err(|error| {
            let failure = system("start the task's process", &error);
            if error.is_final() { verdict::cannot_start(&failure.message) } else { failure }
        })
    }

    /// Starts the warm interpreter ahead of the first task.
    pub(crate) async fn prepare(&self) {
        if let Some(warm) = &self.warm {
            warm.prepare(self.environments.base().python()).await;
        }
    }
}
