//! Blobs in a directory of this machine.
//!
//! A blob is a file under `spanwise/`, named by its key. It is written aside (`staging/`) and then renamed or linked to its name, so
//! that a name always leads to a whole content; parts of uploads wait in `uploads/`.

mod failed;
mod list;
mod multipart;
mod read;
mod write;

use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use spanwise_core::Durability;

use crate::{
    Announced, BUCKET, BlobStore, BlobUri, Body, ByteRange, Content, Error, Mode, Object, Page, Query, Right, Source,
};

/// Where unfinished writes lie. Keys cannot get there: they all lie under [`BUCKET`].
const STAGING: &str = "staging";

/// Where the parts of multipart uploads lie until the upload is completed.
const UPLOADS: &str = "uploads";

/// When a multipart upload that nobody completed is given up: S3's usual rule for them.
const UPLOAD_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// A store in a directory, one bucket `spanwise`. A clone is the same store.
///
/// With [`Durability::Disk`] a blob survives a power cut: content and name are synced before a write returns `Ok`, for a journal that
/// says "succeeded" must not outlive the outputs that it points to. Without it a blob survives the end of the process.
///
/// A directory belongs to one store of one process at a time; the lock of the data directory sees to that.
#[derive(Debug, Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: LocalFileSystem,
    directory: PathBuf,
    /// Which directory was opened, whatever has its name later.
    opened: (u64, u64),
    /// The next name in [`STAGING`].
    next_staged: AtomicU64,
}

/// What a probe writes: more than fits beside the name of a file.
static PROBE: [u8; 64 << 10] = [0; 64 << 10];

impl Directory {
    /// Opens the store in a directory, which is made if it is not there, and removes what unfinished writes have left. A blob
    /// survives what the journal survives: with [`Durability::Disk`], each waits for the disk.
    ///
    /// # Errors
    /// [`Error::Open`] if the directory cannot be made, read or written.
    pub fn open(directory: &Path, durability: Durability) -> Result<Directory, Error> {
        let open_error = |source| Error::Open { directory: directory.to_owned(), source };
        prepare(directory).map_err(open_error)?;
        let store = LocalFileSystem::new_with_prefix(directory)
            .map_err(|error| open_error(io::Error::other(error)))?
            .with_fsync(durability == Durability::Disk)
            .with_automatic_cleanup(true);
        let opened =
            std::fs::metadata(directory).map(|metadata| (metadata.dev(), metadata.ino())).map_err(open_error)?;
        let inner = Inner { store, directory: directory.to_owned(), opened, next_staged: AtomicU64::new(0) };
        Ok(Directory { inner: Arc::new(inner) })
    }

    /// Whether a store that has this directory has nothing below a name but files that end with `inner`, without opening it and so without changing
    /// anything.
    #[must_use]
    pub fn has_only(directory: &Path, top: &str, inner: &str) -> bool {
        let mut left = vec![directory.join(BUCKET).join(top)];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                let path = entry.path();
                match path.is_dir() {
                    true => left.push(path),
                    false if path.ends_with(inner) => {}
                    false => return false,
                }
            }
        }
        true
    }

    /// Refuses to write into a directory that is not the one that was opened: what is there is another store's, or nobody's.
    fn check_root(&self) -> Result<(), Error> {
        let there = std::fs::metadata(&self.inner.directory).map(|metadata| (metadata.dev(), metadata.ino()));
        match there {
            Ok(there) if there == self.inner.opened => Ok(()),
            _ => Err(Error::Gone { directory: self.inner.directory.clone() }),
        }
    }

    fn path(&self, uri: &BlobUri) -> Result<StorePath, Error> {
        StorePath::parse(uri.file()).map_err(|error| self.failed("name", uri, error))
    }

    fn file(&self, path: &StorePath) -> Result<PathBuf, Error> {
        self.inner.store.path_to_filesystem(path).map_err(|error| self.failed("name", path, error))
    }

    fn failed(&self, action: &'static str, name: impl ToString, source: impl Into<Source>) -> Error {
        failed::sort(action, name.to_string(), &self.inner.directory, source)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        name: String,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        done.map_err(|error| self.failed(action, name, error))
    }

    /// Writes a little aside and removes it again.
    fn try_to_write(&self) -> Result<(), Error> {
        self.check_root()?;
        let staged = self.new_staged();
        let file = self.inner.directory.join(STAGING).join(staged.name());
        let write = || {
            // Whoever tidies up takes an empty directory for nobody's.
            std::fs::create_dir_all(self.inner.directory.join(STAGING))?;
            std::fs::File::create(&file)?.write_all(&PROBE)
        };
        write().map_err(|error| self.failed("store", "a probe", error))
    }
}

#[async_trait]
impl BlobStore for Directory {
    fn location(&self) -> String {
        self.inner.directory.display().to_string()
    }

