//! The blob store: what the control plane and the tasks exchange as files, in a directory of this machine.
//!
//! Tasks reach it through the S3 facade ([`s3`]), drivers through signed URLs ([`signed`]), the server itself through [`Blobs`].

mod error;
mod list;
mod multipart;
mod read;
pub mod s3;
pub mod signed;
mod upload;
mod uri;
mod write;

use std::future::ready;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream;
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use spanwise_engine::Durability;

pub use error::{Error, Refusal};
pub use list::Listed;
pub use read::Object;
pub(crate) use read::satisfied;
pub(crate) use upload::base32;
pub use upload::{BadUpload, upload_uri};
pub use uri::{BUCKET, BadUri, BlobUri};
pub use write::{Announced, Mode};

/// Where unfinished writes lie. Keys cannot get there: they all lie under [`BUCKET`].
const STAGING: &str = "staging";

/// Where the parts of multipart uploads lie until the upload is completed.
const UPLOADS: &str = "uploads";

/// When a multipart upload that nobody completed is given up: S3's usual rule for them.
const UPLOAD_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// The blobs of a control plane, one bucket `spanwise`. A clone is the same store.
///
/// Guarantees: a blob becomes visible whole or not at all, also to readers that have its predecessor open. When a write has returned
/// `Ok`, the blob survives a power cut: content and name are synced, whatever the journal's durability is, for a journal that says
/// "succeeded" must never outlive the outputs that it points to.
///
/// A directory belongs to one store of one process at a time; the lock of the data directory sees to that.
#[derive(Debug, Clone)]
pub struct Blobs {
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

impl Blobs {
    /// Opens the store in a directory, which is made if it is not there, and removes what unfinished writes have left. A blob
    /// survives what the journal survives: with [`Durability::Disk`], each waits for the disk.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] if the directory cannot be made, read or written.
    pub fn open(directory: &Path, durability: Durability) -> Result<Blobs, Error> {
        let open_error = |source| Error::Open { directory: directory.to_owned(), source };
        prepare(directory).map_err(open_error)?;
        let store = LocalFileSystem::new_with_prefix(directory)
            .map_err(|error| open_error(io::Error::other(error)))?
            .with_fsync(durability == Durability::Disk)
            .with_automatic_cleanup(true);
        let opened =
            std::fs::metadata(directory).map(|metadata| (metadata.dev(), metadata.ino())).map_err(open_error)?;
        let inner = Inner { store, directory: directory.to_owned(), opened, next_staged: AtomicU64::new(0) };
        Ok(Blobs { inner: Arc::new(inner) })
    }

    /// Writes a little and removes it again: a blob could be stored now.
    ///
    /// # Errors
    ///
    /// What [`Blobs::put`] would be refused with.
    pub(crate) fn probe(&self) -> Result<(), Error> {
        self.check_place()?;
        let staged = self.new_staged();
        let file = self.inner.directory.join(STAGING).join(staged.name());
        let write = || {
            // Whoever tidies up takes an empty directory for nobody's.
            std::fs::create_dir_all(self.inner.directory.join(STAGING))?;
            std::fs::File::create(&file)?.write_all(&PROBE)
        };
        write().map_err(|error| self.failed("store", "a probe", error))
    }

    /// Refuses to write into a directory that is not the one that was opened: what is there is another store's, or nobody's.
    fn check_place(&self) -> Result<(), Error> {
        let there = std::fs::metadata(&self.inner.directory).map(|metadata| (metadata.dev(), metadata.ino()));
        match there {
            Ok(there) if there == self.inner.opened => Ok(()),
            _ => Err(Error::Gone { directory: self.inner.directory.clone() }),
        }
    }

    /// The directory of the blobs below a name.
    pub(crate) fn place(&self, uri: &BlobUri) -> Result<PathBuf, Error> {
        self.file(&self.path(uri)?)
    }

    /// The content of a blob, or none if there is no such blob.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if it has more than `limit` bytes; [`Error::Storage`] if it cannot be read.
    pub async fn get(&self, uri: &BlobUri, limit: u64) -> Result<Option<Bytes>, Error> {
        let Some(blob) = self.open_blob(uri).await? else { return Ok(None) };
        let size = blob.object.size;
        if size > limit {
            return Err(Error::TooLarge { uri: uri.clone(), size, limit });
        }
        let content = blob.read_all().await.map_err(|error| self.failed("read", uri, error))?;
        Ok(Some(content))
    }

    /// Stores a blob, in place of one that has this name.
    ///
    /// # Errors
    ///
    /// [`Error::DiskFull`], [`Error::Conflict`] or [`Error::Storage`]; the blob that had the name before is then still there.
    pub async fn put(&self, uri: &BlobUri, content: Bytes) -> Result<Object, Error> {
        let body = stream::once(ready(Ok::<_, io::Error>(content)));
        self.put_stream(uri, body, &Announced::default(), Mode::Replace).await
    }

    /// Size, tag and time of a blob, or none if there is no such blob.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the file system fails.
    pub async fn head(&self, uri: &BlobUri) -> Result<Option<Object>, Error> {
        Ok(self.open_blob(uri).await?.map(|blob| blob.object))
    }

    /// Whether there is a blob of this name.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the file system fails.
    pub async fn exists(&self, uri: &BlobUri) -> Result<bool, Error> {
        Ok(self.head(uri).await?.is_some())
    }

    /// Stores the content of one blob under another name too. Usually no byte is copied: both names lead to one file, which nothing ever
    /// changes.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if there is no blob `from`, else as [`Blobs::put`].
    pub async fn copy(&self, from: &BlobUri, to: &BlobUri) -> Result<Object, Error> {
        let source = self.path(from)?;
        let mut staged = self.new_staged();
        if let Err(error) = self.inner.store.copy_if_not_exists(&source, &staged.path).await {
            let missing = || Error::Missing { uri: from.clone() };
            if error::is_absent(&error) {
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

    /// Removes a blob; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the file system fails.
    pub async fn delete(&self, uri: &BlobUri) -> Result<(), Error> {
        if !self.exists(uri).await? {
            return Ok(());
        }
        match self.inner.store.delete(&self.path(uri)?).await {
            Err(error) if !error::is_absent(&error) => Err(self.failed("delete", uri, error)),
            _ => Ok(()),
        }
    }

    /// Removes the blob of this name and all blobs below it, which vanish in one step.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the file system fails.
    pub async fn delete_prefix(&self, uri: &BlobUri) -> Result<(), Error> {
        self.delete(uri).await?;
        let directory = self.file(&self.path(uri)?)?;
        let root = self.inner.directory.join(BUCKET);
        let grave = self.inner.directory.join(STAGING).join(self.new_staged().name());
        self.blocking("delete", uri.to_string(), move || {
            match std::fs::rename(&directory, &grave) {
                Err(error) if error::is_absent(&error) => return Ok(()),
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

    fn path(&self, uri: &BlobUri) -> Result<StorePath, Error> {
        StorePath::parse(uri.file()).map_err(|error| self.failed("name", uri, error))
    }

    fn file(&self, path: &StorePath) -> Result<PathBuf, Error> {
        self.inner.store.path_to_filesystem(path).map_err(|error| self.failed("name", path, error))
    }

    fn failed(&self, action: &'static str, name: impl ToString, source: impl Into<error::Source>) -> Error {
        error::sort(action, name.to_string(), &self.inner.directory, source)
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
