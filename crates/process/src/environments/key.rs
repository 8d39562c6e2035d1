//! The hash of an image, as it stands in the image's name.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// The hash of an image's base and layers: the tag of `registry/name:tag`, 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageKey(String);

impl ImageKey {
    /// The hash in an image's name; none if its tag is not one, as those of images that somebody has published.
    pub fn of(image: &str) -> Option<ImageKey> {
        let (_, tag) = image.rsplit_once(':')?;
        let is_hash = tag.len() == 32 && tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hash.then(|| ImageKey(tag.to_owned()))
    }

    /// The key of the environment that has a version of Python and the SDK alone: of images without layers, whose names are no hashes.
    pub fn of_python((major, minor): (u32, u32)) -> ImageKey {
        let digest = HEXLOWER.encode(&Sha256::digest(format!("python {major}.{minor}")));
        ImageKey(digest[..32].to_owned())
    }

    /// The key of the environment that stands for an interpreter without the SDK: it has that version of it.
    pub fn of_sdk(version: &str) -> ImageKey {
        let digest = HEXLOWER.encode(&Sha256::digest(format!("sdk {version}")));
        ImageKey(digest[..32].to_owned())
    }

    /// The hash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_are_keys() {
        let hash = "0123456789abcdef0123456789abcdef";
        for image in [format!("flyte:{hash}"), format!("localhost:5000/team/flyte:{hash}")] {
            assert_eq!(ImageKey::of(&image).map(|key| key.to_string()), Some(hash.to_owned()));
        }
        for image in
            ["", "flyte", "ghcr.io/flyteorg/flyte:py3.11-v2.12.1", "localhost:5000/flyte", "x:../../etc", "x:latest"]
        {
            assert_eq!(ImageKey::of(image), None, "{image}");
        }
        assert_eq!(ImageKey::of(&format!("x:{}", hash.to_uppercase())), None);
        let of_python = ImageKey::of_python((3, 12));
        assert_eq!(ImageKey::of(&format!("x:{of_python}")), Some(of_python.clone()));
        assert_ne!(of_python, ImageKey::of_python((3, 1)));
    }
}
