//! Programs of tasks that are blobs (tasks in Rust): fetched once into files that can be started.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use spanwise_blobs::{BlobUri, Blobs};
use spanwise_core::Failure;
use tokio::sync::Mutex;

use super::{damaged, system, unstored};

/// The programs of tasks as files.
#[derive(Debug)]
pub(crate) struct Programs {
    blobs: Blobs,
    directory: PathBuf,
    /// Who fetches: a program that many attempts want at once is fetched by the first.
    fetching: Mutex<()>,
}

impl Programs {
    pub(crate) fn new(blobs: Blobs, directory: PathBuf) -> Programs {
        Programs { blobs, directory, fetching: Mutex::default() }
    }

    /// The file of a program that is a blob; none for one that is not.
    pub(super) async fn file(&self, program: &str) -> Result<Option<PathBuf>, Failure> {
        if !program.starts_with("s3://") {
            return Ok(None);
        }
        let uri: BlobUri = program.parse().map_err(|error| damaged("name the task's program", &error))?;
        let path = self.directory.join(HEXLOWER.encode(&Sha256::digest(program)));
        if path.exists() {
            return Ok(Some(path));
        }
        let _one = self.fetching.lock().await;
        if !path.exists() {
            self.fetch(&uri, &path).await?;
        }
        Ok(Some(path))
    }

    /// The file appears whole, or not at all.
    async fn fetch(&self, uri: &BlobUri, path: &Path) -> Result<(), Failure> {
        let doing = "fetch the task's program";
        let failed = |error: std::io::Error| system(doing, &error);
        tokio::fs::create_dir_all(&self.directory).await.map_err(failed)?;
        let staged = path.with_extension("new");
        let digest = self.blobs.export(uri, &staged).await.map_err(|error| unstored(doing, &error))?;
        let Some(digest) = digest else {
            let message = format!("the program `{uri}` is not in the blob store of this server: start the run again");
            return Err(Failure::user("ProgramNotFound", message).terminal());
        };
        let named = uri.parent().map(|parent| parent.name().to_owned()).filter(|name| is_digest(name));
        if named.is_some_and(|named| named != BASE32_NOPAD.encode(&digest)) {
            let message = format!("the program `{uri}` is not what it was when it was uploaded");
            return Err(Failure::system("ProgramDamaged", message).terminal());
        }
        tokio::fs::set_permissions(&staged, std::fs::Permissions::from_mode(0o700)).await.map_err(failed)?;
        tokio::fs::rename(&staged, path).await.map_err(failed)
    }
}

/// True for what an upload by content is named by.
fn is_digest(segment: &str) -> bool {
    segment.len() == 26 && segment.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use md5::Md5;

    use super::*;

    async fn programs(digest_of: &[u8], content: &'static [u8]) -> (tempfile::TempDir, Programs, BlobUri) {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&directory.path().join("blobs"), spanwise_engine::Durability::Process).unwrap();
        let digest = BASE32_NOPAD.encode(&Md5::digest(digest_of));
        let uri = BlobUri::from_key(&format!("p/d/{digest}/program")).unwrap();
        blobs.put(&uri, Bytes::from_static(content)).await.unwrap();
        let programs = Programs::new(blobs, directory.path().join("programs"));
        (directory, programs, uri)
    }

    #[tokio::test]
    async fn a_program_is_fetched_once_and_can_be_started() {
        let script = b"#!/bin/sh\nexit 7\n";
        let (_directory, programs, uri) = programs(script, script).await;
        let uri = uri.to_string();
        let (one, other) = tokio::join!(programs.file(&uri), programs.file(&uri));
        let path = one.unwrap().unwrap();
        assert_eq!(Some(&path), other.unwrap().as_ref());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read(&path).unwrap(), script);
        assert_eq!(programs.file("/bin/true").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_program_that_is_damaged_or_missing_is_not_started() {
        let (_directory, programs, uri) = programs(b"what was uploaded", b"what is there").await;
        assert_eq!(programs.file(&uri.to_string()).await.unwrap_err().code, "ProgramDamaged");
        let missing = uri.parent().unwrap().join("another").unwrap();
        assert_eq!(programs.file(&missing.to_string()).await.unwrap_err().code, "ProgramNotFound");
    }
}
