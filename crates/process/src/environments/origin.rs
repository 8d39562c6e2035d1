//! Where the interpreter of an environment comes from: an image's version of Python is found on this machine, or refused by its name.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::plan::Plan;
use super::{Base, files};

/// From the start of an interpreter to its answer; far above what a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the interpreter of an environment comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The server's own; its packages are visible in the environment, behind those of the image.
    Base,
    /// Another one that is installed.
    Other(PathBuf),
    /// uv finds or fetches it.
    Uv(PathBuf),
}

/// No interpreter of the version that an image asks for was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the image asks for Python {}.{}, and tasks run with {here} here; no python{}.{} that works was found on the PATH of the server or among \
     pyenv's versions, and there is no uv that would fetch one: install one of them (`pip install uv` is enough), or ask for \
     python_version=({})",
    wanted.0, wanted.1, wanted.0, wanted.1, here.replace('.', ", ")
)]
pub struct NoSuchPython {
    wanted: (u32, u32),
    /// The version that tasks run with.
    here: String,
}

impl Origin {
    /// # Errors
    /// [`NoSuchPython`] if the machine has none of the version that is asked for.
    pub(super) async fn of(base: &Base, plan: &Plan, has_sdk: bool) -> Result<Origin, NoSuchPython> {
        if plan.sdk.is_some() {
            return Ok(Origin::apart(base));
        }
        let Some(wanted) = plan.python.filter(|wanted| Some(*wanted) != base.version()) else {
            return Ok(if has_sdk { Origin::Base } else { Origin::apart(base) });
        };
        if let Some(installed) = installed(wanted).await {
            return Ok(Origin::Other(installed));
        }
        let here = base.version().map_or_else(|| "another one".to_owned(), |(major, minor)| format!("{major}.{minor}"));
        files::on_path("uv").map(Origin::Uv).ok_or(NoSuchPython { wanted, here })
    }

    /// The server's own version, without its packages.
    fn apart(base: &Base) -> Origin {
        // An interpreter of a Linux distribution may not be able to make environments by itself.
        files::on_path("uv").map_or_else(|| Origin::Other(base.python().to_owned()), Origin::Uv)
    }

    pub(super) fn shares_packages(&self) -> bool {
        *self == Origin::Base
    }
}

/// An interpreter of a version that is on the path or among those of pyenv. What is there by its name may be a shim that starts nothing,
/// so each is asked.
async fn installed(version: (u32, u32)) -> Option<PathBuf> {
    let name = format!("python{}.{}", version.0, version.1);
    let of_pyenv = files::of_pyenv(version).into_iter().map(|directory| directory.join("bin").join(&name));
    for candidate in files::all_on_path(&name).into_iter().chain(of_pyenv) {
        if is_of_version(&candidate, version).await {
            return Some(candidate);
        }
    }
    None
}

/// Whether an interpreter has this version, and can make environments.
async fn is_of_version(python: &Path, (major, minor): (u32, u32)) -> bool {
    let question = format!("import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != ({major}, {minor}))");
    let mut command = Command::new(python);
    command.args(["-c", &question]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    matches!(tokio::time::timeout(PATIENCE, command.status()).await, Ok(Ok(status)) if status.success())
}
