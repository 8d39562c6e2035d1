//! The SDK's entry point `a0`, as a script of our own for the interpreter of tasks.
//!
//! An installer puts one somewhere: beside the interpreter, into a user's own directory, into that of the environment below, or nowhere.
//! Ours is where we know it to be. The server starts it by the interpreter, and it is the first `a0` on the path of tasks, for programs
//! that start it by its name.

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use spanwise_process::random_name;

use spanwise_process::environments::Base;
use spanwise_wire::task::ENTRY_POINT;

const SCRIPT: &str = "import sys

from flyte._bin.runtime import main

if __name__ == \"__main__\":
    sys.exit(main())
";

/// What stands first in the arguments of an app of the SDK's.
pub(crate) const SERVE: &str = "fserve";

const SERVE_SCRIPT: &str = include_str!("fserve.py");

/// Writes the script, unless it is there as it has to be.
pub(super) fn write(directory: &Path, base: &Base) -> io::Result<PathBuf> {
    write_as(directory, ENTRY_POINT, &text(base))
}

/// Writes the script of apps, which the server starts by an interpreter.
pub(super) fn write_serve(directory: &Path) -> io::Result<PathBuf> {
    write_as(directory, SERVE, SERVE_SCRIPT)
}

fn write_as(directory: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    let path = directory.join(name);
    if std::fs::read_to_string(&path).is_ok_and(|written| written == text) {
        return Ok(path);
    }
    std::fs::create_dir_all(directory)?;
    // Attempts that start at one time write a file each; the last one stays.
    let staged = directory.join(format!("{name}.{}", random_name()));
    let written = stage(&staged, text).and_then(|()| std::fs::rename(&staged, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&staged);
    }
    written.map(|()| path)
}

fn stage(file: &Path, text: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(file)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// The first lines are for the kernel, which runs the shell, and for Python, to which they are a text: an interpreter can be a script
/// itself, have arguments, or a path that is too long for the kernel.
fn text(base: &Base) -> String {
    let words = std::iter::once(base.python().display().to_string()).chain(base.options().iter().cloned());
    let words: Vec<String> = words.map(|word| format!("\"{word}\" ")).collect();
    // No path that anybody has; only the interpreter itself starts the script then.
    if words.iter().any(|word| word[1..word.len() - 2].contains(['\'', '"', '\\', '$', '`', '\n'])) {
        return SCRIPT.to_owned();
    }
    format!("#!/bin/sh\n'''exec' {}\"$0\" \"$@\"\n' '''\n{SCRIPT}", words.concat())
}
