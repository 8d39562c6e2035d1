//! Making an environment: an empty one, the packages that it shares, what the layers add, and the record at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spanwise_process as process;
use spanwise_process::{Ending, Launch, Limits, Process, append, random_name};
use tokio_util::task::TaskTracker;

use super::plan::{Plan, Step};
use super::record::Record;
use super::{Base, Build, Error, Inner, files, in_words, install};

/// How much of the log an error shows: an installer says what is wrong at its end.
const LAST_LINES: usize = 3000;

/// Where the interpreter of an environment comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The server's own; its packages are visible in the environment, behind those of the image.
    Base,
    /// Another one that is installed.
    Other(PathBuf),
    /// uv finds or fetches it.
    Uv(PathBuf),
    /// The server's own, although the image asks for another version.
    BaseInstead,
}

impl Origin {
    pub(super) fn of(base: &Base, plan: &Plan) -> Origin {
        let Some((major, minor)) = plan.python.filter(|asked| Some(*asked) != base.version()) else {
            return Origin::Base;
        };
        let installed = || files::on_path(&format!("python{major}.{minor}")).map(Origin::Other);
        let uv = || files::on_path("uv").map(Origin::Uv);
        installed().or_else(uv).unwrap_or(Origin::BaseInstead)
    }

    pub(super) fn warning(&self, plan: &Plan) -> Option<String> {
        let (major, minor) = plan.python.filter(|_| *self == Origin::BaseInstead)?;
        Some(format!(
            "the image asks for Python {major}.{minor}, which is not on the PATH of the server: it gets the server's own"
        ))
    }

    pub(super) fn shares_packages(&self) -> bool {
        matches!(self, Origin::Base | Origin::BaseInstead)
    }
}

/// Appends a line to a log.
pub(super) fn say(log: &Path, line: &str) -> Result<(), Error> {
    append(log, line).map_err(|source| Error::Io { doing: "write to log", path: log.to_owned(), source })
}

/// Makes the environment and its record.
pub(super) async fn run(inner: &Inner, build: &Build<'_>) -> Result<Record, Error> {
    let base = inner.base();
    if let Some(problem) = base.problem() {
        return Err(Error::Base(problem));
    }
    let started = Instant::now();
    let name = format!("{}-{}", build.key, random_name());
    let mut site = Site { base: &base, build, unfinished: Unfinished::new(inner, &name) };
    let done = match site.make().await {
        Ok(warnings) => {
            let record = Record {
                image: build.image.to_owned(),
                directory: name,
                base: base.stamp(),
                env: build.plan.env.clone(),
                warnings,
                built_by: build.built_by.clone(),
            };
            let written = record.write(&inner.directory, build.key);
            written.map(|()| record).map_err(|source| site.io("write the record beside", source))
        }
        Err(error) => Err(error),
    };
    match done {
        Ok(record) => {
            site.unfinished.keep();
            say(build.log, &format!("{} is ready after {:.1} s", build.image, started.elapsed().as_secs_f64()))?;
            tracing::info!(image = build.image, elapsed = ?started.elapsed(), "made an environment");
            Ok(record)
        }
        Err(error) => {
            site.unfinished.remove().await;
            Err(error)
        }
    }
}

/// An environment that is being made.
pub(super) struct Site<'a> {
    /// The interpreter that it is made from, whatever becomes of the server's meanwhile.
    pub(super) base: &'a Base,
    pub(super) build: &'a Build<'a>,
    unfinished: Unfinished,
}

