//! The task that builds images: an attempt like any other, except that the server makes an environment instead of starting a process.
//!
//! Its inputs and its output are those that the stock SDK's remote image builder gives and expects (`remote_builder.py`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use spanwise_blobs::{BlobUri, Blobs};
use spanwise_core::{Failure, text::seconds};
use spanwise_engine::{Attempt, Report};
use spanwise_process::environments::{self, Build, Environment, ImageKey, Plan};
use spanwise_process::{Hidden, ProcessId, Runner, with_programs};
use spanwise_wire::image::{self, Image, ImageRequest};
use spanwise_wire::task::{ENTRY_POINT, Program};
use spanwise_wire::with_causes;

use super::contract::FileUris;
use super::trouble::patiently;
use super::{Files, Shared, adopt, damaged, launcher, secrets, system, undefined, unstored};
use crate::image_plan::ImagePlan;

/// How long a build may take. Packages that are compiled take minutes; one that takes longer hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(30 * 60);

/// The largest description of an image; it names packages.
const MAX_SPEC: u64 = 4 << 20;

/// The most that may come with an image: requirements files, wheels, source.
const MAX_CONTEXT: u64 = 512 << 20;

/// The plan of an image, or why there can be none.
pub(crate) async fn plan(blobs: &Blobs, request: &ImageRequest) -> Result<ImagePlan, String> {
    let uri = &request.description;
    let bytes = fetch(blobs, "the description of the image", uri, MAX_SPEC).await?;
    let image = Image::read(&bytes).map_err(|error| format!("`{uri}` describes no image: {}", with_causes(&error)))?;
    ImagePlan::of(image).map_err(|error| error.to_string())
}

async fn files(blobs: &Blobs, request: &ImageRequest) -> Result<Option<Bytes>, String> {
    if request.files.is_empty() {
        return Ok(None);
    }
    fetch(blobs, "the files of the image", &request.files, MAX_CONTEXT).await.map(Some)
}

async fn fetch(blobs: &Blobs, what: &str, uri: &str, limit: u64) -> Result<Bytes, String> {
    let parsed: BlobUri = uri.parse().map_err(|error| format!("{what}: {error}"))?;
    let found = blobs.get(&parsed, limit).await.map_err(|error| format!("read {what}: {error}"))?;
    found.ok_or_else(|| format!("{what} `{uri}` is not in the blob store of this server"))
}

/// Why there is no environment.
fn unmade(error: environments::Error) -> Failure {
    match &error {
        environments::Error::Io { .. } => system("make the environment", &error),
        environments::Error::Start { .. } => refused(system("", &error).message),
        _ => refused(error.to_string()),
    }
}

/// Why a task has no environment that has the SDK alone. Its author has not asked for more, so what the installer says is about the
/// network or the machine, and may be over at the next try.
pub(super) fn not_yet_made(error: environments::Error) -> Failure {
    match error {
        environments::Error::Step { .. } => Failure::system(BUILD_FAILED, error.to_string()),
        environments::Error::Start { .. } => system("make the environment", &error),
        _ => unmade(error),
    }
}

pub(super) const BUILD_FAILED: &str = "ImageBuildFailed";

/// A build that fails for a reason which another try would meet again.
fn refused(message: String) -> Failure {
    Failure::user(BUILD_FAILED, message).terminal()
}

