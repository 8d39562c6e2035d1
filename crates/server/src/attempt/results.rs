//! What a task has left beside its claim: its result, which goes to the store when its process has ended, whether or not
//! there was a server at that time.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use spanwise_blobs::{Announced, BlobUri, Blobs, Mode};
use spanwise_core::Failure;
use spanwise_engine::Report;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::trouble::patiently;

/// The result of a process. An error comes last, because it counts.
const RESULTS: [&str; 2] = ["outputs.pb", "error.pb"];

/// Leaves the result of a container beside its claim, as a task of the SDK does itself. As long as there is no room for it, the attempt is not over.
pub(super) async fn leave(claim: &Path, left: Left) {
    let Some(left) = left else { return };
    let (name, content) = match left {
        Ok(outputs) => (RESULTS[0], outputs.to_vec()),
        Err(failure) => (RESULTS[1], spanwise_wire::failure::document(&failure)),
    };
    let file = beside_claim(claim, name);
    let new = file.with_added_extension("new");
    let write = || std::future::ready(std::fs::write(&new, &content).and_then(|()| std::fs::rename(&new, &file)));
    patiently("leave the result of a container", write).await;
}

/// The name beside a claim under which the exit code of a container stands.
pub(super) const EXIT: &str = "exit";

/// What there is of a container's result: outputs, an error, or neither.
pub(super) type Left = Option<Result<Bytes, Failure>>;

/// What a process leaves when it is lost for want of its store.
const LOST: &str = "lost";

/// The most of its last words that is shown.
const LAST_WORDS: u64 = 4096;

/// Puts the result of an attempt where its caller looks for it. As long as the store does not take it, the attempt is not over.
pub(super) async fn deliver(blobs: &Blobs, claim: &Path, directory: &BlobUri) {
    patiently("deliver an attempt's result", || put_all(blobs, claim, directory)).await;
}

/// The same, once.
pub(super) async fn try_deliver(blobs: &Blobs, claim: &Path, directory: &BlobUri) {
    if let Err(error) = put_all(blobs, claim, directory).await {
        tracing::warn!(error = &*error as &dyn StdError, "an attempt's result waits beside its claim");
    }
}

/// Whether an attempt has left its result, beside its claim or in the store. If the store does not answer, this says yes: with a no, the attempt
/// would be made again.
pub(super) async fn are_there(blobs: &Blobs, claim: &Path, directory: &BlobUri) -> bool {
    for name in RESULTS {
        let is_delivered = async {
            let Ok(uri) = directory.join(name) else { return false };
            blobs.exists(&uri).await.unwrap_or(true)
        };
        if beside_claim(claim, name).is_file() || is_delivered.await {
            return true;
        }
    }
    false
}

async fn put_all(blobs: &Blobs, claim: &Path, directory: &BlobUri) -> Result<(), Box<dyn StdError + Send + Sync>> {
    for name in RESULTS {
        put(blobs, &beside_claim(claim, name), &directory.join(name)?).await?;
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
    std::fs::File::open(beside_claim(claim, LOST)).ok()?.take(LAST_WORDS).read_to_string(&mut words).ok()?;
    Some(Report::unblamed(format!("the store of the server could not be used: {words}")))
}

/// Removes what is left beside a claim.
pub(super) fn remove(claim: &Path) {
    for name in RESULTS.into_iter().chain([LOST, EXIT]) {
        let file = beside_claim(claim, name);
        let _ = std::fs::remove_file(file.with_added_extension("new"));
        let _ = std::fs::remove_file(file);
    }
}

/// Where a process leaves something (`attempt.py`).
pub(super) fn beside_claim(claim: &Path, name: &str) -> PathBuf {
    claim.with_extension(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn s4_a_result_beside_the_claim_is_delivered_once_and_an_error_counts() {
        let home = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&home.path().join("blobs"), spanwise_engine::Durability::Process).unwrap();
        let (claim, directory) = (home.path().join("1.process"), BlobUri::from_key("runs/r/a0/1").unwrap());
        deliver(&blobs, &claim, &directory).await;
        assert!(!are_there(&blobs, &claim, &directory).await);
        assert_eq!(blobs.get(&directory.join("outputs.pb").unwrap(), 100).await.unwrap(), None, "nothing was left");

        std::fs::write(home.path().join("1.outputs.pb"), "made").unwrap();
        std::fs::write(home.path().join("1.lost"), "GenericError: away").unwrap();
        assert!(are_there(&blobs, &claim, &directory).await, "beside the claim");
        deliver(&blobs, &claim, &directory).await;
        assert!(are_there(&blobs, &claim, &directory).await, "in the store");
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
