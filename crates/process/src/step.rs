//! A program that takes part in making something: run to its end, which must be a good one. Its words go to a log.

use crate::logs::last_lines_without;
use crate::unfinished::Unfinished;
use crate::{Ending, Hidden, Launch, ProcessId, spawn};

/// How much of the log an error shows: a program says what is wrong at its end.
const LAST_LINES: usize = 3000;

/// Why a program has not come to a good end.
pub(crate) enum Failed {
    /// It could not be started.
    Start(crate::Error),
    /// It ended badly.
    Ended {
        /// How, in words.
        ending: String,
        /// The end of the log.
        last_lines: String,
    },
}

/// Runs a program. `started` is given each process, so that one can be found again after a restart.
pub(crate) async fn run(
    launch: &Launch,
    unfinished: &mut Unfinished,
    started: &(dyn Fn(&ProcessId) + Send + Sync),
    hidden: &Hidden,
) -> Result<(), Failed> {
    let process = spawn(launch).map_err(Failed::Start)?;
    started(process.id());
    unfinished.process = Some(process.clone());
    let ending = process.wait().await;
    unfinished.process = None;
    if ending == Ending::Exited(0) {
        return Ok(());
    }
    let last_lines = last_lines_without(&launch.log, LAST_LINES, hidden).unwrap_or_default();
    Err(Failed::Ended { ending: in_words(ending), last_lines: last_lines.trim_end().to_owned() })
}

fn in_words(ending: Ending) -> String {
    match ending {
        Ending::Exited(code) => format!("exit code {code}"),
        Ending::Signalled(signal) => format!("signal {signal}"),
        Ending::Gone => "it is gone".to_owned(),
    }
}
