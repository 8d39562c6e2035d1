//! Which interpreter runs a task, and how its process is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use spanwise_core::Failure;
use spanwise_wire::task::Program;

use super::inherited::with_programs;
use super::{Inherited, entry, system, verdict};
use crate::environments::{Base, Environments, ImageKey};
use crate::process::{self, Launch, Process, Script, Warm};

/// Starts processes.
#[derive(Debug)]
pub(crate) struct Launcher {
    environments: Environments,
    inherited: Inherited,
    /// Where the entry point of the interpreter is kept.
    bin: PathBuf,
    /// None: every process starts from nothing.
    warm: Option<Warm>,
}

/// The Python environment of a task.
#[derive(Clone, Debug)]
pub(crate) struct PythonEnvironment {
    base: Arc<Base>,
    /// The SDK's entry point with the interpreter that runs it; none if the task is for another program.
    script: Option<Script>,
    path: Vec<PathBuf>,
    env: Vec<(String, String)>,
    notes: Vec<String>,
}

impl PythonEnvironment {
    /// What a task inherits, with what the interpreter needs and with its programs first.
    pub(crate) fn variables(&self, inherited: Vec<(String, String)>) -> Vec<(String, String)> {
        with_programs(self.base.within(inherited), &self.path)
    }

    /// The variables that the image sets.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        self.env.clone()
    }

    /// What the reader of the task's log should know about it.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Launcher {
    /// Tasks whose image asks for nothing else run with the interpreter that environments are made from; stock ones are forked from
    /// a warm one unless they are to be `cold`. The entry point is kept in `bin`.
    pub(crate) fn new(environments: Environments, inherited: Inherited, bin: PathBuf, cold: bool) -> Launcher {
        let base = environments.base();
        let mut common = with_programs(base.within(inherited.for_task()), &programs(&bin, &base));
        common.push(("PYTHONUNBUFFERED".to_owned(), "1".to_owned()));
        Launcher { environments, inherited, bin, warm: (!cold).then(|| Warm::new(common)) }
    }

    pub(crate) fn environments(&self) -> &Environments {
        &self.environments
    }

    /// What processes have of the server's environment.
    pub(crate) fn inherited(&self) -> &Inherited {
        &self.inherited
    }

    /// The environment that a task's image stands for. An image that was not built here is one that another builder has made, or
    /// one that has been deleted since: the task may well run without it, so it is not refused.
    pub(crate) async fn environment(&self, program: &Program) -> Result<PythonEnvironment, Failure> {
        let is_stock =
            program.task_type != "rust" && program.argv.first().is_some_and(|program| program == entry::NAME);
        let base = if is_stock { self.environments.current().await } else { self.environments.base() };
        let key = ImageKey::of(&program.image).filter(|_| program.task_type != "rust");
        if let Some(found) = key.as_ref().and_then(|key| self.environments.find(key)) {
            let (bin, env) = (found.bin.clone(), found.env.clone());
            let (interpreter, path) = (bin.join("python"), bin.join(entry::NAME));
            let script = is_stock.then_some(Script { interpreter, options: Vec::new(), path });
            return Ok(PythonEnvironment { base, script, path: vec![bin], env, notes: Vec::new() });
        }
        let mut notes = Vec::new();
        if key.is_some() {
            notes.push(format!(
                "warning: there is no environment for the image {}: the task runs with {}, without the image's packages; \
                 set the image builder to `remote` to have it made",
                program.image,
                base.python().display()
            ));
        }
        let script = if is_stock { Some(self.script(&base)?) } else { None };
        notes.extend(self.environments.notes(&base).into_iter().filter(|_| is_stock));
        Ok(PythonEnvironment { path: programs(&self.bin, &base), base, script, env: Vec::new(), notes })
    }

    /// The entry point for the server's own interpreter. That it has no SDK is for the user to see to: another try would find the same.
    fn script(&self, base: &Base) -> Result<Script, Failure> {
        if let Some(problem) = base.problem() {
            return Err(Failure::user("PythonNotFound", problem).terminal());
        }
        let path = entry::write(&self.bin, base).map_err(|error| system("write the SDK's entry point", &error))?;
        let (interpreter, options) = (base.python().to_owned(), base.options().to_vec());
        Ok(Script { interpreter, options, path })
    }

    /// Starts a process of a task: a stock one by the interpreter of its environment, another program as its path finds it.
    pub(crate) async fn start(&self, environment: &PythonEnvironment, mut launch: Launch) -> Result<Process, Failure> {
        let started = match (&environment.script, &self.warm) {
            (Some(script), warm) => {
                launch.argv.splice(..1, script.command());
                match warm {
                    Some(warm) => warm.spawn(script, &launch).await,
                    None => process::spawn_script(script, &launch),
                }
            }
            (None, _) => process::spawn(&launch),
        };
        started.map_err(|error| match error {
            process::Error::Unfit(why) => verdict::cannot_start(&why),
            error if error.is_final() => verdict::cannot_start(&system("it", &error).message),
            error => system("start the task's process", &error),
        })
    }

    /// Starts the warm interpreter ahead of the first task.
    pub(crate) async fn prepare(&self) {
        if let Some(warm) = &self.warm
            && let Ok(script) = self.script(&self.environments.base())
        {
            warm.prepare(&script).await;
        }
    }
}

/// The directories of programs that belong to an interpreter, with that of its entry point.
fn programs(bin: &Path, base: &Base) -> Vec<PathBuf> {
    std::iter::once(bin.to_owned()).chain(bin_of(base)).collect()
}

/// The directory of programs beside an interpreter.
pub(super) fn bin_of(base: &Base) -> Vec<PathBuf> {
    base.python().parent().map(Path::to_owned).into_iter().collect()
}
