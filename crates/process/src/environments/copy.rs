//! Copying the files of an image: beside the runtime, because there may be gigabytes of them, and for as long as they are wanted.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, oneshot};

/// Copies at one time. Each has a thread of its own: those of the runtime are few, and there for what is short.
static COPIES: Semaphore = Semaphore::const_new(4);

/// So much is copied, in bytes, before it is asked again whether it is wanted.
const PIECE: u64 = 16 << 20;

/// Copies a file or the content of a directory to `to` below `root`, as Docker's `COPY` does. `root` is made if it is not there.
///
/// # Cancellation
///
/// Dropped, the copy stops, and nothing is made by it any more, even if what it has made is removed.
pub(super) async fn copy(from: PathBuf, root: PathBuf, to: String) -> io::Result<()> {
    beside_runtime(move |wanted| wanted.copy(&from, &root, &to)).await
}

/// Copies what is in a directory into another one, which is there.
///
/// # Cancellation
///
/// As [`copy`].
pub(super) async fn copy_directory(from: PathBuf, to: PathBuf) -> io::Result<()> {
    beside_runtime(move |wanted| wanted.copy_content(&from, &to)).await
}

async fn beside_runtime(copy: impl FnOnce(&Wanted) -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let permit = COPIES.acquire().await;
    let wanted = Wanted::default();
    let _until_dropped = Unwanted(wanted.clone());
    let (done, copied) = oneshot::channel();
    let work = move || {
        let _permit = permit;
        drop(done.send(copy(&wanted)));
    };
    std::thread::Builder::new().name("copy".to_owned()).spawn(work)?;
    copied.await.unwrap_or_else(|_| Err(io::Error::other("the copying thread has panicked")))
}

/// Whether somebody still waits for a copy: locked whenever a file or a directory is made.
#[derive(Clone, Default)]
struct Wanted(Arc<Mutex<Stopped>>);

#[derive(Default)]
struct Stopped(bool);

/// Says at its end that a copy is no longer wanted.
struct Unwanted(Wanted);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.lock().0 = true;
    }
}

impl Wanted {
    fn lock(&self) -> std::sync::MutexGuard<'_, Stopped> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is short, if it is still wanted.
    fn make<T>(&self, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let stopped = self.lock();
        if stopped.0 {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "nobody waits for the copy any more"));
        }
        make()
    }

    fn copy(&self, from: &Path, root: &Path, to: &str) -> io::Result<()> {
        let target = root.join(to);
        if from.is_dir() {
            self.make(|| fs::create_dir_all(&target))?;
            return self.copy_content(from, &target);
        }
        let into = to.ends_with('/') || to == "." || target.is_dir();
        let target = if into { target.join(from.file_name().unwrap_or_default()) } else { target };
        if let Some(parent) = target.parent() {
            self.make(|| fs::create_dir_all(parent))?;
        }
        self.copy_file(from, &target)
    }

    fn copy_content(&self, from: &Path, to: &Path) -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let (source, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
            if source.is_dir() {
                self.make(|| fs::create_dir_all(&target))?;
                self.copy_content(&source, &target)?;
            } else {
                self.copy_file(&source, &target)?;
            }
        }
        Ok(())
    }

    fn copy_file(&self, from: &Path, to: &Path) -> io::Result<()> {
        let source = File::open(from)?;
        let permissions = source.metadata()?.permissions();
        let mut target = self.make(|| File::create(to))?;
        target.set_permissions(permissions)?;
        while io::copy(&mut (&source).take(PIECE), &mut target)? == PIECE {
            self.make(|| Ok(()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn files_are_copied_as_docker_does() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("package/inner")).unwrap();
        let file = from.join("package/inner/a.py");
        fs::write(&file, "a").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o750)).unwrap();
        copy(from.join("package"), to.clone(), "./package".to_owned()).await.unwrap();
        copy(file.clone(), to.clone(), ".".to_owned()).await.unwrap();
        copy(file, to.clone(), "other/b.py".to_owned()).await.unwrap();
        copy_directory(from.join("package"), to.join("other")).await.unwrap();
        for copied in ["package/inner/a.py", "a.py", "other/b.py", "other/inner/a.py"] {
            assert_eq!(fs::read_to_string(to.join(copied)).unwrap(), "a", "{copied}");
            assert_eq!(fs::metadata(to.join(copied)).unwrap().permissions().mode() & 0o777, 0o750, "{copied}");
        }
        assert!(copy(from.join("missing"), to.clone(), "c".to_owned()).await.is_err());
    }

    /// The runtime has one thread for what blocks, and all copies are under way: that thread is free.
    #[test]
    fn copies_stand_in_nobodys_way_and_stop_when_they_are_dropped() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (started, mut begun) = tokio::sync::mpsc::unbounded_channel();
            let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
            let copies: Vec<_> = (0..4)
                .map(|number: usize| {
                    let (started, ended) = (started.clone(), ended.clone());
                    let work = folder.path().join(number.to_string());
                    tokio::spawn(beside_runtime(move |wanted| {
                        let made = loop {
                            let made = wanted.make(|| fs::create_dir_all(&work));
                            if made.is_err() {
                                break made;
                            }
                            let _ = started.send(number);
                            std::thread::yield_now();
                        };
                        let _ = ended.send(number);
                        made
                    }))
                })
                .collect();
            let mut seen = std::collections::HashSet::new();
            while seen.len() < copies.len() {
                seen.insert(begun.recv().await.unwrap());
            }
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            for copy in copies {
                copy.abort();
                assert!(copy.await.unwrap_err().is_cancelled());
            }
            for entry in fs::read_dir(folder.path()).unwrap() {
                fs::remove_dir(entry.unwrap().path()).unwrap();
            }
            for _ in 0..4 {
                end.recv().await.unwrap();
            }
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "made again after it was removed");
        });
    }
}
