//! What a task has left beside its claim: its result, which goes to the store when its process has ended, whether or not
//! there was a server at that time.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spanwise_core::Failure;
use spanwise_engine::Report;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::system;
use crate::blobs::{Announced, BlobUri, Blobs, Mode};

/// What a process leaves: its result, and that it is lost for want of its store. An error comes last, because it counts.
const NAMES: [&str; 3] = ["lost", "outputs.pb", "error.pb"];

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The most of its last words that is shown.
const LAST_WORDS: u64 = 4096;

/// Puts the result of an attempt where its caller looks for it. As long as the store has no room for it, the attempt is not
/// over.
pub(super) async fn deliver(blobs: &Blobs, claim: &Path, directory: &BlobUri) -> Result<(), Failure> {
    for name in NAMES.into_iter().filter(|name| *name != "lost") {
        let uri = directory.join(name).map_err(|error| system("name the attempt's result", &error))?;
        let file = kept(claim, name);
        let delivered = when_there_is_room("deliver an attempt's result", || put(blobs, &file, &uri)).await;
        delivered.map_err(|error| system("deliver the attempt's result", &*error))?;
    }
    Ok(())
}

async fn put(blobs: &Blobs, file: &Path, uri: &BlobUri) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let content = match File::open(file).await {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    blobs.put_stream(uri, ReaderStream::new(content), &Announced::default(), Mode::Replace).await?;
    let _ = tokio::fs::remove_file(file).await;
    Ok(())
}

/// The last words of a process that had nothing to work with: the store did not give it its code or its inputs.
pub(super) fn lost(claim: &Path) -> Option<Report> {
    use std::io::Read as _;
    let mut words = String::new();
    std::fs::File::open(kept(claim, "lost")).ok()?.take(LAST_WORDS).read_to_string(&mut words).ok()?;
    Some(Report::unblamed(format!("the store of the server could not be used: {words}")))
}

/// Removes what is left beside a claim.
pub(super) fn remove(claim: &Path) {
    for name in NAMES {
        let file = kept(claim, name);
        let _ = std::fs::remove_file(file.with_added_extension("new"));
        let _ = std::fs::remove_file(file);
    }
}

/// Where a process leaves something (`attempt.py`).
fn kept(claim: &Path, name: &str) -> PathBuf {
    claim.with_extension(name)
}

/// Does something again as long as it fails for want of room.
pub(super) async fn when_there_is_room<T, E, F>(doing: &str, mut work: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: AsRef<dyn StdError + Send + Sync + 'static>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match work().await {
            Err(error) if is_for_want_of_room(error.as_ref()) => {
                tracing::warn!(error = error.as_ref() as &dyn StdError, "{doing}: tried again until there is room");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            done => return done,
        }
    }
}

/// Whether the machine had no room on the disk, no inodes, descriptors or memory left.
fn is_for_want_of_room(error: &(dyn StdError + 'static)) -> bool {
    use rustix::io::Errno;
    let full = [Errno::NOSPC, Errno::DQUOT, Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN];
    let mut next = Some(error);
    while let Some(error) = next {
        let number = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if number.is_some_and(|number| full.iter().any(|errno| errno.raw_os_error() == number)) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_want_of_room_is_found_under_what_wraps_it_and_nothing_else_is() {
        let error = |number| object_store::Error::Generic {
            store: "local",
            source: Box::new(io::Error::from_raw_os_error(number)),
        };
        for (errno, passes) in [(28, true), (122, true), (24, true), (23, true), (13, false), (2, false)] {
            assert_eq!(is_for_want_of_room(&error(errno)), passes, "{errno}");
        }
    }

    #[tokio::test]
    async fn s4_a_result_beside_the_claim_is_delivered_once_and_an_error_counts() {
        let home = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&home.path().join("blobs"), spanwise_engine::Durability::Process).unwrap();
        let (claim, directory) = (home.path().join("1.process"), BlobUri::from_key("runs/r/a0/1").unwrap());
        deliver(&blobs, &claim, &directory).await.unwrap();
        assert_eq!(blobs.get(&directory.join("outputs.pb").unwrap(), 100).await.unwrap(), None, "nothing was left");

        std::fs::write(home.path().join("1.outputs.pb"), "made").unwrap();
        std::fs::write(home.path().join("1.lost"), "GenericError: away").unwrap();
        deliver(&blobs, &claim, &directory).await.unwrap();
        let delivered = blobs.get(&directory.join("outputs.pb").unwrap(), 100).await.unwrap();
        assert_eq!(delivered.as_deref(), Some("made".as_bytes()));
        assert!(!home.path().join("1.outputs.pb").exists());
        assert!(
            matches!(lost(&claim), Some(Report::Lost { reason, blamed: false }) if reason.ends_with("GenericError: away"))
        );
        remove(&claim);
        assert!(lost(&claim).is_none());
    }
}
