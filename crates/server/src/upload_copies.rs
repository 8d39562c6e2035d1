//! Code that clients have uploaded, kept beside the data directory. The stock SDK remembers its uploads for a day and does not repeat
//! them (`_code_bundle/bundle.py`), and no answer of a server makes it: what a new data directory lacks is taken from here.

use spanwise_wire::task::digest;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

/// The SDK forgets after one day.
const LIFETIME: Duration = Duration::from_secs(2 * 24 * 3600);

/// A copy that is older than this is made anew when its bundle is used, so that it outlives what the SDK remembers.
const RENEWED_AFTER: Duration = Duration::from_secs(12 * 3600);

/// Larger bundles are not kept.
pub(crate) const LARGEST: u64 = 64 << 20;

/// The copies, or none if there is no place for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct UploadCopies(Option<PathBuf>);

impl UploadCopies {
    /// Keeps copies in a folder, for its owner alone. A folder that cannot be used keeps none: runs go on without it.
    pub(crate) fn open(folder: Option<&Path>) -> UploadCopies {
        let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) else { return UploadCopies(None) };
        match prepare(folder) {
            Ok(()) => UploadCopies(Some(folder.to_owned())),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "uploads are not kept beside the data directory");
                UploadCopies(None)
            }
        }
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        Some(self.0.as_ref()?.join(digest(key.as_bytes())))
    }

    /// True if a copy of this name is to be made.
    pub(crate) fn lacks(&self, key: &str) -> bool {
        self.file(key).is_some_and(|file| age(&file).is_none_or(|age| age > RENEWED_AFTER))
    }

    /// Keeps a copy.
    pub(crate) fn put(&self, key: &str, content: &[u8]) -> io::Result<()> {
        let Some(file) = self.file(key) else { return Ok(()) };
        let mut staged = tempfile(&file)?;
        staged.1.write_all(content)?;
        std::fs::rename(staged.0, file)
    }

    /// The copy of this name, if there is one.
    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        std::fs::read(self.file(key)?).ok().map(Bytes::from)
    }
}

/// A file aside, whose name no other server has.
fn tempfile(file: &Path) -> io::Result<(PathBuf, std::fs::File)> {
    let staged = file.with_extension(format!("{:x}", spanwise_engine::random_bits()));
    let open = std::fs::File::create_new(&staged)?;
    Ok((staged, open))
}

fn age(file: &Path) -> Option<Duration> {
    let modified = std::fs::metadata(file).ok()?.modified().ok()?;
    Some(SystemTime::now().duration_since(modified).unwrap_or_default())
}

fn prepare(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The folder may have other things, and other servers clean up in it too.
    for entry in std::fs::read_dir(folder)?.flatten() {
        let is_copy = is_name_of_copy(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_copy && age(&entry.path()).is_some_and(|age| age > LIFETIME) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// True for the names that copies have, and those that are being written.
fn is_name_of_copy(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let (stem, staged) = name.split_once('.').unwrap_or((name, "0"));
    let is_digest = stem.len() == digest(b"").len()
        && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    is_digest && (1..=32).contains(&staged.len()) && staged.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_found_by_their_names_for_two_days() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("cache/uploads");
        let copies = UploadCopies::open(Some(&folder));
        assert!(copies.lacks("uploads/p/d/x/a") && copies.get("uploads/p/d/x/a").is_none());
        copies.put("uploads/p/d/x/a", b"code").unwrap();
        assert!(!copies.lacks("uploads/p/d/x/a") && copies.lacks("uploads/p/d/x/b"));
        assert_eq!(UploadCopies::open(Some(&folder)).get("uploads/p/d/x/a").unwrap(), "code");
        let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let staged = tempfile(&file).unwrap().0;
        // The folder was somebody's before.
        let others = ["thesis.tex", "sources.tar.gz", &"a".repeat(42), &format!("{}.txt", "a".repeat(43))];
        let others: Vec<PathBuf> = others.iter().map(|name| folder.join(name)).collect();
        others.iter().for_each(|other| std::fs::write(other, "mine").unwrap());
        std::fs::create_dir(folder.join("b".repeat(43))).unwrap();
        for file in others.iter().chain([&file, &staged, &folder.join("b".repeat(43))]) {
            let old = SystemTime::now() - LIFETIME - Duration::from_secs(1);
            std::fs::File::open(file).unwrap().set_modified(old).unwrap();
        }
        assert!(copies.lacks("uploads/p/d/x/a"), "it is made anew");
        assert!(UploadCopies::open(Some(&folder)).get("uploads/p/d/x/a").is_none());
        assert!(!staged.exists(), "{}", staged.display());
        assert!(others.iter().all(|other| other.exists()) && folder.join("b".repeat(43)).exists());
        for none in [None, Some(Path::new("")), Some(Path::new("/dev/null/x"))] {
            let copies = UploadCopies::open(none);
            assert!(!copies.lacks("a"));
            copies.put("a", b"x").unwrap();
            assert!(copies.get("a").is_none());
        }
    }
}