impl Shared {
    /// Makes the environment of an image. Dropped, it stops the installer and removes what there is of it.
    pub(super) async fn build_image(
        &self,
        attempt: &Attempt,
        uris: &FileUris,
        files: &Files,
    ) -> Result<Report, Failure> {
        let request = ImageRequest::read(&attempt.inputs);
        let request = request.map_err(|error| damaged("read the frozen inputs", &error))?;
        let key = ImageKey::of(&request.image)
            .ok_or_else(|| refused(format!("`{}` is not named after the hash of an image", request.image)))?;
        let plan = plan(&self.blobs, &request).await.map_err(refused);
        let values = match &plan {
            Ok(ImagePlan { secrets, .. }) => {
                let program = Program { secrets: secrets.clone(), ..Program::default() };
                self.values_of(attempt, &program).await
            }
            Err(failure) => Err(failure.clone()),
        };
        // Installers print the addresses of private indexes, passwords among them.
        let hidden = secrets::hidden(&values);
        if attempt.adopted {
            self.end_orphan(&key, files).await;
            if let Some(key) = self.launcher.stands_in(&request.image) {
                self.end_installer(&key, files).await;
            }
            patiently("hide what is secret in the log of a build", || self.logs.hide_rest(&files.log, hidden.clone()))
                .await;
            return Ok(Report::unblamed("the server was stopped while it built the image"));
        }
        files.make().map_err(|error| system("make the attempt's directory", &error))?;
        let _work = RemoveWork(files.clone());
        let recording = self.logs.record_hiding(&files.log, hidden.clone()).await;
        let recording = recording.map_err(|error| system("make the log of the build", &error))?;
        attempt.run.report_started(attempt.scope.action, attempt.scope.attempt);
        let given = (plan?.plan, values?.variables());
        let environment = self.environment_of(attempt, (&request, &key), given, (files, &hidden)).await;
        recording.finish().await;
        let outputs = image::outputs(&environment?.image);
        let uri = uris.outputs.join("outputs.pb").map_err(|error| system("name the outputs", &error))?;
        self.blobs.put(&uri, outputs.clone()).await.map_err(|error| unstored("write the outputs", &error))?;
        Ok(Report::Succeeded(outputs))
    }

    async fn environment_of(
        &self,
        attempt: &Attempt,
        (request, key): (&ImageRequest, &ImageKey),
        (plan, secrets): (Plan, Vec<(String, String)>),
        (files, hidden): (&Files, &Hidden),
    ) -> Result<std::sync::Arc<Environment>, Failure> {
        let run = attempt.run.id();
        let environments = self.launcher.environments();
        self.stand_in(&request.image, files).await?;
        let base = environments.current().await;
        let inherited = self.launcher.inherited().for_installer();
        let mut env = with_programs(base.within(inherited), &launcher::bin_of(&base));
        env.extend(secrets);
        let settings = self.definitions.options(attempt.run.settings());
        let settings = settings.map_err(|error| undefined("read the run's settings", &error))?;
        let note = installer_file(files);
        let build = Build {
            image: &request.image,
            key,
            plan: &plan,
            context: self::files(&self.blobs, request).await.map_err(refused)?,
            env,
            log: &files.log,
            fresh: settings.cache.overwrite,
            built_by: Some([run.org.clone(), run.project.clone(), run.domain.clone(), run.name.to_string()]),
            hidden,
            started: &|id| remember(&note, id),
        };
        environments.ensure(&build).await.map_err(|error| secrets::without(unmade(error), hidden))
    }

    /// Sees to the environment of a published image that has another version of Python than the server's interpreter: it has the SDK
    /// alone, and is made when the first task asks for it.
    pub(super) async fn make_python(&self, program: &Program, files: &Files) -> Result<(), Failure> {
        if program.argv.first().is_some_and(|first| first == ENTRY_POINT) {
            self.stand_in(&program.image, files).await?;
        }
        let environments = self.launcher.environments();
        let base = environments.current().await;
        let Some((key, version)) = launcher::other_python(program, &base) else { return Ok(()) };
        if environments.find(&key).is_some() {
            return Ok(());
        }
        let note = installer_file(files);
        let build = Build {
            image: &program.image,
            key: &key,
            plan: &Plan { python: Some(version), ..Plan::default() },
            context: None,
            env: with_programs(base.within(self.launcher.inherited().for_installer()), &launcher::bin_of(&base)),
            log: &files.log,
            fresh: false,
            built_by: None,
            hidden: &Hidden::default(),
            started: &|id| remember(&note, id),
        };
        let made = tokio::time::timeout(LIMIT, environments.ensure(&build)).await;
        // The task finds its directory as it would without an installer.
        let _ = std::fs::remove_file(&note);
        let made = made.map_err(|_| {
            let message = format!("the environment of {} was not made within {}", program.image, seconds(LIMIT));
            Failure::system(BUILD_FAILED, message)
        })?;
        made.map(|_| ()).map_err(not_yet_made)
    }

    /// Sees to it that there is the SDK: see [`Launcher::stand_in`](launcher::Launcher::stand_in).
    async fn stand_in(&self, image: &str, files: &Files) -> Result<(), Failure> {
        let note = installer_file(files);
        let made = self.launcher.stand_in(image, &files.log, &|id| remember(&note, id)).await;
        let _ = std::fs::remove_file(&note);
        made
    }

