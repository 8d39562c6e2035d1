//! Tasks whose container starts a program of its own: its inputs as files, the root of its image, and its outputs from the files that it leaves.
//!
//! What a program has left stands beside the claim of its attempt then, as a task of the SDK leaves it itself, whichever server comes to see its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use spanwise_core::Failure;
use spanwise_engine::{Attempt, Report};
use spanwise_process::roots::{self, Root, Wanted};
use spanwise_process::{self as process, Container, Ending, Hidden, Launch, Process};
use spanwise_wire::inputs;
use spanwise_wire::task::{ContainerTask, Program};

use super::contract::{Contract, FileUris};
use super::image::{LIMIT, installer_file, remember};
use super::secrets::Values;
use super::{Files, Shared, bad_task, contract, damaged, memory, results, system, verdict};
use spanwise_core::text::seconds;

mod outputs;
mod stage;

/// What a container has of a path if neither its image nor its task says more.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What `bwrap` says in front of why a program cannot be started.
const CANNOT_START: &str = "bwrap: execvp ";

/// Whether tasks can be containers on this machine.
///
/// # Errors
/// What is missing, for people.
pub async fn can_run_containers() -> Result<(), String> {
    process::can_contain().await?;
    roots::missing().map_or(Ok(()), Err)
}

/// Says that an attempt has a process. A container reads no inputs by itself, and runs once it is there.
pub(super) fn began(attempt: &Attempt, program: &Program) {
    attempt.scope.report_alive();
    if program.container.is_some() {
        attempt.run.report_started(attempt.scope.action, attempt.scope.attempt);
    }
}

/// This machine cannot run containers, or cannot make what they need.
fn no_containers(why: &str) -> Failure {
    let message = format!("a container cannot be run on this machine: {why} (see docs/containers.md)");
    Failure::user("ContainersNotAvailable", message).terminal()
}

/// Why an image has no root.
fn no_root(error: &roots::Error) -> Failure {
    match error {
        roots::Error::Missing(why) => no_containers(why),
        roots::Error::NoSuchImage(why) => Failure::user("ImageNotFound", why.clone()).terminal(),
        // The network may be there at the next try.
        roots::Error::Step { .. } => Failure::system("ImagePullFailed", error.to_string()),
        roots::Error::Start { .. } | roots::Error::Io { .. } => system("make the root of the image", error),
    }
}

impl Shared {
    /// The root of a task's image, made if it is not there.
    async fn root_of(&self, program: &Program, (files, hidden): (&Files, &Hidden)) -> Result<Arc<Root>, Failure> {
        if program.image.is_empty() {
            return Err(bad_task(format!("`{}` has a container without an image", program.name)));
        }
        let note = installer_file(files);
        let wanted = Wanted {
            image: &program.image,
            env: self.launcher.inherited().for_registries(),
            log: &files.log,
            started: &|id| remember(&note, id),
            hidden,
        };
        let made = tokio::time::timeout(LIMIT, self.roots.ensure(&wanted)).await;
        let _ = std::fs::remove_file(&note);
        let late = |_| {
            let message = format!("the root of {} was not made within {}", program.image, seconds(LIMIT));
            Failure::system("ImagePullFailed", message)
        };
        made.map_err(late)?.map_err(|error| no_root(&error))
    }

    /// The root of an image while an attempt runs in it, so that nobody removes it.
    pub(super) fn root_in_use(&self, program: &Program) -> Option<Arc<Root>> {
        program.container.as_ref().and_then(|_| self.roots.find(&program.image))
    }

    /// Stops what an earlier server has started to make the root of an image, and removes what it has written.
    pub(super) async fn end_root(&self, program: &Program, files: &Files) {
        super::image::end_noted(&*self.runner, &installer_file(files), self.grace).await;
        if let Err(error) = self.roots.remove_unfinished(&program.image) {
            tracing::warn!(image = program.image, %error, "remove the remains of an unfinished root");
        }
    }