    async fn head(&self, uri: &BlobUri) -> Result<Option<Object>, Error> {
        Ok(self.open_blob(uri).await?.map(|blob| blob.object))
    }

    async fn get(&self, uri: &BlobUri, range: Option<ByteRange>) -> Result<Option<Content>, Error> {
        Ok(self.open_blob(uri).await?.map(|blob| blob.content(range)))
    }

    async fn put(&self, uri: &BlobUri, body: Body<'_>, announced: &Announced, mode: Mode) -> Result<Object, Error> {
        let staged = self.stage(&uri.to_string(), body, announced).await?;
        self.publish(&staged, uri, mode).await
    }

    /// Usually no byte is copied: both names lead to one file, which nothing ever changes.
    async fn copy(&self, from: &BlobUri, to: &BlobUri) -> Result<Object, Error> {
        let source = self.path(from)?;
        let mut staged = self.new_staged();
        if let Err(error) = self.inner.store.copy_if_not_exists(&source, &staged.path).await {
            let missing = || Error::Missing { uri: from.clone() };
            if failed::is_absent(&error) {
                return Err(missing());
            }
            // The file has all the names that its file system allows for one (65,000 on ext4), or may have only one.
            let blob = self.open_blob(from).await?.ok_or_else(missing)?;
            let size = blob.object.size;
            staged = self.stage(&to.to_string(), blob.read(0..size), &Announced::default()).await?;
        }
        // `staged` is removed when it is dropped: renaming a name of a file over another name of it leaves both.
        self.publish(&staged, to, Mode::Replace).await
    }

    async fn delete(&self, uri: &BlobUri) -> Result<(), Error> {
        if self.head(uri).await?.is_none() {
            return Ok(());
        }
        match self.inner.store.delete(&self.path(uri)?).await {
            Err(error) if !failed::is_absent(&error) => Err(self.failed("delete", uri, error)),
            _ => Ok(()),
        }
    }

    /// The blobs below the name vanish in one step.
    async fn delete_prefix(&self, uri: &BlobUri) -> Result<(), Error> {
        self.delete(uri).await?;
        let directory = self.file(&self.path(uri)?)?;
        let root = self.inner.directory.join(BUCKET);
        let grave = self.inner.directory.join(STAGING).join(self.new_staged().name());
        self.blocking("delete", uri.to_string(), move || {
            match std::fs::rename(&directory, &grave) {
                Err(error) if failed::is_absent(&error) => return Ok(()),
                done => done?,
            }
            for parent in directory.ancestors().skip(1).take_while(|parent| **parent != root) {
                if std::fs::remove_dir(parent).is_err() {
                    break;
                }
            }
            std::fs::remove_dir_all(&grave)
        })
        .await
    }

    async fn list(&self, query: Query) -> Result<Page, Error> {
        self.page(query).await
    }

    /// Directories without a file below them.
    async fn tidy(&self, below: &BlobUri, before: SystemTime) -> Result<(), Error> {
        let directory = self.file(&self.path(below)?)?;
        self.blocking("tidy", below.to_string(), move || tidy(&directory, before)).await
    }

    /// A directory has no address.
    async fn presign(&self, _: Right, _: &BlobUri, _: SystemTime) -> Result<Option<String>, Error> {
        Ok(None)
    }

    async fn probe(&self) -> Result<(), Error> {
        let directory = self.clone();
        let tried = tokio::task::spawn_blocking(move || directory.try_to_write()).await;
        tried.unwrap_or_else(|error| Err(self.failed("store", "a probe", error)))
    }
}

/// Removes the directories in a directory that have no file below them, if none was changed after a time. A directory that a blob comes into
/// meanwhile refuses to go, and whoever finds its directory gone makes it again.
fn tidy(directory: &Path, before: SystemTime) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if failed::is_absent(&error) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let metadata = match entry.metadata() {
            // Whoever has emptied it has taken it away.
            Err(error) if failed::is_absent(&error) => continue,
            metadata => metadata?,
        };
        if !metadata.is_dir() {
            continue;
        }
        // What it was changed by last: taking an empty directory out of it is a change too.
        let changed = metadata.modified()?;
        tidy(&entry.path(), before)?;
        if changed < before {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
    Ok(())
}

fn prepare(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory.join(BUCKET))?;
    let staging = directory.join(STAGING);
    if staging.exists() {
        std::fs::remove_dir_all(&staging)?;
    }
    std::fs::create_dir_all(&staging)?;
    let uploads = directory.join(UPLOADS);
    std::fs::create_dir_all(&uploads)?;
    for upload in std::fs::read_dir(&uploads)? {
        let upload = upload?;
        let age = SystemTime::now().duration_since(upload.metadata()?.modified()?);
        if age.is_ok_and(|age| age > UPLOAD_LIFETIME) {
            std::fs::remove_dir_all(upload.path())?;
        }
    }
    Ok(())
}