    /// Stops the installer that an earlier server has started for a task, if it has: see [`Shared::make_python`]. For a container, what makes its root.
    pub(super) async fn end_python(&self, program: &Program, files: &Files) {
        if program.container.is_some() {
            return self.end_root(program, files).await;
        }
        if let Some(key) = self.launcher.stands_in(&program.image) {
            self.end_installer(&key, files).await;
        }
        if let Some((key, _)) = launcher::other_python(program, &self.launcher.environments().base()) {
            self.end_installer(&key, files).await;
        }
    }

    async fn end_orphan(&self, key: &ImageKey, files: &Files) {
        self.end_installer(key, files).await;
        RemoveWork(files.clone());
    }

    /// Stops the installer that an earlier server has started, and removes what it has written.
    async fn end_installer(&self, key: &ImageKey, files: &Files) {
        end_noted(&*self.runner, &installer_file(files), self.grace).await;
        if let Err(error) = self.launcher.environments().remove_unfinished(key) {
            tracing::warn!(image = %key, %error, "remove the remains of an unfinished image build");
        }
    }
}

/// Stops the installer that is noted in a file, if it is still there.
pub(super) async fn end_noted(runner: &dyn Runner, note: &Path, grace: Duration) {
    let noted = std::fs::read(note).ok();
    let id = noted.and_then(|noted| serde_json::from_slice::<ProcessId>(&noted).ok());
    if let Some(id) = id
        && let Some(process) = adopt(runner, &id).await
    {
        process.stop(grace).await;
    }
}

/// Where the installer of an attempt is noted.
pub(super) fn installer_file(files: &Files) -> PathBuf {
    files.work.join("installer.json")
}

/// Notes the installer. If that fails, an installer that outlives this server goes on until its end, for nothing.
pub(super) fn remember(note: &Path, id: &ProcessId) {
    let written = serde_json::to_vec(id).map_err(std::io::Error::from).and_then(|id| std::fs::write(note, id));
    if let Err(error) = written {
        tracing::debug!(note = %note.display(), %error, "note the installer of an image");
    }
}

/// Removes the attempt's directory when it is over, however it ends.
struct RemoveWork(Files);

impl Drop for RemoveWork {
    fn drop(&mut self) {
        self.0.remove_work();
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use environments::Error;
    use spanwise_core::FailureKind;
    use spanwise_process::{Ending, Launch, Limits, Machine};

    use super::*;

    #[test]
    fn a_task_is_tried_again_while_the_sdk_alone_cannot_be_installed() {
        let step = || Error::Step {
            doing: "install the SDK".to_owned(),
            ending: "exit 1".to_owned(),
            last_lines: "no network".to_owned(),
        };
        let start =
            || Error::Start { doing: "start uv".to_owned(), source: spanwise_process::Error::Unfit("no".to_owned()) };
        let full = || Error::Io { doing: "write", path: "/x".into(), source: io::Error::other("no") };
        for passing in [step(), start(), full()] {
            let failure = not_yet_made(passing);
            assert!(failure.kind == FailureKind::System && failure.recoverable, "{failure:?}");
        }
        let failure = not_yet_made(Error::Base("no SDK".to_owned()));
        assert!(failure.kind == FailureKind::User && !failure.recoverable, "{failure:?}");
        // What the author of an image has asked for is the author's.
        assert!(!unmade(step()).recoverable && !unmade(start()).recoverable);
    }

    #[tokio::test]
    async fn the_installer_of_an_earlier_server_is_ended_by_its_note() {
        let folder = tempfile::tempdir().unwrap();
        let (note, log) = (folder.path().join("installer.json"), folder.path().join("log"));
        let runner = Machine::new(None);
        end_noted(&runner, &note, Duration::from_secs(5)).await;
        let launch = Launch {
            argv: vec!["sleep".to_owned(), "600".to_owned()],
            env: std::env::vars().collect(),
            directory: folder.path().to_owned(),
            log,
            limits: Limits::default(),
            claim: None,
            mounted: None,
            container: None,
        };
        let installer = spanwise_process::spawn(&launch).unwrap();
        remember(&note, installer.id());
        end_noted(&runner, &note, Duration::from_secs(5)).await;
        let ending = tokio::time::timeout(Duration::from_secs(30), installer.wait()).await.unwrap();
        assert!(!matches!(ending, Ending::Exited(0)), "{ending:?}");
    }
}
