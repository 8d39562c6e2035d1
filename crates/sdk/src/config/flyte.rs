//! Flyte's configuration file, as far as settings come from it.

use std::path::PathBuf;

/// Which configuration file of Flyte's counts.
#[derive(Clone, Debug)]
pub(crate) enum FlyteFile {
    /// The one that Flyte's SDK would read.
    Found,
    /// This one.
    At(PathBuf),
}

/// What Flyte's configuration file says.
#[derive(Default)]
pub(crate) struct FlyteSettings {
    pub(crate) endpoint: Option<String>,
    pub(crate) org: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) domain: Option<String>,
}
