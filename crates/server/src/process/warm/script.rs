//! The console script `a0` of a Python environment, and whether a launch means it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::process::Launch;

/// The script that runs a task, with the interpreter that runs the script.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) path: PathBuf,
    pub(super) interpreter: PathBuf,
}

impl Script {
    /// `None` if there is none, or if more than an interpreter of the same directory stands in its first line.
    pub(super) fn of(python: &Path) -> Option<Script> {
        let directory = python.parent()?;
        let path = directory.join("a0");
        let mut head = Vec::new();
        File::open(&path).ok()?.take(512).read_to_end(&mut head).ok()?;
        let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
        let interpreter = PathBuf::from(std::str::from_utf8(line).ok()?);
        let is_python = interpreter.file_name()?.to_str()?.starts_with("python");
        let is_beside = interpreter.parent()?.canonicalize().ok()? == directory.canonicalize().ok()?;
        (is_python && is_beside && is_executable(&interpreter)).then_some(Script { path, interpreter })
    }

    /// The path under which `launch` calls this script, as the kernel would find it; `None` if it calls something else.
    pub(super) fn called_by(&self, launch: &Launch) -> Option<PathBuf> {
        let program = launch.argv.first()?;
        let found = if program.contains('/') {
            launch.directory.join(program)
        } else {
            let path = launch.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path)?;
            path.split(':').map(|place| launch.directory.join(place).join(program)).find(|file| is_executable(file))?
        };
        (found.canonicalize().ok()? == self.path.canonicalize().ok()?).then_some(found)
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
