//! Which interpreter runs a task, and how its process is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use spanwise_core::Failure;
use spanwise_process as process;
use spanwise_process::{Inherited, Launch, Process, Runner, Script, with_programs};
use spanwise_wire::image::published_python;
use spanwise_wire::task::{ENTRY_POINT, Program};

use super::{entry, system, verdict};
use crate::image_plan::SDK;
use spanwise_process::environments::{Base, Environment, Environments, ImageKey};

/// What runs beside the stock SDK in each of its processes.
pub const BESIDE_SDK: &str = concat!(include_str!("sdk.py"), "\n\n", include_str!("task.py"));

/// What runs beside the SDK's entry point of apps.
const BESIDE_APP: &str = concat!(include_str!("sdk.py"), "\n\n", include_str!("app.py"));

/// Starts processes of tasks.
#[derive(Debug)]
pub(crate) struct Launcher {
    environments: Environments,
    inherited: Inherited,
    /// Where the entry point of the interpreter is kept.
    bin: PathBuf,
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
    /// What was made for its image, if something was.
    image: Option<Arc<Environment>>,
}

/// What an app is started with.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) python: PythonEnvironment,
    /// The SDK's entry point; none for an app that is started by a program of its own.
    pub(crate) script: Option<Script>,
}

impl PythonEnvironment {
    /// Copies the files that came with the image to where a task finds them.
    pub(crate) async fn bring_files(&self, to: &Path) -> std::io::Result<()> {
        match &self.image {
            Some(image) => image.bring_files(to).await,
            None => Ok(()),
        }
    }

