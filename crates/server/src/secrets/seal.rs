//! How a secret is kept on the disk: sealed by a key that is in a file of its own (ADR 16).
//!
//! A sealed file is a line that says so, a line with the name of the key, a nonce and the sealed value with its tag. To whom the secret belongs is
//! sealed with it, so that no file is another's.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

/// What a sealed file begins with.
const SEALED: &[u8] = b"spanwise-secret-1\n";

/// What the file of a key begins with.
const KEY: &str = "spanwise-key-1 ";

/// Bytes of a key, and letters of its name.
const LENGTH: usize = 32;
const NAME: usize = 16;

/// The key of secrets cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the key of secrets `{}` {what}", file.display())]
pub struct NoSecretKey {
    file: PathBuf,
    what: String,
}

/// Why a sealed secret cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsealable {
    /// It was sealed by another key.
    #[error(
        "it was sealed by key {0}, which this server does not have: put the file of that key back (`secret_key_file`), or store the secret anew"
    )]
    OtherKey(String),
    /// It is not what was sealed.
    #[error("its file is damaged, or is that of another secret: store the secret anew")]
    Damaged,
}

/// A key with its name.
pub(super) struct SealingKey {
    name: String,
    key: LessSafeKey,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SealingKey").field(&self.name).finish()
    }
}

impl SealingKey {
    fn new(bytes: &[u8; LENGTH]) -> SealingKey {
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, bytes).expect("the key has the length that it must have");
        let digest = Sha256::digest([b"spanwise secret key".as_slice(), bytes].concat());
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        SealingKey { name: name[..NAME].to_owned(), key: LessSafeKey::new(unbound) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The key in a file; none if there is no such file.
    pub(super) fn read(file: &Path) -> Result<Option<SealingKey>, NoSecretKey> {
        let bad = |what: String| NoSecretKey { file: file.to_owned(), what };
        let text = match std::fs::read_to_string(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| bad(format!("cannot be read: {error}")))?,
        };
        let mode =
            std::fs::metadata(file).map_err(|error| bad(format!("cannot be read: {error}")))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(bad(format!("can be read by others (mode {:o}): chmod 600", mode & 0o777)));
        }
        let key = text.trim().strip_prefix(KEY.trim_end()).and_then(|key| STANDARD.decode(key.trim()).ok());
        let key: Option<[u8; LENGTH]> = key.and_then(|key| key.try_into().ok());
        let key = key.ok_or_else(|| {
            bad(format!("is damaged, or no such key: it is `{KEY}` and {LENGTH} bytes in base64. It was left as it is"))
        })?;
        Ok(Some(SealingKey::new(&key)))
    }

    /// Makes a key, in a file for its owner alone. If another server makes one there at the same time, all have the first.
    pub(super) fn make(file: &Path) -> Result<SealingKey, NoSecretKey> {
        let bad = |what: String| NoSecretKey { file: file.to_owned(), what };
        let mut key = [0; LENGTH];
        let made = getrandom::fill(&mut key).map_err(io::Error::other).and_then(|()| {
            file.parent().map(std::fs::create_dir_all).transpose()?;
            // In one step: half a key would be none.
            let (staged, mut written) = stage(file)?;
            let whole = written
                .write_all(format!("{KEY}{}\n", STANDARD.encode(key)).as_bytes())
                .and_then(|()| written.sync_all());
            let linked = whole.and_then(|()| match std::fs::hard_link(&staged, file) {
                // A file system without links.
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !file.exists() => {
                    std::fs::rename(&staged, file)
                }
                linked => linked,
            });
            let _ = std::fs::remove_file(staged);
            linked?;
            // Before anything is sealed by it: its name must outlive the machine's end too.
            file.parent().map(|parent| File::open(parent)?.sync_all()).transpose()?;
            Ok(())
        });
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                SealingKey::read(file)?.ok_or_else(|| bad("is gone again".to_owned()))
            }
            made => made.map(|()| SealingKey::new(&key)).map_err(|error| bad(format!("cannot be made: {error}"))),
        }
    }

    /// Seals a value for whom it belongs to.
    pub(super) fn seal(&self, owner: &str, value: &str) -> io::Result<Vec<u8>> {
        // A random number for each time a secret is stored: of 96 bits none comes twice in as many as anybody stores.
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let mut sealed = value.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let too_long = |_| io::Error::other("the value is too long to be sealed");
        self.key.seal_in_place_append_tag(unique, Aad::from(owner), &mut sealed).map_err(too_long)?;
        Ok([SEALED, self.name.as_bytes(), b"\n", &nonce, &sealed].concat())
    }
}

