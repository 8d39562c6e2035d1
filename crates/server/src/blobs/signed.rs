//! URLs that let their holder read or write one blob until a given time, without any other credentials.
//!
//! A URL is `/blob/<token>/<key>`: the token holds method and time, and a MAC over both and the key.

mod serve;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;
use spanwise_blobs::BlobUri;

pub use serve::router;
pub use spanwise_blobs::{Bound, Right};

/// Bytes of the key, and of a MAC.
const KEY: usize = 32;

/// What a key keeps in an address: RFC 3986's unreserved characters and `/`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The key of signed URLs cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("open the key of signed URLs in `{}`", file.display())]
pub struct NoKey {
    file: PathBuf,
    #[source]
    source: io::Error,
}

/// Why a token does not open a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("the URL is not one that this server has signed")]
    Forged,
    #[error("the URL has expired")]
    Expired,
}

/// Makes and checks signed URLs. A clone has the same key.
#[derive(Clone)]
pub struct Signer {
    key: Arc<[u8; KEY]>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    /// A signer with this key.
    #[must_use]
    pub fn new(key: [u8; KEY]) -> Signer {
        Signer { key: Arc::new(key) }
    }

    /// A signer with the key in a file, which is made, for its owner alone, if it is not there or is none: URLs stay good over
    /// restarts, unless the file was damaged.
    ///
    /// # Errors
    ///
    /// [`NoKey`] if the file cannot be read or made.
    pub fn open(file: &Path) -> Result<Signer, NoKey> {
        let key = match read_key(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(file),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(file = %file.display(), %error, "the key of signed URLs is damaged: a new one is made, earlier URLs end");
                make_key(file)
            }
            key => key,
        };
        key.map(Signer::new).map_err(|source| NoKey { file: file.to_owned(), source })
    }

    /// The path and query of a URL for a blob, good before `expires_at`; its last segment is the blob's name.
    #[must_use]
    pub fn sign(&self, right: Right, uri: &BlobUri, expires_at: SystemTime) -> String {
        let claim = claim(right, expires_at);
        let mac = self.mac(&claim, uri).finalize().into_bytes();
        let token = URL_SAFE_NO_PAD.encode([&claim[..], &mac].concat());
        format!("/blob/{token}/{}", utf8_percent_encode(uri.key(), ENCODED))
    }

    /// What a token allows to do with a blob at this time.
    pub(crate) fn check(&self, token: &str, key: &str, now: SystemTime) -> Result<(Right, BlobUri), Denied> {
        let uri = BlobUri::from_key(key).map_err(|_| Denied::Forged)?;
        let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| Denied::Forged)?;
        let length = token.first().map(|kind| length_of(*kind)).ok_or(Denied::Forged)?;
        let (claim, mac) = token.split_at_checked(length).ok_or(Denied::Forged)?;
        self.mac(claim, &uri).verify_slice(mac).map_err(|_| Denied::Forged)?;
        let (right, seconds) = read_claim(claim).ok_or(Denied::Forged)?;
        if now >= SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) {
            return Err(Denied::Expired);
        }
        Ok((right, uri))
    }

    fn mac(&self, claim: &[u8], uri: &BlobUri) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&*self.key).expect("HMAC takes keys of any length");
        mac.chain_update(claim).chain_update(uri.key())
    }
}

/// How long a claim is, by its first byte: claim and key cannot be cut differently under one MAC.
fn length_of(kind: u8) -> usize {
    9 + match kind {
        b's' => 8,
        b'm' => 16,
        b'b' => 24,
        _ => 0,
    }
}

/// The right, the time, and what a content is bound to: its digest, its size, or both.
fn claim(right: Right, expires_at: SystemTime) -> Vec<u8> {
    let seconds = expires_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (kind, bound) = match right {
        Right::Read => (b'r', Bound::default()),
        Right::Write(bound @ Bound { md5: None, size: None }) => (b'w', bound),
        Right::Write(bound @ Bound { md5: None, size: Some(_) }) => (b's', bound),
        Right::Write(bound @ Bound { md5: Some(_), size: None }) => (b'm', bound),
        Right::Write(bound @ Bound { md5: Some(_), size: Some(_) }) => (b'b', bound),
    };
    let mut claim = vec![kind];
    claim.extend(seconds.to_be_bytes());
    claim.extend(bound.md5.iter().flatten());
    claim.extend(bound.size.map(u64::to_be_bytes).iter().flatten());
    claim
}

