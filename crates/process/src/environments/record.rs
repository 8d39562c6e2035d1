//! What is on disk: `HASH.json` beside the directory `HASH-...` that it names.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Environment, ImageKey, Inner};

/// The directory of an environment that has the files which came with its image.
pub(super) const SOURCE: &str = "source";

/// What says that an environment is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) image: String,
    /// The name of its directory.
    pub(super) directory: String,
    /// The interpreter that it was made from: its packages are part of the environment.
    pub(super) base: String,
    pub(super) env: Vec<(String, String)>,
    pub(super) warnings: Vec<String>,
    pub(super) built_by: Option<[String; 4]>,
    /// It has not the SDK, with which its packages do not go together: what the installer said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lacks_sdk: Option<String>,
}

impl Record {
    pub(super) fn read(directory: &Path, key: &ImageKey) -> Option<Record> {
        serde_json::from_slice(&fs::read(directory.join(format!("{key}.json"))).ok()?).ok()
    }

    /// Writes the record in one step. After `Ok` it survives a power cut; the files of the environment need not: what is torn shows
    /// as a missing module, and `force` makes it anew.
    pub(super) fn write(&self, directory: &Path, key: &ImageKey) -> io::Result<()> {
        let staged = directory.join(format!("{}.new", self.directory));
        let mut file = fs::File::create(&staged)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(staged, directory.join(format!("{key}.json")))
    }

    /// The environment, if its directory is there and the interpreter is the one that the server has now.
    pub(super) fn environment(self, inner: &Inner) -> Option<Environment> {
        let directory = inner.directory.join(&self.directory);
        let (bin, files) = (directory.join("bin"), directory.join(SOURCE));
        let is_there = self.base == inner.base().stamp() && bin.join("python").exists();
        is_there.then(|| Environment {
            image: self.image,
            bin,
            files: files.is_dir().then_some(files),
            env: self.env,
            warnings: self.warnings,
            built_by: self.built_by,
            shares_packages: self.lacks_sdk.is_none()
                && inner.base().version().is_none_or(|version| is_of_version(&directory, version)),
            lacks_sdk: self.lacks_sdk,
        })
    }
}

/// Where it stands which environment stands in for an interpreter without the SDK.
const STANDS_IN: &str = "stand-in.json";

/// The key of that environment.
pub(super) fn stood_in(directory: &Path) -> Option<ImageKey> {
    let key: String = serde_json::from_slice(&fs::read(directory.join(STANDS_IN)).ok()?).ok()?;
    ImageKey::of(&format!("sdk:{key}"))
}

/// Notes it.
pub(super) fn stands_in(directory: &Path, key: &ImageKey) -> io::Result<()> {
    fs::write(directory.join(STANDS_IN), serde_json::to_vec(key.as_str())?)
}

/// Whether a virtual environment has a version of Python, as it says itself; so it counts if it does not say.
fn is_of_version(directory: &Path, (major, minor): (u32, u32)) -> bool {
    let said = fs::read_to_string(directory.join("pyvenv.cfg")).unwrap_or_default();
    // The first is the word of `venv`, the second that of uv.
    let mut versions = said
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter_map(|(key, value)| matches!(key.trim(), "version" | "version_info").then_some(value.trim()));
    versions.next().is_none_or(|version| format!("{version}.").starts_with(&format!("{major}.{minor}.")))
}

/// Removes every directory that no record names: of one image, or of all. Nothing may be building there.
pub(super) fn remove_unfinished(directory: &Path, key: Option<&ImageKey>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| key.is_none_or(|key| name.starts_with(key.as_str())))
        .collect();
    let records = names.iter().filter(|name| name.ends_with(".json"));
    let named: HashSet<String> = records
        .filter_map(|name| serde_json::from_slice::<Record>(&fs::read(directory.join(name)).ok()?).ok())
        .map(|record| record.directory)
        .collect();
    for name in names.iter().filter(|name| !named.contains(*name) && !name.ends_with(".json")) {
        let path = directory.join(name);
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_says_which_python_it_has() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_of_version(folder.path(), (3, 11)), "one that does not say");
        for (said, expected) in [
            ("home = /usr/bin\nversion = 3.11.2\n", true),
            ("home = /usr/bin\nversion_info = 3.11\n", true),
            ("uv = 0.8.3\nversion_info = 3.12.1\n", false),
            ("version = 3.1.1\n", false),
            ("version = 3.110.1\n", false),
        ] {
            fs::write(folder.path().join("pyvenv.cfg"), said).unwrap();
            assert_eq!(is_of_version(folder.path(), (3, 11)), expected, "{said}");
        }
    }
}
