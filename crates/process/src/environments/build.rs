//! Making an environment: an empty one, the packages that it shares, what the layers add, and the record at the end.

use std::fs;
use std::time::Instant;

use super::origin::Origin;
use super::plan::Step;
use super::record::Record;
use super::site::{Site, say};
use super::{Base, Build, Error, Inner, Sdk, copy, install};
use crate::random_name;
use crate::unfinished::Unfinished;

/// Makes the environment and its record. One whose packages do not go together with the SDK is made without it.
pub(super) async fn run(inner: &Inner, build: &Build<'_>) -> Result<Record, Error> {
    let base = inner.base();
    let unusable = if build.plan.sdk.is_some() { base.problem() } else { base.unusable() };
    if let Some(problem) = unusable {
        return Err(Error::Base(problem));
    }
    let made = make(inner, (&base, build), None).await;
    // One that is nothing but the SDK, or files beside it, is of no use without.
    let has_packages = build.plan.steps.iter().any(|step| !matches!(step, Step::Copy { .. }));
    let may_do_without = has_packages && build.plan.sdk.is_none();
    let conflict = made.as_ref().err().filter(|_| may_do_without).and_then(|error| conflict(error, base.sdk()));
    let Some(conflict) = conflict else { return made };
    let name = base.sdk().name;
    say(build.log, &format!("its packages do not go together with {name}: making the environment without it"))?;
    // What the installer said about both is what is to be read, if this does not help.
    make(inner, (&base, build), Some(conflict.to_owned())).await.or(made)
}

/// What an installer said of packages that do not go together, where the SDK is one of them.
fn conflict<'a>(error: &'a Error, sdk: &Sdk) -> Option<&'a str> {
    let Error::Step { last_lines, .. } = error else { return None };
    // The words of pip, and those of uv.
    let is_one = ["ResolutionImpossible", "No solution found"].iter().any(|words| last_lines.contains(words));
    // uv says the same of what it cannot find, which may be there the next time.
    let is_missing = ["was not found in", "there is no version of", "there are no versions of"];
    let is_missing = is_missing.iter().any(|words| last_lines.contains(words));
    (is_one && !is_missing && last_lines.contains(sdk.name)).then_some(last_lines)
}

/// Makes the environment, without the SDK if it is said why.
async fn make(inner: &Inner, (base, build): (&Base, &Build<'_>), lacks_sdk: Option<String>) -> Result<Record, Error> {
    let started = Instant::now();
    let name = format!("{}-{}", build.key, random_name());
    let unfinished = Unfinished::new(inner.directory.join(&name), inner.grace, inner.stopping.clone());
    let mut site = Site { base, build, unfinished, has_sdk: lacks_sdk.is_none() };
    let done = match site.make().await {
        Ok(mut warnings) => {
            warnings.extend(lacks_sdk.is_some().then(|| without_sdk(base.sdk())));
            let record = Record {
                image: build.image.to_owned(),
                directory: name,
                base: base.stamp(),
                env: build.plan.env.clone(),
                warnings,
                built_by: build.built_by.clone(),
                lacks_sdk,
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

fn without_sdk(sdk: &Sdk) -> String {
    format!(
        "its packages do not go together with {}: apps that are programs of their own run in it, tasks do not",
        sdk.name
    )
}

impl Site<'_> {
    async fn make(&mut self) -> Result<Vec<String>, Error> {
        let (base, plan) = (self.base, self.build.plan);
        fs::create_dir_all(self.directory()).map_err(|error| self.io("make directory", error))?;
        let origin = Origin::of(base, plan, self.has_sdk).await.map_err(Error::NoSuchPython)?;
        let warnings = plan.warnings.clone();
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
                    let copied = copy::copy(self.context().join(from), self.source(), to.clone()).await;
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
            Origin::Base => {
                let mut argv = vec![self.base.python().display().to_string()];
                argv.extend_from_slice(self.base.options());
                argv.extend(["-m", "venv", "--without-pip"].map(str::to_owned));
                argv.push(directory);
                argv
            }
            Origin::Other(python) => vec![python.display().to_string(), "-m".into(), "venv".into(), directory],
            Origin::Uv(uv) => {
                let (major, minor) = self.build.plan.python.or(self.base.version()).unwrap_or_default();
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
}
