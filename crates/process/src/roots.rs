//! Root file systems of images: one for each image, made once by the well-kept tools of the machine, shared by everybody whose container has that image.
//!
//! `skopeo` brings an image, from a registry or as a layout or an archive on this machine, and `umoci` unpacks it. Where an image of Debian itself cannot
//! be had, `debootstrap` makes a root of the same release, which is said with it.
//!
//! A root is made under a name of its own, and a record beside it, written last and in one step, says that it is complete. A directory that no record
//! names is what a try has left that did not end well. A root that nobody has used for a month goes when another one is made.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio_util::task::TaskTracker;

use crate::{Hidden, ProcessId, append};

mod config;
mod debian;
mod make;
mod record;

pub use config::Settings;

/// A root that nobody has used for so long goes.
const UNUSED: Duration = Duration::from_hours(30 * 24);

/// Why there is no root.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What makes roots is not on this machine: what is missing, and how to get it.
    #[error("{0}")]
    Missing(String),
    /// The registry says that there is no such image, or none for this user; or it is no image.
    #[error("{0}")]
    NoSuchImage(String),
    /// A program that takes part ended badly.
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

/// A root that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The image, as it was named.
    pub image: String,
    /// Its directory.
    pub directory: PathBuf,
    /// What the image says about processes in it.
    pub settings: Settings,
    /// What whoever uses it should know, one sentence each.
    pub warnings: Vec<String>,
}

/// A root that is asked for.
#[derive(Clone)]
pub struct Wanted<'a> {
    /// The image.
    pub image: &'a str,
    /// The environment of the programs that take part.
    pub env: Vec<(String, String)>,
    /// Where progress and their words are appended to; its directory must exist.
    pub log: &'a Path,
    /// Is told of each program that takes part, so that one can be found again after a restart.
    pub started: &'a (dyn Fn(&ProcessId) + Send + Sync),
    /// What is hidden in that log.
    pub hidden: &'a Hidden,
}

/// The name of a root in its directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key(String);

impl Key {
    fn of(image: &str) -> Key {
        Key(HEXLOWER.encode(&Sha256::digest(image)[..16]))
    }
}

/// The roots in a directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Roots {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    /// How long a program may take to end after SIGTERM.
    grace: Duration,
    /// Tries that are being undone.
    stopping: TaskTracker,
    /// Roots in use are those that somebody has a clone of.
    roots: Mutex<HashMap<Key, Arc<Root>>>,
    /// Held by whoever makes a root: of two at one time, the second finds it done.
    making: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
}

impl Roots {
    /// Opens the roots in `directory`, which need not exist, and removes what unfinished tries have left in it.
    pub fn open(directory: PathBuf, grace: Duration, stopping: TaskTracker) -> Roots {
        if let Err(error) = record::remove_unfinished(&directory, None) {
            tracing::warn!(directory = %directory.display(), %error, "remove the remains of unfinished roots");
        }
        let (roots, making) = (Mutex::default(), Mutex::default());
        Roots { inner: Arc::new(Inner { directory, grace, stopping, roots, making }) }
    }

    /// The root of an image, if it is there. It is in use as long as somebody has it.
    pub fn find(&self, image: &str) -> Option<Arc<Root>> {
        let key = Key::of(image);
        let found = lock(&self.inner.roots).get(&key).cloned();
        let found = found.filter(|root| root.directory.is_dir()).or_else(|| {
            let root = Arc::new(record::Record::read(&self.inner.directory, &key)?.root(&self.inner.directory)?);
            lock(&self.inner.roots).insert(key.clone(), Arc::clone(&root));
            Some(root)
        })?;
        record::touch(&self.inner.directory, &key);
        Some(found)
    }

    /// The root of an image, made if it is not there. Of several calls for one image at one time, one makes it.
    ///
    /// # Errors
    /// [`Error`]. Nothing is left of the try then, and the next call tries again.
    ///
    /// # Cancellation
    /// Safe: the programs that take part are stopped, and what they have written is removed. A call that waits for this one makes the root itself.
    pub async fn ensure(&self, wanted: &Wanted<'_>) -> Result<Arc<Root>, Error> {
        if let Some(root) = self.find(wanted.image) {
            return Ok(root);
        }
        let key = Key::of(wanted.image);
        let making = Arc::clone(lock(&self.inner.making).entry(key.clone()).or_default());
        let _one = match making.try_lock() {
            Ok(one) => one,
            Err(_) => {
                say(wanted.log, &format!("the root of {} is being made: waiting for it", wanted.image))?;
                making.lock().await
            }
        };
        if let Some(root) = self.find(wanted.image) {
            return Ok(root);
        }
        self.remove_unused();
        make::make(&self.inner, &key, wanted).await?;
        let gone = || Error::Io {
            doing: "use the new root in",
            path: self.inner.directory.clone(),
            source: io::Error::new(io::ErrorKind::NotFound, "it is gone again"),
        };
        self.find(wanted.image).ok_or_else(gone)
    }

    /// Removes what an unfinished try has left of an image's root; none may be under way.
    ///
    /// # Errors
    /// If the directory cannot be read, or what is in it not be removed.
    pub fn remove_unfinished(&self, image: &str) -> io::Result<()> {
        let key = Key::of(image);
        let making = Arc::clone(lock(&self.inner.making).entry(key.clone()).or_default());
        match making.try_lock() {
            Ok(_one) => record::remove_unfinished(&self.inner.directory, Some(&key)),
            // Another try is at it: what is left now goes with the next start.
            Err(_) => Ok(()),
        }
    }

    /// Removes the roots that nobody has used for long.
    fn remove_unused(&self) {
        let is_in_use = |key: &Key| lock(&self.inner.roots).get(key).is_some_and(|root| Arc::strong_count(root) > 1);
        for (key, record) in record::unused(&self.inner.directory, UNUSED) {
            if is_in_use(&key) {
                continue;
            }
            lock(&self.inner.roots).remove(&key);
            match record.remove(&self.inner.directory, &key) {
                Ok(()) => tracing::info!(
                    image = record.image,
                    bytes = record.bytes,
                    "removed a root that nobody has used for a month"
                ),
                Err(error) => {
                    tracing::warn!(image = record.image, %error, "remove a root that nobody has used for a month")
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn say(log: &Path, line: &str) -> Result<(), Error> {
    append(log, line).map_err(|source| Error::Io { doing: "write to log", path: log.to_owned(), source })
}

/// What is missing on this machine for making roots of any image, and how to get it.
pub fn missing() -> Option<String> {
    crate::container::missing(&make::NEEDED)
}

#[cfg(test)]
mod tests;