impl Site<'_> {
    pub(super) fn directory(&self) -> &Path {
        &self.unfinished.directory
    }

    pub(super) fn python(&self) -> String {
        self.directory().join("bin/python").display().to_string()
    }

    /// The files that came with the image.
    pub(super) fn context(&self) -> PathBuf {
        self.directory().join("context")
    }

    fn source(&self) -> PathBuf {
        self.directory().join("source")
    }

    pub(super) fn io(&self, doing: &'static str, source: io::Error) -> Error {
        Error::Io { doing, path: self.directory().to_owned(), source }
    }

    pub(super) fn say(&self, line: &str) -> Result<(), Error> {
        say(self.build.log, line)
    }

    async fn make(&mut self) -> Result<Vec<String>, Error> {
        let (base, plan) = (self.base, self.build.plan);
        fs::create_dir_all(self.directory()).map_err(|error| self.io("make directory", error))?;
        let origin = Origin::of(base, plan);
        let mut warnings = plan.warnings().to_vec();
        warnings.extend(origin.warning(plan));
        self.say(&format!("making an environment for {}", self.build.image))?;
        for warning in &warnings {
            self.say(&format!("warning: {warning}"))?;
        }
        self.create(&origin).await?;
        self.share(&origin).await?;
        self.unpack().await?;
        let installer = install::Installer::prepare(self, &origin).await?;
        for step in &plan.steps {
            match step {
                Step::Copy { from, to } => {
                    let copied = files::copy(&self.context().join(from), &self.source(), to);
                    copied.map_err(|error| self.io("copy the image's files into", error))?;
                }
                step => installer.install(self, step).await?,
            }
        }
        let _ = fs::remove_dir_all(self.context());
        Ok(warnings)
    }

    /// An empty environment.
    async fn create(&mut self, origin: &Origin) -> Result<(), Error> {
        let directory = self.directory().display().to_string();
        let argv = match origin {
            // pip comes with the shared packages, which saves seconds.
            Origin::Base | Origin::BaseInstead => {
                let mut argv = vec![self.base.python().display().to_string()];
                argv.extend_from_slice(self.base.options());
                argv.extend(["-m", "venv", "--without-pip"].map(str::to_owned));
                argv.push(directory);
                argv
            }
            Origin::Other(python) => vec![python.display().to_string(), "-m".into(), "venv".into(), directory],
            Origin::Uv(uv) => {
                let (major, minor) = self.build.plan.python.unwrap_or_default();
                let uv = uv.display().to_string();
                // The directory is there already, and empty.
                vec![
                    uv,
                    "venv".into(),
                    "--allow-existing".into(),
                    "--seed".into(),
                    "--python".into(),
                    format!("{major}.{minor}"),
                    directory,
                ]
            }
        };
        self.run("create an environment", argv).await
    }

    /// The server's own packages, and the directory of modules that come with the image.
    async fn share(&mut self, origin: &Origin) -> Result<(), Error> {
        let copies = self.build.plan.steps.iter().any(|step| matches!(step, Step::Copy { .. }));
        let source = if copies { self.source().display().to_string() } else { String::new() };
        let mut argv = vec![self.python(), "-c".into(), include_str!("share.py").into(), source];
        if origin.shares_packages() {
            argv.extend_from_slice(self.base.packages());
        }
        self.run("share the server's packages", argv).await
    }

    async fn unpack(&mut self) -> Result<(), Error> {
        let context = self.context();
        fs::create_dir_all(&context).map_err(|error| self.io("make a directory in", error))?;
        let Some(bytes) = &self.build.context else { return Ok(()) };
        let packed = self.directory().join("context.tar");
        let written = fs::write(&packed, bytes);
        written.map_err(|error| self.io("store the image's files in", error))?;
        let (packed, context) = (packed.display().to_string(), context.display().to_string());
        // Python reads it whether it is compressed or not.
        let argv = vec![self.python(), "-m".into(), "tarfile".into(), "-e".into(), packed.clone(), context];
        self.run("unpack the files that came with the image", argv).await?;
        fs::remove_file(packed).map_err(|error| self.io("remove a file of", error))
    }

    /// Runs a program to its end, which must be a good one. Its words go to the log.
    pub(super) async fn run(&mut self, doing: &str, argv: Vec<String>) -> Result<(), Error> {
        let launch = Launch {
            argv,
            env: self.env(),
            directory: self.directory().to_owned(),
            log: self.build.log.to_owned(),
            limits: Limits::default(),
            // Several programs take part one after the other; the caller notes each.
            claim: None,
        };
        let started = process::spawn(&launch);
        let process = started.map_err(|source| Error::Start { doing: doing.to_owned(), source })?;
        (self.build.started)(process.id());
        self.unfinished.process = Some(process.clone());
        let ending = process.wait().await;
        self.unfinished.process = None;
        if ending == Ending::Exited(0) {
            return Ok(());
        }
        let last_lines = process::last_lines(self.build.log, LAST_LINES).unwrap_or_default();
        Err(Error::Step {
            doing: doing.to_owned(),
            ending: in_words(ending),
            last_lines: last_lines.trim_end().to_owned(),
        })
    }

    /// The programs' environment: nobody is there to answer a question or to watch a bar.
    fn env(&self) -> Vec<(String, String)> {
        let bin = self.directory().join("bin").display().to_string();
        let directory = self.directory().display().to_string();
        let mut env = self.build.env.clone();
        let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
        let set = [
            ("PATH", format!("{bin}:{path}")),
            ("VIRTUAL_ENV", directory),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1".to_owned()),
            ("PIP_NO_INPUT", "1".to_owned()),
            ("PIP_PROGRESS_BAR", "off".to_owned()),
            ("PIP_ROOT_USER_ACTION", "ignore".to_owned()),
            ("UV_NO_PROGRESS", "1".to_owned()),
            ("PYTHONUNBUFFERED", "1".to_owned()),
        ];
        // What would make the installer look or write elsewhere.
        let misleading =
            ["PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_PYTHON", "UV_PYTHON"];
        env.retain(|(name, _)| !misleading.contains(&name.as_str()) && set.iter().all(|(known, _)| name != known));
        env.extend(set.map(|(name, value)| (name.to_owned(), value)));
        env
    }
}

/// What a build has begun; dropped, it is undone.
struct Unfinished {
    directory: PathBuf,
    process: Option<Process>,
    grace: Duration,
    stopping: TaskTracker,
    kept: bool,
}

impl Unfinished {
    fn new(inner: &Inner, name: &str) -> Unfinished {
        let (directory, stopping) = (inner.directory.join(name), inner.stopping.clone());
        Unfinished { directory, process: None, grace: inner.grace, stopping, kept: false }
    }

    fn keep(&mut self) {
        self.kept = true;
    }

    async fn remove(&mut self) {
        self.kept = true;
        remove(self.directory.clone()).await;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let (directory, process, grace) = (self.directory.clone(), self.process.take(), self.grace);
        self.stopping.spawn(async move {
            if let Some(process) = process {
                process.stop(grace).await;
            }
            remove(directory).await;
        });
    }
}

async fn remove(directory: PathBuf) {
    let removed = tokio::task::spawn_blocking(move || {
        let removed = fs::remove_dir_all(&directory);
        // The record's first form, if it could not be written.
        let _ = fs::remove_file(directory.with_extension("new"));
        removed.map_err(|error| (directory, error))
    });
    if let Ok(Err((directory, error))) = removed.await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(directory = %directory.display(), %error, "remove an unfinished environment: it goes with the next start");
    }
}
