//! The start of an interpreter for a script, with what every process of it has beside the script (`attempt.py`).

use std::ffi::OsString;

use super::warm::Script;
use super::{Error, Launch, Process, spawn, start};

const SOURCE: &str = include_str!("attempt.py");

/// Reads the source from descriptor 3, so that it is in no file and in nobody's list of processes, and runs it in a
/// namespace of its own: the module `__main__` becomes the script's.
const BOOTSTRAP: &str = "source = open(3, 'rb').read(); scope = {'__name__': 'attempt', 'SOURCE': source}; \
     exec(compile(source, '<attempt>', 'exec'), scope); scope['start']()";

/// The text of `attempt.py`, which knows how it is started, and what the caller has beside the script.
pub(crate) fn source(script: &Script) -> String {
    format!("BOOTSTRAP = {BOOTSTRAP:?}\n{SOURCE}\n{}", script.beside)
}

/// Starts `launch`. If it runs the script, that can be interrupted and has beside it what its caller wants, as a fork of
/// [`Warm`](super::Warm) does.
///
/// # Errors
///
/// As [`spawn`].
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn spawn_script(script: &Script, launch: &Launch) -> Result<Process, Error> {
    match script.called_by(launch) {
        Some(arguments) => start_script(script, arguments, launch),
        None => spawn(launch),
    }
}

/// Starts the script with its arguments, the first of which is its path.
pub(super) fn start_script(script: &Script, arguments: &[String], launch: &Launch) -> Result<Process, Error> {
    let failed = |source| Error::Start {
        program: script.interpreter.display().to_string(),
        directory: launch.directory.clone(),
        source,
    };
    let claim = launch.claim.as_deref().map(std::path::absolute).transpose().map_err(failed)?;
    let own = script.options.iter().map(OsString::from).chain(["-c", BOOTSTRAP].map(OsString::from));
    let given = std::iter::once(claim.unwrap_or_default().into_os_string()).chain(arguments.iter().map(OsString::from));
    let argv: Vec<OsString> = std::iter::once(script.interpreter.clone().into()).chain(own).chain(given).collect();
    start(launch, &argv, Some(&source(script)))
}
