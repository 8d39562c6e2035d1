//! Virtual environments that stand for container images: one for each image hash, made once, kept in the data directory.
//!
//! An environment is made at its final path, because virtual environments cannot be moved, and under a name of its own, so that
//! nothing ever meets the remains of another try. A record beside it, written last and in one step, says that it is complete; a
//! directory that no record names is what a build has left that did not end well.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::task::TaskTracker;

use crate::{Hidden, ProcessId};

mod base;
mod build;
mod copy;
mod files;
mod install;
mod key;
mod origin;
mod plan;
mod record;
mod sdk;
mod site;

pub use base::{Base, NoPython};
pub use key::ImageKey;
pub use origin::NoSuchPython;
pub use plan::{Plan, Step};
pub use sdk::Sdk;

use origin::Origin;
use record::Record;

/// Why an environment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that takes part ended badly: most often the installer, which has said why.
    #[error("{doing} failed ({ending}); it last printed:\n{last_lines}")]
    Step {
        /// What was attempted.
        doing: String,
        /// How the program ended, in words.
        ending: String,
        /// The end of the log.
        last_lines: String,
    },
    /// A program that takes part could not be started.
    #[error("{doing}")]
    Start {
        /// What was attempted.
        doing: String,
        /// What the system said.
        #[source]
        source: crate::Error,
    },
    /// The interpreter that tasks run with has no SDK, so that no environment made from it could run a task: what is wrong with
    /// it, and what to do.
    #[error("make an environment: {0}")]
    Base(String),
    /// The version of Python that is asked for is not on this machine.
    #[error(transparent)]
    NoSuchPython(NoSuchPython),
    /// The file system failed.
    #[error("{doing} `{}`", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// An environment that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The image, as the SDK names it.
    pub image: String,
    /// Its directory of programs, with `python` and `a0`.
    pub bin: PathBuf,
    /// The files that came with the image, which tasks find in their working directory; none if it has none.
    pub files: Option<PathBuf>,
    /// The variables that the image sets.
    pub env: Vec<(String, String)>,
    /// What of the image could not be realised, one sentence each.
    pub warnings: Vec<String>,
    /// Whoever had it made, as [`Build::built_by`] said.
    pub built_by: Option<[String; 4]>,
    /// Whether it sees the packages of the interpreter that it was made from: not if it has another version of Python, or not the SDK.
    pub shares_packages: bool,
    /// It has not the SDK, with which its packages do not go together: what the installer said.
    pub lacks_sdk: Option<String>,
}

/// A build that is asked for.
#[derive(Clone)]
pub struct Build<'a> {
    /// The image, as the SDK names it.
    pub image: &'a str,
    /// Its hash.
    pub key: &'a ImageKey,
    /// What is to be done.
    pub plan: &'a Plan,
    /// The files that the plan refers to: a tar file, compressed or not.
    pub context: Option<Bytes>,
    /// The environment of the programs that take part, for instance with the secrets of a private index.
    pub env: Vec<(String, String)>,
    /// Where progress and the installer's words are appended to; its directory must exist.
    pub log: &'a Path,
    /// Make it anew even if it is there.
    pub fresh: bool,
    /// Who has it made, in words of the caller's, for the record.
    pub built_by: Option<[String; 4]>,
    /// What is hidden in that log, and in what an error shows of it.
    pub hidden: &'a Hidden,
    /// Is told of each program that takes part, so that one can be found again after a restart.
    pub started: &'a (dyn Fn(&ProcessId) + Send + Sync),
}

/// The environments in a directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Environments {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    base: RwLock<Arc<Base>>,
    /// The interpreter as it was at the start.
    given: Base,
    /// Held by whoever asks the interpreter again.
    asking: tokio::sync::Mutex<()>,
    /// Held by whoever makes an environment that stands in for the interpreter.
    standing_in: tokio::sync::Mutex<()>,
    /// How long an installer may take to end after SIGTERM.
    grace: Duration,
    /// Builds that are being undone.
    stopping: TaskTracker,
    environments: Mutex<HashMap<ImageKey, Arc<Environment>>>,
    /// Held by whoever builds an image: two builds of one image happen one after the other, and the second finds it done.
    building: Mutex<HashMap<ImageKey, Arc<tokio::sync::Mutex<()>>>>,
}