/// A file beside another one, which takes its place when it is written. Nobody else writes it.
pub(super) fn stage(file: &Path) -> io::Result<(PathBuf, File)> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", spanwise_process::random_name()));
    let staged = file.with_file_name(name);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    Ok((staged, opened))
}

/// What a file of a secret holds.
#[derive(Debug)]
pub(super) enum Stored<'a> {
    /// The value, as earlier versions stored it.
    Clear(&'a [u8]),
    /// A sealed value, and the name of its key.
    Sealed(&'a str, &'a [u8]),
    /// The beginning of a sealed value.
    Damaged,
}

/// Looks what a file holds.
pub(super) fn look(content: &[u8]) -> Stored<'_> {
    let Some(rest) = content.strip_prefix(SEALED) else { return Stored::Clear(content) };
    match rest.split_at_checked(NAME) {
        Some((name, rest)) if rest.len() > NONCE_LEN => match (std::str::from_utf8(name), rest.strip_prefix(b"\n")) {
            (Ok(name), Some(sealed)) => Stored::Sealed(name, sealed),
            _ => Stored::Damaged,
        },
        _ => Stored::Damaged,
    }
}

/// The value in a file, by one of these keys.
pub(super) fn unseal(keys: &[SealingKey], owner: &str, content: &[u8]) -> Result<String, Unsealable> {
    let (name, sealed) = match look(content) {
        Stored::Clear(value) => return String::from_utf8(value.to_vec()).map_err(|_| Unsealable::Damaged),
        Stored::Sealed(name, sealed) => (name, sealed),
        Stored::Damaged => return Err(Unsealable::Damaged),
    };
    let key = keys.iter().find(|key| key.name == name).ok_or_else(|| Unsealable::OtherKey(name.to_owned()))?;
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(Unsealable::Damaged)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealable::Damaged)?;
    let mut opened = sealed.to_vec();
    let opened = key.key.open_in_place(nonce, Aad::from(owner), &mut opened).map_err(|_| Unsealable::Damaged)?;
    String::from_utf8(opened.to_vec()).map_err(|_| Unsealable::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u8) -> SealingKey {
        let mut bytes = [7; LENGTH];
        bytes[0] = first;
        SealingKey::new(&bytes)
    }

    #[test]
    fn s15_a_sealed_value_is_opened_by_its_key_and_for_its_owner_alone() {
        for value in ["", "s3cret", "größe\nzweite Zeile\n", &"x".repeat(200_000)] {
            let sealed = key(1).seal("o/p/d/key", value).unwrap();
            assert!(value.len() < 4 || !String::from_utf8_lossy(&sealed).contains(value));
            assert_ne!(sealed, key(1).seal("o/p/d/key", value).unwrap(), "each time anew");
            let keys = [key(2), key(1)];
            assert_eq!(unseal(&keys, "o/p/d/key", &sealed).as_deref(), Ok(value));
            assert_eq!(unseal(&keys, "o/p/d/other", &sealed), Err(Unsealable::Damaged));
            let other = key(1).name().to_owned();
            assert_eq!(unseal(&[key(2)], "o/p/d/key", &sealed), Err(Unsealable::OtherKey(other)));
            for end in 0..sealed.len().min(100) {
                let cut = unseal(&keys, "o/p/d/key", &sealed[..end]);
                assert!(end < SEALED.len() || cut == Err(Unsealable::Damaged), "{end}: {cut:?}");
            }
            let mut changed = sealed.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert_eq!(unseal(&keys, "o/p/d/key", &changed), Err(Unsealable::Damaged));
        }
        assert_eq!(unseal(&[], "o/p/d/key", b"in the clear").as_deref(), Ok("in the clear"));
    }

    #[test]
    fn s15_a_key_is_a_file_of_its_own_that_others_cannot_read_and_nobody_overwrites() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deep/secrets.key");
        assert!(SealingKey::read(&file).unwrap().is_none());
        let made = SealingKey::make(&file).unwrap();
        assert_eq!(SealingKey::read(&file).unwrap().unwrap().name(), made.name());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let open = SealingKey::read(&file).unwrap_err().to_string();
        assert!(open.contains("secrets.key") && open.contains("mode 640"), "{open}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        for damaged in ["", "spanwise-key-1", "spanwise-key-1 AAAA", "x"] {
            std::fs::write(&file, damaged).unwrap();
            let refused = SealingKey::read(&file).unwrap_err().to_string();
            assert!(refused.contains("It was left as it is"), "{refused}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), damaged);
        }
    }
}
