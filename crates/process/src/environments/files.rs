//! Programs on the path, and those of pyenv.

use std::fs;
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