/// The right and the second at which it ends.
fn read_claim(claim: &[u8]) -> Option<(Right, u64)> {
    let (kind, rest) = claim.split_first()?;
    let (seconds, mut rest) = rest.split_first_chunk()?;
    let mut bound = Bound::default();
    if matches!(kind, b'm' | b'b') {
        let (md5, behind) = rest.split_first_chunk()?;
        (bound.md5, rest) = (Some(*md5), behind);
    }
    if matches!(kind, b's' | b'b') {
        bound.size = Some(u64::from_be_bytes(*rest.first_chunk()?));
    }
    let right = if *kind == b'r' { Right::Read } else { Right::Write(bound) };
    Some((right, u64::from_be_bytes(*seconds)))
}

fn read_key(file: &Path) -> io::Result<[u8; KEY]> {
    let key = std::fs::read(file)?;
    key.try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("it does not have {KEY} bytes")))
}

fn make_key(file: &Path) -> io::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    getrandom::fill(&mut key)?;
    // A name of its own first: a key that a full disk cut short must not be found by the next start.
    let unfinished = file.with_extension("new");
    let mut written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    written.write_all(&key)?;
    written.sync_all()?;
    std::fs::rename(&unfinished, file)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_800_000_000;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn parts(path: &str) -> (&str, &str) {
        path.strip_prefix("/blob/").unwrap().split_once('/').unwrap()
    }

    #[test]
    fn a_url_opens_its_blob_until_it_expires() {
        let signer = Signer::new([7; KEY]);
        let uri: BlobUri = "s3://spanwise/p/d/report.html".parse().unwrap();
        let path = signer.sign(Right::Read, &uri, at(NOON));
        assert!(path.ends_with("/p/d/report.html"));
        let (token, key) = parts(&path);
        assert_eq!(signer.check(token, key, at(NOON - 1)), Ok((Right::Read, uri.clone())));
        assert_eq!(signer.check(token, key, at(NOON)), Err(Denied::Expired));
        assert_eq!(Signer::new([8; KEY]).check(token, key, at(0)), Err(Denied::Forged));
        for other in ["p/d/report.htm", "p/d/report.html/x", "p/d/../d/report.html", "p/d//report.html", ""] {
            assert_eq!(signer.check(token, other, at(0)), Err(Denied::Forged), "{other}");
        }
    }

    #[test]
    fn a_url_says_what_its_content_must_be() {
        let signer = Signer::new([7; KEY]);
        let uri: BlobUri = "s3://spanwise/a".parse().unwrap();
        for (md5, size) in [(None, None), (None, Some(0)), (Some([1; 16]), None), (Some([2; 16]), Some(u64::MAX))] {
            let right = Right::Write(Bound { md5, size });
            let path = signer.sign(right, &uri, at(NOON));
            assert_eq!(signer.check(parts(&path).0, "a", at(0)), Ok((right, uri.clone())));
        }
        // A claim and the key behind it cannot be taken for a longer claim and a shorter key.
        let path = signer.sign(Right::Write(Bound::default()), &"s3://spanwise/12345678a".parse().unwrap(), at(NOON));
        let mut token = URL_SAFE_NO_PAD.decode(parts(&path).0).unwrap();
        token.splice(9..9, *b"12345678");
        assert_eq!(signer.check(&URL_SAFE_NO_PAD.encode(&token), "a", at(0)), Err(Denied::Forged));
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed() {
        let signer = Signer::new([7; KEY]);
        let uri: BlobUri = "s3://spanwise/a".parse().unwrap();
        let path = signer.sign(Right::Write(Bound { md5: Some([9; 16]), size: Some(7) }), &uri, at(NOON));
        let token = URL_SAFE_NO_PAD.decode(parts(&path).0).unwrap();
        for bit in 0..token.len() * 8 {
            let mut forged = token.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(signer.check(&URL_SAFE_NO_PAD.encode(forged), "a", at(0)), Err(Denied::Forged), "{bit}");
        }
        for cut in 0..token.len() {
            assert_eq!(signer.check(&URL_SAFE_NO_PAD.encode(&token[..cut]), "a", at(0)), Err(Denied::Forged), "{cut}");
        }
    }

    #[test]
    fn a_path_is_ascii() {
        assert_eq!(utf8_percent_encode("a b/ü%2F?#=+~.txt", ENCODED).to_string(), "a%20b/%C3%BC%252F%3F%23%3D%2B~.txt");
    }

    #[test]
    fn the_key_is_made_once_and_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("signing.key");
        let first = Signer::open(&file).unwrap();
        assert_eq!(first.key, Signer::open(&file).unwrap().key);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "short").unwrap();
        let second = Signer::open(&file).unwrap();
        assert_ne!(second.key, first.key);
        assert_eq!(second.key, Signer::open(&file).unwrap().key);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(Signer::open(&file).unwrap_err().to_string().contains("signing.key"));
    }
}
