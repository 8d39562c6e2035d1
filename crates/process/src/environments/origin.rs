//! Where the interpreter of an environment comes from.

use std::path::PathBuf;

use super::plan::Plan;
use super::{Base, files};

/// Where the interpreter of an environment comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The server's own; its packages are visible in the environment, behind those of the image.
    Base,
    /// Another one that is installed.
    Other(PathBuf),
    /// uv finds or fetches it.
    Uv(PathBuf),
    /// The server's own, although the image asks for another version.
    BaseInstead,
}

impl Origin {
    pub(super) fn of(base: &Base, plan: &Plan) -> Origin {
        let Some((major, minor)) = plan.python.filter(|version| Some(*version) != base.version()) else {
            return Origin::Base;
        };
        let installed = || files::on_path(&format!("python{major}.{minor}")).map(Origin::Other);
        let uv = || files::on_path("uv").map(Origin::Uv);
        installed().or_else(uv).unwrap_or(Origin::BaseInstead)
    }

    pub(super) fn warning(&self, plan: &Plan) -> Option<String> {
        let (major, minor) = plan.python.filter(|_| *self == Origin::BaseInstead)?;
        Some(format!(
            "the image asks for Python {major}.{minor}, which is not on the PATH of the server: it gets the server's own"
        ))
    }

    pub(super) fn shares_packages(&self) -> bool {
        matches!(self, Origin::Base | Origin::BaseInstead)
    }
}
