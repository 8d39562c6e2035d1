//! What is on disk: `KEY.json` beside the directory `KEY-...` that it names. The record is touched by every use.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Key, Root, Settings};
use crate::remove_tree;

/// The root itself, in the directory of the record.
pub(super) const ROOT: &str = "root";

/// What says that a root is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) image: String,
    /// The name of its directory.
    pub(super) directory: String,
    pub(super) settings: Settings,
    pub(super) warnings: Vec<String>,
    /// What it takes on the disk.
    pub(super) bytes: u64,
}

impl Record {
    pub(super) fn read(directory: &Path, key: &Key) -> Option<Record> {
        serde_json::from_slice(&fs::read(directory.join(format!("{}.json", key.0))).ok()?).ok()
    }

    /// Writes the record in one step.
    pub(super) fn write(&self, directory: &Path, key: &Key) -> io::Result<()> {
        let staged = directory.join(format!("{}.new", self.directory));
        let mut file = fs::File::create(&staged)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(staged, directory.join(format!("{}.json", key.0)))
    }

    /// The root, if its directory is there.
    pub(super) fn root(self, directory: &Path) -> Option<Root> {
        let root = directory.join(&self.directory).join(ROOT);
        let Record { image, settings, warnings, .. } = self;
        root.is_dir().then_some(Root { image, directory: root, settings, warnings })
    }

    /// Removes the record, and then the root: what is left of it belongs to nobody.
    pub(super) fn remove(&self, directory: &Path, key: &Key) -> io::Result<()> {
        fs::remove_file(directory.join(format!("{}.json", key.0)))?;
        remove_tree(&directory.join(&self.directory))
    }
}

/// Notes that a root is used.
pub(super) fn touch(directory: &Path, key: &Key) {
    let touched = fs::File::options()
        .append(true)
        .open(directory.join(format!("{}.json", key.0)))
        .and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::debug!(%error, "note the use of a root");
    }
}

/// The roots that were not used for so long.
pub(super) fn unused(directory: &Path, age: Duration) -> Vec<(Key, Record)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let unused = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let key = Key(name.strip_suffix(".json")?.to_owned());
        let used = entry.metadata().ok()?.modified().ok()?;
        // A clock that jumps makes nothing older.
        (used.elapsed().ok()? > age).then(|| Record::read(directory, &key).map(|record| (key, record)))?
    });
    unused.collect()
}

/// Removes every directory that no record names: of one image, or of all. Nothing may be making it.
pub(super) fn remove_unfinished(directory: &Path, key: Option<&Key>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| key.is_none_or(|key| name.starts_with(&key.0)))
        .collect();
    let records = names.iter().filter_map(|name| name.strip_suffix(".json"));
    let named: HashSet<String> =
        records.filter_map(|key| Some(Record::read(directory, &Key(key.to_owned()))?.directory)).collect();
    for name in names.iter().filter(|name| !named.contains(*name) && !name.ends_with(".json")) {
        let path = directory.join(name);
        if path.is_dir() { remove_tree(&path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}
