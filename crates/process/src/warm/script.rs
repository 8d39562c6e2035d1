//! A script of a Python environment, and the interpreter that runs it.

use std::path::PathBuf;

use crate::Launch;

/// A script with its interpreter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Script {
    /// The interpreter itself, not a wrapper around one.
    pub interpreter: PathBuf,
    /// Its own arguments, before the script.
    pub options: Vec<String>,
    /// The script.
    pub path: PathBuf,
    /// Python that runs beside it in each process: it comes behind `attempt.py` and may put functions in the place of some of that one's.
    pub beside: &'static str,
}

impl Script {
    /// What is started to run it.
    pub fn command(&self) -> Vec<String> {
        let first = std::iter::once(self.interpreter.display().to_string());
        first.chain(self.options.iter().cloned()).chain(std::iter::once(self.path.display().to_string())).collect()
    }

    /// The script with its arguments, if `launch` runs it.
    pub(crate) fn called_by<'a>(&self, launch: &'a Launch) -> Option<&'a [String]> {
        let command = self.command();
        launch.argv.starts_with(&command).then(|| &launch.argv[command.len() - 1..])
    }
}