impl Environments {
    /// Opens the environments in `directory`, which need not exist, and removes what unfinished builds have left in it. What it
    /// undoes in the background is tracked by `stopping`.
    pub fn open(directory: PathBuf, base: Base, grace: Duration, stopping: TaskTracker) -> Environments {
        if let Err(error) = record::remove_unfinished(&directory, None) {
            tracing::warn!(directory = %directory.display(), %error, "remove the remains of unfinished image builds");
        }
        let (environments, building) = (Mutex::default(), Mutex::default());
        let (given, base) = (base.clone(), RwLock::new(Arc::new(base)));
        let (asking, standing_in) = (tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
        let inner = Inner { directory, base, given, asking, standing_in, grace, stopping, environments, building };
        Environments { inner: Arc::new(inner) }
    }

    /// The interpreter of tasks whose image asks for nothing, which is also what environments are made from, as it was known last.
    pub fn base(&self) -> Arc<Base> {
        self.inner.base()
    }

    /// The same, asked again if it may be another one by now: it is gone, or its packages have changed.
    pub async fn current(&self) -> Arc<Base> {
        let base = self.base();
        if base.unusable().is_none() && base.is_unchanged() {
            return base;
        }
        let _one = self.inner.asking.lock().await;
        let before = self.base();
        if !Arc::ptr_eq(&base, &before) {
            return before;
        }
        let mut now = before.again().await;
        if self.is_own(&before) && now.unusable().is_some() {
            now = self.inner.given.again().await;
        }
        let now = Arc::new(now);
        if now.to_string() != before.to_string() || now.unusable() != before.unusable() {
            let problem = now.unusable().map(tracing::field::display);
            tracing::warn!(%before, %now, problem, "the interpreter of tasks has changed");
        }
        *self.inner.base.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&now);
        now
    }

    /// Has tasks run with an environment that has the SDK, in the place of an interpreter that has not: made if it is not there.
    ///
    /// # Errors
    /// As [`Environments::ensure`].
    ///
    /// # Cancellation
    /// As [`Environments::ensure`].
    pub async fn stand_in(&self, build: &Build<'_>) -> Result<(), Error> {
        // One at a time, of whatever version: what is made first stands in for all.
        let _one = self.inner.standing_in.lock().await;
        if self.base().unusable().is_none() {
            return Ok(());
        }
        let mut problem = self.stands_in(self.ensure(build).await?).await;
        if problem.is_some() {
            // The machine may have ended before all of it was on the disk.
            let fresh = Build { fresh: true, ..build.clone() };
            problem = self.stands_in(self.ensure(&fresh).await?).await;
        }
        if let Some(problem) = problem {
            return Err(Error::Base(problem));
        }
        // A server that cannot note it asks the first task again.
        if let Err(error) = record::stands_in(&self.inner.directory, build.key) {
            tracing::warn!(%error, "note which environment stands in for the interpreter");
        }
        Ok(())
    }

    /// Has tasks run with the environment that has stood in for this interpreter before, if there is one: what was made from it is found then.
    /// True if they do.
    pub async fn take_up(&self) -> bool {
        let _one = self.inner.standing_in.lock().await;
        let key = record::stood_in(&self.inner.directory).filter(|_| self.base().lacks_sdk().is_some());
        match key.and_then(|key| self.find(&key)) {
            Some(made) => self.stands_in(made).await.is_none(),
            None => false,
        }
    }

    /// Has tasks run with an environment; says why they cannot.
    async fn stands_in(&self, made: Arc<Environment>) -> Option<String> {
        let base = Base::probe(&made.bin.join("python"), self.inner.given.sdk()).await;
        let problem = base.unusable();
        if problem.is_none() {
            let _one = self.inner.asking.lock().await;
            *self.inner.base.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(base);
        }
        problem
    }

    /// Whether it is one that was made for want of the SDK.
    fn is_own(&self, base: &Base) -> bool {
        base.python().starts_with(&self.inner.directory)
    }

