//! URLs that let their holder read or write one blob until a given time, without any other credentials.
//!
//! A URL is `/blob/<token>/<key>`: the token holds method and time, and a MAC over both and the key.

mod serve;

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use serve::router;

use super::{BlobUri, Error};

/// Bytes of the key, and of a MAC.
const KEY: usize = 32;

/// What the holder of a URL may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// `GET` and `HEAD`.
    Read,
    /// `PUT`.
    Write,
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
    /// [`Error::SigningKey`] if the file cannot be read or made.
    pub fn open(file: &Path) -> Result<Signer, Error> {
        let key = match read_key(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(file),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(file = %file.display(), %error, "the key of signed URLs is damaged: a new one is made, earlier URLs end");
                make_key(file)
            }
            key => key,
        };
        key.map(Signer::new).map_err(|source| Error::SigningKey { file: file.to_owned(), source })
    }

    /// The path and query of a URL for a blob, good before `expires_at`; its last segment is the blob's name.
    #[must_use]
    pub fn sign(&self, right: Right, uri: &BlobUri, expires_at: SystemTime) -> String {
        let claim = claim(right, expires_at);
        let mac = self.mac(&claim, uri).finalize().into_bytes();
        let token = URL_SAFE_NO_PAD.encode([&claim[..], &mac].concat());
        format!("/blob/{token}/{}", percent_encoded(uri.key()))
    }

    /// What a token allows to do with a blob at this time.
    pub(crate) fn check(&self, token: &str, key: &str, now: SystemTime) -> Result<(Right, BlobUri), Denied> {
        let uri = BlobUri::from_key(key).map_err(|_| Denied::Forged)?;
        let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| Denied::Forged)?;
        let (claim, mac) = token.split_first_chunk::<9>().ok_or(Denied::Forged)?;
        self.mac(claim, &uri).verify_slice(mac).map_err(|_| Denied::Forged)?;
        let [right, seconds @ ..] = *claim;
        let expires_at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from_be_bytes(seconds));
        if now >= expires_at {
            return Err(Denied::Expired);
        }
        Ok((if right == b'w' { Right::Write } else { Right::Read }, uri))
    }

    fn mac(&self, claim: &[u8; 9], uri: &BlobUri) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&*self.key).expect("HMAC takes keys of any length");
        mac.chain_update(claim).chain_update(uri.key())
    }
}

/// Of a fixed length, so that claim and key cannot be cut differently under one MAC.
fn claim(right: Right, expires_at: SystemTime) -> [u8; 9] {
    let seconds = expires_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut claim = [0; 9];
    claim[0] = match right {
        Right::Read => b'r',
        Right::Write => b'w',
    };
    claim[1..].copy_from_slice(&seconds.to_be_bytes());
    claim
}

fn read_key(file: &Path) -> io::Result<[u8; KEY]> {
    let key = std::fs::read(file)?;
    key.try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("it does not have {KEY} bytes")))
}

fn make_key(file: &Path) -> io::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    // A name of its own first: a key that a full disk cut short must not be found by the next start.
    let unfinished = file.with_extension("new");
    let mut written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    written.write_all(&key)?;
    written.sync_all()?;
    std::fs::rename(&unfinished, file)?;
    Ok(key)
}

/// Everything but RFC 3986's unreserved characters and `/` as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
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
    fn no_bit_of_a_token_can_be_changed() {
        let signer = Signer::new([7; KEY]);
        let uri: BlobUri = "s3://spanwise/a".parse().unwrap();
        let path = signer.sign(Right::Write, &uri, at(NOON));
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
        assert_eq!(percent_encoded("a b/ü%2F?#=+~.txt"), "a%20b/%C3%BC%252F%3F%23%3D%2B~.txt");
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
