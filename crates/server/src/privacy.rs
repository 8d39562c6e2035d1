//! The data directory is its user's alone: blobs, logs and journal hold what tasks were given and have made.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::layout::DataDir;

/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Takes the rights of others away from a directory and from the files that lie directly in it, before anything is opened there: SQLite
/// gives its side files the rights of the database. True if others could reach it until now.
///
/// # Errors
/// If the directory is somebody else's, or cannot be read.
pub(crate) fn close(directory: &Path) -> io::Result<bool> {
    let was_open = take_away(directory, fs::metadata(directory)?.mode())?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            take_away(&entry.path(), metadata.mode())?;
        }
    }
    Ok(was_open)
}

/// Does the same with everything below a directory that is closed already, and returns how much there was to do. What cannot be
/// changed is left: nobody gets there.
pub(crate) fn close_below(data: &DataDir) -> usize {
    let (mut closed, mut directories) = (0, vec![data.path().to_owned()]);
    while let Some(directory) = directories.pop() {
        // Installers link packages out of a cache that others may share.
        let has_links = directory.starts_with(data.environments());
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            closed += usize::from(close_entry(&entry, has_links, &mut directories).unwrap_or(false));
        }
    }
    closed
}

fn close_entry(entry: &fs::DirEntry, has_links: bool, directories: &mut Vec<PathBuf>) -> io::Result<bool> {
    // Of the entry itself: a link leads elsewhere.
    let metadata = entry.metadata()?;
    if metadata.is_dir() {
        directories.push(entry.path());
    }
    let is_ours = metadata.is_dir() || (metadata.is_file() && !(has_links && metadata.nlink() > 1));
    if is_ours { take_away(&entry.path(), metadata.mode()) } else { Ok(false) }
}

fn take_away(path: &Path, mode: u32) -> io::Result<bool> {
    if mode & OTHERS == 0 {
        return Ok(false);
    }
    // What its owner may execute stays a program.
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !OTHERS))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_others_could_read_is_closed_and_what_lies_elsewhere_is_not_touched() {
        let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (data, elsewhere) = (data.path(), elsewhere.path());
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let (deep, program, journal) =
            (data.join("environments/b"), data.join("environments/b/program"), data.join("journal.db"));
        fs::create_dir_all(&deep).unwrap();
        let shared = elsewhere.join("shared");
        for (file, rights) in [(&journal, 0o644), (&program, 0o755), (&shared, 0o644)] {
            fs::write(file, "x").unwrap();
            set(file, rights);
        }
        set(elsewhere, 0o755);
        std::os::unix::fs::symlink(elsewhere, deep.join("link")).unwrap();
        fs::hard_link(&shared, deep.join("cached")).unwrap();
        for directory in [data, &data.join("environments"), &deep] {
            set(directory, 0o755);
        }
        assert!(close(data).unwrap());
        assert_eq!((mode(data), mode(&journal), mode(&program)), (0o700, 0o600, 0o755));
        assert_eq!(close_below(&DataDir::new(data)), 3);
        assert_eq!((mode(&data.join("environments")), mode(&deep), mode(&program)), (0o700, 0o700, 0o700));
        assert_eq!((mode(elsewhere), mode(&shared)), (0o755, 0o644));
        assert!(!close(data).unwrap());
        assert_eq!(close_below(&DataDir::new(data)), 0);
    }
}