    /// What a task inherits, with what the interpreter needs and with its programs first.
    pub(crate) fn variables(&self, inherited: Vec<(String, String)>) -> Vec<(String, String)> {
        // What a wrapper of the server's interpreter sets is for that interpreter and its packages.
        let is_apart = self.image.as_ref().is_some_and(|image| !image.shares_packages);
        let inherited = if is_apart { inherited } else { self.base.within(inherited) };
        with_programs(inherited, &self.path)
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
    /// Tasks whose image asks for nothing else run with the interpreter that environments are made from. The entry point is kept in
    /// `bin`.
    pub(crate) fn new(environments: Environments, inherited: Inherited, bin: PathBuf) -> Launcher {
        Launcher { environments, inherited, bin }
    }

    /// The environment that most tasks start with.
    pub(crate) fn common(&self) -> Vec<(String, String)> {
        let base = self.environments.base();
        let mut common = with_programs(base.within(self.inherited.for_task()), &programs(&self.bin, &base));
        common.push(("PYTHONUNBUFFERED".to_owned(), "1".to_owned()));
        common
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
            program.task_type != "rust" && program.argv.first().is_some_and(|program| program == ENTRY_POINT);
        let base = if is_stock { self.environments.current().await } else { self.environments.base() };
        let other = other_python(program, &base);
        let key = ImageKey::of(&program.image).filter(|_| program.task_type != "rust");
        let key = key.or_else(|| other.as_ref().map(|(key, _)| key.clone()));
        let mut notes = Vec::new();
        if let Some(found) = key.as_ref().and_then(|key| self.environments.find(key)) {
            notes.extend(other.map(|(_, (major, minor))| {
                format!("the image has Python {major}.{minor}: the task runs in an environment with the SDK alone, beside the server's own")
            }));
            if is_stock && let Some(conflict) = &found.lacks_sdk {
                return Err(without_sdk(&program.image, conflict));
            }
            let (bin, env) = (found.bin.clone(), found.env.clone());
            let (interpreter, path) = (bin.join("python"), bin.join(ENTRY_POINT));
            let directories = directories(&found, &base);
            let script = is_stock.then_some(Script { interpreter, options: Vec::new(), path, beside: BESIDE_SDK });
            return Ok(PythonEnvironment { base, script, path: directories, env, notes, image: Some(found) });
        }
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
        Ok(PythonEnvironment { path: programs(&self.bin, &base), base, script, env: Vec::new(), notes, image: None })
    }

    /// The environment of an app, and the script in the place of the first of its arguments if that is the SDK's entry point.
    pub(crate) async fn serving(&self, program: &Program) -> Result<Serving, Failure> {
        let python = self.environment(program).await?;
        if program.argv.first().is_none_or(|first| first != entry::SERVE) {
            return Ok(Serving { python, script: None });
        }
        let path = entry::write_serve(&self.bin).map_err(|error| system("write the SDK's entry point", &error))?;
        let found = ImageKey::of(&program.image).and_then(|key| self.environments.find(&key));
        // The SDK's entry point may start the app as a program of its own, which then finds what is installed for it on its path.
        if let Some(conflict) = found.as_ref().and_then(|found| found.lacks_sdk.as_ref())
            && program.argv.iter().position(|argument| argument == "--").is_none_or(|at| at + 1 == program.argv.len())
        {
            return Err(without_sdk(&program.image, conflict));
        }
        let found = found.filter(|found| found.lacks_sdk.is_none());
        let (interpreter, options) = match found {
            Some(found) => (found.bin.join("python"), Vec::new()),
            None => {
                let base = &python.base;
                if let Some(problem) = base.unusable() {
                    return Err(Failure::user("PythonNotFound", problem).terminal());
                }
                (base.python().to_owned(), base.options().to_vec())
            }
        };
        let script = Script { interpreter, options, path, beside: BESIDE_APP };
        Ok(Serving { python, script: Some(script) })
    }

    /// The entry point for the server's own interpreter. If that has no SDK, the task fails for good: another attempt would find the same.
    fn script(&self, base: &Base) -> Result<Script, Failure> {
        if let Some(problem) = base.unusable() {
            return Err(Failure::user("PythonNotFound", problem).terminal());
        }
        let path = entry::write(&self.bin, base).map_err(|error| system("write the SDK's entry point", &error))?;
        let (interpreter, options) = (base.python().to_owned(), base.options().to_vec());
        Ok(Script { interpreter, options, path, beside: BESIDE_SDK })
    }

    /// Starts a process of a task: a stock one by the interpreter of its environment, another program as its path finds it.
    pub(crate) async fn start(
        &self,
        runner: &dyn Runner,
        environment: &PythonEnvironment,
        mut launch: Launch,
    ) -> Result<Process, Failure> {
        let script = environment.script.as_ref();
        if let Some(script) = script {
            launch.argv.splice(..1, script.command());
        }
        runner.start(script, &launch).await.map_err(|error| match error {
            process::Error::Unfit(why) => verdict::cannot_start(&why),
            error if error.is_final() => verdict::cannot_start(&system("it", &error).message),
            error => system("start the task's process", &error),
        })
    }

    /// Starts the warm interpreter ahead of the first task.
    pub(crate) async fn prepare(&self, runner: &dyn Runner) {
        if let Ok(script) = self.script(&self.environments.base()) {
            runner.prepare(&script).await;
        }
    }
}

/// The directories of programs that belong to an interpreter, behind the one that has its entry point: packages that an environment sees
/// of it may start a program of theirs.
fn programs(bin: &Path, base: &Base) -> Vec<PathBuf> {
    std::iter::once(bin.to_owned()).chain(bin_of(base)).collect()
}

/// The directories of programs of an environment: those of the server's interpreter only if its packages are seen.
fn directories(environment: &Environment, base: &Base) -> Vec<PathBuf> {
    if environment.shares_packages { programs(&environment.bin, base) } else { vec![environment.bin.clone()] }
}

/// The environment that a stock task needs beside that of the server: its image is a published one with another version of Python. None
/// can be made if the server's own interpreter does not work, which is then what the task fails by.
pub(super) fn other_python(program: &Program, base: &Base) -> Option<(ImageKey, (u32, u32))> {
    let is_stock = program.argv.first().is_some_and(|program| program == ENTRY_POINT);
    let can_be_made = is_stock && base.unusable().is_none();
    let version = published_python(&program.image).filter(|version| can_be_made && Some(*version) != base.version())?;
    Some((ImageKey::of_python(version), version))
}

/// Why a task cannot run in an environment that was made for apps alone.
fn without_sdk(image: &str, conflict: &str) -> Failure {
    let name = SDK.name;
    let message = format!(
        "the packages of the image {image} do not go together with {name}, which tasks need, and apps that it serves itself: ask for other versions of them. The installer \
         said:\n{conflict}"
    );
    Failure::user("PackagesConflict", message).terminal()
}

/// The directory of programs beside an interpreter.
pub(super) fn bin_of(base: &Base) -> Vec<PathBuf> {
    base.python().parent().map(Path::to_owned).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn an_interpreter_that_does_not_work_is_not_another_version_than_that_of_an_image() {
        let image = "ghcr.io/flyteorg/flyte:py3.12-v2.12.1".to_owned();
        assert_eq!(published_python(&image), Some((3, 12)));
        let program = Program { image, argv: vec![ENTRY_POINT.to_owned()], ..Program::default() };
        let base = Base::probe(Path::new("/nowhere/python"), &SDK).await;
        assert!(base.problem().is_some());
        assert_eq!(other_python(&program, &base), None);
    }

    #[tokio::test]
    async fn an_environment_of_another_python_has_nothing_of_the_servers_own() {
        let folder = tempfile::tempdir().unwrap();
        let wrapper = folder.path().join("python");
        std::fs::write(&wrapper, "#!/bin/sh\nPYTHONPATH=/of/the/wrapper exec python3 \"$@\"\n").unwrap();
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o700)).unwrap();
        let base = Arc::new(Base::probe(&wrapper, &SDK).await);
        assert!(base.version().is_some(), "{:?}", base.problem());
        let own = bin_of(&base).remove(0).display().to_string();
        for shares_packages in [true, false] {
            let bin = PathBuf::from("/environment/bin");
            let image = Environment {
                image: "image".to_owned(),
                bin: bin.clone(),
                files: None,
                env: Vec::new(),
                warnings: Vec::new(),
                built_by: None,
                shares_packages,
                lacks_sdk: None,
            };
            let environment = PythonEnvironment {
                path: directories(&image, &base),
                base: Arc::clone(&base),
                script: None,
                env: Vec::new(),
                notes: Vec::new(),
                image: Some(Arc::new(image)),
            };
            let variables = environment.variables(vec![("PATH".to_owned(), "/of/the/server".to_owned())]);
            let value = |name: &str| variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
            let sets = value("PYTHONPATH") == Some("/of/the/wrapper");
            let path = value("PATH").unwrap();
            let has_programs = path.split(':').any(|directory| directory == own);
            assert_eq!((sets, has_programs), (shares_packages, shares_packages), "{variables:?}");
            assert!(path.starts_with("/environment/bin:"), "{path}");
        }
    }
}