    /// What the reader of a task's log should know about the interpreter that it runs with.
    pub fn notes(&self, base: &Base) -> Vec<String> {
        let given = &self.inner.given;
        let changed = (base.to_string() != given.to_string()).then(|| match self.is_own(base) {
            true => format!("the server's own interpreter has not the SDK: this task runs with {base}"),
            false => format!("warning: this task runs with {base}; when the server was started, it was {given}"),
        });
        base.warning().map(|warning| format!("warning: {warning}")).into_iter().chain(changed).collect()
    }

    /// Looks for the version of Python that an image asks for.
    ///
    /// # Errors
    /// [`NoSuchPython`] if the machine does not have it.
    pub async fn look_for_python(&self, plan: &Plan) -> Result<(), NoSuchPython> {
        Origin::of(&self.base(), plan, true).await.map(|_| ())
    }

    /// The environment of an image, if it is complete and was made from the interpreter that the server has now.
    pub fn find(&self, key: &ImageKey) -> Option<Arc<Environment>> {
        let found = self.environments().get(key).cloned();
        if let Some(found) = found.filter(|environment| environment.bin.join("python").exists()) {
            return Some(found);
        }
        self.environments().remove(key);
        let environment = Arc::new(Record::read(&self.inner.directory, key)?.environment(&self.inner)?);
        self.environments().insert(key.clone(), Arc::clone(&environment));
        Some(environment)
    }

    /// The environment of an image, made if it is not there. Of several calls for one image at one time, one makes it.
    ///
    /// # Errors
    ///
    /// [`Error`]. Nothing is left of the try then, and the next call tries again.
    ///
    /// # Cancellation
    ///
    /// Safe: the programs that take part are stopped and what they have written is removed. A call that waits for this one makes
    /// the environment itself.
    pub async fn ensure(&self, build: &Build<'_>) -> Result<Arc<Environment>, Error> {
        let lock = Arc::clone(self.building().entry(build.key.clone()).or_default());
        let _building = match lock.try_lock() {
            Ok(lock) => lock,
            Err(_) => {
                site::say(build.log, "another build of this image is under way: waiting for it")?;
                lock.lock().await
            }
        };
        if !build.fresh
            && let Some(environment) = self.find(build.key)
        {
            site::say(build.log, &format!("{} is there already", build.image))?;
            return Ok(environment);
        }
        let record = build::run(&self.inner, build).await?;
        self.environments().remove(build.key);
        let missing = || io::Error::new(io::ErrorKind::NotFound, "it is gone again");
        self.find(build.key).ok_or_else(|| Error::Io {
            doing: "use the new environment",
            path: self.inner.directory.join(record.directory),
            source: missing(),
        })
    }

    /// Removes what unfinished builds of an image have left; none may be under way.
    ///
    /// # Errors
    /// If the directory cannot be read, or what is in it not be removed.
    pub fn remove_unfinished(&self, key: &ImageKey) -> io::Result<()> {
        let lock = Arc::clone(self.building().entry(key.clone()).or_default());
        match lock.try_lock() {
            Ok(_building) => record::remove_unfinished(&self.inner.directory, Some(key)),
            // Another build is at it: what is left now goes with the next start.
            Err(_) => Ok(()),
        }
    }

    fn environments(&self) -> std::sync::MutexGuard<'_, HashMap<ImageKey, Arc<Environment>>> {
        self.inner.environments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn building(&self) -> std::sync::MutexGuard<'_, HashMap<ImageKey, Arc<tokio::sync::Mutex<()>>>> {
        self.inner.building.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Environment {
    /// Copies the files that came with the image into a directory, which is there.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancellation
    ///
    /// Dropped, the copy stops, and makes nothing any more, even if the directory is removed.
    pub async fn bring_files(&self, to: &Path) -> io::Result<()> {
        match self.files.clone() {
            Some(from) => copy::copy_directory(from, to.to_owned()).await,
            None => Ok(()),
        }
    }
}

impl Inner {
    fn base(&self) -> Arc<Base> {
        Arc::clone(&self.base.read().unwrap_or_else(PoisonError::into_inner))
    }
}