    /// Starts the program of a task in the root of its image.
    pub(super) async fn launch_container(
        &self,
        attempt: &Attempt,
        (program, task, values): (&Program, &ContainerTask, &Values),
        contract: &Contract<'_>,
        uris: &FileUris,
        files: &Files,
    ) -> Result<Process, Failure> {
        self.runner.can_contain().await.map_err(|why| no_containers(&why))?;
        files.make().map_err(|error| system("make the attempt's directory", &error))?;
        let root = self.root_of(program, (files, &values.hidden())).await?;
        let container = container(task, &root, files)?;
        let said = root.warnings.iter().chain(&program.not_honoured).cloned().chain(of_its_user(&container));
        for note in said.map(|said| format!("warning: {said}")).chain(values.not_hidden()) {
            let noted = self.logs.append(&files.log, &note).await;
            noted.map_err(|error| system("write to the attempt's log", &error))?;
        }
        let (delivered, context) = inputs::delivered(&attempt.inputs, attempt.span)
            .map_err(|error| damaged("read the frozen inputs", &error))?;
        let inputs =
            spanwise_wire::TaskInputs::read(&delivered).map_err(|error| damaged("read the frozen inputs", &error))?;
        let argv = argv(task, &root, &inputs, &|words| contract.fill(words, uris))?;
        if task.has_files {
            let entries = task.entries(&inputs).map_err(|error| bad_task(error.to_string()))?;
            stage::stage(&self.blobs, &files.work.join("inputs"), entries).await?;
        }
        let (options, defaults) = self.settings_of(&attempt.run)?;
        let secrets = values.given((&*self.runner, self.data.mounts())).await?;
        let home = if container.user.is_none() { "/root" } else { "/" };
        let layers = vec![
            vec![("PATH".to_owned(), PATH.to_owned()), ("HOME".to_owned(), home.to_owned())],
            root.settings.env.clone(),
            defaults.env.clone().into_iter().collect(),
            program.env.clone(),
            options.env.clone().into_iter().collect(),
            secrets.variables,
            contract.variables(uris, &context),
        ];
        let launch = Launch {
            argv,
            env: contract::merge(contract::with_defaults(layers, &self.endpoint, self.defaults.clone())),
            directory: files.work.clone(),
            log: files.log.clone(),
            limits: memory::limits(program),
            claim: Some(files.process.clone()),
            mounted: secrets.files,
            container: Some(container),
        };
        self.runner.start(None, &launch).await.map_err(|error| match error {
            process::Error::Unfit(why) => verdict::cannot_start(&why),
            error if error.is_final() => verdict::cannot_start(&system("it", &error).message),
            error => system("start the container", &error),
        })
    }

    /// How a container has ended, by what it has left; its outputs, or its error, stand beside its claim then.
    pub(super) async fn end_of_container(
        &self,
        (program, ending): (&Program, Ending),
        uris: &FileUris,
        files: &Files,
    ) -> Ending {
        let Some(task) = program.container.as_deref() else { return ending };
        let exit = exit_file(&files.process);
        // The file is missing where there was no room for it.
        let of_shell = if let Ending::Exited(code) = ending { Some(code) } else { None };
        let Some(code) = process::exit_code(&exit).or(of_shell) else { return ending };
        if !self.is_of_this_boot(files).await {
            return ending;
        }
        let directory = task.has_files.then(|| files.work.join("outputs"));
        let left = outputs::left_by(&self.blobs, task, (directory.as_deref(), code), &uris.raw_data).await;
        results::leave(&files.process, left).await;
        if code != 0
            && let Some(said) = directory.as_deref().and_then(outputs::said)
        {
            let _ = self.logs.append(&files.log, &said).await;
        }
        match code {
            // As a shell has it.
            129..=192 => Ending::Signalled(code - 128),
            _ => Ending::Exited(code),
        }
    }
}

/// What a user of an image has where the server is root's.
fn of_its_user(container: &Container) -> Option<String> {
    let (user, _) = container.user.filter(|_| rustix::process::geteuid().is_root())?;
    Some(format!("the image's user {user} has what root has in the image, and its own files there as nobody's"))
}

/// Where the exit code of a container stands.
fn exit_file(claim: &Path) -> PathBuf {
    results::beside_claim(claim, results::EXIT)
}

/// What is started: the task's words, with inputs in the place of their placeholders, behind what the image says.
fn argv(
    task: &ContainerTask,
    root: &Root,
    inputs: &spanwise_wire::TaskInputs,
    fill: &dyn Fn(&[String]) -> Vec<String>,
) -> Result<Vec<String>, Failure> {
    // What an input holds is no placeholder.
    let filled = |words: &[String]| task.filled(&fill(words), inputs).map_err(|error| bad_task(error.to_string()));
    let argv = root.settings.argv(&filled(&task.command)?, &filled(&task.arguments)?);
    match argv.is_empty() {
        true => Err(bad_task(format!("neither the task nor the image {} says what is to be started", root.image))),
        false => Ok(argv),
    }
}

/// The container of an attempt.
fn container(task: &ContainerTask, root: &Root, files: &Files) -> Result<Container, Failure> {
    let user = root.settings.user(&root.directory);
    let user = user.map_err(|name| {
        bad_task(format!("the image {} has no user or group `{name}`, as which it is to run", root.image))
    })?;
    let mut mounts = Vec::new();
    if task.has_files {
        for (name, at) in [("inputs", &task.inputs), ("outputs", &task.outputs)] {
            let directory = files.work.join(name);
            std::fs::create_dir_all(&directory).map_err(|error| system("make the attempt's directory", &error))?;
            mounts.push((directory, at.clone()));
        }
    }
    let at_top = root.settings.working_directory.is_empty();
    Ok(Container {
        root: root.directory.clone(),
        directory: files.work.join("container"),
        working_directory: if at_top { "/".to_owned() } else { root.settings.working_directory.clone() },
        user,
        mounts,
        exit: exit_file(&files.process),
    })
}

/// The report of an attempt, if its container could not start its program: another one could not either.
pub(super) fn named(report: Report, program: &Program, last_lines: &str) -> Report {
    let last = last_lines.trim_end().rsplit('\n').next().unwrap_or_default();
    match (report, last.strip_prefix(CANNOT_START)) {
        (Report::Failed(_), Some(said)) if program.container.is_some() => Report::Failed(verdict::cannot_start(said)),
        (report, _) => report,
    }
}
