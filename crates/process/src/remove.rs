//! Removing a directory with everything in it, also where somebody has taken the right to do so from its owner.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Removes a directory. What is in it may be closed to its owner, as what a container writes.
///
/// # Errors
/// What the system says.
pub fn remove_tree(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open(directory)?;
            fs::remove_dir_all(directory)
        }
        done => done,
    }
}

/// Opens every directory to its owner.
fn open(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A link is not followed.
        if entry.file_type()?.is_dir() {
            open(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_closed_to_its_owner_is_removed_and_what_a_link_leads_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (other, closed) = (folder.path().join("other"), folder.path().join("tree/a/closed"));
        fs::create_dir_all(&closed).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), "").unwrap();
        fs::write(closed.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&other, closed.join("link")).unwrap();
        for directory in [&closed, &other] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o0)).unwrap();
        }
        remove_tree(&folder.path().join("tree")).unwrap();
        assert!(!folder.path().join("tree").exists());
        assert_eq!(fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0);
        fs::set_permissions(&other, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(other.join("file").exists());
    }
}
