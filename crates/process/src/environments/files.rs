//! Programs on the path, and files of an image.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// A program that can be started by its name.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    first_on_path(&[program])
}

/// The first program on the path that has one of these names.
pub(super) fn first_on_path(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut candidates =
        std::env::split_paths(&path).flat_map(|directory| programs.iter().map(move |program| directory.join(program)));
    candidates.find(|candidate| is_program(candidate))
}

/// Each program of a name on the path.
pub(super) fn all_on_path(program: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .filter(|candidate| is_program(candidate))
        .collect()
}

fn is_program(file: &Path) -> bool {
    file.is_file() && access(file, Access::EXEC_OK).is_ok()
}

/// The directories of pyenv that have this version of Python, the newest first.
pub(super) fn of_pyenv((major, minor): (u32, u32)) -> Vec<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".pyenv")));
    let Some(versions) = root.and_then(|root| fs::read_dir(root.join("versions")).ok()) else { return Vec::new() };
    let patch = |directory: &PathBuf| {
        let name = directory.file_name()?.to_str()?;
        name.strip_prefix(&format!("{major}.{minor}."))?.parse::<u32>().ok()
    };
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| Some((patch(&path)?, path)))
        .collect();
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Copies a file or the content of a directory to `to` below `root`, as Docker's `COPY` does.
pub(super) fn copy(from: &Path, root: &Path, to: &str) -> io::Result<()> {
    let target = root.join(to);
    if from.is_dir() {
        return copy_directory(from, &target);
    }
    let into = to.ends_with('/') || to == "." || target.is_dir();
    let target = if into { target.join(from.file_name().unwrap_or_default()) } else { target };
    target.parent().map(fs::create_dir_all).transpose()?;
    fs::copy(from, target).map(|_| ())
}

/// Copies what is in a directory into another one, which need not exist.
pub(super) fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (source, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if source.is_dir() { copy_directory(&source, &target)? } else { fs::copy(&source, &target).map(|_| ())? }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_copied_as_docker_does() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("package/inner")).unwrap();
        fs::write(from.join("package/inner/a.py"), "a").unwrap();
        copy(&from.join("package"), &to, "./package").unwrap();
        copy(&from.join("package/inner/a.py"), &to, ".").unwrap();
        copy(&from.join("package/inner/a.py"), &to, "other/b.py").unwrap();
        for copied in ["package/inner/a.py", "a.py", "other/b.py"] {
            assert_eq!(fs::read_to_string(to.join(copied)).unwrap(), "a", "{copied}");
        }
    }
}
