//! The interpreter that environments are made from.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

/// From the start of the interpreter to its answer; far above what a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// An interpreter, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    python: PathBuf,
    known: Result<Known, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Known {
    executable: String,
    version: [u32; 3],
    flyte: Option<String>,
    has_pip: bool,
    site_packages: Vec<String>,
}

impl Base {
    /// Asks an interpreter what it has. One that does not answer is known by its [`Base::problem`].
    pub async fn probe(python: &Path) -> Base {
        Base { python: python.to_owned(), known: ask(python).await }
    }

    /// The interpreter.
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Why tasks of the stock SDK cannot run with it, and what to do about it; none if they can.
    pub fn problem(&self) -> Option<String> {
        let python = self.python.display();
        match &self.known {
            Err(problem) => Some(format!("{python} does not work as an interpreter: {problem}")),
            Ok(known) if known.flyte.is_none() => Some(format!(
                "{python} has no package `flyte`, so Python tasks cannot run: install it with `{python} -m pip install flyte`, \
                 or give another interpreter with --python"
            )),
            Ok(_) => None,
        }
    }

    /// The version of its SDK; none if tasks cannot run with it.
    pub(super) fn flyte(&self) -> Option<&str> {
        self.known.as_ref().ok()?.flyte.as_deref()
    }

    /// Its version without the last number.
    pub(super) fn version(&self) -> Option<(u32, u32)> {
        let [major, minor, _] = self.known.as_ref().ok()?.version;
        Some((major, minor))
    }

    pub(super) fn has_pip(&self) -> bool {
        self.known.as_ref().is_ok_and(|known| known.has_pip)
    }

    /// The directories of its packages.
    pub(super) fn site_packages(&self) -> &[String] {
        self.known.as_ref().map_or(&[], |known| &known.site_packages)
    }

    /// What an environment that was made from it depends on.
    pub(super) fn stamp(&self) -> String {
        match &self.known {
            Ok(Known { executable, version: [major, minor, patch], flyte, .. }) => {
                format!("{executable} {major}.{minor}.{patch} flyte {}", flyte.as_deref().unwrap_or("none"))
            }
            Err(_) => self.python.display().to_string(),
        }
    }
}

async fn ask(python: &Path) -> Result<Known, String> {
    let mut command = Command::new(python);
    command.args(["-c", include_str!("base.py")]).env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let answer = tokio::time::timeout(PATIENCE, command.output()).await;
    let answer = answer.map_err(|_| format!("no answer within {PATIENCE:?}"))?.map_err(|error| error.to_string())?;
    if !answer.status.success() {
        return Err(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.stderr).trim_end()));
    }
    serde_json::from_slice(&answer.stdout).map_err(|error| format!("its answer is not understood: {error}"))
}
