//! The data directory is its user's alone: blobs, logs and journal hold what tasks were given and have made.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::layout::DataDir;

/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Files of a data directory, and the beginnings of the names of databases, what SQLite has beside them and what was set aside.
const FILES: [&str; 6] = [".gitignore", "journal.id", "lock", "secrets.key", "server.json", "signing.key"];
const DATABASES: [&str; 2] = ["journal.db", "spans.db"];

/// Whose a directory is, before anything is made in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// Nothing is in it, or a server's data alone.
    Ours,
    /// A server's data among other things.
    Shared,
    /// Things of others.
    Foreign,
}

impl Ownership {
    /// Looks what is in a directory; one that is not there will be ours.
    pub(crate) fn of(data: &DataDir) -> io::Result<Ownership> {
        let entries = match fs::read_dir(data.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ownership::Ours),
            entries => entries?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        let has_journal = names.iter().any(|name| name == "journal.db");
        let is_known = |name: &OsString| is_file_of_ours(name) || data.directories().contains(&data.path().join(name));
        Ok(match has_journal {
            true if names.iter().all(is_known) => Ownership::Ours,
            true => Ownership::Shared,
            false if names.is_empty() => Ownership::Ours,
            false => Ownership::Foreign,
        })
    }
}

fn is_file_of_ours(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    FILES.contains(&&*name) || DATABASES.iter().any(|database| name.starts_with(database))
}

/// Takes the rights of others away from a data directory and its files, and says what its user has to know. The lock is held: nobody
/// else's server is in it. What lies deep in it may follow later.
///
/// A directory that somebody named by mistake, as their home or `/tmp`, stays as it is: what is made in it is private by itself.
///
/// # Errors
/// If the directory cannot be read.
pub(crate) fn close(data: &DataDir, ownership: Ownership) -> io::Result<Option<String>> {
    let (directory, mode) = (data.path().display(), fs::metadata(data.path())?.mode());
    let is_open = mode & OTHERS != 0;
    let warning = match ownership {
        _ if !is_open => None,
        Ownership::Ours => match take_away(data.path(), mode) {
            Ok(_) => Some(format!("other users of this machine could read `{directory}`: it is closed to them now")),
            Err(error) => Some(format!(
                "other users of this machine may read `{directory}`, and it cannot be closed to them ({error}): give the server a \
                 directory of its own"
            )),
        },
        Ownership::Shared | Ownership::Foreign => Some(format!(
            "other users of this machine may read `{directory}`, which stays open to them because it has more than a server's data: \
             give the server a directory of its own"
        )),
    };
    if ownership == Ownership::Foreign {
        return Ok(warning);
    }
    for entry in fs::read_dir(data.path())?.flatten().filter(|entry| is_file_of_ours(&entry.file_name())) {
        // What is not ours to close was not ours to write either.
        let _ = entry
            .metadata()
            .and_then(|found| found.is_file().then(|| take_away(&entry.path(), found.mode())).transpose());
    }
    Ok(warning)
}

/// Does the same with everything in the server's directories, and returns how much there was to do. What cannot be changed is left.
pub(crate) fn close_below(data: &DataDir) -> usize {
    let (mut closed, mut directories) = (0, Vec::new());
    for directory in data.directories() {
        match fs::symlink_metadata(&directory) {
            Ok(found) if found.is_dir() => {
                closed += usize::from(take_away(&directory, found.mode()).unwrap_or(false));
                directories.push(directory);
            }
            _ => {}
        }
    }
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
        let data_dir = DataDir::new(data);
        assert_eq!(Ownership::of(&data_dir).unwrap(), Ownership::Ours);
        let said = close(&data_dir, Ownership::Ours).unwrap().unwrap();
        assert!(said.contains("closed to them now"), "{said}");
        assert_eq!((mode(data), mode(&journal), mode(&program)), (0o700, 0o600, 0o755));
        assert_eq!(close_below(&data_dir), 3);
        assert_eq!((mode(&data.join("environments")), mode(&deep), mode(&program)), (0o700, 0o700, 0o700));
        assert_eq!((mode(elsewhere), mode(&shared)), (0o755, 0o644));
        assert_eq!(close(&data_dir, Ownership::Ours).unwrap(), None);
        assert_eq!(close_below(&data_dir), 0);
    }

    #[test]
    fn what_the_store_makes_in_a_new_directory_is_ours() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        drop(spanwise_store::Sqlite::open(&data, spanwise_engine::Durability::Process).unwrap());
        assert!(data.join(".gitignore").exists());
        assert_eq!(Ownership::of(&DataDir::new(&data)).unwrap(), Ownership::Ours);
    }

    #[test]
    fn a_folder_with_things_of_others_stays_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::new(home.path());
        assert_eq!(Ownership::of(&DataDir::new(&home.path().join("new"))).unwrap(), Ownership::Ours);
        assert_eq!(Ownership::of(&data).unwrap(), Ownership::Ours);
        let paths =
            ["bin/tool", "notes.txt", "src/deep/main.rs", "journal.db", "blobs/a"].map(|name| home.path().join(name));
        let open = |path: &Path| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        };
        paths[..3].iter().for_each(|path| open(path));
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Ownership::of(&data).unwrap(), Ownership::Foreign);
        // Made by the start, which is private by itself: nothing is looked at.
        paths[3..].iter().for_each(|path| open(path));
        let said = close(&data, Ownership::Foreign).unwrap().unwrap();
        assert!(said.contains("stays open"), "{said}");
        for path in paths.iter().map(PathBuf::as_path).chain([home.path()]) {
            assert_eq!(mode(path), 0o755, "{}", path.display());
        }
        // At the next start a journal is among them.
        assert_eq!(Ownership::of(&data).unwrap(), Ownership::Shared);
        assert!(close(&data, Ownership::Shared).unwrap().unwrap().contains("stays open"));
        close_below(&data);
        let modes = [home.path(), &paths[1], &paths[2], &paths[3], &paths[4]].map(mode);
        assert_eq!(modes, [0o755, 0o755, 0o755, 0o700, 0o700]);
    }
}
